//! Packets and single values as JSONExt.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use moleculer_protocol::{
    DecodeError, EncodeError, Format, Packet, PacketKind, ProtocolVersion, Serializer,
    SerializerPlugin, ValueFormat,
    format::{ReadTokens, WriteTokens},
};

use crate::{read::Reader, write::Writer};

/// Packets of protocol 5 as JSON text in which dates, binary data, maps and
/// so on are text with a prefix, byte for byte as Moleculer JS with
/// `"JSONExt"` writes them.
///
/// ```
/// use bytes::Bytes;
/// use moleculer_protocol::{PacketKind, Serializer};
/// use moleculer_serializer_json_ext::JsonExtSerializer;
///
/// let bytes = Bytes::from_static(br#"{"ver":"5","sender":"node-1"}"#);
/// let packet = JsonExtSerializer.decode(PacketKind::Discover, &bytes)?;
/// assert_eq!(packet.sender, "node-1");
/// # Ok::<(), moleculer_protocol::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonExtSerializer;

/// For a broker's registry of plug-ins: the name `JSONExt`.
pub const PLUGIN: SerializerPlugin = SerializerPlugin {
    name: "JSONExt",
    build: |options| {
        SerializerPlugin::no_options(&options)?;
        Ok(Arc::new(JsonExtSerializer))
    },
};

impl Serializer for JsonExtSerializer {
    fn name(&self) -> &'static str {
        JsonExtFormat.name()
    }

    fn format(&self) -> Format {
        FORMAT
    }

    /// Moleculer 0.14 has no JSONExt.
    fn protocols(&self) -> &'static [ProtocolVersion] {
        &[ProtocolVersion::V5]
    }

    fn encode(&self, packet: &Packet, out: &mut BytesMut) -> Result<(), EncodeError> {
        packet.to_tokens(&mut Writer::new(out), FORMAT)
    }

    fn decode(&self, kind: PacketKind, bytes: &Bytes) -> Result<Packet, DecodeError> {
        Packet::from_tokens(kind, bytes, FORMAT, Reader::new)
    }
}

const FORMAT: Format = Format::Other(&JsonExtFormat);

/// Single values as JSONExt.
#[derive(Debug)]
struct JsonExtFormat;

impl ValueFormat for JsonExtFormat {
    fn name(&self) -> &'static str {
        "JSONExt"
    }

    fn encode(&self, out: &mut BytesMut, write: &WriteTokens<'_>) -> Result<(), EncodeError> {
        write(&mut Writer::new(out))
    }

    fn decode(&self, input: &[u8], read: &mut ReadTokens<'_>) -> Result<(), DecodeError> {
        read(&mut Reader::new(input))
    }
}
