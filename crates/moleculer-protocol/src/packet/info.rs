//! What a node tells of itself.

use std::sync::Arc;

use crate::{Object, Value, format::DecodeError};

/// A node's self-description: the content of INFO packets and gossip rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeInfo {
    /// The service objects. Kept dynamic: receivers tolerate what they do not
    /// know and gossip it on unchanged. [`ServiceInfo::parse`] reads one.
    /// Shared, since many nodes tell the same.
    pub services: Arc<Vec<Value>>,
    /// Addresses of the node.
    pub ip_list: Vec<String>,
    /// Host name of the node.
    pub hostname: String,
    /// Which implementation the node runs.
    pub client: ClientInfo,
    /// Always empty in practice.
    pub config: Object,
    /// UUID made at each start of a broker.
    pub instance_id: String,
    /// The broker option `metadata`.
    pub metadata: Object,
    /// Sequence number of the services; senders start at 1.
    pub seq: u64,
    /// Port of the TCP transporter. In gossip rows and discoverer values only.
    pub port: Option<u16>,
}

/// Which implementation a node runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// `nodejs`, `rust`, ...
    pub kind: String,
    /// Version of the implementation.
    pub version: String,
    /// Version of its language.
    pub lang_version: String,
}

impl NodeInfo {
    /// The members in the order of a gossip row.
    pub fn to_object(&self) -> Object {
        let mut object = Object::from([
            ("ipList", Value::from(self.ip_list.clone())),
            ("hostname", self.hostname.as_str().into()),
            ("instanceID", self.instance_id.as_str().into()),
            ("client", self.client.to_object().into()),
            ("config", self.config.clone().into()),
        ]);
        if let Some(port) = self.port {
            object.insert("port", port);
        }
        object.insert("seq", self.seq);
        object.insert("metadata", self.metadata.clone());
        object.insert("services", Value::Array(self.services.to_vec()));
        object
    }

    /// Reads the members; missing or mistyped ones take their defaults, as
    /// the reference does.
    pub fn from_object(mut object: Object) -> Self {
        let mut take = |key: &str| object.remove(key).unwrap_or_default();
        Self {
            services: array(take("services")).into(),
            ip_list: array(take("ipList")).into_iter().filter_map(string).collect(),
            hostname: string(take("hostname")).unwrap_or_default(),
            client: ClientInfo::from_value(take("client")),
            config: into_object(take("config")),
            instance_id: string(take("instanceID")).unwrap_or_default(),
            metadata: into_object(take("metadata")),
            seq: take("seq").as_u64().unwrap_or(0),
            port: take("port").as_u64().and_then(|port| u16::try_from(port).ok()),
        }
    }
}

impl ClientInfo {
    /// The members as they are written: `type`, `version`, `langVersion`.
    pub fn to_object(&self) -> Object {
        Object::from([
            ("type", self.kind.as_str()),
            ("version", self.version.as_str()),
            ("langVersion", self.lang_version.as_str()),
        ])
    }

    fn from_value(value: Value) -> Self {
        let mut object = into_object(value);
        let mut take = |key: &str| object.remove(key).and_then(string).unwrap_or_default();
        Self { kind: take("type"), version: take("version"), lang_version: take("langVersion") }
    }
}

