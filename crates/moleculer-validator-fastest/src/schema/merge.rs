//! How aliases and defaults are added to rules.

use moleculer_protocol::{Object, Value};

/// Adds what `target` lacks, also within objects.
pub(crate) fn extend(target: &mut Object, source: &Object) {
    for (key, value) in source.iter() {
        match value {
            Value::Object(members) if !members.is_empty() => {
                if !target.get(key).is_some_and(Value::is_truthy) {
                    target.insert(key, Object::new());
                }
                if let Some(Value::Object(own)) = target.get_mut(key) {
                    extend(own, members);
                }
            }
            _ if target.defined(key).is_some() => {}
            _ => {
                target.insert(key, value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_there_stays() {
        let object = |json| match Value::from(json) {
            Value::Object(object) => object,
            other => panic!("{other:?}"),
        };
        let mut rule = object(json!({"a": 1, "o": {"x": 1}, "n": null, "t": "text"}));
        let alias = object(
            json!({"a": 2, "b": [3], "o": {"x": 2, "y": 2}, "n": 5, "t": {"z": 1}, "e": {}}),
        );
        extend(&mut rule, &alias);
        let expected =
            json!({"a": 1, "o": {"x": 1, "y": 2}, "n": null, "t": "text", "b": [3], "e": {}});
        assert_eq!(rule, object(expected));
    }
}
