//! Values as JSON from which each kind can be told.

use moleculer_protocol::{Extended, Object, Value};

/// The text of a value that [`tagged`] has prepared. A float keeps its point.
pub(crate) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|error| error.to_string())
}

/// Replaces what JSON has no form for by objects with a member `$t`.
pub(crate) fn tagged(value: &Value) -> Value {
    match value {
        Value::Undefined => tag("undefined", []),
        Value::Bytes(bytes) => {
            let text = readable(bytes).map(|text| ("text", text.into()));
            tag("buffer", [("hex", hex(bytes).into())].into_iter().chain(text))
        }
        Value::Float(n) if !n.is_finite() => tag("number", [("v", n.to_string().into())]),
        Value::Array(items) => items.iter().map(tagged).collect::<Vec<_>>().into(),
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key, tagged(value))).collect::<Object>().into()
        }
        Value::Date(date) if date.0.is_finite() => {
            tag("date", [("ms", date.0.into()), ("iso", date.to_iso().into())])
        }
        Value::Date(_) => tag("date", [("ms", Value::Null)]),
        Value::Extended(extended) => tagged_extended(extended),
        plain => plain.clone(),
    }
}

fn tagged_extended(extended: &Extended) -> Value {
    let list = |items: &[Value]| Value::Array(items.iter().map(tagged).collect());
    match extended {
        Extended::BigInt(n) => tag("bigint", [("v", n.as_str().into())]),
        Extended::TypedArray { tag: kind, bytes } => {
            tag("typedArray", [("tag", (*kind).into()), ("hex", hex(bytes).into())])
        }
        Extended::Map(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| list(&[key.clone(), value.clone()]));
            tag("map", [("entries", Value::Array(pairs.collect()))])
        }
        Extended::Set(items) => tag("set", [("values", list(items))]),
        Extended::RegExp { source, flags } => {
            tag("regexp", [("source", source.as_str().into()), ("flags", flags.as_str().into())])
        }
        other => tag("unknown", [("debug", format!("{other:?}").into())]),
    }
}

fn tag(name: &str, members: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let name = ("$t", Value::from(name));
    [name]
        .into_iter()
        .chain(members)
        .map(|(key, value)| (key.to_owned(), value))
        .collect::<Object>()
        .into()
}

/// Binary data that is text, nevertheless.
fn readable(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let shown = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    (!text.is_empty() && text.chars().all(shown)).then_some(text)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
