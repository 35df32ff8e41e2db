//! Params, results and event data: [`Payload`].

mod pipe;
mod project;
mod scalar;
mod take;
mod typed;

use std::{fmt, sync::Arc};

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::take::Refused;
use self::{
    scalar::{Scalar, small},
    take::take_as,
    typed::{Erased, ErasedClone},
};
use crate::{
    Value,
    format::{DecodeError, EncodeError, Format, TokenWriter, to_tokens},
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

/// Kept small: a local call moves it several times.
#[derive(Clone)]
enum Repr {
    /// `undefined`: absent on the wire.
    Nothing,
    Scalar(Scalar),
    Typed(Arc<dyn Erased>),
    /// A typed value that can be cloned when it is extracted while shared.
    Cloneable(Arc<dyn ErasedClone>),
    Encoded(Box<Encoded>),
}

#[derive(Clone)]
struct Encoded {
    bytes: Bytes,
    format: Format,
}

/// A payload to read: no matter whether its value can be cloned.
enum View<'a> {
    Nothing,
    Scalar(Scalar),
    Typed(&'a dyn Erased),
    Encoded(&'a Encoded),
}

impl Payload {
    /// No payload at all: an absent member.
    pub const fn nothing() -> Self {
        Self(Repr::Nothing)
    }

    /// An explicit null.
    pub const fn null() -> Self {
        Self(Repr::Scalar(Scalar::Null))
    }

    /// `{}`: what a call without params sends.
    pub const fn empty() -> Self {
        Self(Repr::Scalar(Scalar::EmptyObject))
    }

    /// Holds a value; it is converted only if somebody wants another type.
    ///
    /// A `Payload` stays as it is. When it is shared and someone extracts it,
    /// the value is converted through its serialized form; see
    /// [`Payload::cloneable`].
    pub fn new<T: Serialize + Send + Sync + 'static>(value: T) -> Self {
        Self::hold(value, |value| Repr::Typed(Arc::new(value)))
    }

    /// Holds a value that is cloned when it is extracted while shared.
    pub fn cloneable<T: Serialize + Clone + Send + Sync + 'static>(value: T) -> Self {
        Self::hold(value, |value| Repr::Cloneable(Arc::new(value)))
    }

    fn hold<T: 'static>(value: T, share: impl FnOnce(T) -> Repr) -> Self {
        let mut slot = Some(value);
        if let Some(payload) = take_as::<T, Self>(&mut slot) {
            return payload;
        }
        Self(small(&mut slot).unwrap_or_else(|| slot.map_or(Repr::Nothing, share)))
    }

    /// Bytes that `format` can read, sharing the buffer they came in.
    pub fn encoded(bytes: Bytes, format: Format) -> Self {
        Self(Repr::Encoded(Box::new(Encoded { bytes, format })))
    }

    /// Whether the member is absent on the wire.
    pub const fn is_nothing(&self) -> bool {
        matches!(self.0, Repr::Nothing)
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
        match self.view() {
            View::Typed(value) => value.as_bytes(),
            _ => None,
        }
    }

    /// The dynamic value, in place, if that is what the payload holds.
    pub fn as_value(&self) -> Option<&Value> {
        match self.view() {
            View::Typed(value) => value.any().downcast_ref(),
            _ => None,
        }
    }

    /// The dynamic value, to change it in place, if that is what the payload
    /// holds and nobody else holds it too.
    ///
    /// ```
    /// use moleculer_protocol::{Payload, Value};
    ///
    /// let mut payload = Payload::from(Value::from("5"));
    /// *payload.as_value_mut().unwrap() = 5.into();
    /// let shared = payload.clone();
    /// assert!(payload.as_value_mut().is_none());
    /// assert_eq!(shared.take::<i64>()?, 5);
    /// # Ok::<(), moleculer_protocol::DecodeError>(())
    /// ```
    pub fn as_value_mut(&mut self) -> Option<&mut Value> {
        let value: &mut dyn Erased = match &mut self.0 {
            Repr::Typed(value) => Arc::get_mut(value)?,
            Repr::Cloneable(value) => Arc::get_mut(value)?,
            _ => return None,
        };
        value.any_mut().downcast_mut()
    }

    /// The payload as a dynamic value.
    ///
    /// # Errors
    ///
    /// When the bytes are malformed, or the value's own `Serialize` fails.
    pub fn to_value(&self) -> Result<Value, DecodeError> {
        match self.view() {
            View::Nothing => Ok(Value::Undefined),
            View::Scalar(scalar) => Ok(scalar.into()),
            View::Typed(value) => value.to_value(),
            View::Encoded(encoded) => encoded.format.decode(&encoded.bytes),
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
        match self.view() {
            View::Nothing => format.encode(&Value::Null, out),
            View::Scalar(scalar) => format.encode(&Value::from(scalar), out),
            View::Typed(value) => value.encode(format, out),
            View::Encoded(encoded) => encoded.encode(format, out),
        }
    }

    /// Writes the payload as tokens, for who wants to see a part of it, or to
    /// make something else of it. JSON text is not made a [`Value`] for that.
    ///
    /// # Errors
    ///
    /// When the bytes are malformed, the value's own `Serialize` fails, or the
    /// writer does; tokens may then have been written already.
    pub fn write(&self, writer: &mut dyn TokenWriter) -> Result<(), EncodeError> {
        match self.view() {
            View::Nothing => to_tokens(&Value::Undefined, writer),
            View::Scalar(scalar) => to_tokens(&Value::from(scalar), writer),
            View::Typed(value) => value.encode_tokens(writer),
            View::Encoded(Encoded { bytes, format: Format::Json }) => {
                pipe::json_tokens(bytes, writer)
                    .map_err(|error| EncodeError::new(error.to_string()))
            }
            View::Encoded(encoded) => to_tokens(&encoded.to_value()?, writer),
        }
    }

    /// Writes the payload as tokens of `format`.
    pub(crate) fn write_tokens(
        &self,
        writer: &mut dyn TokenWriter,
        format: Format,
    ) -> Result<(), EncodeError> {
        match self.view() {
            View::Nothing => writer.null(),
            View::Scalar(scalar) => to_tokens(&Value::from(scalar), writer),
            View::Typed(value) => value.encode_tokens(writer),
            View::Encoded(encoded) if encoded.format.same(&format) => writer.raw(&encoded.bytes),
            View::Encoded(encoded) => to_tokens(&encoded.to_value()?, writer),
        }
    }

    /// Reads the part at `path` (names and indexes separated by dots) without
    /// building the rest. `None` when there is no such part.
    ///
    /// # Errors
    ///
    /// When the bytes are malformed.
    pub fn get(&self, path: &str) -> Result<Option<Value>, DecodeError> {
        match self.view() {
            View::Nothing | View::Scalar(_) => Ok(None),
            View::Encoded(encoded) => project::decode(&encoded.format, &encoded.bytes, path),
            View::Typed(value) => match value.any().downcast_ref::<Value>() {
                Some(value) => Ok(value.pointer(path).cloned()),
                None => value.project(path),
            },
        }
    }

    fn view(&self) -> View<'_> {
        match &self.0 {
            Repr::Nothing => View::Nothing,
            Repr::Scalar(scalar) => View::Scalar(*scalar),
            Repr::Typed(value) => View::Typed(&**value),
            Repr::Cloneable(value) => View::Typed(&**value),
            Repr::Encoded(encoded) => View::Encoded(encoded),
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
        self.to_value().map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.view() {
            View::Nothing => f.write_str("nothing"),
            View::Scalar(scalar) => Value::from(scalar).fmt(f),
            View::Typed(value) => value.type_name().fmt(f),
            View::Encoded(encoded) => {
                write!(f, "{} bytes of {}", encoded.bytes.len(), encoded.format.name())
            }
        }
    }
}