fn string(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn array(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

fn into_object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

/// A service object of a [`NodeInfo`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceInfo {
    /// Name without version.
    pub name: String,
    /// Text or number.
    pub version: Option<Value>,
    /// Name with version; computed when the sender left it out.
    pub full_name: String,
    /// Public settings.
    pub settings: Object,
    /// The service's metadata.
    pub metadata: Object,
    /// Definitions by full action name, each with its `name`.
    pub actions: Vec<(String, Object)>,
    /// Definitions by event name, each with its `name`.
    pub events: Vec<(String, Object)>,
}

impl ServiceInfo {
    /// Reads a service object; missing pieces take their defaults, actions
    /// and events without an object as definition are left out.
    ///
    /// # Errors
    ///
    /// When `value` is no object or has no `name`.
    pub fn parse(value: &Value) -> Result<Self, DecodeError> {
        let object =
            value.as_object().ok_or_else(|| DecodeError::new("a service must be an object"))?;
        let name = object
            .get("name")
            .and_then(Value::as_str)
            .ok_or_else(|| DecodeError::new("a service needs a name"))?;
        let member =
            |key: &str| object.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
        let version = object.get("version").filter(|version| !version.is_nullish()).cloned();
        let settings = member("settings");
        let full_name = match object.get("fullName").and_then(Value::as_str) {
            Some(full_name) => full_name.to_owned(),
            None => full_name(name, version.as_ref(), &settings),
        };
        Ok(Self {
            name: name.to_owned(),
            version,
            full_name,
            settings,
            metadata: member("metadata"),
            actions: definitions(member("actions")),
            events: definitions(member("events")),
        })
    }

    /// The members in the order in which JavaScript writes them.
    pub fn to_value(&self) -> Value {
        let map =
            |definitions: &[(String, Object)]| definitions.iter().cloned().collect::<Object>();
        let mut object = Object::from([("name", self.name.as_str())]);
        if let Some(version) = &self.version {
            object.insert("version", version.clone());
        }
        object.insert("fullName", self.full_name.as_str());
        object.insert("settings", self.settings.clone());
        object.insert("metadata", self.metadata.clone());
        object.insert("actions", map(&self.actions));
        object.insert("events", map(&self.events));
        object.into()
    }
}

/// `v2.posts` for a numeric version, `staging.posts` for a text, `posts` for
/// none or with the setting `$noVersionPrefix`.
pub(crate) fn full_name(name: &str, version: Option<&Value>, settings: &Object) -> String {
    let plain = settings.get("$noVersionPrefix").is_some_and(Value::is_truthy);
    match version.filter(|_| !plain) {
        Some(Value::String(version)) => format!("{version}.{name}"),
        Some(version) => match version.as_f64() {
            Some(number) => format!("v{}.{name}", ryu_js::Buffer::new().format(number)),
            None => name.to_owned(),
        },
        None => name.to_owned(),
    }
}

/// A definition is registered by its own `name`; the key stands in for it.
fn definitions(map: Object) -> Vec<(String, Object)> {
    map.into_iter()
        .filter_map(|(key, definition)| match definition {
            Value::Object(definition) => {
                let name = definition.get("name").and_then(Value::as_str);
                Some((name.map_or(key, str::to_owned), definition))
            }
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn full_names() {
        let check = |version: serde_json::Value, expected: &str| {
            let service = Value::from(json!({ "name": "posts", "version": version }));
            assert_eq!(ServiceInfo::parse(&service).unwrap().full_name, expected);
        };
        check(json!(2), "v2.posts");
        check(json!(0), "v0.posts");
        check(json!(1.5), "v1.5.posts");
        check(json!("staging"), "staging.posts");
        check(json!("2"), "2.posts");
        check(json!(""), ".posts");
        check(json!(null), "posts");
        let plain = json!({"name": "posts", "version": 2, "settings": {"$noVersionPrefix": true}});
        assert_eq!(ServiceInfo::parse(&plain.into()).unwrap().full_name, "posts");
    }

    #[test]
    fn pieces_may_be_missing_or_wrong() {
        let service = json!({"name": "a", "actions": {"a.x": {}, "a.y": 5}, "events": null});
        let service = ServiceInfo::parse(&service.into()).unwrap();
        assert_eq!(service.actions, [("a.x".to_owned(), Object::new())]);
        assert!(ServiceInfo::parse(&json!({"fullName": "a"}).into()).is_err());
        assert!(ServiceInfo::parse(&json!("a").into()).is_err());

        let info = Object::from([("services", Value::from(5)), ("seq", "x".into())]);
        assert_eq!(NodeInfo::from_object(info), NodeInfo::default());
    }
}
