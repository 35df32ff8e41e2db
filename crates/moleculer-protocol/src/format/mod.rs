//! How a value becomes bytes and back: [`ValueFormat`], its tokens and errors.

mod decode;
mod encode;
mod error;
mod key;
mod token;

use std::{fmt, marker::PhantomData};

use bytes::BytesMut;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, DeserializeSeed},
};

pub(crate) use self::decode::TokenDeserializer;
pub(crate) use self::{encode::ObjectWriter, key::Key};
pub use self::{
    encode::to_tokens,
    error::{DecodeError, EncodeError, FaultKind},
    token::{Compound, Open, Peek, Token, TokenReader, TokenWriter},
};
use crate::json;

/// Names under which [`Value`](crate::Value)'s further kinds pass through serde.
///
/// When a value is serialized, they are the names of newtypes (of a unit
/// struct for `UNDEFINED`): a serializer that knows them serializes the inner
/// value with a serializer whose `is_human_readable` is false and gets the
/// exact content given below. One that knows nothing of this writes what JSON
/// shows.
///
/// When a value is deserialized, it asks for a newtype called `VALUE`. A
/// deserializer that knows the name answers as if for any value, but shows
/// further kinds as enum variants of these names with the content below. For
/// all other types, those that serde buffers (`flatten`, `untagged`,
/// internally tagged enums) included, it shows what JSON shows; to a type that
/// asks for a list or a map it shows sets, and maps whose keys are text.
pub mod kinds {
    /// `undefined`, as a unit struct or unit variant.
    pub const UNDEFINED: &str = "$moleculer::Undefined";
    /// An object with undefined members. Content: a map with all members.
    pub const OBJECT: &str = "$moleculer::Object";
    /// A date. Content: `f64`, milliseconds since 1970.
    pub const DATE: &str = "$moleculer::Date";
    /// A big integer. Content: its decimal digits as text.
    pub const BIG_INT: &str = "$moleculer::BigInt";
    /// A typed array. Content: `(u8, bytes)`, tag of RFC 8746 and elements.
    pub const TYPED_ARRAY: &str = "$moleculer::TypedArray";
    /// A map with keys of any kind. Content: a list of pairs when serialized,
    /// keys and values in turn when deserialized.
    pub const MAP: &str = "$moleculer::Map";
    /// A set. Content: a list.
    pub const SET: &str = "$moleculer::Set";
    /// A regular expression. Content: `(source, flags)`.
    pub const REG_EXP: &str = "$moleculer::RegExp";
    /// A value of any kind, as it is.
    pub const VALUE: &str = "$moleculer::Value";
    /// The bytes of a value, undecoded. Deserialize only.
    pub(crate) const RAW: &str = "$moleculer::Raw";

    /// Whether `name` is one of the newtype names above.
    pub fn is_kind(name: &str) -> bool {
        name.starts_with("$moleculer::")
    }
}

