//! The keys of a JavaScript user's options that are no options here.

use moleculer_protocol::{Object, Value};
use serde_json::json;

use super::{BrokerOptions, places::Problem};

/// Keys that mean something only in JavaScript; why, the documentation of
/// [`BrokerOptions`] says.
pub(super) const ONLY_JAVASCRIPT: &[&str] = &[
    "Promise",
    "ServiceFactory",
    "ContextFactory",
    "skipProcessEventRegistration",
    "maxSafeObjectSize",
    "contextParamsCloning",
    "dependencyInterval",
    "hotReload",
    "replOptions",
    "replCommands",
    "replDelimiter",
];

/// Keys whose values are functions, and where they are set.
pub(super) const ONLY_IN_CODE: &[(&str, &str)] = &[
    ("created", "BrokerBuilder::created"),
    ("started", "BrokerBuilder::started"),
    ("stopped", "BrokerBuilder::stopped"),
    ("errorHandler", "BrokerBuilder::error_handler"),
    ("errorRegenerator", "BrokerBuilder::error_regenerator"),
    ("uidGenerator", "BrokerBuilder::uid_generator"),
];

/// Keys of the reference that this version cannot honour. Ignoring them would
/// hide that a feature is off.
pub(super) const NOT_SUPPORTED: &[&str] = &["metrics", "tracing"];

/// Whether a part is switched off, which may be said: an object whose
/// `enabled` is not true, or nothing that counts.
fn is_off(part: &Value) -> bool {
    match part {
        Value::Object(part) => !part.get("enabled").is_some_and(Value::is_truthy),
        other => !other.is_truthy(),
    }
}

/// Takes these keys out, so that what is left are options. Returns those that
/// are ignored.
pub(super) fn sort_out(options: &mut Object) -> Result<Vec<&'static str>, Problem> {
    for (key, setter) in ONLY_IN_CODE {
        if options.remove(key).is_some_and(|value| value.is_truthy()) {
            return Err(Problem::new(key, format!("this is a function; set it with `{setter}`")));
        }
    }
    for path in NOT_SUPPORTED {
        let Some(value) = options.remove(path).filter(|value| !is_off(value)) else {
            continue;
        };
        let message = "this is not supported yet; remove it".to_owned();
        let enabled = value.as_object().is_some_and(|part| part.contains_key("enabled"));
        let path = if enabled { format!("{path}.enabled") } else { (*path).to_owned() };
        return Err(Problem { path, message });
    }
    let ignored = ONLY_JAVASCRIPT.iter().filter(|key| options.remove(key).is_some());
    Ok(ignored.copied().collect())
}

/// All keys with their defaults, but for functions.
pub(super) fn all(defaults: &BrokerOptions) -> Object {
    let mut known = match Value::from_serialize(defaults) {
        Ok(Value::Object(known)) => known,
        _ => Object::new(),
    };
    // What a policy leaves open is not written.
    let policies = json!({
        "retryPolicy": {
            "enabled": false, "retries": 5, "delay": 100, "maxDelay": 1000, "factor": 2,
            "budget": 0.1,
        },
        "circuitBreaker": {
            "enabled": false, "threshold": 0.5, "windowTime": 60, "minRequestCount": 20,
            "halfOpenTime": 10_000,
        },
        "bulkhead": { "enabled": false, "concurrency": 10, "maxQueueSize": 100 },
    });
    if let Value::Object(policies) = policies.into() {
        known.merge(policies);
    }
    for part in NOT_SUPPORTED {
        known.insert(*part, Object::from([("enabled", false)]));
    }
    for key in ONLY_JAVASCRIPT {
        known.insert(*key, Value::Null);
    }
    known
}

/// `null` is JavaScript's way to switch something off: it reads as the empty
/// value of the option's kind. So does `false` for a part that has `enabled`.
pub(super) fn empty_nulls(options: &mut Object, defaults: &Object) {
    for (key, default) in defaults.iter() {
        match (options.get_mut(key), default) {
            (Some(value), default) if value.is_nullish() => *value = empty(default),
            (Some(value @ Value::Bool(false)), Value::Object(part))
                if part.contains_key("enabled") =>
            {
                *value = Object::new().into();
            }
            (Some(Value::Object(inner)), Value::Object(defaults)) => empty_nulls(inner, defaults),
            _ => {}
        }
    }
}

fn empty(kind: &Value) -> Value {
    match kind {
        Value::Bool(_) => false.into(),
        Value::String(_) => "".into(),
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Object(_) => Object::new().into(),
        number if number.as_f64().is_some() => 0.into(),
        _ => Value::Null,
    }
}

/// Where a key belongs that stands in the wrong section, in words.
pub(super) fn belongs(section: &str, key: &str, known: &Object) -> Option<String> {
    if !section.is_empty() && known.contains_key(key) {
        return Some("the top level".to_owned());
    }
    let mut others = known.iter().filter(|(name, _)| *name != section);
    others
        .find_map(|(name, inner)| inner.as_object()?.contains_key(key).then(|| format!("`{name}`")))
}
