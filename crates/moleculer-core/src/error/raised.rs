//! What `#[derive(ActionError)]` needs at run time.

use std::fmt;

use moleculer_protocol::{EncodeError, Object, Value};
use serde::{Serialize, de::DeserializeOwned};

use super::{Error, ErrorKind};

/// An [`Error`] in the making, from a variant.
#[derive(Debug)]
pub struct RaisedError {
    error: Error,
    data: Result<Option<Value>, EncodeError>,
}

impl RaisedError {
    /// Its class follows from code and retryability, as a Node.js peer would
    /// choose it.
    pub fn new(code: i64, r#type: &str, retryable: bool, message: &dyn fmt::Display) -> Self {
        let kind = match code {
            _ if retryable => ErrorKind::Retryable,
            400..500 => ErrorKind::Client,
            _ => ErrorKind::Moleculer,
        };
        let error = Error::new(kind, message.to_string()).with_code(code).with_type(r#type);
        Self { error, data: Ok(None) }
    }

    /// Sets the whole data.
    #[must_use]
    pub fn content<T: Serialize>(mut self, content: &T) -> Self {
        self.data = Value::from_serialize(content).map(Some);
        self
    }

    /// Adds a member to the data.
    #[must_use]
    pub fn member<T: Serialize>(mut self, key: &str, member: &T) -> Self {
        if let Ok(data) = &mut self.data {
            let object = data.get_or_insert_with(|| Object::new().into());
            match (object, Value::from_serialize(member)) {
                (Value::Object(object), Ok(member)) => drop(object.insert(key, member)),
                (_, Err(error)) => self.data = Err(error.within(key)),
                _ => {}
            }
        }
        self
    }

    /// The error. Data that cannot be serialized stays here: what went wrong
    /// is more than what it was about.
    pub fn into_error(self) -> Error {
        match self.data {
            Ok(Some(data)) => self.error.with_data(data),
            Ok(None) => self.error,
            Err(fault) => self.error.with_source(fault),
        }
    }
}

/// The data of an error, to read a variant from.
#[derive(Clone, Copy, Debug)]
pub struct ErrorData<'a>(Option<&'a Value>);

impl<'a> ErrorData<'a> {
    /// That of `error`.
    pub const fn of(error: &'a Error) -> Self {
        Self(error.data())
    }

    /// All of it, if it fits.
    pub fn content<T: DeserializeOwned>(self) -> Option<T> {
        self.0.cloned().unwrap_or(Value::Undefined).into_type().ok()
    }

    /// A member, if it fits; one that is absent may fit too.
    pub fn member<T: DeserializeOwned>(self, key: &str) -> Option<T> {
        let member = match self.0 {
            None | Some(Value::Null | Value::Undefined) => None,
            Some(Value::Object(object)) => object.get(key),
            Some(_) => return None,
        };
        Self(member).content()
    }
}
