//! Rules as text: `"string[]|optional|min:3"`.

use moleculer_protocol::{Object, Value};

use crate::js;

/// Reads a rule from text. A type that ends with `[]` becomes a list whose
/// items are of the type before it.
pub(crate) fn parse(text: &str) -> Object {
    let mut parts = text.split('|').map(js::trim);
    let name = parts.next().unwrap_or_default();
    let mut rule = match name.strip_suffix("[]") {
        Some(item) => Object::from([("type", "array"), ("items", item)]),
        None => Object::from([("type", name)]),
    };
    for part in parts {
        match (part.split_once(':'), part.strip_prefix("no-")) {
            (Some((key, value)), _) => rule.insert(js::trim(key), value_of(js::trim(value))),
            (None, Some(key)) => rule.insert(key, false),
            (None, None) => rule.insert(part, true),
        };
    }
    rule
}

fn value_of(text: &str) -> Value {
    match (text, js::parse_number(text)) {
        ("true", _) => true.into(),
        ("false", _) => false.into(),
        (_, number) if number.is_nan() => text.into(),
        (_, number) => js::number(number),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_read() {
        let check = |text: &str, expected: serde_json::Value| {
            assert_eq!(Value::from(parse(text)), expected.into(), "{text}");
        };
        check("string", json!({"type": "string"}));
        check(
            " number | optional | no-convert|min: 5 |x:true|y:a:b|z:",
            json!({"type": "number", "optional": true, "convert": false, "min": 5, "x": true,
                   "y": "a:b", "z": 0}),
        );
        check("string[][]|min:1", json!({"type": "array", "items": "string[]", "min": 1}));
        check("", json!({"type": ""}));
    }
}
