//! Reading the options of a rule, with errors that name them.

use moleculer_protocol::{Object, Value};

use crate::{RuleError, js};

/// The options of one rule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options<'a> {
    rule: &'a Object,
    field: &'a str,
}

/// A number to compare with, and how it is shown.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub(crate) value: f64,
    pub(crate) shown: Value,
}

impl<'a> Options<'a> {
    pub(crate) const fn new(rule: &'a Object, field: &'a str) -> Self {
        Self { rule, field }
    }

    pub(crate) const fn field(&self) -> &'a str {
        self.field
    }

    pub(crate) const fn all(&self) -> &'a Object {
        self.rule
    }

    /// The option, unless it is absent or null.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.rule.get(key).filter(|value| !value.is_nullish())
    }

    /// A flag that may be on, off or not set.
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>, RuleError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.wrong(key, "true or false", other)),
        }
    }

    pub(crate) fn is_on(&self, key: &str) -> Result<bool, RuleError> {
        Ok(self.flag(key)? == Some(true))
    }

    /// A number; text that is one will do.
    pub(crate) fn number(&self, key: &str) -> Result<Option<Bound>, RuleError> {
        let Some(option) = self.get(key) else { return Ok(None) };
        let value = match option {
            Value::String(text) if !js::trim(text).is_empty() => js::parse_number(text),
            Value::String(_) => f64::NAN,
            other => other.as_f64().unwrap_or(f64::NAN),
        };
        if value.is_nan() {
            return Err(self.wrong(key, "a number", option));
        }
        Ok(Some(Bound { value, shown: js::number(value) }))
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>, RuleError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(key, "text", other)),
        }
    }

    pub(crate) fn list(&self, key: &str) -> Result<Option<&'a [Value]>, RuleError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.wrong(key, "a list", other)),
        }
    }

    pub(crate) fn object(&self, key: &str) -> Result<Option<&'a Object>, RuleError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(other) => Err(self.wrong(key, "an object", other)),
        }
    }

    pub(crate) fn wrong(&self, key: &str, expected: &str, found: &Value) -> RuleError {
        self.error(format!("the option `{key}` must be {expected}, not {found:?}"))
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> RuleError {
        let kind = self.rule.get("type").and_then(Value::as_str).unwrap_or_default();
        RuleError::new(self.field, format!("rule `{kind}`: {}", message.into()))
    }
}
