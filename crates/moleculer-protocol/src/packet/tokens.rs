//! Packets as tokens: one object each, for formats that describe themselves.

use std::fmt;

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

use super::{FieldWriter, Packet, PacketKind, RawPayload, read_packet};
use crate::{
    Object, Payload, Value,
    format::{
        DecodeError, EncodeError, Format, ObjectWriter, Token, TokenDeserializer, TokenReader,
        TokenWriter, check_end, kinds,
    },
};

impl Packet {
    /// Writes the packet as one object, payload included.
    ///
    /// `format` is the one that `writer` writes: a payload already encoded in
    /// it is copied.
    ///
    /// # Errors
    ///
    /// When the writer fails; the message names packet and member.
    pub fn to_tokens<W: TokenWriter>(
        &self,
        writer: &mut W,
        format: Format,
    ) -> Result<(), EncodeError> {
        let mut fields = Fields { object: ObjectWriter::begin(writer)?, format };
        self.write_fields(&mut fields)?;
        fields.object.end()
    }

    /// Reads a packet from one object; params, results and event data stay
    /// encoded and share `bytes`.
    ///
    /// `open` makes a reader of an encoded value, and `format` is the one
    /// that it reads.
    ///
    /// # Errors
    ///
    /// When the bytes are not such a packet; the message names packet and
    /// member.
    pub fn from_tokens<'de, R: TokenReader<'de>>(
        kind: PacketKind,
        bytes: &'de Bytes,
        format: Format,
        open: fn(&'de [u8]) -> R,
    ) -> Result<Self, DecodeError> {
        let mut reader = open(bytes);
        let source = Source { bytes, format, open };
        read_packet::<Raw<'_, R>, _>(kind, &mut TokenDeserializer::new(&mut reader), source)
            .and_then(|packet| check_end(&reader).map(|()| packet))
            .map_err(|error| error.within(kind))
    }
}

/// The members of a packet; they are counted as they come.
struct Fields<'a, W> {
    object: ObjectWriter<'a, W>,
    format: Format,
}

impl<W: TokenWriter> FieldWriter for Fields<'_, W> {
    fn text(&mut self, key: &'static str, text: &str) -> Result<(), EncodeError> {
        self.object.member(key, text)
    }

    fn value(&mut self, key: &'static str, value: &Value) -> Result<(), EncodeError> {
        self.object.member(key, value)
    }

    fn object(&mut self, key: &'static str, object: &Object) -> Result<(), EncodeError> {
        self.object.member(key, object)
    }

    fn list(&mut self, key: &'static str, items: &[Value]) -> Result<(), EncodeError> {
        self.object.member(key, items)
    }

    fn payload(&mut self, key: &'static str, payload: &Payload) -> Result<(), EncodeError> {
        self.object.member_with(key, |writer| payload.write_tokens(writer, self.format))
    }
}

/// A payload found in a packet but not decoded.
struct Raw<'de, R>(&'de [u8], std::marker::PhantomData<fn() -> R>);

impl<'de, R> Deserialize<'de> for Raw<'de, R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = &'de [u8];
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_borrowed_bytes<E: Error>(self, span: &'de [u8]) -> Result<&'de [u8], E> {
                Ok(span)
            }
        }
        let span = deserializer.deserialize_newtype_struct(kinds::RAW, V)?;
        Ok(Self(span, std::marker::PhantomData))
    }
}

/// Where payloads live, and what reads them.
struct Source<'de, R> {
    bytes: &'de Bytes,
    format: Format,
    open: fn(&'de [u8]) -> R,
}

impl<R> Clone for Source<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Source<'_, R> {}

impl<'de, R: TokenReader<'de>> RawPayload<'de> for Raw<'de, R> {
    type Source = Source<'de, R>;

    /// Binary data is handed on as `Bytes` right away: whoever takes it gets a
    /// share of the packet's buffer instead of a copy, where it stands there.
    fn into_payload(self, source: Source<'de, R>) -> Payload {
        let encoded = || Payload::encoded(source.bytes.slice_ref(self.0), source.format);
        match (source.open)(self.0).token() {
            Ok(Token::Null) => Payload::null(),
            Ok(Token::Undefined) => Payload::nothing(),
            Ok(Token::Bytes(content)) => Payload::cloneable(source.bytes.slice_ref(content)),
            Ok(Token::Owned(value)) => match *value {
                Value::Bytes(content) => Payload::cloneable(*content),
                _ => encoded(),
            },
            _ => encoded(),
        }
    }
}
