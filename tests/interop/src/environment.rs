//! What the environment says of the node.

use moleculer::{BrokerOptions, Object, Value, prelude::*};
use serde_json::json;

/// The variables, read and checked.
pub(crate) struct Environment {
    pub(crate) options: BrokerOptions,
    pub(crate) services: Vec<String>,
    pub(crate) log_level: String,
}

impl Environment {
    pub(crate) fn read() -> Result<Self> {
        let options = json!({
            "nodeID": variable("NODEID").ok_or_else(|| wrong("NODEID is not set; it must name this node"))?,
            "namespace": variable("NAMESPACE").unwrap_or_default(),
            "transporter": variable("TRANSPORTER").unwrap_or_else(|| "TCP".into()),
            "cacher": "Memory",
            "serializer": variable("SERIALIZER").unwrap_or_else(|| "JSON".into()),
            "protocol": variable("PROTOCOL").unwrap_or_else(|| "5".into()),
            "disableBalancer": flag("DISABLEBALANCER", false)?,
            "registry": { "preferLocal": flag("PREFER_LOCAL", true)? },
            "transit": { "disableVersionCheck": flag("DISABLE_VERSION_CHECK", false)? },
        });
        let mut options = Value::from(options);
        match variable("DISCOVERER").as_deref() {
            None | Some("Local") => {}
            Some(other) => {
                return Err(wrong(&format!("DISCOVERER '{other}' is not supported yet")));
            }
        }
        for name in ["BROKER_OPTIONS", "MORE_OPTIONS"] {
            if let Some(text) = variable(name) {
                let over: serde_json::Value = serde_json::from_str(&text)
                    .map_err(|error| wrong(&format!("{name} is not valid JSON: {error}")))?;
                merge(&mut options, over.into());
            }
        }
        let services = variable("SERVICES").unwrap_or_else(|| "echo,probe".into());
        Ok(Self {
            options: BrokerOptions::from_value(options)?,
            services: services
                .split(',')
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect(),
            log_level: variable("LOGLEVEL").unwrap_or_else(|| "warn".into()),
        })
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn flag(name: &str, fallback: bool) -> Result<bool> {
    match variable(name).as_deref() {
        None => Ok(fallback),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(other) => Err(wrong(&format!("{name} is '{other}', but must be true or false"))),
    }
}

fn wrong(message: &str) -> Error {
    Error::options(message)
}

/// Objects are merged key by key; everything else replaces what was there.
fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => merge_objects(base, over),
        (base, over) => *base = over,
    }
}

fn merge_objects(base: &mut Object, over: Object) {
    for (key, value) in over {
        match base.get_mut(&key) {
            Some(base) => merge(base, value),
            None => {
                base.insert(key, value);
            }
        }
    }
}
