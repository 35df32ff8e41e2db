//! Packets and single values as MessagePack.

use std::{fmt, sync::Arc};

use bytes::{Bytes, BytesMut};
use moleculer_protocol::{
    AnyDecode, AnySerialize, DecodeError, EncodeError, FieldWriter, Format, Object, Packet,
    PacketKind, Payload, RawPayload, Serializer, Value, ValueFormat, read_packet,
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer as _,
    de::{Error, Visitor},
};

use crate::{
    compound::Compound,
    decode::{Decoder, RAW},
    encode::{Encoder, Written},
    read::{Head, Reader},
};

/// Packets as MessagePack, byte for byte as Moleculer JS with `"MsgPack"`
/// writes them.
///
/// Cheap to clone. Every packet of protocols 4 and 5 is one map; params, data
/// and meta are MessagePack too.
///
/// ```
/// use bytes::Bytes;
/// use moleculer_protocol::{PacketKind, Serializer};
/// use moleculer_serializer_msgpack::MsgPackSerializer;
///
/// let serializer = MsgPackSerializer::new();
/// let bytes = Bytes::from_static(b"\x82\xa3ver\xa15\xa6sender\xa6node-1");
/// let packet = serializer.decode(PacketKind::Discover, &bytes)?;
/// assert_eq!(packet.sender, "node-1");
/// # Ok::<(), moleculer_protocol::DecodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MsgPackSerializer {
    format: Format,
}

impl MsgPackSerializer {
    /// A serializer; it has no options.
    pub fn new() -> Self {
        Self {
            format: Format::Other(Arc::new(MsgPackFormat)),
        }
    }
}

impl Default for MsgPackSerializer {
    fn default() -> Self {
        Self::new()
    }
}

impl Serializer for MsgPackSerializer {
    fn name(&self) -> &'static str {
        MsgPackFormat.name()
    }

    fn format(&self) -> Format {
        self.format.clone()
    }

    fn encode(&self, packet: &Packet, out: &mut BytesMut) -> Result<(), EncodeError> {
        let mut writer = PacketWriter {
            map: Compound::map(out, None)?,
            format: &self.format,
        };
        packet.write_fields(&mut writer)?;
        writer.map.finish()
    }

    fn decode(&self, kind: PacketKind, bytes: &Bytes) -> Result<Packet, DecodeError> {
        let mut decoder = Decoder::new(bytes);
        let source = Source {
            bytes,
            format: &self.format,
        };
        read_packet::<Raw<'_>, _>(kind, &mut decoder, source)
            .and_then(|packet| decoder.end().map(|()| packet))
            .map_err(|error| error.within(kind))
    }
}

/// The members of a packet; they are counted as they come.
struct PacketWriter<'a> {
    map: Compound<'a>,
    format: &'a Format,
}

impl FieldWriter for PacketWriter<'_> {
    fn text(&mut self, key: &'static str, text: &str) -> Result<(), EncodeError> {
        self.map.member(key, text)
    }

    fn value(&mut self, key: &'static str, value: &Value) -> Result<(), EncodeError> {
        self.map.member(key, value)
    }

    fn object(&mut self, key: &'static str, object: &Object) -> Result<(), EncodeError> {
        self.map.member(key, object)
    }

    fn payload(&mut self, key: &'static str, payload: &Payload) -> Result<(), EncodeError> {
        let format = self.format;
        self.map.member_with(key, |out| {
            payload.encode(format, out)?;
            Ok(Written::Value)
        })
    }
}

/// A payload found in a packet but not decoded.
struct Raw<'de>(&'de [u8]);

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Raw<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any MessagePack value")
            }
            fn visit_borrowed_bytes<E: Error>(self, span: &'de [u8]) -> Result<Raw<'de>, E> {
                Ok(Raw(span))
            }
        }
        deserializer.deserialize_newtype_struct(RAW, V)
    }
}

/// Where payloads live, and what reads them.
#[derive(Clone, Copy)]
struct Source<'de> {
    bytes: &'de Bytes,
    format: &'de Format,
}

impl<'de> RawPayload<'de> for Raw<'de> {
    type Source = Source<'de>;

    /// Binary data is handed on as `Bytes` right away: whoever takes it gets a
    /// share of the packet's buffer instead of a copy.
    fn into_payload(self, source: Source<'de>) -> Payload {
        match Reader::new(self.0).head() {
            Ok(Head::Nil) => Payload::null(),
            Ok(Head::Bin(content)) => Payload::cloneable(source.bytes.slice_ref(content)),
            _ => Payload::encoded(source.bytes.slice_ref(self.0), source.format.clone()),
        }
    }
}

/// Single values as MessagePack.
#[derive(Debug)]
struct MsgPackFormat;

impl ValueFormat for MsgPackFormat {
    fn name(&self) -> &'static str {
        "MsgPack"
    }

    fn encode(&self, value: AnySerialize<'_>, out: &mut BytesMut) -> Result<(), EncodeError> {
        // A whole payload cannot be left out, so `undefined` becomes null.
        match value.serialize(Encoder(out))? {
            Written::Value => Ok(()),
            Written::Nothing => Encoder(out).serialize_unit().map(drop),
        }
    }

    fn decode(&self, input: &[u8], into: AnyDecode<'_>) -> Result<(), DecodeError> {
        let mut decoder = Decoder::new(input);
        into.run(&mut decoder)?;
        decoder.end()
    }
}
