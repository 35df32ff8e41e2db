//! Params, results and event data: [`Payload`].

mod project;

use std::{
    any::{Any, TypeId},
    fmt,
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use crate::{
    Object, Value,
    format::{AnySerialize, DecodeError, EncodeError, Format},
    json,
};

/// The params of a call, its result, or the data of an event.
///
/// It is one of: nothing; a typed Rust value, shared and serializable on
/// demand; or bytes still encoded, with the format that can read them. A local
/// call hands the typed value over, a remote one is decoded once, straight
/// into the handler's type.
///
/// ```
/// use moleculer_protocol::Payload;
///
/// let payload = Payload::new(vec![1, 2, 3]);
/// assert_eq!(payload.get("1").unwrap(), Some(2.into()));
/// assert_eq!(payload.take::<Vec<i32>>()?, [1, 2, 3]); // moved out
/// # Ok::<(), moleculer_protocol::DecodeError>(())
/// ```
#[derive(Clone)]
pub struct Payload(Repr);

#[derive(Clone)]
enum Repr {
    /// `undefined`: absent on the wire.
    Nothing,
    /// Null, a flag or a number: too small for an allocation.
    Scalar(Value),
    Typed(Typed),
    Encoded {
        bytes: Bytes,
        format: Format,
    },
}

impl Payload {
    /// No payload at all: an absent member.
    pub const fn nothing() -> Self {
        Self(Repr::Nothing)
    }

    /// An explicit null.
    pub const fn null() -> Self {
        Self(Repr::Scalar(Value::Null))
    }

    /// `{}`: what a call without params sends.
    pub const fn empty() -> Self {
        Self(Repr::Scalar(Value::Object(Object::new())))
    }

    /// Holds a value; it is converted only if somebody wants another type.
    ///
    /// A `Payload` stays as it is. When it is shared and someone extracts it,
    /// the value is converted through its serialized form; see
    /// [`Payload::cloneable`].
    pub fn new<T: Serialize + Send + Sync + 'static>(value: T) -> Self {
        Self::with_clone(value, None)
    }

    /// Holds a value that is cloned when it is extracted while shared.
    pub fn cloneable<T: Serialize + Clone + Send + Sync + 'static>(value: T) -> Self {
        Self::with_clone(value, Some(clone_into::<T>))
    }

    fn with_clone<T: Serialize + Send + Sync + 'static>(
        value: T,
        clone: Option<CloneInto>,
    ) -> Self {
        let mut slot = Some(value);
        if let Some(payload) = take_as::<T, Self>(&mut slot) {
            return payload;
        }
        match scalar(&mut slot) {
            Some(Value::Undefined) => return Self::nothing(),
            Some(scalar) => return Self(Repr::Scalar(scalar)),
            None => {}
        }
        match slot {
            Some(value) => Self(Repr::Typed(Typed {
                value: Arc::new(value),
                clone,
            })),
            None => Self::nothing(),
        }
    }

    /// Bytes that `format` can read, sharing the buffer they came in.
    pub const fn encoded(bytes: Bytes, format: Format) -> Self {
        Self(Repr::Encoded { bytes, format })
    }

    /// Whether the member is absent on the wire.
    pub const fn is_nothing(&self) -> bool {
        matches!(self.0, Repr::Nothing)
    }

    /// Takes the value out: moved when nobody else holds it, else cloned if
    /// it was made [`cloneable`](Self::cloneable), else converted.
    ///
    /// # Errors
    ///
    /// When the payload does not fit `T`.
    pub fn take<T: DeserializeOwned + Send + Sync + 'static>(self) -> Result<T, DecodeError> {
        if TypeId::of::<T>() == TypeId::of::<Self>() {
            return take_as::<Self, T>(&mut Some(self)).ok_or_else(mismatch);
        }
        match self.0 {
            Repr::Typed(typed) => typed.take(),
            Repr::Encoded {
                bytes,
                format: Format::Json,
            } => json::from_slice(&bytes),
            Repr::Encoded { bytes, format } => format.decode(&bytes),
            Repr::Scalar(value) => from_value(value),
            Repr::Nothing => from_value(Value::Undefined),
        }
    }

    /// The value itself, shared, if it is a `T` in memory; else converted.
    ///
    /// # Errors
    ///
    /// When the payload does not fit `T`.
    pub fn share<T: DeserializeOwned + Send + Sync + 'static>(self) -> Result<Arc<T>, DecodeError> {
        match self.0 {
            Repr::Typed(typed) if typed.value.type_of() == TypeId::of::<T>() => {
                typed.value.into_any().downcast().map_err(|_| mismatch())
            }
            other => Self(other).take().map(Arc::new),
        }
    }

    /// The bytes, shared, if the payload is binary as a whole: `Bytes` or
    /// [`Value::Bytes`]. For serializers that carry JSON text, but binary data
    /// apart from it.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use moleculer_protocol::Payload;
    ///
    /// let payload = Payload::new(Bytes::from_static(b"data"));
    /// assert_eq!(payload.as_bytes().unwrap(), "data");
    /// assert!(Payload::new("data").as_bytes().is_none());
    /// ```
    pub fn as_bytes(&self) -> Option<Bytes> {
        match &self.0 {
            Repr::Typed(typed) => typed.as_bytes(),
            _ => None,
        }
    }

    /// The payload as a dynamic value.
    ///
    /// # Errors
    ///
    /// When the bytes are malformed, or the value's own `Serialize` fails.
    pub fn to_value(&self) -> Result<Value, DecodeError> {
        match &self.0 {
            Repr::Nothing => Ok(Value::Undefined),
            Repr::Scalar(value) => Ok(value.clone()),
            Repr::Encoded { bytes, format } => format.decode(bytes),
            Repr::Typed(typed) => typed.to_value(),
        }
    }

    /// Appends the payload in `format`. Bytes already in it are copied as
    /// they are; nothing becomes null.
    ///
    /// # Errors
    ///
    /// When the format cannot carry the value, or bytes of another format are
    /// malformed.
    pub fn encode(&self, format: &Format, out: &mut BytesMut) -> Result<(), EncodeError> {
        match (&self.0, format) {
            (Repr::Nothing, _) => format.encode(&Value::Null, out),
            (Repr::Scalar(value), _) => format.encode(value, out),
            (Repr::Typed(typed), Format::Json) => typed.value.encode_json(out),
            (Repr::Typed(typed), Format::Other(other)) => {
                other.encode(AnySerialize::erased(typed.value.erased()), out)
            }
            (
                Repr::Encoded {
                    bytes,
                    format: theirs,
                },
                ours,
            ) if theirs.same(ours) => {
                out.extend_from_slice(bytes);
                Ok(())
            }
            (
                Repr::Encoded {
                    bytes,
                    format: theirs,
                },
                ours,
            ) => {
                let value: Value = theirs
                    .decode(bytes)
                    .map_err(|error| EncodeError::new(error.to_string()))?;
                ours.encode(&value, out)
            }
        }
    }

    /// Reads the part at `path` (names and indexes separated by dots) without
    /// building the rest. `None` when there is no such part.
    ///
    /// # Errors
    ///
    /// When the bytes are malformed.
    pub fn get(&self, path: &str) -> Result<Option<Value>, DecodeError> {
        match &self.0 {
            Repr::Nothing | Repr::Scalar(_) => Ok(None),
            Repr::Encoded { bytes, format } => project::decode(format, bytes, path),
            Repr::Typed(typed) => match typed.value.any().downcast_ref::<Value>() {
                Some(value) => Ok(value.pointer(path).cloned()),
                None => project::serialize(&AnySerialize::erased(typed.value.erased()), path),
            },
        }
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self::nothing()
    }
}

impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        Self::cloneable(value)
    }
}

/// Equal when they are equal as dynamic values; for tests and diagnostics.
impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        matches!((self.to_value(), other.to_value()), (Ok(a), Ok(b)) if a == b)
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Repr::Typed(typed) => AnySerialize::erased(typed.value.erased()).serialize(serializer),
            _ => self
                .to_value()
                .map_err(serde::ser::Error::custom)?
                .serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Nothing => f.write_str("nothing"),
            Repr::Scalar(value) => value.fmt(f),
            Repr::Typed(typed) => typed.value.type_name().fmt(f),
            Repr::Encoded { bytes, format } => {
                write!(f, "{} bytes of {}", bytes.len(), format.name())
            }
        }
    }
}

/// A value whose type is known to its vtable.
#[derive(Clone)]
struct Typed {
    value: Arc<dyn Erased>,
    clone: Option<CloneInto>,
}

/// Clones the first argument, a `T`, into the second, an `Option<T>`.
type CloneInto = fn(&dyn Any, &mut dyn Any);

fn clone_into<T: Clone + 'static>(value: &dyn Any, slot: &mut dyn Any) {
    if let (Some(value), Some(slot)) = (value.downcast_ref::<T>(), slot.downcast_mut::<Option<T>>())
    {
        *slot = Some(value.clone());
    }
}

