//! The service `$node`, which tells what this node knows.

use moleculer_protocol::{Object, Value};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, Unexpected},
};
use serde_json::json;

use crate::{
    Action, Context, Error, Handler, NodeView, Params, Result, Service, registry::ServiceItem,
    secrets,
};

/// Declares the service.
pub(crate) fn service() -> Service {
    const LISTS: [&str; 4] = ["onlyLocal", "skipInternal", "withEndpoints", "onlyAvailable"];
    Service::builder("$node")
        .action(action("list", list, &["withServices", "onlyAvailable"]))
        .action(action(
            "services",
            services,
            &[
                "onlyLocal",
                "skipInternal",
                "withActions",
                "withEvents",
                "onlyAvailable",
                "grouping",
            ],
        ))
        .action(action("actions", actions, &LISTS))
        .action(action("events", events, &LISTS))
        .action(action("health", health, &[]))
        .action(action("options", options, &[]))
        .action(action("metrics", metrics, &[]))
        .build()
}

/// An action of this service; its params are all flags.
fn action<Args: 'static>(name: &str, handler: impl Handler<Args, ()>, flags: &[&str]) -> Action {
    let mut action = Action::new(name, handler).extra("cache", false).extra("tracing", false);
    if !flags.is_empty() {
        let rule = |name: &&str| {
            let default = *name == "grouping";
            let rule =
                json!({"type": "boolean", "optional": true, "convert": true, "default": default});
            ((*name).to_owned(), Value::from(rule))
        };
        action = action.extra("params", flags.iter().map(rule).collect::<Object>());
    }
    action
}

