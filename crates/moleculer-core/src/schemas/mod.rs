//! What actions take and give, as tools read it.

mod known;
#[cfg(feature = "schemas")]
mod rules;

use std::sync::Arc;

use moleculer_protocol::{Object, Value};

pub use self::known::{KnownMember, KnownSchema, NoSchema, Plain, Typed};

/// What the rule language of Moleculer JS can say of a JSON Schema, for
/// validators that publish one; `None` if that is nothing.
///
/// ```
/// use moleculer_core::rules_of_schema;
/// use serde_json::json;
///
/// let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } } });
/// let rules = json!({ "n": { "type": "number", "integer": true, "optional": true } });
/// assert_eq!(rules_of_schema(&schema.into()), Some(rules.into()));
/// ```
#[cfg(feature = "schemas")]
pub fn rules_of_schema(schema: &Value) -> Option<Value> {
    rules::of(&schema.clone().into()).map(Value::from)
}

/// The schemas of an action, made once and published with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ActionSchemas {
    pub(crate) params: Option<Arc<ParamsSchema>>,
    pub(crate) result: Option<Arc<Value>>,
}

/// What an action takes.
#[derive(Debug, PartialEq)]
pub(crate) struct ParamsSchema {
    /// JSON Schema.
    schema: Value,
    /// The same in the rule language of validators, as far as that goes.
    rules: Option<Object>,
}

impl ActionSchemas {
    /// Takes from `lower` what is not known here.
    pub(crate) fn fill(&mut self, lower: Self) {
        self.params = self.params.take().or(lower.params);
        self.result = self.result.take().or(lower.result);
    }

    /// Adds them to a definition that does not say it itself.
    pub(crate) fn publish(&self, definition: &mut Object) {
        let mut add = |key: &str, value: &Value| {
            if !definition.contains_key(key) {
                definition.insert(key, value.clone());
            }
        };
        if let Some(params) = &self.params {
            add("paramsSchema", &params.schema);
            if let Some(rules) = &params.rules {
                add("params", &rules.clone().into());
            }
        }
        if let Some(result) = &self.result {
            add("resultSchema", result);
        }
    }
}