impl Typed {
    fn take<T: DeserializeOwned + Send + Sync + 'static>(self) -> Result<T, DecodeError> {
        if self.value.type_of() != TypeId::of::<T>() {
            return from_value(self.to_value()?);
        }
        // With the only reference in hand nobody can make another one.
        if Arc::strong_count(&self.value) == 1 {
            let value: Arc<T> = self.value.into_any().downcast().map_err(|_| mismatch())?;
            return Arc::try_unwrap(value).map_err(|_| mismatch());
        }
        let mut slot = None::<T>;
        if let Some(clone) = self.clone {
            clone(self.value.any(), &mut slot);
        }
        slot.map_or_else(|| from_value(self.to_value()?), Ok)
    }

    fn as_bytes(&self) -> Option<Bytes> {
        let value = self.value.any();
        match value.downcast_ref() {
            Some(Value::Bytes(bytes)) => Some((**bytes).clone()),
            Some(_) => None,
            None => value.downcast_ref::<Bytes>().cloned(),
        }
    }

    fn to_value(&self) -> Result<Value, DecodeError> {
        if let Some(bytes) = self.as_bytes() {
            return Ok(bytes.into());
        }
        match self.value.any().downcast_ref::<Value>() {
            Some(value) => Ok(value.clone()),
            None => Value::from_serialize(&AnySerialize::erased(self.value.erased()))
                .map_err(|error| DecodeError::new(error.to_string())),
        }
    }
}

fn mismatch() -> DecodeError {
    DecodeError::new("a typed payload changed hands while it was taken")
}

/// What a typed payload can do without its type.
trait Erased: Send + Sync + 'static {
    fn type_of(&self) -> TypeId;
    fn type_name(&self) -> &'static str;
    fn any(&self) -> &dyn Any;
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
    fn erased(&self) -> &dyn erased_serde::Serialize;
    /// Monomorphised: JSON is the hot path.
    fn encode_json(&self, out: &mut BytesMut) -> Result<(), EncodeError>;
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
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
    fn erased(&self) -> &dyn erased_serde::Serialize {
        self
    }
    fn encode_json(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        json::to_writer(self, out)
    }
}

/// Takes the value out if `T` is `U`; compiles to a move or to nothing.
fn take_as<T: 'static, U: 'static>(slot: &mut Option<T>) -> Option<U> {
    (slot as &mut dyn Any).downcast_mut::<Option<U>>()?.take()
}

/// The small values that are kept without an allocation.
fn scalar<T: 'static>(slot: &mut Option<T>) -> Option<Value> {
    macro_rules! scalars {
        ($($ty:ty)*) => {$(
            if let Some(value) = take_as::<T, $ty>(slot) {
                return Some(Value::from(value));
            }
        )*};
    }
    scalars!(bool i64 i32 u32 u64 f64);
    if take_as::<T, ()>(slot).is_some() {
        return Some(Value::Undefined);
    }
    let value = (slot as &mut dyn Any).downcast_mut::<Option<Value>>()?;
    let compound = matches!(
        value,
        Some(
            Value::String(_)
                | Value::Bytes(_)
                | Value::Array(_)
                | Value::Object(_)
                | Value::Extended(_)
        )
    );
    if compound { None } else { value.take() }
}

