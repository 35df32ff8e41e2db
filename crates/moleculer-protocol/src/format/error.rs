//! What can go wrong, in words.

use std::fmt;

/// A value or packet could not be encoded. The message names the packet and
/// the member where they are known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EncodeError(Box<str>);

impl EncodeError {
    /// An error with a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into().into())
    }

    /// Puts `what` in front of the message: `what: message`.
    #[must_use]
    pub fn within(self, what: impl fmt::Display) -> Self {
        Self::new(format!("{what}: {self}"))
    }
}

impl serde::ser::Error for EncodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}

/// A value or packet could not be decoded. The message names the packet and
/// the field where they are known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(Box<str>);

impl DecodeError {
    /// An error with a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into().into())
    }

    /// Puts `what` in front of the message: `what: message`.
    #[must_use]
    pub fn within(self, what: impl fmt::Display) -> Self {
        Self::new(format!("{what}: {self}"))
    }
}

impl serde::de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    /// Names the closest known field: most unknown ones are misspelt.
    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let closest = expected.iter().min_by_key(|known| distance(field, known));
        match closest.filter(|known| distance(field, known) <= 1 + field.len() / 3) {
            Some(known) => Self::new(format!("unknown key `{field}`; did you mean `{known}`?")),
            None => Self::new(format!("unknown key `{field}`; known are {}", expected.join(", "))),
        }
    }
}

/// Edit distance without regard to case.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
