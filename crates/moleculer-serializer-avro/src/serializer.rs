//! The serializer.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use moleculer_protocol::{
    DecodeError, EncodeError, Format, Packet, PacketKind, ProtocolVersion, Serializer,
    SerializerPlugin, schema,
};

use crate::{read::Reader, write::Writer};

/// Packets of protocol 4 as Avro records, byte for byte as Moleculer JS with
/// `"Avro"` writes them. Params, data and meta are JSON text inside; binary
/// params and data are carried as they are.
///
/// ```
/// use bytes::Bytes;
/// use moleculer_protocol::{PacketKind, Serializer};
/// use moleculer_serializer_avro::AvroSerializer;
///
/// let bytes = Bytes::from_static(b"\x024\x0cnode-1");
/// let packet = AvroSerializer.decode(PacketKind::Discover, &bytes)?;
/// assert_eq!(packet.sender, "node-1");
/// # Ok::<(), moleculer_protocol::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct AvroSerializer;

/// For a broker's registry of plug-ins: the name `Avro`.
pub const PLUGIN: SerializerPlugin = SerializerPlugin {
    name: "Avro",
    build: |options| {
        SerializerPlugin::no_options(&options)?;
        Ok(Arc::new(AvroSerializer))
    },
};

impl Serializer for AvroSerializer {
    fn name(&self) -> &'static str {
        "Avro"
    }

    fn format(&self) -> Format {
        Format::Json
    }

    fn protocols(&self) -> &'static [ProtocolVersion] {
        &[ProtocolVersion::V4]
    }

    fn encode(&self, packet: &Packet, out: &mut BytesMut) -> Result<(), EncodeError> {
        schema::encode(packet, &mut Writer(out))
    }

    fn decode(&self, kind: PacketKind, bytes: &Bytes) -> Result<Packet, DecodeError> {
        let mut reader = Reader::new(bytes);
        schema::decode(kind, bytes, &mut reader)
            .and_then(|packet| reader.end().map(|()| packet))
            .map_err(|error| error.within(kind))
    }
}
