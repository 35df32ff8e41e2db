//! Taking the value out of a payload, as any type that it fits.

use std::{
    any::{Any, TypeId},
    sync::Arc,
};

use serde::de::DeserializeOwned;

use super::{
    Payload, Repr,
    typed::{Erased, ErasedClone},
};
use crate::{
    Value,
    format::DecodeError,
    misfit::{self, Misfit},
    value::RefDeserializer,
};

/// A payload that does not fit a type: see [`Payload::try_take`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Refused {
    /// The first thing that does not fit.
    pub error: DecodeError,
    /// The payload.
    pub payload: Payload,
}

impl Refused {
    #[cold]
    fn new(error: DecodeError, payload: Payload) -> Box<Self> {
        Box::new(Self { error, payload })
    }
}

impl Payload {
    /// Takes the value out: moved when nobody else holds it, else cloned if
    /// it was made [`cloneable`](Self::cloneable), else converted.
    ///
    /// # Errors
    ///
    /// When the payload does not fit `T`.
    #[inline(always)]
    pub fn take<T: DeserializeOwned + Send + Sync + 'static>(self) -> Result<T, DecodeError> {
        self.try_take().map_err(|refused| refused.error)
    }

    /// As [`take`](Self::take); one that does not fit is given back, to tell
    /// [why](Self::misfits).
    ///
    /// # Errors
    ///
    /// When the payload does not fit `T`.
    // Out of line it would get a copy of the payload, for 4 ns in each local call.
    #[inline(always)]
    pub fn try_take<T: DeserializeOwned + Send + Sync + 'static>(self) -> Result<T, Box<Refused>> {
        if TypeId::of::<T>() == TypeId::of::<Self>() {
            return take_as::<Self, T>(&mut Some(self))
                .ok_or_else(|| Refused::new(mismatch(), Self::nothing()));
        }
        match self.0 {
            Repr::Nothing => take_as(&mut Some(())).map_or_else(
                || convert(Value::Undefined).map_err(|error| Refused::new(error, Self::nothing())),
                Ok,
            ),
            Repr::Scalar(scalar) => {
                scalar.take().map_err(|error| Refused::new(error, Self(Repr::Scalar(scalar))))
            }
            Repr::Typed(value) => take_typed(value),
            Repr::Cloneable(value) => take_cloneable(value),
            Repr::Encoded(encoded) => encoded
                .format
                .decode(&encoded.bytes)
                .map_err(|error| Refused::new(error, Self(Repr::Encoded(encoded)))),
        }
    }

    /// The value itself, shared, if it is a `T` in memory; else converted.
    ///
    /// # Errors
    ///
    /// When the payload does not fit `T`.
    pub fn share<T: DeserializeOwned + Send + Sync + 'static>(self) -> Result<Arc<T>, DecodeError> {
        self.try_share().map_err(|refused| refused.error)
    }

    /// As [`share`](Self::share); one that does not fit is given back, to tell
    /// [why](Self::misfits).
    ///
    /// # Errors
    ///
    /// When the payload does not fit `T`.
    pub fn try_share<T: DeserializeOwned + Send + Sync + 'static>(
        self,
    ) -> Result<Arc<T>, Box<Refused>> {
        let value: Arc<dyn Erased> = match self.0 {
            Repr::Typed(value) => value,
            Repr::Cloneable(value) => value,
            other => return Self(other).try_take().map(Arc::new),
        };
        if value.type_of() != TypeId::of::<T>() {
            let converted = convert_shared(&*value).map(Arc::new);
            return converted.map_err(|error| Refused::new(error, Self(Repr::Typed(value))));
        }
        let lost = |_| Refused::new(mismatch(), Self::nothing());
        value.into_any().downcast().map_err(lost)
    }

    /// Why the payload does not fit `T`: place by place, up to 16. Empty if it
    /// cannot be read at all, or does fit.
    ///
    /// A value that does not fit is taken for one that does, so that further
    /// ones are found; where that cannot be, or the payload is large, the
    /// first is all.
    ///
    /// ```
    /// use moleculer_protocol::{FaultKind, Payload};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Post {
    ///     title: String,
    ///     tags: Vec<String>,
    /// }
    ///
    /// let params = Payload::new(serde_json::json!({ "tags": ["a", 5] }));
    /// let misfits = params.misfits::<Post>();
    /// let fields: Vec<String> = misfits.iter().map(|misfit| misfit.field()).collect();
    /// assert_eq!(fields, ["tags[1]", "title"]);
    /// assert_eq!(misfits[0].actual, Some(5.into()));
    /// assert_eq!(misfits[1].kind, FaultKind::Missing { name: "title" });
    /// ```
    pub fn misfits<T: DeserializeOwned>(&self) -> Vec<Misfit> {
        self.to_value().map(|value| misfit::find::<T>(&value)).unwrap_or_default()
    }
}

fn take_cloneable<T>(value: Arc<dyn ErasedClone>) -> Result<T, Box<Refused>>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    let mut slot = None;
    if Arc::strong_count(&value) > 1 {
        (*value).clone_into(&mut slot);
    }
    slot.map_or_else(|| take_typed(value), Ok)
}

fn take_typed<T: DeserializeOwned + Send + Sync + 'static>(
    value: Arc<dyn Erased>,
) -> Result<T, Box<Refused>> {
    // With the only reference in hand nobody can make another one.
    if value.type_of() != TypeId::of::<T>() || Arc::strong_count(&value) > 1 {
        let converted = convert_shared(&*value);
        return converted.map_err(|error| Refused::new(error, Payload(Repr::Typed(value))));
    }
    let lost = || Refused::new(mismatch(), Payload::nothing());
    let value: Arc<T> = value.into_any().downcast().map_err(|_| lost())?;
    Arc::try_unwrap(value).map_err(|_| lost())
}

fn mismatch() -> DecodeError {
    DecodeError::new("a typed payload changed hands while it was taken")
}

/// Takes the value out if `T` is `U`; compiles to a move or to nothing.
pub(super) fn take_as<T: 'static, U: 'static>(slot: &mut Option<T>) -> Option<U> {
    (slot as &mut dyn Any).downcast_mut::<Option<U>>()?.take()
}

/// As another type; a dynamic value is read where it is.
fn convert_shared<T: DeserializeOwned + 'static>(value: &dyn Erased) -> Result<T, DecodeError> {
    match value.any().downcast_ref() {
        Some(Value::Bytes(_)) | None => {}
        Some(value) if TypeId::of::<T>() != TypeId::of::<Value>() => {
            return T::deserialize(RefDeserializer(value));
        }
        Some(_) => {}
    }
    value.to_value().and_then(convert)
}

/// The way for all that is not already a `T` in memory.
#[inline(never)]
pub(super) fn convert<T: DeserializeOwned + 'static>(value: Value) -> Result<T, DecodeError> {
    let mut slot = Some(value);
    if let Some(same) = take_as(&mut slot) {
        return Ok(same);
    }
    let value = slot.unwrap_or_default();
    if let Value::Bytes(bytes) = &value
        && let Some(shared) = take_as(&mut Some((**bytes).clone()))
    {
        return Ok(shared);
    }
    value.into_type()
}
