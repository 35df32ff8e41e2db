//! What can be wrong with rules: [`RuleError`].

/// Rules that cannot be used, found when they are compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", place(.field))]
pub struct RuleError {
    field: String,
    message: String,
}

impl RuleError {
    pub(crate) fn new(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into() }
    }

    /// The field whose rule is wrong, for example `user.tags[]`; empty for
    /// the rules as a whole.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong with it.
    pub fn message(&self) -> &str {
        &self.message
    }
}

fn place(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!(" (field `{field}`)") }
}
