//! Rust values whose type only their vtable knows.

use std::{
    any::{Any, TypeId},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use serde::Serialize;

use super::project;
use crate::{
    Value,
    format::{DecodeError, EncodeError, Format, TokenWriter, to_tokens},
    json,
};

/// What a typed payload can do without its type.
pub(super) trait Erased: Send + Sync + 'static {
    fn type_of(&self) -> TypeId;
    fn type_name(&self) -> &'static str;
    fn any(&self) -> &dyn Any;
    fn any_mut(&mut self) -> &mut dyn Any;
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
    /// Monomorphised: JSON is the hot path.
    fn encode_json(&self, out: &mut BytesMut) -> Result<(), EncodeError>;
    fn encode_tokens(&self, writer: &mut dyn TokenWriter) -> Result<(), EncodeError>;
    fn to_dynamic(&self) -> Result<Value, EncodeError>;
    fn project(&self, path: &str) -> Result<Option<Value>, DecodeError>;
}

impl<T: Serialize + Send + Sync + 'static> Erased for T {
    fn type_of(&self) -> TypeId {
        TypeId::of::<T>()
    }
    fn type_name(&self) -> &'static str {
        std::any::type_name::<T>()
    }
    fn any(&self) -> &dyn Any {
        self
    }
    fn any_mut(&mut self) -> &mut dyn Any {
        self
    }
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
    fn encode_json(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        json::to_writer(self, out)
    }
    fn encode_tokens(&self, writer: &mut dyn TokenWriter) -> Result<(), EncodeError> {
        to_tokens(self, writer)
    }
    fn to_dynamic(&self) -> Result<Value, EncodeError> {
        Value::from_serialize(self)
    }
    fn project(&self, path: &str) -> Result<Option<Value>, DecodeError> {
        project::serialize(self, path)
    }
}

impl dyn Erased + '_ {
    pub(super) fn as_bytes(&self) -> Option<Bytes> {
        let value = self.any();
        match value.downcast_ref() {
            Some(Value::Bytes(bytes)) => Some((**bytes).clone()),
            Some(_) => None,
            None => value.downcast_ref::<Bytes>().cloned(),
        }
    }

    pub(super) fn to_value(&self) -> Result<Value, DecodeError> {
        if let Some(bytes) = self.as_bytes() {
            return Ok(bytes.into());
        }
        match self.any().downcast_ref::<Value>() {
            Some(value) => Ok(value.clone()),
            None => self.to_dynamic().map_err(|error| DecodeError::new(error.to_string())),
        }
    }

    pub(super) fn encode(&self, format: &Format, out: &mut BytesMut) -> Result<(), EncodeError> {
        match format {
            Format::Json => self.encode_json(out),
            Format::Other(other) => other.encode(out, &|writer| self.encode_tokens(writer)),
        }
    }
}

/// A typed value that can be cloned.
pub(super) trait ErasedClone: Erased {
    /// Clones it into `slot`, if that is an `Option` of its type.
    fn clone_into(&self, slot: &mut dyn Any);
}

impl<T: Serialize + Clone + Send + Sync + 'static> ErasedClone for T {
    fn clone_into(&self, slot: &mut dyn Any) {
        if let Some(slot) = slot.downcast_mut() {
            *slot = Some(self.clone());
        }
    }
}
