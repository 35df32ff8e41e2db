//! What is logged, as options: [`LogLevel`].

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

use moleculer_protocol::Value;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap as _,
};

/// Which log lines are wanted.
///
/// ```
/// use moleculer_core::{BrokerOptions, LogLevel, Severity};
/// use serde_json::json;
///
/// let options = BrokerOptions::from_value(json!({ "logLevel": "debug" }))?;
/// assert_eq!(options.log_level, Some(LogLevel::All(Severity::Debug)));
/// # Ok::<(), moleculer_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Those of one severity and above.
    All(Severity),
    /// By module: names or patterns, and `**` for the others; the first that
    /// fits counts.
    ByModule(Vec<(String, Severity)>),
}

/// How bad what a log line tells is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// `trace`.
    Trace,
    /// `debug`.
    Debug,
    /// `info`.
    Info,
    /// `warn`.
    Warn,
    /// `error`.
    Error,
    /// `fatal`: an error that ends the broker.
    Fatal,
    /// `false` in configuration: nothing is wanted.
    Off,
}

const SEVERITIES: [(Severity, &str); 6] = [
    (Severity::Trace, "trace"),
    (Severity::Debug, "debug"),
    (Severity::Info, "info"),
    (Severity::Warn, "warn"),
    (Severity::Error, "error"),
    (Severity::Fatal, "fatal"),
];

impl Severity {
    /// Reads a name; case does not matter.
    pub fn from_name(name: &str) -> Option<Self> {
        let known = SEVERITIES.iter().find(|(_, known)| known.eq_ignore_ascii_case(name.trim()));
        known.map(|(severity, _)| *severity)
    }

    fn from_value(value: &Value) -> Result<Self, String> {
        let severity = match value {
            Value::Bool(false) | Value::Null => Some(Self::Off),
            Value::String(name) => Self::from_name(name),
            _ => None,
        };
        severity.ok_or_else(|| {
            let known = SEVERITIES.map(|(_, name)| name).join(", ");
            format!("{value:?} is no log level; known are {known}")
        })
    }
}

/// The name in configuration; `off` for nothing.
impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = SEVERITIES.iter().find(|(severity, _)| severity == self);
        f.write_str(known.map_or("off", |(_, name)| name))
    }
}

impl Serialize for Severity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_bool(false),
            named => serializer.collect_str(named),
        }
    }
}

impl Serialize for LogLevel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All(severity) => severity.serialize(serializer),
            Self::ByModule(modules) => {
                let mut map = serializer.serialize_map(Some(modules.len()))?;
                for (module, severity) in modules {
                    map.serialize_entry(module, severity)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for LogLevel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Object(modules) => {
                let modules = modules.iter().map(|(module, value)| {
                    let severity = Severity::from_value(value)
                        .map_err(|problem| D::Error::custom(format_args!("{module}: {problem}")))?;
                    Ok((module.to_owned(), severity))
                });
                modules.collect::<Result<_, _>>().map(Self::ByModule)
            }
            one => Severity::from_value(&one).map(Self::All).map_err(D::Error::custom),
        }
    }
}

/// Whether somebody shows log lines by the options; as global as the
/// subscriber that does.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// Tells that the options `logger` and `logLevel` have an effect.
pub fn set_shown() {
    SHOWN.store(true, Ordering::Relaxed);
}

pub(crate) fn shown() -> bool {
    SHOWN.load(Ordering::Relaxed)
}

/// Whether there are log lines: a flag, or the console logger by its name.
pub(super) fn logger<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    is_console(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn is_console(choice: &Value) -> Result<bool, String> {
    let (name, options) = match choice {
        Value::Null | Value::Undefined => return Ok(false),
        Value::Bool(flag) => return Ok(*flag),
        Value::Array(several) => {
            return several.iter().try_fold(false, |any, choice| Ok(is_console(choice)? || any));
        }
        Value::String(name) => (name.as_str(), None),
        Value::Object(choice) => {
            let name = choice.get("type").and_then(Value::as_str).unwrap_or_default();
            (name, choice.get("options"))
        }
        _ => ("", None),
    };
    let plain = options.is_none_or(|options| {
        options.is_nullish()
            || options.as_object().is_some_and(moleculer_protocol::Object::is_empty)
    });
    if plain && name.eq_ignore_ascii_case("Console") {
        return Ok(true);
    }
    Err(format!("{choice:?} is not supported yet; true, false and \"Console\" are"))
}
