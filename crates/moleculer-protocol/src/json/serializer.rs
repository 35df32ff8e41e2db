//! Packets as JSON text: the default serializer.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{replace_lone_surrogates, text, to_writer};
use crate::{
    FieldWriter, Format, Object, Packet, PacketKind, Payload, RawPayload, Serializer, Value,
    format::{DecodeError, EncodeError},
    read_packet,
};

/// Packets as JSON text, byte for byte as JavaScript writes them.
///
/// ```
/// use bytes::Bytes;
/// use moleculer_protocol::{JsonSerializer, PacketKind, Serializer};
///
/// let bytes = Bytes::from_static(br#"{"ver":"5","sender":"node-1"}"#);
/// let packet = JsonSerializer.decode(PacketKind::Discover, &bytes)?;
/// assert_eq!(packet.sender, "node-1");
/// # Ok::<(), moleculer_protocol::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonSerializer;

impl Serializer for JsonSerializer {
    fn name(&self) -> &'static str {
        "JSON"
    }

    fn format(&self) -> Format {
        Format::Json
    }

    fn encode(&self, packet: &Packet, out: &mut BytesMut) -> Result<(), EncodeError> {
        let mut writer = JsonWriter { out, next: b'{' };
        packet.write_fields(&mut writer)?;
        out.put_u8(b'}');
        Ok(())
    }

    fn decode(&self, kind: PacketKind, bytes: &Bytes) -> Result<Packet, DecodeError> {
        read(kind, bytes)
            .or_else(|error| match replace_lone_surrogates(bytes) {
                Cow::Owned(text) => read(kind, &text.into()),
                Cow::Borrowed(_) => Err(error),
            })
            .map_err(|error| DecodeError::new(format!("{kind}: {error}")))
    }
}

fn read(kind: PacketKind, bytes: &Bytes) -> Result<Packet, DecodeError> {
    let mut deserializer = serde_json::Deserializer::from_str(text(bytes)?);
    read_packet::<Raw<'_>, _>(kind, &mut deserializer, bytes)
        .and_then(|packet| deserializer.end().map(|()| packet))
        .map_err(|error| DecodeError::new(error.to_string()))
}

/// The text of a member, found but not read.
struct Raw<'a>(&'a RawValue);

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(Self)
    }
}

impl<'de> RawPayload<'de> for Raw<'de> {
    type Source = &'de Bytes;

    fn into_payload(self, source: &'de Bytes) -> Payload {
        match self.0.get() {
            "null" => Payload::null(),
            text => Payload::encoded(source.slice_ref(text.as_bytes()), Format::Json),
        }
    }
}

struct JsonWriter<'a> {
    out: &'a mut BytesMut,
    /// `{` before the first member, `,` before the others.
    next: u8,
}

impl JsonWriter<'_> {
    /// Keys are ours and need no escapes.
    fn key(&mut self, key: &str) {
        self.out.reserve(key.len() + 4);
        self.out.put_u8(self.next);
        self.out.put_u8(b'"');
        self.out.put_slice(key.as_bytes());
        self.out.put_slice(b"\":");
        self.next = b',';
    }
}

impl FieldWriter for JsonWriter<'_> {
    fn text(&mut self, key: &'static str, text: &str) -> Result<(), EncodeError> {
        self.key(key);
        to_writer(text, self.out)
    }

    fn value(&mut self, key: &'static str, value: &Value) -> Result<(), EncodeError> {
        self.key(key);
        to_writer(value, self.out)
    }

    fn object(&mut self, key: &'static str, object: &Object) -> Result<(), EncodeError> {
        self.key(key);
        if object.is_empty() {
            self.out.put_slice(b"{}");
            return Ok(());
        }
        to_writer(object, self.out)
    }

    fn list(&mut self, key: &'static str, items: &[Value]) -> Result<(), EncodeError> {
        self.key(key);
        to_writer(items, self.out)
    }

    fn payload(&mut self, key: &'static str, payload: &Payload) -> Result<(), EncodeError> {
        self.key(key);
        payload.encode(&Format::Json, self.out)
    }
}