/// A flag as callers write it: also as a number or a text, as the reference
/// converts them.
#[derive(Clone, Copy, Default)]
struct Flag(bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let flag = match &value {
            Value::Bool(flag) => Some(*flag),
            Value::Null | Value::Undefined => Some(false),
            Value::String(text) => match text.as_str() {
                "true" | "1" | "on" => Some(true),
                "false" | "0" | "off" => Some(false),
                _ => None,
            },
            number => match number.as_i64() {
                Some(1) => Some(true),
                Some(0) => Some(false),
                _ => None,
            },
        };
        let what =
            || D::Error::invalid_value(Unexpected::Other(&format!("{value:?}")), &"a boolean");
        flag.map(Self).ok_or_else(what)
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListParams {
    with_services: Flag,
    only_available: Flag,
}

async fn list(ctx: Context, Params(params): Params<ListParams>) -> Result<Vec<Value>> {
    let broker = ctx.broker()?;
    let registry = broker.registry();
    let views = registry.nodes().into_iter().map(|node| registry.view(&node)).collect::<Vec<_>>();
    Ok(views
        .iter()
        .filter(|node| node.available || !params.only_available.0)
        .map(|node| node_object(node, params.with_services.0).into())
        .collect())
}

/// A node as the reference shows it.
pub(crate) fn node_object(node: &NodeView, with_services: bool) -> Object {
    let info = node.info.as_deref();
    let client = info.map(|info| info.client.clone()).unwrap_or_default();
    let mut object = Object::from([
        ("id", Value::from(node.id.as_str())),
        ("instanceID", info.map(|info| info.instance_id.as_str()).into()),
        ("available", node.available.into()),
        ("local", node.local.into()),
        ("lastHeartbeatTime", (node.last_seen.as_secs_f64().round() as u64).into()),
        ("config", info.map(|info| info.config.clone()).unwrap_or_default().into()),
        ("client", client.to_object().into()),
        ("metadata", info.map(|info| info.metadata.clone()).unwrap_or_default().into()),
        ("ipList", info.map(|info| info.ip_list.clone()).unwrap_or_default().into()),
        ("port", info.and_then(|info| info.port).or(node.address.port).into()),
        (
            "hostname",
            info.map(|info| info.hostname.as_str()).or(node.address.hostname.as_deref()).into(),
        ),
        ("udpAddress", node.address.seen_at.map(|address| address.to_string()).into()),
        ("cpu", node.cpu.map(|cpu| cpu as i64).into()),
        ("cpuSeq", Some(node.cpu_seq).filter(|seq| *seq > 0).into()),
        ("seq", node.seq.into()),
        ("offlineSince", node.offline_since.map(|since| since.as_secs_f64().round() as u64).into()),
    ]);
    if with_services {
        let services = info.map(|info| info.services.to_vec()).unwrap_or_default();
        object.insert("services", Value::Array(services));
    }
    object
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServicesParams {
    only_local: Flag,
    skip_internal: Flag,
    with_actions: Flag,
    with_events: Flag,
    only_available: Flag,
    grouping: Flag,
}

impl Default for ServicesParams {
    fn default() -> Self {
        let off = Flag(false);
        Self {
            only_local: off,
            skip_internal: off,
            with_actions: off,
            with_events: off,
            only_available: off,
            grouping: Flag(true),
        }
    }
}

async fn services(ctx: Context, Params(params): Params<ServicesParams>) -> Result<Vec<Value>> {
    let broker = ctx.broker()?;
    let registry = broker.registry();
    let mut entries: Vec<ServiceEntry> = Vec::new();
    for item in registry.services() {
        let available = registry.node(&item.node).is_some_and(|node| node.available());
        let wanted = (item.local || !params.only_local.0)
            && (available || !params.only_available.0)
            && !(params.skip_internal.0 && item.info.name.starts_with('$'));
        if !wanted {
            continue;
        }
        let same =
            entries.iter_mut().find(|entry| params.grouping.0 && entry.name == *item.full_name);
        match same {
            Some(entry) => entry.add(&item, available, &params),
            None => entries.push(ServiceEntry::new(&item, available, &params)),
        }
    }
    Ok(entries.into_iter().map(|entry| entry.into_value(&params)).collect())
}

/// A service of one node, or of several nodes under one name.
struct ServiceEntry {
    name: String,
    object: Object,
    nodes: Vec<String>,
    actions: Object,
    events: Object,
}

impl ServiceEntry {
    fn new(item: &ServiceItem, available: bool, params: &ServicesParams) -> Self {
        let mut object = Object::from([("name", item.info.name.as_str())]);
        if let Some(version) = &item.info.version {
            object.insert("version", version.clone());
        }
        object.insert("fullName", &*item.full_name);
        object.insert("settings", item.info.settings.clone());
        object.insert("metadata", item.info.metadata.clone());
        object.insert("local", false);
        object.insert("available", false);
        let mut entry = Self {
            name: item.full_name.to_string(),
            object,
            nodes: Vec::new(),
            actions: Object::new(),
            events: Object::new(),
        };
        entry.add(item, available, params);
        entry
    }

    fn add(&mut self, item: &ServiceItem, available: bool, params: &ServicesParams) {
        if item.local {
            self.object.insert("local", true);
        }
        if available {
            self.object.insert("available", true);
        }
        self.nodes.push(item.node.to_string());
        if params.with_actions.0 {
            let shown = item.info.actions.iter().filter(|(_, action)| !is_hidden(action));
            self.actions.extend(shown.cloned());
        }
        if params.with_events.0 {
            let public = item.info.events.iter().filter(|(name, _)| !name.starts_with('$'));
            self.events.extend(public.cloned());
        }
    }

    fn into_value(self, params: &ServicesParams) -> Value {
        let mut object = self.object;
        if params.grouping.0 {
            object.insert("nodes", self.nodes);
        } else {
            object.insert("nodeID", self.nodes.into_iter().next());
        }
        // Who asked for them gets them even if there are none.
        if params.with_actions.0 {
            object.insert("actions", self.actions);
        }
        if params.with_events.0 {
            object.insert("events", self.events);
        }
        object.into()
    }
}

/// Actions with the old flag `protected` are in no list.
fn is_hidden(action: &Object) -> bool {
    action.get("protected").is_some_and(|flag| flag.as_bool() == Some(true))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RowsParams {
    only_local: Flag,
    skip_internal: Flag,
    with_endpoints: Flag,
    only_available: Flag,
}

/// A list of endpoints, of an action or of an event's group.
struct Row<'a> {
    name: &'a str,
    group: Option<&'a str>,
    /// Node, whether it is this one, state, availability.
    endpoints: Vec<(&'a str, bool, bool, bool)>,
    /// Key and value of the definition; of none if nobody offers it.
    definition: (&'static str, Option<Object>),
}

impl Row<'_> {
    /// As the reference shows it, if the caller wants it.
    fn show(self, params: &RowsParams) -> Option<Value> {
        let has_local = self.endpoints.iter().any(|(_, local, ..)| *local);
        let available = self.endpoints.iter().any(|(_, _, state, _)| *state);
        let wanted = (has_local || !params.only_local.0)
            && (available || !params.only_available.0)
            && !(params.skip_internal.0 && self.name.starts_with('$'));
        if !wanted {
            return None;
        }
        let mut object = Object::from([("name", self.name)]);
        if let Some(group) = self.group {
            object.insert("group", group);
        }
        object.insert("count", self.endpoints.len());
        object.insert("hasLocal", has_local);
        object.insert("available", available);
        if let (key, Some(definition)) = self.definition {
            object.insert(key, definition);
        }
        if params.with_endpoints.0 {
            let endpoints = self.endpoints.iter().map(|(node, _, state, available)| {
                let endpoint: Object = [
                    ("nodeID", Value::from(*node)),
                    ("state", (*state).into()),
                    ("available", (*available).into()),
                ]
                .into();
                Value::from(endpoint)
            });
            object.insert("endpoints", Value::Array(endpoints.collect()));
        }
        Some(object.into())
    }
}

async fn actions(ctx: Context, Params(params): Params<RowsParams>) -> Result<Vec<Value>> {
    let broker = ctx.broker()?;
    let all = broker.registry().actions.snapshot();
    let rows = all.iter().map(|row| Row {
        name: &row.name,
        group: None,
        endpoints: row
            .endpoints
            .iter()
            .map(|(one, state)| {
                (one.node.id.as_str(), one.node.local, *state, one.node.available())
            })
            .collect(),
        definition: ("action", row.endpoints.first().map(|(first, _)| first.def.to_object())),
    });
    let shown = rows.filter(|row| !row.definition.1.as_ref().is_some_and(is_hidden));
    Ok(shown.filter_map(|row| row.show(&params)).collect())
}

async fn events(ctx: Context, Params(params): Params<RowsParams>) -> Result<Vec<Value>> {
    let broker = ctx.broker()?;
    let all = broker.registry().events.snapshot();
    let rows = all.iter().map(|row| Row {
        name: &row.name,
        group: Some(&row.group),
        endpoints: row
            .endpoints
            .iter()
            .map(|one| (one.node.id.as_str(), one.node.local, true, one.node.available()))
            .collect(),
        definition: ("event", row.endpoints.first().map(|first| first.def.to_object())),
    });
    Ok(rows.filter_map(|row| row.show(&params)).collect())
}

async fn health(ctx: Context) -> Result<Value> {
    Ok(ctx.broker()?.health().into())
}

/// The options without passwords and the like: other nodes may ask for them.
async fn options(ctx: Context) -> Result<Value> {
    let options = Value::from_serialize(ctx.broker()?.options())?;
    Ok(secrets::mask(options))
}

/// Metrics are not measured yet.
async fn metrics() -> Result<Value> {
    Err(Error::client(400, "METRICS_DISABLED", "Metrics feature is disabled"))
}
