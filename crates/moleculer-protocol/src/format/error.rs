//! What can go wrong, in words.

use std::fmt;

use serde::de::{Expected, Unexpected};

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
#[error("{}", self.0.message)]
pub struct DecodeError(Box<Fault>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    message: Box<str>,
    kind: FaultKind,
}

/// What is wrong with a value, as far as its type says it apart from words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// Said in words alone.
    #[default]
    Other,
    /// It is of another type.
    Type {
        /// The type as serde names it, for example `u8` or `a string`.
        expected: Box<str>,
    },
    /// It is of the type, but out of its range.
    Value {
        /// As in `Type`.
        expected: Box<str>,
    },
    /// A list is too short or too long.
    Length {
        /// What it should be, with the number at its end.
        expected: Box<str>,
    },
    /// A name that none of the variants has.
    Variant {
        /// The names of the variants.
        expected: &'static [&'static str],
    },
    /// A member that the type does not know.
    Unknown {
        /// Its name.
        name: Box<str>,
        /// The names that the type knows.
        expected: &'static [&'static str],
    },
    /// A member is not there.
    Missing {
        /// Its name.
        name: &'static str,
    },
}

impl DecodeError {
    /// An error with a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self::of(FaultKind::Other, message)
    }

    fn of(kind: FaultKind, message: impl Into<String>) -> Self {
        Self(Box::new(Fault { message: message.into().into(), kind }))
    }

    /// Puts `what` in front of the message: `what: message`.
    #[must_use]
    pub fn within(mut self, what: impl fmt::Display) -> Self {
        self.0.message = format!("{what}: {}", self.0.message).into();
        self
    }

    pub(crate) fn into_kind(self) -> FaultKind {
        self.0.kind
    }
}

impl serde::de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let message = format!("invalid type: {found}, expected {expected}");
        Self::of(FaultKind::Type { expected: expected.to_string().into() }, message)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let message = format!("invalid value: {found}, expected {expected}");
        Self::of(FaultKind::Value { expected: expected.to_string().into() }, message)
    }

    fn invalid_length(len: usize, expected: &dyn Expected) -> Self {
        let message = format!("invalid length {len}, expected {expected}");
        Self::of(FaultKind::Length { expected: expected.to_string().into() }, message)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let message = match expected {
            [] => format!("unknown variant `{variant}`, there are no variants"),
            _ => format!("unknown variant `{variant}`; known are {}", expected.join(", ")),
        };
        Self::of(FaultKind::Variant { expected }, message)
    }

    /// Names the closest known field: most unknown ones are misspelt.
    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let closest = expected.iter().min_by_key(|known| distance(field, known));
        let message = match closest.filter(|known| distance(field, known) <= 1 + field.len() / 3) {
            Some(known) => format!("unknown key `{field}`; did you mean `{known}`?"),
            None => format!("unknown key `{field}`; known are {}", expected.join(", ")),
        };
        Self::of(FaultKind::Unknown { name: field.into(), expected }, message)
    }

    fn missing_field(name: &'static str) -> Self {
        Self::of(FaultKind::Missing { name }, format!("missing field `{name}`"))
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
