//! What a failed check says: [`ErrorItem`].

use std::borrow::Cow;

use moleculer_protocol::{Object, Value};

/// One thing that is wrong with params, with the members that the reference's
/// items have.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ErrorItem {
    /// What is wrong, for example `stringMin`.
    pub kind: Cow<'static, str>,
    /// The same for people; `None` for a type of error without a text.
    pub message: Option<String>,
    /// Where, for example `user.tags[1]`; `None` for the params as a whole.
    pub field: Option<String>,
    /// What would be right.
    pub expected: Option<Value>,
    /// What was found.
    pub actual: Option<Value>,
    /// The name that the rule gives the field for people.
    pub label: Option<String>,
}

impl ErrorItem {
    /// An item of this type; a text, the field and a label are added to it
    /// when a [custom check](crate::Custom) reports it.
    pub fn new(kind: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind: kind.into(),
            message: None,
            field: None,
            expected: None,
            actual: None,
            label: None,
        }
    }

    /// Sets what would be right.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<Value>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Sets what was found.
    #[must_use]
    pub fn actual(mut self, actual: impl Into<Value>) -> Self {
        self.actual = Some(actual.into());
        self
    }

    /// Sets the text, in which `{field}`, `{expected}` and `{actual}` are
    /// filled in by the caller.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// The item as it travels: absent members are left out.
    pub fn into_object(self) -> Object {
        let mut object = Object::with_capacity(6);
        object.insert("type", self.kind.into_owned());
        let texts = [("message", self.message), ("field", self.field)];
        let values = [("expected", self.expected), ("actual", self.actual)];
        let texts = texts.into_iter().map(|(key, text)| (key, text.map(Value::from)));
        let label = ("label", self.label.map(Value::from));
        for (key, value) in texts.chain(values).chain([label]) {
            if let Some(value) = value.filter(|value| !value.is_undefined()) {
                object.insert(key, value);
            }
        }
        object
    }
}
