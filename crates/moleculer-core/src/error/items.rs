//! Why params do not fit, as the reference's validator words it: spec
//! "Schema language", error items.

use moleculer_protocol::{DecodeError, FaultKind, Misfit, Object, Value};

use super::{Error, ErrorKind};

/// The error about params that do not fit. `fault` is what serde said, for
/// params that cannot even be read; `origin` goes into each item.
pub(crate) fn validation(misfits: &[Misfit], fault: &DecodeError, origin: &Object) -> Error {
    let mut items: Vec<Object> = Vec::new();
    for misfit in misfits {
        let field = misfit.field();
        let forbids = |item: &&mut Object| {
            matches!(misfit.kind, FaultKind::Unknown { .. })
                && item.get("type").and_then(Value::as_str) == Some("objectStrict")
                && item.get("field").and_then(Value::as_str).unwrap_or_default() == field
        };
        // Unknown members of one object are one item.
        match (items.iter_mut().find(forbids), &misfit.kind) {
            (Some(item), FaultKind::Unknown { name, .. }) => also_forbid(item, &field, name),
            _ => items.push(item(misfit, field)),
        }
    }
    if items.is_empty() {
        items.push(Object::from([("type", "custom"), ("message", &fault.to_string())]));
    }
    for item in &mut items {
        item.merge(origin.clone());
    }
    Error::new(ErrorKind::Validation, "Parameters validation error!")
        .with_data(items)
        .with_source(fault.clone())
}

/// An item's type, its message, and what would have been right.
struct Verdict {
    r#type: &'static str,
    message: String,
    expected: Option<Value>,
}

fn item(misfit: &Misfit, field: String) -> Object {
    let verdict = verdict(misfit, &field);
    let mut item = Object::from([("type", verdict.r#type), ("message", &verdict.message)]);
    if !field.is_empty() {
        item.insert("field", field);
    }
    if let Some(expected) = verdict.expected {
        item.insert("expected", expected);
    }
    let actual = match (&misfit.kind, &misfit.actual) {
        (FaultKind::Unknown { name, .. }, _) => Some(Value::from(short(name))),
        (FaultKind::Length { .. }, Some(Value::Array(items))) => Some(items.len().into()),
        (_, actual) => actual.clone().filter(|_| verdict.r#type != "required"),
    };
    if let Some(actual) = actual {
        item.insert("actual", actual);
    }
    item
}

fn verdict(misfit: &Misfit, field: &str) -> Verdict {
    match &misfit.kind {
        FaultKind::Missing { .. } => required(field),
        FaultKind::Type { .. } if !field.is_empty() && is_null(misfit) => required(field),
        FaultKind::Type { expected } => mistyped(misfit, field, expected),
        FaultKind::Value { expected } => out_of_range(misfit, field, expected),
        FaultKind::Length { expected } => miscounted(misfit, field, expected),
        FaultKind::Variant { expected } => {
            let values = expected.join(", ");
            let message = format!(
                "The '{field}' field value '{values}' does not match any of the allowed values."
            );
            Verdict { r#type: "enumValue", message, expected: Some(values.into()) }
        }
        FaultKind::Unknown { name, expected } => Verdict {
            r#type: "objectStrict",
            message: forbidden(field, &short(name)),
            expected: Some(expected.join(", ").into()),
        },
        _ => in_words(misfit),
    }
}

fn is_null(misfit: &Misfit) -> bool {
    misfit.actual.as_ref().is_some_and(Value::is_nullish)
}

fn required(field: &str) -> Verdict {
    let message = format!("The '{field}' field is required.");
    Verdict { r#type: "required", message, expected: None }
}

fn forbidden(field: &str, names: &str) -> String {
    format!("The object '{field}' contains forbidden keys: '{names}'.")
}

fn also_forbid(item: &mut Object, field: &str, name: &str) {
    let names = item.get("actual").and_then(Value::as_str).unwrap_or_default();
    let names = format!("{names}, {}", short(name));
    item.insert("message", forbidden(field, &names));
    item.insert("actual", names);
}

/// Rules say less of types than serde does: what they cannot say stays in
/// serde's words.
fn in_words(misfit: &Misfit) -> Verdict {
    Verdict { r#type: "custom", message: misfit.message.clone(), expected: None }
}

fn mistyped(misfit: &Misfit, field: &str, expected: &str) -> Verdict {
    let is_number = misfit.actual.as_ref().is_some_and(|actual| actual.as_f64().is_some());
    let (r#type, rest) = match expected {
        "a string" | "a borrowed string" | "a character" => ("string", "field must be a string."),
        "a boolean" => ("boolean", "field must be a boolean."),
        "f32" | "f64" => ("number", "field must be a number."),
        _ if limits(expected).is_some() && is_number => {
            ("numberInteger", "field must be an integer.")
        }
        _ if limits(expected).is_some() => ("number", "field must be a number."),
        "a map" => ("object", "must be an Object."),
        _ if expected.starts_with("struct ") => ("object", "must be an Object."),
        "a sequence" => ("array", "field must be an array."),
        _ if expected.starts_with("an array of length ") => ("array", "field must be an array."),
        _ if expected.starts_with("a tuple of size ") => ("tuple", "field must be an array."),
        _ => return in_words(misfit),
    };
    Verdict { r#type, message: format!("The '{field}' {rest}"), expected: None }
}

fn out_of_range(misfit: &Misfit, field: &str, expected: &str) -> Verdict {
    let number = misfit.actual.as_ref().and_then(Value::as_f64);
    let (Some((least, most)), Some(number)) = (limits(expected), number) else {
        return in_words(misfit);
    };
    let (r#type, than, limit) = match number > 0.0 {
        true => ("numberMax", "less", most),
        false => ("numberMin", "greater", least),
    };
    let message = format!("The '{field}' field must be {than} than or equal to {limit:?}.");
    Verdict { r#type, message, expected: Some(limit) }
}

/// What an integer type holds.
fn limits(r#type: &str) -> Option<(Value, Value)> {
    macro_rules! limits {
        ($($int:ident)*) => {
            match r#type {
                $(stringify!($int) => Some(($int::MIN.into(), $int::MAX.into())),)*
                // Their limits are no numbers elsewhere.
                "i128" | "isize" => Some((i64::MIN.into(), i64::MAX.into())),
                "u128" | "usize" => Some((0.into(), u64::MAX.into())),
                _ => None,
            }
        };
    }
    limits!(i8 i16 i32 i64 u8 u16 u32 u64)
}

fn miscounted(misfit: &Misfit, field: &str, expected: &str) -> Verdict {
    let count = expected.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok());
    let (r#type, Some(count)) = (
        if expected.starts_with("a tuple of size ") { "tupleLength" } else { "arrayLength" },
        count,
    ) else {
        return in_words(misfit);
    };
    let message = format!("The '{field}' field must contain {count} items.");
    Verdict { r#type, message, expected: Some(count.into()) }
}

/// A name that a peer made up.
fn short(name: &str) -> String {
    match name.char_indices().nth(256) {
        Some((end, _)) => format!("{}...", &name[..end]),
        None => name.to_owned(),
    }
}
