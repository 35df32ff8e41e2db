//! Options that an action publishes, and that callers on other nodes read.

use std::time::Duration;

use moleculer_protocol::{Object, Value};

use crate::config::{Millis, Seconds};

/// The members that are set, in the reference's units.
pub(super) fn written<const N: usize>(members: [(&str, Option<Value>); N]) -> Object {
    members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

pub(super) fn ms(time: Millis) -> Value {
    (time.as_secs_f64() * 1e3).into()
}

pub(super) fn seconds(time: Seconds) -> Value {
    time.as_secs_f64().into()
}

/// What another node published. Members that do not fit count as absent.
pub(super) struct Read<'a>(pub(super) &'a Object);

impl Read<'_> {
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.0.get(key).map(Value::is_truthy)
    }

    pub(super) fn number(&self, key: &str) -> Option<f64> {
        self.0.get(key).and_then(Value::as_f64)
    }

    pub(super) fn count(&self, key: &str) -> Option<u32> {
        self.number(key).map(|count| count as u32)
    }

    pub(super) fn ms(&self, key: &str) -> Option<Millis> {
        let ms = self.number(key)?;
        Duration::try_from_secs_f64(ms / 1e3).ok().map(Millis)
    }

    pub(super) fn seconds(&self, key: &str) -> Option<Seconds> {
        Duration::try_from_secs_f64(self.number(key)?).ok().map(Seconds)
    }
}

/// Shows and compares options by what they publish, and serializes that: they
/// hold functions too.
macro_rules! by_what_is_published {
    ($options:ident) => {
        impl std::fmt::Debug for $options {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({:?})", stringify!($options), self.to_object())
            }
        }

        /// What is published.
        impl serde::Serialize for $options {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.to_object().serialize(serializer)
            }
        }

        /// By what is published.
        impl PartialEq for $options {
            fn eq(&self, other: &Self) -> bool {
                self.to_object() == other.to_object()
            }
        }
    };
}
pub(super) use by_what_is_published;
