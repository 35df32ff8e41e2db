//! Packets and single values as MessagePack.

use bytes::{Bytes, BytesMut};
use moleculer_protocol::{
    DecodeError, EncodeError, Format, Packet, PacketKind, Serializer, ValueFormat,
    format::{ReadTokens, WriteTokens},
};

use crate::{read::Reader, write::Writer};

/// Packets as MessagePack, byte for byte as Moleculer JS with `"MsgPack"`
/// writes them.
///
/// Every packet of protocols 4 and 5 is one map; params, data
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
#[derive(Clone, Copy, Debug, Default)]
pub struct MsgPackSerializer;

impl MsgPackSerializer {
    /// A serializer; it has no options.
    pub const fn new() -> Self {
        Self
    }
}

impl Serializer for MsgPackSerializer {
    fn name(&self) -> &'static str {
        MsgPackFormat.name()
    }

    fn format(&self) -> Format {
        FORMAT
    }

    fn encode(&self, packet: &Packet, out: &mut BytesMut) -> Result<(), EncodeError> {
        packet.to_tokens(&mut Writer(out), FORMAT)
    }

    fn decode(&self, kind: PacketKind, bytes: &Bytes) -> Result<Packet, DecodeError> {
        Packet::from_tokens(kind, bytes, FORMAT, Reader::new)
    }
}

const FORMAT: Format = Format::Other(&MsgPackFormat);

/// Single values as MessagePack.
#[derive(Debug)]
struct MsgPackFormat;

impl ValueFormat for MsgPackFormat {
    fn name(&self) -> &'static str {
        "MsgPack"
    }

    fn encode(&self, out: &mut BytesMut, write: &WriteTokens<'_>) -> Result<(), EncodeError> {
        write(&mut Writer(out))
    }

    fn decode(&self, input: &[u8], read: &mut ReadTokens<'_>) -> Result<(), DecodeError> {
        read(&mut Reader::new(input))
    }
}