/// Encodes and decodes single values: params, results, event data, meta.
///
/// In JSON-like serializers it is the packet's own format; Avro, Protocol
/// Buffers and Thrift carry JSON text inside a field. A format speaks in
/// [`Token`]s; how a Rust type becomes tokens and back is said once, in this
/// crate, for all of them.
///
/// ```
/// use bytes::{BufMut, BytesMut};
/// use moleculer_protocol::format::{
///     Compound, DecodeError, EncodeError, Format, Open, Peek, ReadTokens, Token, TokenReader,
///     TokenWriter, ValueFormat, WriteTokens,
/// };
///
/// /// Carries bytes up to 255, and nothing else.
/// #[derive(Debug)]
/// struct Tiny;
///
/// impl ValueFormat for Tiny {
///     fn name(&self) -> &'static str {
///         "Tiny"
///     }
///     fn encode(&self, out: &mut BytesMut, write: &WriteTokens<'_>) -> Result<(), EncodeError> {
///         write(&mut Writer(out))
///     }
///     fn decode(&self, input: &[u8], read: &mut ReadTokens<'_>) -> Result<(), DecodeError> {
///         read(&mut Reader(input))
///     }
/// }
///
/// struct Writer<'a>(&'a mut BytesMut);
///
/// fn cannot<T>() -> Result<T, EncodeError> {
///     Err(EncodeError::new("Tiny carries numbers up to 255 only"))
/// }
///
/// impl TokenWriter for Writer<'_> {
///     fn uint(&mut self, n: u64) -> Result<(), EncodeError> {
///         u8::try_from(n).map_or_else(|_| cannot(), |n| Ok(self.0.put_u8(n)))
///     }
/// #   fn null(&mut self) -> Result<(), EncodeError> { cannot() }
/// #   fn bool(&mut self, _: bool) -> Result<(), EncodeError> { cannot() }
/// #   fn int(&mut self, _: i64) -> Result<(), EncodeError> { cannot() }
/// #   fn float(&mut self, _: f64) -> Result<(), EncodeError> { cannot() }
/// #   fn text(&mut self, _: &str) -> Result<(), EncodeError> { cannot() }
/// #   fn bytes(&mut self, _: &[u8]) -> Result<(), EncodeError> { cannot() }
/// #   fn begin(&mut self, _: Compound, _: Option<usize>) -> Result<usize, EncodeError> { cannot() }
/// #   fn end(&mut self, _: Open, _: usize) -> Result<(), EncodeError> { cannot() }
/// #   fn raw(&mut self, _: &[u8]) -> Result<(), EncodeError> { cannot() }
///     // and the others
/// }
///
/// struct Reader<'de>(&'de [u8]);
///
/// impl<'de> TokenReader<'de> for Reader<'de> {
///     fn token(&mut self) -> Result<Token<'de>, DecodeError> {
///         self.skip().map(|span| Token::UInt(span[0].into()))
///     }
///     fn peek(&mut self) -> Result<Peek, DecodeError> {
///         Ok(Peek::Other)
///     }
///     fn rest(&self) -> &'de [u8] {
///         self.0
///     }
///     fn skip(&mut self) -> Result<&'de [u8], DecodeError> {
///         let first = self.0.split_off(..1);
///         first.ok_or_else(|| DecodeError::new("the input ends early"))
///     }
/// }
///
/// static TINY: Tiny = Tiny;
/// let (format, mut out) = (Format::Other(&TINY), BytesMut::new());
/// format.encode(&Some(5), &mut out).unwrap_err(); // an i32 is signed
/// format.encode(&Some(5_u64), &mut out)?;
/// assert_eq!(format.decode::<Option<u32>>(&out)?, Some(5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Contract
///
/// - `decode` never panics, whatever the input; nesting is limited by what
///   reads the tokens.
/// - Both are pure: same input, same output, no state between calls.
pub trait ValueFormat: fmt::Debug + Send + Sync + 'static {
    /// A short name for messages, for example `MsgPack`. Formats of one name
    /// must read each other's bytes.
    fn name(&self) -> &'static str;

    /// Gives `write` a writer that appends to `out`.
    ///
    /// # Errors
    ///
    /// When the value's own `Serialize` fails or the format cannot carry it.
    fn encode(&self, out: &mut BytesMut, write: &WriteTokens<'_>) -> Result<(), EncodeError>;

    /// Gives `read` a reader of `input`.
    ///
    /// # Errors
    ///
    /// When `input` is not valid in this format or does not fit the type.
    fn decode(&self, input: &[u8], read: &mut ReadTokens<'_>) -> Result<(), DecodeError>;
}

/// Writes the tokens of one value.
pub type WriteTokens<'a> = dyn Fn(&mut dyn TokenWriter) -> Result<(), EncodeError> + 'a;

/// Reads the tokens of one value and keeps what they make.
pub type ReadTokens<'a> =
    dyn for<'de> FnMut(&mut dyn TokenReader<'de>) -> Result<(), DecodeError> + 'a;

/// The format of an encoded payload. JSON, the common one, is known by name
/// so that it takes a monomorphised path.
#[derive(Clone, Copy, Debug)]
pub enum Format {
    /// JSON text.
    Json,
    /// Any other format. It lives as long as the process, so that payloads
    /// share no counter; one with options is leaked once per serializer.
    Other(&'static dyn ValueFormat),
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
            (Self::Other(a), Self::Other(b)) => a.name() == b.name(),
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
            Self::Other(format) => format.encode(out, &|writer| to_tokens(value, writer)),
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
        format.decode(input, &mut |reader| {
            slot = Some(seed.deserialize(&mut TokenDeserializer::new(reader))?);
            check_end(reader)
        })?;
        slot.ok_or_else(|| DecodeError::new(format!("{} decoded nothing", format.name())))
    }
}

/// Reads one value from tokens, to the end of the input: for a format in which
/// a value holds the text of another one.
///
/// # Errors
///
/// When the reader fails, the value does not fit `T`, or something follows it.
pub fn from_tokens<'de, T, R>(reader: &mut R) -> Result<T, DecodeError>
where
    T: Deserialize<'de>,
    R: TokenReader<'de> + ?Sized,
{
    let value = T::deserialize(&mut TokenDeserializer::new(reader))?;
    check_end(reader).map(|()| value)
}

/// # Errors
///
/// When something follows the value that has been read.
pub(crate) fn check_end<'de, R: TokenReader<'de> + ?Sized>(reader: &R) -> Result<(), DecodeError> {
    match reader.rest().len() {
        0 => Ok(()),
        more => Err(DecodeError::new(format!("{more} bytes after the end"))),
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
