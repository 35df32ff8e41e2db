//! Saying where in a configuration something is wrong.

use std::collections::BTreeMap;

use moleculer_protocol::{Object, Value};
use serde::de::{DeserializeOwned, IntoDeserializer};

use crate::Error;

/// Where the options of a configuration stand, so that errors can say it.
///
/// ```
/// use moleculer_core::{BrokerOptions, Places};
/// use serde_json::json;
///
/// let mut places = Places::new();
/// places.insert("transit", "node.json:3");
/// let options = json!({ "transit": { "maxQueueSize": "many" } });
/// let error = BrokerOptions::from_value_at(options, places).unwrap_err();
/// assert!(error.message().starts_with("node.json:3: transit.maxQueueSize: "), "{error}");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Places(BTreeMap<String, String>);

impl Places {
    /// Knows nothing yet.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Says where the key at `path` stands: `transit.maxQueueSize` at
    /// `node.json:3`. Later words win.
    pub fn insert(&mut self, path: impl Into<String>, place: impl Into<String>) {
        self.0.insert(path.into(), place.into());
    }

    /// The place of a key, or of what holds it.
    pub fn find(&self, path: &str) -> Option<&str> {
        let mut path = path;
        loop {
            if let Some(place) = self.0.get(path) {
                return Some(place);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    /// Puts the place in front of an error of the plug-in at `path`.
    pub(crate) fn locate(&self, path: &str, error: Error) -> Error {
        let key = error.data().and_then(Value::as_object).and_then(|data| data.get("key"));
        let place = match key.and_then(Value::as_str) {
            Some(key) => self.find(&format!("{path}.options.{key}")),
            None => self.find(path),
        };
        match place {
            Some(place) => error.within(place),
            None => error,
        }
    }
}

/// Where options come from, for what is said when a broker is made of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) places: Places,
    /// Keys that mean something only in JavaScript.
    pub(crate) ignored: Vec<&'static str>,
}

/// Where options come from is no part of what they say.
impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What is wrong with the key at `path`.
#[derive(Debug)]
pub(super) struct Problem {
    /// As in `transit.maxQueueSize`; empty for the whole.
    pub(super) path: String,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn new(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), message: message.into() }
    }

    /// The section and the name of a key that nobody knows.
    pub(super) fn unknown_key(&self) -> Option<(&str, &str)> {
        let (section, key) = self.path.rsplit_once('.').unwrap_or(("", &self.path));
        self.message.starts_with(&format!("unknown key `{key}`")).then_some((section, key))
    }

    /// `what` is named if the place is not known.
    pub(super) fn into_error(self, what: &str, places: &Places) -> Error {
        let place = places.find(&self.path).unwrap_or(what);
        let message = match self.unknown_key() {
            Some((_, key)) => {
                let rest = &self.message["unknown key ``".len() + key.len()..];
                format!("{place}: unknown key `{}`{rest}", self.path)
            }
            None if self.path.is_empty() => format!("{place}: {}", self.message),
            None => format!("{place}: {}: {}", self.path, self.message),
        };
        Error::options(message).with_data(Object::from([("key", self.path)]))
    }
}

/// Reads a type that denies unknown keys.
pub(super) fn read<T: DeserializeOwned>(value: Value) -> Result<T, Problem> {
    if value.as_object().is_none() {
        return Err(Problem::new("", format!("expected an object, found {value:?}")));
    }
    serde_path_to_error::deserialize(value.into_deserializer()).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { "" } else { &path };
        Problem::new(path, plain(&error.inner().to_string()))
    })
}

/// Rust's names of types mean nothing to who writes a configuration.
fn plain(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once(", expected ") else {
        return message.to_owned();
    };
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
        "f32" | "f64" => "a number",
        name if name.starts_with("struct ") => "an object",
        other => other,
    };
    format!("{found}, expected {expected}")
}
