//! The service `$node`, which tells what this node knows.

use moleculer_protocol::{Object, Value};
use serde::Deserialize;

use crate::{
    Action, Context, NodeView, Params, Result, Service,
    registry::{ActionEndpoint, ServiceItem},
};

/// Declares the service.
pub(crate) fn service() -> Service {
    Service::builder("$node")
        .action(Action::new("list", list).extra("cache", false).extra("tracing", false))
        .action(Action::new("services", services).extra("cache", false).extra("tracing", false))
        .action(Action::new("actions", actions).extra("cache", false).extra("tracing", false))
        .build()
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListParams {
    with_services: bool,
    only_available: bool,
}

async fn list(ctx: Context, Params(params): Params<ListParams>) -> Result<Vec<Value>> {
    let broker = ctx.broker()?;
    let registry = broker.registry();
    let views = registry.nodes().into_iter().map(|node| registry.view(&node)).collect::<Vec<_>>();
    Ok(views
        .iter()
        .filter(|node| node.available || !params.only_available)
        .map(|node| node_object(node, params.with_services).into())
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
        ("cpuSeq", node.cpu_seq.into()),
        ("seq", node.seq.into()),
    ]);
    if with_services {
        let services = info.map(|info| info.services.clone()).unwrap_or_default();
        object.insert("services", Value::Array(services));
    }
    object
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServicesParams {
    only_local: bool,
    skip_internal: bool,
    with_actions: bool,
    with_events: bool,
    only_available: bool,
    grouping: bool,
}

impl Default for ServicesParams {
    fn default() -> Self {
        Self {
            only_local: false,
            skip_internal: false,
            with_actions: false,
            with_events: false,
            only_available: false,
            grouping: true,
        }
    }
}

async fn services(ctx: Context, Params(params): Params<ServicesParams>) -> Result<Vec<Value>> {
    let broker = ctx.broker()?;
    let registry = broker.registry();
    let mut entries: Vec<ServiceEntry> = Vec::new();
    for item in registry.services() {
        let available = registry.node(&item.node).is_some_and(|node| node.available());
        let wanted = (item.local || !params.only_local)
            && (available || !params.only_available)
            && !(params.skip_internal && item.info.name.starts_with('$'));
        if !wanted {
            continue;
        }
        let same =
            entries.iter_mut().find(|entry| params.grouping && entry.name == *item.full_name);
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
        if params.with_actions {
            self.actions.extend(item.info.actions.iter().cloned());
        }
        if params.with_events {
            let public = item.info.events.iter().filter(|(name, _)| !name.starts_with('$'));
            self.events.extend(public.cloned());
        }
    }

    fn into_value(self, params: &ServicesParams) -> Value {
        let mut object = self.object;
        if params.grouping {
            object.insert("nodes", self.nodes);
        } else {
            object.insert("nodeID", self.nodes.into_iter().next());
        }
        // Who asked for them gets them even if there are none.
        if params.with_actions {
            object.insert("actions", self.actions);
        }
        if params.with_events {
            object.insert("events", self.events);
        }
        object.into()
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ActionsParams {
    only_local: bool,
    skip_internal: bool,
    with_endpoints: bool,
    only_available: bool,
}

async fn actions(ctx: Context, Params(params): Params<ActionsParams>) -> Result<Vec<Value>> {
    let broker = ctx.broker()?;
    let all = broker.registry().actions.snapshot();
    let entries = all.into_iter().filter_map(|(name, endpoints)| {
        let has_local = endpoints.iter().any(|endpoint| endpoint.node.local);
        let available = endpoints.iter().any(|endpoint| endpoint.node.available());
        let wanted = (has_local || !params.only_local)
            && (available || !params.only_available)
            && !(params.skip_internal && name.starts_with('$'));
        wanted.then(|| action_entry(&name, &endpoints, has_local, available, params.with_endpoints))
    });
    Ok(entries.collect())
}

fn action_entry(
    name: &str,
    endpoints: &[std::sync::Arc<ActionEndpoint>],
    has_local: bool,
    available: bool,
    with_endpoints: bool,
) -> Value {
    let mut object = Object::from([
        ("name", Value::from(name)),
        ("count", endpoints.len().into()),
        ("hasLocal", has_local.into()),
        ("available", available.into()),
    ]);
    if let Some(first) = endpoints.first() {
        object.insert("action", first.def.to_object());
    }
    if with_endpoints {
        let endpoints = endpoints.iter().map(|endpoint| {
            let available = endpoint.node.available();
            Object::from([
                ("nodeID", Value::from(endpoint.node.id.as_str())),
                ("state", true.into()),
                ("available", available.into()),
            ])
        });
        object.insert("endpoints", Value::Array(endpoints.map(Value::from).collect()));
    }
    object.into()
}
