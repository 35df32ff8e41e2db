//! The texts of errors, and what is put into them.

use std::{collections::HashMap, sync::Arc};

use moleculer_protocol::{Object, Value};

use crate::{RuleError, js};

/// Texts by type of error: those of a rule, then those of the validator, then
/// the built-in ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Messages {
    shared: Arc<HashMap<String, String>>,
    own: Option<Arc<HashMap<String, String>>>,
    /// They speak of the key of a record instead of a field.
    of_key: bool,
}

impl Messages {
    pub(crate) fn new(shared: HashMap<String, String>) -> Self {
        Self { shared: Arc::new(shared), own: None, of_key: false }
    }

    /// With the option `messages` of a rule.
    pub(crate) fn with(&self, own: Option<&Value>, field: &str) -> Result<Self, RuleError> {
        let own = match own {
            None | Some(Value::Null | Value::Undefined) => None,
            Some(Value::Object(texts)) => Some(Arc::new(read(texts, field)?)),
            Some(_) => return Err(RuleError::new(field, "`messages` must be an object of texts")),
        };
        Ok(Self { own, ..self.clone() })
    }

    /// The same for the key of a record.
    pub(crate) fn of_key(self) -> Self {
        Self { of_key: true, ..self }
    }

    /// The text of an error, its placeholders filled.
    pub(crate) fn render(
        &self,
        kind: &str,
        field: &str,
        expected: Option<&Value>,
        actual: Option<&Value>,
    ) -> Option<String> {
        let own = self.own.as_ref().and_then(|own| own.get(kind));
        let text = own.or_else(|| self.shared.get(kind)).map(String::as_str);
        let text = text.or_else(|| builtin(kind))?;
        if self.of_key && kind.starts_with("string") {
            return Some(fill(&text.replacen(" field ", " key ", 1), field, expected, actual));
        }
        Some(fill(text, field, expected, actual))
    }
}

fn read(texts: &Object, field: &str) -> Result<HashMap<String, String>, RuleError> {
    let texts = texts.iter().map(|(kind, text)| match text.as_str() {
        Some(text) => Ok((kind.to_owned(), text.to_owned())),
        None => Err(RuleError::new(field, format!("the message `{kind}` must be text"))),
    });
    texts.collect()
}

fn fill(text: &str, field: &str, expected: Option<&Value>, actual: Option<&Value>) -> String {
    let mut out = String::with_capacity(text.len() + field.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let found = [("{field}", None), ("{expected}", expected), ("{actual}", actual)]
            .into_iter()
            .find(|(name, _)| rest.starts_with(name));
        match found {
            None => out.push('{'),
            Some(("{field}", _)) => out.push_str(field),
            Some((_, value)) => out.push_str(&shown(value)),
        }
        rest = &rest[found.map_or(1, |(name, _)| name.len())..];
    }
    out.push_str(rest);
    out
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null | Value::Undefined) => String::new(),
        Some(value) => js::to_text(value).into_owned(),
    }
}

fn builtin(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "required" => "The '{field}' field is required.",
        "string" => "The '{field}' field must be a string.",
        "stringEmpty" | "emailEmpty" | "urlEmpty" => "The '{field}' field must not be empty.",
        "stringMin" | "emailMin" => {
            "The '{field}' field length must be greater than or equal to {expected} characters long."
        }
        "stringMax" | "emailMax" => {
            "The '{field}' field length must be less than or equal to {expected} characters long."
        }
        "stringLength" => "The '{field}' field length must be {expected} characters long.",
        "stringPattern" => "The '{field}' field fails to match the required pattern.",
        "stringContains" => "The '{field}' field must contain the '{expected}' text.",
        "stringEnum" => "The '{field}' field does not match any of the allowed values.",
        "stringNumeric" => "The '{field}' field must be a numeric string.",
        "stringAlpha" => "The '{field}' field must be an alphabetic string.",
        "stringAlphanum" => "The '{field}' field must be an alphanumeric string.",
        "stringAlphadash" => "The '{field}' field must be an alphadash string.",
        "stringHex" => "The '{field}' field must be a hex string.",
        "stringSingleLine" => "The '{field}' field must be a single line string.",
        "stringBase64" => "The '{field}' field must be a base64 string.",
        "number" => "The '{field}' field must be a number.",
        "numberMin" => "The '{field}' field must be greater than or equal to {expected}.",
        "numberMax" => "The '{field}' field must be less than or equal to {expected}.",
        "numberEqual" => "The '{field}' field must be equal to {expected}.",
        "numberNotEqual" => "The '{field}' field can't be equal to {expected}.",
        "numberInteger" => "The '{field}' field must be an integer.",
        "numberPositive" => "The '{field}' field must be a positive number.",
        "numberNegative" => "The '{field}' field must be a negative number.",
        "array" | "tuple" => "The '{field}' field must be an array.",
        "arrayEmpty" | "tupleEmpty" => "The '{field}' field must not be an empty array.",
        "arrayMin" => "The '{field}' field must contain at least {expected} items.",
        "arrayMax" => "The '{field}' field must contain less than or equal to {expected} items.",
        "arrayLength" | "tupleLength" => "The '{field}' field must contain {expected} items.",
        "arrayContains" => "The '{field}' field must contain the '{expected}' item.",
        "arrayUnique" => {
            "The '{actual}' value in '{field}' field does not unique the '{expected}' values."
        }
        "arrayEnum" => {
            "The '{actual}' value in '{field}' field does not match any of the '{expected}' values."
        }
        "boolean" => "The '{field}' field must be a boolean.",
        "currency" => "The '{field}' must be a valid currency format",
        "date" => "The '{field}' field must be a Date.",
        "enumValue" => {
            "The '{field}' field value '{expected}' does not match any of the allowed values."
        }
        "equalValue" => "The '{field}' field value must be equal to '{expected}'.",
        "equalField" => "The '{field}' field value must be equal to '{expected}' field value.",
        "forbidden" => "The '{field}' field is forbidden.",
        "email" => "The '{field}' field must be a valid e-mail.",
        "luhn" => "The '{field}' field must be a valid checksum luhn.",
        "mac" => "The '{field}' field must be a valid MAC address.",
        "object" | "record" => "The '{field}' must be an Object.",
        "objectStrict" => "The object '{field}' contains forbidden keys: '{actual}'.",
        "objectMinProps" => "The object '{field}' must contain at least {expected} properties.",
        "objectMaxProps" => "The object '{field}' must contain {expected} properties at most.",
        "url" => "The '{field}' field must be a valid URL.",
        "uuid" => "The '{field}' field must be a valid UUID.",
        "uuidVersion" => "The '{field}' field must be a valid UUID version provided.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_once() {
        let text = fill("{field} {expected}{actual} {other} {", "{actual}", Some(&5.into()), None);
        assert_eq!(text, "{actual} 5 {other} {");
    }

    #[test]
    fn a_rule_goes_before_the_validator() {
        let shared = HashMap::from([("number".to_owned(), "shared".to_owned())]);
        let all = Messages::new(shared);
        let own = Object::from([("string", "own field text")]).into();
        let own = all.with(Some(&own), "a").expect("texts").of_key();
        let render = |kind| own.render(kind, "a", None, None);
        assert_eq!(render("number").as_deref(), Some("shared"));
        assert_eq!(render("string").as_deref(), Some("own key text"));
        assert_eq!(render("required").as_deref(), Some("The 'a' field is required."));
        assert_eq!(render("nothing"), None);
        assert!(all.with(Some(&5.into()), "a").is_err());
    }
}
