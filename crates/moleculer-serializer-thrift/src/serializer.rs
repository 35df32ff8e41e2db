//! The serializer.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use moleculer_protocol::{
    DecodeError, EncodeError, Format, Packet, PacketKind, ProtocolVersion, Serializer,
    SerializerPlugin, schema,
};

use crate::{read::Reader, write::Writer};

/// Packets of protocol 4 as Thrift structs in the binary protocol, byte for
/// byte as Moleculer JS with `"Thrift"` writes them. Params, data and meta are
/// JSON text inside; binary params and data are carried as they are.
///
/// ```
/// use bytes::Bytes;
/// use moleculer_protocol::{PacketKind, Serializer};
/// use moleculer_serializer_thrift::ThriftSerializer;
///
/// let bytes = Bytes::from_static(b"\x0b\0\x01\0\0\0\x014\x0b\0\x02\0\0\0\x06node-1\0");
/// let packet = ThriftSerializer.decode(PacketKind::Discover, &bytes)?;
/// assert_eq!(packet.sender, "node-1");
/// # Ok::<(), moleculer_protocol::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ThriftSerializer;

/// For a broker's registry of plug-ins: the name `Thrift`.
pub const PLUGIN: SerializerPlugin = SerializerPlugin {
    name: "Thrift",
    build: |options| {
        SerializerPlugin::no_options(&options)?;
        Ok(Arc::new(ThriftSerializer))
    },
};

impl Serializer for ThriftSerializer {
    fn name(&self) -> &'static str {
        "Thrift"
    }

    fn format(&self) -> Format {
        Format::Json
    }

    fn protocols(&self) -> &'static [ProtocolVersion] {
        &[ProtocolVersion::V4]
    }

    fn encode(&self, packet: &Packet, out: &mut BytesMut) -> Result<(), EncodeError> {
        let mut writer = Writer(out);
        schema::encode(packet, &mut writer)?;
        writer.stop();
        Ok(())
    }

    fn decode(&self, kind: PacketKind, bytes: &Bytes) -> Result<Packet, DecodeError> {
        Reader::new(bytes)
            .and_then(|mut reader| schema::decode(kind, bytes, &mut reader))
            .map_err(|error| error.within(kind))
    }
}
