//! Options from environment variables.

use std::{collections::BTreeMap, env, ffi::OsString};

use moleculer_core::{BrokerOptions, Error, Object, Places, Result, Value};

pub(super) type Variables = BTreeMap<String, OsString>;

/// The variables whose names are text; others are none of ours.
pub(super) fn variables() -> Variables {
    env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect()
}

/// Puts what the variables say over `options`.
pub(super) fn apply(
    options: &mut Object,
    places: &mut Places,
    variables: &Variables,
) -> Result<()> {
    let known = BrokerOptions::keys();
    let mut set = Setter { options, places };
    set.by_plain_names(&known, variables)?;
    for (name, value) in variables {
        if let Some(path) = name.strip_prefix("MOL_")
            && !value.is_empty()
        {
            let (path, default) = find(&known, path);
            set.set(&path, convert(text(name, value)?, default), name)?;
        }
    }
    Ok(())
}

struct Setter<'a> {
    options: &'a mut Object,
    places: &'a mut Places,
}

impl Setter<'_> {
    /// Looks for a variable for each key that is known or given.
    fn by_plain_names(&mut self, known: &Object, variables: &Variables) -> Result<()> {
        let mut keys = known.clone();
        complete(&mut keys, self.options);
        let mut open = vec![(Vec::new(), keys)];
        while let Some((path, keys)) = open.pop() {
            for (key, inner) in keys.iter() {
                let path: Vec<String> = path.iter().cloned().chain([key.to_owned()]).collect();
                let name = path.join("_").to_uppercase();
                if let Some(value) = variables.get(&name).filter(|value| !value.is_empty()) {
                    let default = default_of(known, &path);
                    self.set(&path, convert(text(&name, value)?, default), &name)?;
                } else if let Value::Object(inner) = inner {
                    open.push((path, inner.clone()));
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, path: &[String], value: Value, name: &str) -> Result<()> {
        let Some((last, parents)) = path.split_last() else { return Ok(()) };
        let mut object = &mut *self.options;
        for (depth, key) in parents.iter().enumerate() {
            if object.get(key).is_none_or(Value::is_nullish) {
                object.insert(key.as_str(), Object::new());
            }
            let Some(Value::Object(inner)) = object.get_mut(key) else {
                return Err(Error::options(format!(
                    "the environment variable {name}: `{}` is set already, and it is no object",
                    path[..=depth].join(".")
                )));
            };
            object = inner;
        }
        object.insert(last.as_str(), value);
        self.places.insert(path.join("."), format!("the environment variable {name}"));
        Ok(())
    }
}

fn text<'a>(name: &str, value: &'a OsString) -> Result<&'a str> {
    value.to_str().ok_or_else(|| {
        Error::options(format!("the environment variable {name}: its value is not UTF-8"))
    })
}

/// Adds the keys that are given, for the names of their variables.
fn complete(keys: &mut Object, given: &Object) {
    for (key, value) in given.iter() {
        match (keys.get_mut(key), value) {
            (Some(Value::Object(keys)), Value::Object(given)) => complete(keys, given),
            (_, Value::Object(_)) => drop(keys.insert(key, value.clone())),
            (None, _) => drop(keys.insert(key, Value::Null)),
            _ => {}
        }
    }
}

/// `TRANSIT__MAX_QUEUE_SIZE` as a path, and the key's default if it is known.
fn find<'a>(known: &'a Object, name: &str) -> (Vec<String>, Option<&'a Value>) {
    let mut path = Vec::new();
    let mut keys = Some(known);
    let mut default = None;
    for level in name.split("__").filter(|level| !level.is_empty()) {
        let key = camel(level);
        let known =
            keys.and_then(|keys| keys.iter().find(|(name, _)| name.eq_ignore_ascii_case(&key)));
        default = known.map(|(_, default)| default);
        keys = default.and_then(Value::as_object);
        path.push(known.map_or(key, |(name, _)| name.to_owned()));
    }
    (path, default)
}

fn default_of<'a>(known: &'a Object, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let first = known.get(first)?;
    rest.iter().try_fold(first, |value, key| value.as_object()?.get(key))
}

fn camel(name: &str) -> String {
    let mut words = name.split('_').filter(|word| !word.is_empty()).map(str::to_lowercase);
    let mut camel = words.next().unwrap_or_default();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// A text as what the key wants. What does not fit stays a text, which the key
/// refuses.
fn convert(text: &str, default: Option<&Value>) -> Value {
    let flag = || match text.trim().to_ascii_lowercase().as_str() {
        "true" => Some(Value::from(true)),
        "false" => Some(false.into()),
        _ => None,
    };
    let fitting = match default {
        Some(Value::String(_)) => None,
        Some(Value::Null | Value::Bool(_)) => flag(),
        Some(known) if known.as_f64().is_some() => number(text),
        _ => flag().or_else(|| number(text)),
    };
    fitting.unwrap_or_else(|| text.into())
}

/// What JavaScript reads as a number, but for infinity.
fn number(text: &str) -> Option<Value> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            return i64::from_str_radix(digits, radix).ok().map(Value::from);
        }
    }
    let is_number = lower.bytes().all(|c| matches!(c, b'0'..=b'9' | b'.' | b'+' | b'-' | b'e'));
    if !is_number {
        return None;
    }
    let whole = text.parse::<i64>().map(Value::from);
    whole.ok().or_else(|| text.parse::<f64>().ok().map(Value::from))
}
