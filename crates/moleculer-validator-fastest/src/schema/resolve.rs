//! Every form of a rule in one: an object with a `type` and options.

use moleculer_protocol::{Object, Value};

use super::{extend, parse_shorthand};
use crate::RuleError;

/// Knows the aliases and defaults of a validator.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resolver {
    pub(crate) aliases: Object,
    pub(crate) defaults: Object,
    pub(crate) null_is_value: bool,
}

impl Resolver {
    /// The rule as an object: text and lists written out, aliases and defaults
    /// filled in. `field` is where it stands.
    pub(crate) fn resolve(&self, rule: &Value, field: &str) -> Result<Object, RuleError> {
        let mut rule = match rule {
            Value::String(text) => parse_shorthand(text),
            Value::Array(rules) => self.multi(rules, field)?,
            Value::Object(rule) => self.nested(rule, field)?,
            other => {
                let message =
                    format!("a rule is text, an object or a list of rules, not {other:?}");
                return Err(RuleError::new(field, message));
            }
        };
        if let Some(alias) = type_of(&rule).and_then(|name| self.aliases.get(name)) {
            let Value::Object(alias) = alias else {
                return Err(RuleError::new(field, "an alias must be an object with a `type`"));
            };
            rule.remove("type");
            extend(&mut rule, alias);
        }
        if let Some(Value::Object(defaults)) =
            type_of(&rule).and_then(|name| self.defaults.get(name))
        {
            extend(&mut rule, defaults);
        }
        Ok(rule)
    }

    /// A list of rules: it may be absent or null if each of them says so.
    fn multi(&self, rules: &[Value], field: &str) -> Result<Object, RuleError> {
        if rules.is_empty() {
            return Err(RuleError::new(field, "a list of rules must not be empty"));
        }
        let resolved: Vec<_> =
            rules.iter().map(|rule| self.resolve(rule, field)).collect::<Result<_, _>>()?;
        let all = |key: &str, value: bool| {
            resolved.iter().all(|rule| rule.get(key) == Some(&Value::Bool(value)))
        };
        let mut multi =
            Object::from([("type", Value::from("multi")), ("rules", rules.to_vec().into())]);
        if all("optional", true) {
            multi.insert("optional", true);
        }
        if all("nullable", !self.null_is_value) {
            multi.insert("nullable", !self.null_is_value);
        }
        Ok(multi)
    }

    /// An object with `$$type` holds its members beside it.
    fn nested(&self, rule: &Object, field: &str) -> Result<Object, RuleError> {
        let Some(kind) = rule.get("$$type").filter(|kind| kind.is_truthy()) else {
            return Ok(rule.clone());
        };
        let mut outer = self.resolve(kind, field)?;
        let mut members = rule.clone();
        members.remove("$$type");
        outer.insert("props", members);
        Ok(outer)
    }
}

fn type_of(rule: &Object) -> Option<&str> {
    rule.get("type").and_then(Value::as_str)
}
