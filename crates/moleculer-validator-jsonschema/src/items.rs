//! Errors of a JSON Schema as the reference's validator words them.

use jsonschema::{
    ErrorIterator, JsonType, ValidationError,
    error::{TypeKind, ValidationErrorKind as Kind},
};
use moleculer_protocol::{Object, Value};
use serde_json::Value as Json;

/// So many errors are told.
const MAX_ERRORS: usize = 1000;

/// Longest text of the schema library that is passed on, in characters. It
/// may show names that the caller made up.
const MAX_TEXT: usize = 1024;

/// The items of what is wrong with params.
pub(crate) fn items(errors: ErrorIterator<'_>) -> Vec<Object> {
    let mut items = Vec::new();
    for error in errors {
        add(&error, &mut items);
        if items.len() >= MAX_ERRORS {
            break;
        }
    }
    items.truncate(MAX_ERRORS);
    items
}

/// Of alternatives the errors of each are told, as for lists of rules.
fn add(error: &ValidationError<'_>, items: &mut Vec<Object>) {
    match error.kind() {
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
            context.iter().flatten().take(MAX_ERRORS).for_each(|error| add(error, items));
        }
        _ => items.push(item(error)),
    }
}

/// Type, text, what would be right, and what was found if it is not the value.
struct Verdict {
    kind: String,
    message: String,
    expected: Option<Value>,
    actual: Option<Value>,
}

fn item(error: &ValidationError<'_>) -> Object {
    let mut field = field_of(error.instance_path().as_str(), &[]);
    if let Kind::Required { property } = error.kind() {
        field = field_of(error.instance_path().as_str(), property.as_str().as_slice());
    }
    let verdict = verdict(error, &field);
    let mut item = Object::with_capacity(7);
    item.insert("type", verdict.kind);
    item.insert("message", verdict.message);
    if !field.is_empty() {
        item.insert("field", field);
    }
    let actual = match error.kind() {
        Kind::Required { .. } => None,
        _ => verdict.actual.or_else(|| Some(error.instance().clone().into_owned().into())),
    };
    for (key, value) in [("expected", verdict.expected), ("actual", actual)] {
        if let Some(value) = value {
            item.insert(key, value);
        }
    }
    item
}

fn verdict(error: &ValidationError<'_>, field: &str) -> Verdict {
    let instance = error.instance();
    let bound = |kind: &str, limit: &Json, text: &str, actual: Option<Value>| {
        let message =
            format!("The '{field}' field {text}").replace("{expected}", &limit.to_string());
        Verdict { kind: kind.to_owned(), message, expected: Some(limit.clone().into()), actual }
    };
    let count = || Some(Value::from(length_of(instance)));
    match error.kind() {
        Kind::Required { .. } => plain("required", format!("The '{field}' field is required.")),
        Kind::Type { kind } => mistyped(kind, instance, field).unwrap_or_else(|| in_words(error)),
        Kind::Enum { options } => {
            let values = join(options);
            let text = "value '{expected}' does not match any of the allowed values.";
            let message = format!("The '{field}' field {}", text.replace("{expected}", &values));
            Verdict { expected: Some(values.into()), ..plain("enumValue", message) }
        }
        Kind::Constant { expected_value } => {
            let message =
                format!("The '{field}' field value must be equal to '{}'.", show(expected_value));
            let expected = Some(Json::clone(expected_value).into());
            Verdict { expected, ..plain("equalValue", message) }
        }
        Kind::MinLength { limit } => {
            let text = "length must be greater than or equal to {expected} characters long.";
            bound("stringMin", &(*limit).into(), text, count())
        }
        Kind::MaxLength { limit } => {
            let text = "length must be less than or equal to {expected} characters long.";
            bound("stringMax", &(*limit).into(), text, count())
        }
        Kind::Minimum { limit } => {
            bound("numberMin", limit, "must be greater than or equal to {expected}.", None)
        }
        Kind::Maximum { limit } => {
            bound("numberMax", limit, "must be less than or equal to {expected}.", None)
        }
        Kind::MinItems { limit } => {
            bound("arrayMin", &(*limit).into(), "must contain at least {expected} items.", count())
        }
        Kind::MaxItems { limit } => {
            let text = "must contain less than or equal to {expected} items.";
            bound("arrayMax", &(*limit).into(), text, count())
        }
        Kind::Pattern { pattern } => {
            let text = "fails to match the required pattern.";
            bound("stringPattern", &format!("/{pattern}/").into(), text, None)
        }
        Kind::MinProperties { limit } => {
            let message = format!("The object '{field}' must contain at least {limit} properties.");
            let expected = Some(Value::from(*limit));
            Verdict { expected, actual: count(), ..plain("objectMinProps", message) }
        }
        Kind::MaxProperties { limit } => {
            let message = format!("The object '{field}' must contain {limit} properties at most.");
            let expected = Some(Value::from(*limit));
            Verdict { expected, actual: count(), ..plain("objectMaxProps", message) }
        }
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let names = unexpected.join(", ");
            let message = format!("The object '{field}' contains forbidden keys: '{names}'.");
            Verdict { actual: Some(names.into()), ..plain("objectStrict", message) }
        }
        Kind::Format { format } => formatted(format, field).unwrap_or_else(|| in_words(error)),
        _ => in_words(error),
    }
}