impl Encoded {
    fn encode(&self, format: &Format, out: &mut BytesMut) -> Result<(), EncodeError> {
        if self.format.same(format) {
            out.extend_from_slice(&self.bytes);
            return Ok(());
        }
        format.encode(&self.to_value()?, out)
    }

    fn to_value(&self) -> Result<Value, EncodeError> {
        self.format.decode(&self.bytes).map_err(|error| EncodeError::new(error.to_string()))
    }
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
        for payload in [Payload::cloneable(Add { a: 1, b: 2 }), Payload::new(Add { a: 1, b: 2 })] {
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
        assert_eq!(typed().take::<Value>().unwrap(), json!({"a": 1, "b": 2}).into());
        let encoded = Payload::encoded(Bytes::from_static(br#"{"a":1}"#), Format::Json);
        assert_eq!(encoded.clone().take::<OnlyA>().unwrap(), OnlyA { a: 1.0 });
        assert_eq!(json_of(&encoded), r#"{"a":1}"#);
        assert!(encoded.take::<Add>().unwrap_err().to_string().contains("missing field `b`"));
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
        assert!(matches!(Payload::new(5_i64).0, Repr::Scalar(Scalar::Int(5))));
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
        assert_eq!(outer.take::<Payload>().unwrap().take::<Add>().unwrap(), Add { a: 1, b: 2 });
    }

    #[test]
    fn a_payload_stays_small() {
        assert_eq!(size_of::<Payload>(), 24);
    }
}
