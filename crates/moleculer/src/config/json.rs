//! JSON, with the place of every value.

use std::fmt;

use moleculer_core::{Object, Value};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::text::{Path, Problem, Text, insert};

pub(super) fn parse(text: &mut Text<'_>) -> Result<Value, Problem> {
    if text.text.trim().is_empty() {
        return Err(Problem::at(0, "the file is empty; JSON has at least `{}`"));
    }
    let raw: &RawValue = serde_json::from_str(text.text).map_err(|error| {
        let offset = text.line_start(error.line());
        let message = error.to_string();
        let message = message.rsplit_once(" at line").map_or(&*message, |(message, _)| message);
        Problem::at(offset, format!("this is no JSON: {message} (column {})", error.column()))
    })?;
    value(text, raw.get(), &Path::Root)
}

/// A part of the text, which is why its place can be told.
fn value(text: &mut Text<'_>, raw: &str, path: &Path<'_>) -> Result<Value, Problem> {
    let offset = offset_of(text, raw);
    path.check_depth(offset)?;
    text.stands_at(path, offset);
    let wrong = |error: serde_json::Error| Problem::at(offset, format!("{path}: {error}"));
    match raw.as_bytes().first() {
        Some(b'{') => {
            let Members(members) = serde_json::from_str(raw).map_err(wrong)?;
            let mut object = Object::with_capacity(members.len());
            for (key, raw) in &members {
                let path = Path::Key(path, key);
                let value = value(text, raw.get(), &path)?;
                insert(&mut object, &path, key, value, offset_of(text, raw.get()))?;
            }
            Ok(object.into())
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(raw).map_err(wrong)?;
            let items = items.iter().enumerate();
            let values = items.map(|(i, raw)| value(text, raw.get(), &Path::Item(path, i)));
            values.collect::<Result<_, _>>().map(Value::Array)
        }
        _ => serde_json::from_str::<serde_json::Value>(raw).map(Value::from).map_err(wrong),
    }
}

fn offset_of(text: &Text<'_>, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.text.as_ptr() as usize)
}

/// The members of an object in their order, twice if they are given twice.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Vec<(String, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<String, &RawValue>()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(V).map(Members)
    }
}
