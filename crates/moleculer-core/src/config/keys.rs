//! The keys of a JavaScript user's options that are no options here.

use moleculer_protocol::{Object, Value};

use super::places::Problem;

/// Keys that mean something only in JavaScript; why, the documentation of
/// [`BrokerOptions`](super::BrokerOptions) says.
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

/// Keys of the reference that this version cannot honour, with the name that
/// may stand there since it is what happens anyway. Ignoring the rest would
/// hide that a feature is off.
pub(super) const NOT_SUPPORTED: &[(&str, Option<&str>)] = &[
    ("cacher", None),
    ("disableBalancer", None),
    ("metrics", None),
    ("registry.discoverer", Some("Local")),
    ("tracing", None),
    ("validator", Some("Fastest")),
];

/// Takes these keys out, so that what is left are options.
pub(super) fn sort_out(options: &mut Object) -> Result<(), Problem> {
    for key in ONLY_JAVASCRIPT {
        if options.remove(key).is_some() {
            tracing::warn!(option = key, "this option has a meaning only in JavaScript");
        }
    }
    for (key, setter) in ONLY_IN_CODE {
        if options.remove(key).is_some_and(|value| value.is_truthy()) {
            return Err(Problem::new(key, format!("this is a function; set it with `{setter}`")));
        }
    }
    for (path, name) in NOT_SUPPORTED {
        if let Some(value) = take(options, path)
            && !is_off(&value)
            && !name.is_some_and(|name| is_named(&value, name))
        {
            let valid = name.map_or_else(String::new, |name| format!(", or write \"{name}\""));
            let message = format!("this is not supported yet; remove it{valid}");
            return Err(Problem::new(path, message));
        }
    }
    Ok(())
}

fn take(options: &mut Object, path: &str) -> Option<Value> {
    match path.split_once('.') {
        None => options.remove(path),
        Some((section, key)) => match options.get_mut(section) {
            Some(Value::Object(section)) => section.remove(key),
            _ => None,
        },
    }
}

/// In the reference, an object without `enabled` switches nothing on.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Object(object) if !object.contains_key("type") => {
            !object.get("enabled").is_some_and(Value::is_truthy)
        }
        other => !other.is_truthy(),
    }
}

/// `true` stands for the default, which is this name.
fn is_named(value: &Value, name: &str) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::String(given) => given.eq_ignore_ascii_case(name),
        Value::Object(choice) => {
            let given = choice.get("type").and_then(Value::as_str);
            given.is_some_and(|given| given.eq_ignore_ascii_case(name))
                && !choice.get("options").is_some_and(|options| *options != Object::new().into())
        }
        _ => false,
    }
}

/// `null` is JavaScript's way to switch something off: it reads as the empty
/// value of the option's kind.
pub(super) fn empty_nulls(options: &mut Object, defaults: &Object) {
    for (key, default) in defaults.iter() {
        match (options.get_mut(key), default) {
            (Some(value), default) if value.is_nullish() => *value = empty(default),
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
pub(super) fn belongs(section: &str, key: &str, defaults: &Object) -> Option<String> {
    if !section.is_empty() && is_known(defaults, "", key) {
        return Some("the top level".to_owned());
    }
    let mut sections = defaults.iter().filter(|(name, _)| *name != section);
    sections.find_map(|(name, inner)| {
        let inner = inner.as_object()?;
        is_known(inner, name, key).then(|| format!("`{name}`"))
    })
}

fn is_known(known: &Object, section: &str, key: &str) -> bool {
    let unsupported = || {
        NOT_SUPPORTED
            .iter()
            .any(|(path, _)| path.rsplit_once('.').unwrap_or(("", path)) == (section, key))
    };
    known.contains_key(key) || unsupported()
}
