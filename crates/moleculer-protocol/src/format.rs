//! How a value becomes bytes and back: [`ValueFormat`] and its errors.

use std::{fmt, marker::PhantomData, sync::Arc};

use bytes::BytesMut;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, DeserializeSeed},
};

use crate::json;

/// Names under which [`Value`](crate::Value)'s further kinds pass through serde.
///
/// A serializer that can carry a kind intercepts `serialize_newtype_struct`
/// (or `serialize_unit_struct` for `UNDEFINED`) with one of these names and
/// serializes the inner value with a serializer whose `is_human_readable` is
/// false: it then gets the exact content given below. A serializer that knows
/// nothing of this writes what JSON shows.
pub mod kinds {
    /// `undefined`, as a unit struct.
    pub const UNDEFINED: &str = "$moleculer::Undefined";
    /// An object with undefined members. Content: a map with all members.
    pub const OBJECT: &str = "$moleculer::Object";
    /// A date. Content: `f64`, milliseconds since 1970.
    pub const DATE: &str = "$moleculer::Date";
    /// A big integer. Content: its decimal digits as text.
    pub const BIG_INT: &str = "$moleculer::BigInt";
    /// A typed array. Content: `(u8, bytes)`, tag of RFC 8746 and elements.
    pub const TYPED_ARRAY: &str = "$moleculer::TypedArray";
    /// A map with keys of any kind. Content: a list of pairs.
    pub const MAP: &str = "$moleculer::Map";
    /// A set. Content: a list.
    pub const SET: &str = "$moleculer::Set";
    /// A regular expression. Content: `(source, flags)`.
    pub const REG_EXP: &str = "$moleculer::RegExp";

    /// Whether `name` is one of the newtype names above.
    pub fn is_kind(name: &str) -> bool {
        name.starts_with("$moleculer::")
    }
}

/// Encodes and decodes single values: params, results, event data, meta.
///
/// In JSON-like serializers it is the packet's own format; Avro, Protocol
/// Buffers and Thrift carry JSON text inside a field.
///
/// # Contract
///
/// - `decode` never panics, whatever the input, and limits nesting.
/// - Both are pure: same input, same output, no state between calls.
pub trait ValueFormat: fmt::Debug + Send + Sync + 'static {
    /// A short name for messages, for example `MsgPack`.
    fn name(&self) -> &'static str;

    /// Appends the encoded value to `out`.
    ///
    /// # Errors
    ///
    /// When the value's own `Serialize` fails or the format cannot carry it.
    fn encode(&self, value: AnySerialize<'_>, out: &mut BytesMut) -> Result<(), EncodeError>;

    /// Decodes the whole of `input` into the type that `into` stands for.
    ///
    /// # Errors
    ///
    /// When `input` is not valid in this format or does not fit the type.
    fn decode(&self, input: &[u8], into: AnyDecode<'_>) -> Result<(), DecodeError>;
}

/// The format of an encoded payload. JSON, the common one, is known by name
/// so that it takes a monomorphised path.
#[derive(Clone, Debug)]
pub enum Format {
    /// JSON text.
    Json,
    /// Any other format.
    Other(Arc<dyn ValueFormat>),
}

impl Format {
    /// The format's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Other(format) => format.name(),
        }
    }

    /// Whether bytes of the one can be taken for bytes of the other.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json, Self::Json) => true,
            (Self::Other(a), Self::Other(b)) => {
                std::ptr::addr_eq(Arc::as_ptr(a), Arc::as_ptr(b)) || a.name() == b.name()
            }
            _ => false,
        }
    }

    /// Appends the encoded value to `out`.
    ///
    /// # Errors
    ///
    /// As [`ValueFormat::encode`].
    pub fn encode<T: Serialize + ?Sized>(
        &self,
        value: &T,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        match self {
            Self::Json => json::to_writer(value, out),
            Self::Other(format) => format.encode(AnySerialize::new(&value), out),
        }
    }

    /// Decodes the whole of `input`.
    ///
    /// # Errors
    ///
    /// As [`ValueFormat::decode`].
    pub fn decode<T: DeserializeOwned>(&self, input: &[u8]) -> Result<T, DecodeError> {
        self.decode_seed(input, Owned(PhantomData))
    }

    /// Decodes with a seed; JSON may run it twice, hence the `Copy`.
    pub(crate) fn decode_seed<T, S>(&self, input: &[u8], seed: S) -> Result<T, DecodeError>
    where
        S: for<'de> DeserializeSeed<'de, Value = T> + Copy,
    {
        let format = match self {
            Self::Json => return json::from_slice_seed(input, seed),
            Self::Other(format) => format,
        };
        let mut slot = None;
        format.decode(
            input,
            AnyDecode(&mut |deserializer| {
                slot = Some(seed.deserialize(deserializer)?);
                Ok(())
            }),
        )?;
        slot.ok_or_else(|| DecodeError::new(format!("{} decoded nothing", format.name())))
    }
}

/// The seed of a type that needs none.
pub(crate) struct Owned<T>(pub(crate) PhantomData<fn() -> T>);

impl<T> Clone for Owned<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Owned<T> {}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Owned<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::deserialize(deserializer)
    }
}

/// Some serializable value, its type erased.
#[derive(Clone, Copy)]
pub struct AnySerialize<'a>(&'a dyn erased_serde::Serialize);

impl<'a> AnySerialize<'a> {
    /// Erases the type of `value`.
    pub fn new<T: Serialize>(value: &'a T) -> Self {
        Self(value)
    }

    pub(crate) fn erased(value: &'a dyn erased_serde::Serialize) -> Self {
        Self(value)
    }
}

impl Serialize for AnySerialize<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        erased_serde::serialize(self.0, serializer)
    }
}

impl fmt::Debug for AnySerialize<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnySerialize")
    }
}

type Decode<'a> =
    dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error> + 'a;

/// Some type to decode into, erased.
pub struct AnyDecode<'a>(&'a mut Decode<'a>);

impl AnyDecode<'_> {
    /// Lets the type read itself from `deserializer`.
    ///
    /// # Errors
    ///
    /// What the deserializer or the type reports.
    pub fn run<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<(), DecodeError> {
        (self.0)(&mut <dyn erased_serde::Deserializer<'_>>::erase(
            deserializer,
        ))
        .map_err(|error| DecodeError::new(error.to_string()))
    }
}

impl fmt::Debug for AnyDecode<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyDecode")
    }
}

/// A value or packet could not be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EncodeError(Box<str>);

impl EncodeError {
    /// An error with a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into().into())
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
            None => Self::new(format!(
                "unknown key `{field}`; known are {}",
                expected.join(", ")
            )),
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