fn plain(kind: &str, message: String) -> Verdict {
    Verdict { kind: kind.to_owned(), message, expected: None, actual: None }
}

/// What the rules have no word for: the keyword, and the library's text.
fn in_words(error: &ValidationError<'_>) -> Verdict {
    let mut message = error.masked().to_string();
    if let Some((end, _)) = message.char_indices().nth(MAX_TEXT) {
        message.truncate(end);
        message.push_str("...");
    }
    plain(error.kind().keyword(), message)
}

fn mistyped(kind: &TypeKind, instance: &Json, field: &str) -> Option<Verdict> {
    let TypeKind::Single(expected) = kind else { return None };
    let (kind, text) = match expected {
        JsonType::String => ("string", "field must be a string."),
        JsonType::Integer if instance.is_number() => ("numberInteger", "field must be an integer."),
        JsonType::Number | JsonType::Integer => ("number", "field must be a number."),
        JsonType::Boolean => ("boolean", "field must be a boolean."),
        JsonType::Array => ("array", "field must be an array."),
        JsonType::Object => ("object", "must be an Object."),
        JsonType::Null => return None,
    };
    Some(plain(kind, format!("The '{field}' {text}")))
}

fn formatted(format: &str, field: &str) -> Option<Verdict> {
    let (kind, text) = match format {
        "email" | "idn-email" => ("email", "a valid e-mail."),
        "uri" | "iri" => ("url", "a valid URL."),
        "uuid" => ("uuid", "a valid UUID."),
        "date" | "date-time" => ("date", "a Date."),
        _ => return None,
    };
    Some(plain(kind, format!("The '{field}' field must be {text}")))
}

fn length_of(instance: &Json) -> usize {
    match instance {
        Json::String(text) => text.chars().count(),
        Json::Array(items) => items.len(),
        Json::Object(members) => members.len(),
        _ => 0,
    }
}

fn join(options: &Json) -> String {
    let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
    options.iter().map(show).collect::<Vec<_>>().join(", ")
}

fn show(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A JSON pointer as the reference writes paths: `a.b[0]['x-y']`.
fn field_of(pointer: &str, more: &[&str]) -> String {
    let mut field = String::new();
    let parts = pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~"));
    for part in parts.chain(more.iter().map(|part| (*part).to_owned())) {
        let is_index = !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
        let is_word = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'$';
        if is_index {
            field.push_str(&format!("[{part}]"));
        } else if field.is_empty() {
            field.push_str(&part);
        } else if !part.is_empty() && part.bytes().all(is_word) {
            field.push('.');
            field.push_str(&part);
        } else {
            field.push_str(&format!("['{part}']"));
        }
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_become_paths() {
        let check = |pointer: &str, more: &[&str], expected: &str| {
            assert_eq!(field_of(pointer, more), expected);
        };
        check("", &[], "");
        check("", &["a"], "a");
        check("/a/0/b~1c/d", &["e f"], "a[0]['b/c'].d['e f']");
    }
}