fn from_value<T: DeserializeOwned + 'static>(value: Value) -> Result<T, DecodeError> {
    macro_rules! same {
        ($($variant:ident($ty:ty))*) => {
            match value {
                $(Value::$variant(inner) if TypeId::of::<T>() == TypeId::of::<$ty>() => {
                    take_as::<$ty, T>(&mut Some(inner)).ok_or_else(mismatch)
                })*
                Value::Bytes(bytes) if TypeId::of::<T>() == TypeId::of::<Bytes>() => {
                    take_as::<Bytes, T>(&mut Some(*bytes)).ok_or_else(mismatch)
                }
                value => {
                    let mut slot = Some(value);
                    match take_as::<Value, T>(&mut slot) {
                        Some(value) => Ok(value),
                        None => slot.unwrap_or_default().into_type(),
                    }
                }
            }
        };
    }
    same!(Bool(bool) Int(i64) Float(f64) String(String))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Add {
        a: i64,
        b: i64,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct OnlyA {
        a: f64,
    }

    fn json_of(payload: &Payload) -> String {
        let mut out = BytesMut::new();
        payload.encode(&Format::Json, &mut out).unwrap();
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn the_same_type_is_moved_not_copied() {
        let text = String::from("a text");
        let address = text.as_ptr();
        let taken: String = Payload::new(text).take().unwrap();
        assert_eq!(taken.as_ptr(), address);
    }

    #[test]
    fn a_shared_value_is_cloned_or_converted() {
        for payload in [
            Payload::cloneable(Add { a: 1, b: 2 }),
            Payload::new(Add { a: 1, b: 2 }),
        ] {
            let other = payload.clone();
            assert_eq!(payload.take::<Add>().unwrap(), Add { a: 1, b: 2 });
            assert_eq!(other.take::<Add>().unwrap(), Add { a: 1, b: 2 });
        }
        let payload = Payload::new(Add { a: 1, b: 2 });
        let shared: Arc<Add> = payload.clone().share().unwrap();
        assert!(Arc::ptr_eq(&shared, &payload.share().unwrap()));
    }

    #[test]
    fn another_type_is_converted() {
        let typed = || Payload::new(Add { a: 1, b: 2 });
        assert_eq!(typed().take::<OnlyA>().unwrap(), OnlyA { a: 1.0 });
        assert_eq!(
            typed().take::<Value>().unwrap(),
            json!({"a": 1, "b": 2}).into()
        );
        let encoded = Payload::encoded(Bytes::from_static(br#"{"a":1}"#), Format::Json);
        assert_eq!(encoded.clone().take::<OnlyA>().unwrap(), OnlyA { a: 1.0 });
        assert_eq!(json_of(&encoded), r#"{"a":1}"#);
        assert!(
            encoded
                .take::<Add>()
                .unwrap_err()
                .to_string()
                .contains("missing field `b`")
        );
        assert!(typed().take::<Vec<u8>>().is_err());
    }

    #[test]
    fn binary_data_is_shared_not_copied() {
        let bytes = Bytes::from(vec![1, 2, 3]);
        let same = |other: &Bytes| assert_eq!(other.as_ptr(), bytes.as_ptr());
        for payload in [
            Payload::new(bytes.clone()),
            Payload::cloneable(bytes.clone()),
            Payload::from(Value::from(bytes.clone())),
        ] {
            same(&payload.clone().take().unwrap());
            same(&payload.as_bytes().unwrap());
            match payload.to_value().unwrap() {
                Value::Bytes(value) => same(&value),
                other => panic!("{other:?}"),
            }
            same(&payload.take().unwrap());
        }
        assert!(Payload::from(Value::from("a")).as_bytes().is_none());
    }

    #[test]
    fn scalars_cost_no_allocation() {
        assert!(matches!(Payload::new(5_i64).0, Repr::Scalar(Value::Int(5))));
        assert!(matches!(Payload::new(()).0, Repr::Nothing));
        assert_eq!(Payload::new(5_i64).take::<i64>().unwrap(), 5);
        assert_eq!(Payload::new(5_i64).take::<f64>().unwrap(), 5.0);
        assert_eq!(json_of(&Payload::new(5.0)), "5");
        Payload::nothing().take::<()>().unwrap();
        assert_eq!(Payload::null().take::<Option<i64>>().unwrap(), None);
        assert!(Payload::null().take::<i64>().is_err());
    }

    #[test]
    fn a_payload_in_a_payload_stays_as_it_is() {
        let inner = Payload::new(Add { a: 1, b: 2 });
        let outer = Payload::new(inner);
        assert_eq!(
            outer.take::<Payload>().unwrap().take::<Add>().unwrap(),
            Add { a: 1, b: 2 }
        );
    }

    #[test]
    fn a_payload_stays_small() {
        assert!(size_of::<Payload>() <= 56, "{}", size_of::<Payload>());
    }
}
