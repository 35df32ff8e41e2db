//! Packets as MessagePack.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use moleculer_protocol::{
    DecodeError, EncodeError, Format, Packet, PacketKind, Serializer, SerializerPlugin, ValueFormat,
};

use crate::{dialect::Dialect, read::Reader, write::Writer};

/// Packets as MessagePack, byte for byte as Moleculer JS with `"MsgPack"` or
/// `"Notepack"` writes them.
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
#[doc(alias = "NotepackSerializer")]
pub struct MsgPackSerializer {
    dialect: Dialect,
}

/// For a broker's registry of plug-ins: the name `MsgPack`.
pub const PLUGIN: SerializerPlugin = SerializerPlugin {
    name: "MsgPack",
    build: |options| {
        SerializerPlugin::no_options(&options)?;
        Ok(Arc::new(MsgPackSerializer::new()))
    },
};

/// For a broker's registry of plug-ins: the name `Notepack`.
pub const NOTEPACK_PLUGIN: SerializerPlugin = SerializerPlugin {
    name: "Notepack",
    build: |options| {
        SerializerPlugin::no_options(&options)?;
        Ok(Arc::new(MsgPackSerializer::notepack()))
    },
};

impl MsgPackSerializer {
    /// The serializer `"MsgPack"`; it has no options.
    pub const fn new() -> Self {
        Self { dialect: Dialect::MsgPack }
    }

    /// The serializer `"Notepack"`, which differs in the widths of numbers and
    /// in a few rare values; it has no options.
    ///
    /// ```
    /// use moleculer_protocol::Serializer;
    /// use moleculer_serializer_msgpack::MsgPackSerializer;
    ///
    /// let mut bytes = bytes::BytesMut::new();
    /// MsgPackSerializer::notepack().format().encode(&1.5, &mut bytes)?;
    /// assert_eq!(&bytes[..], b"\xcb\x3f\xf8\0\0\0\0\0\0");
    /// # Ok::<(), moleculer_protocol::EncodeError>(())
    /// ```
    pub const fn notepack() -> Self {
        Self { dialect: Dialect::Notepack }
    }
}

impl Serializer for MsgPackSerializer {
    fn name(&self) -> &'static str {
        self.dialect.name()
    }

    fn format(&self) -> Format {
        self.dialect.format()
    }

    fn encode(&self, packet: &Packet, out: &mut BytesMut) -> Result<(), EncodeError> {
        packet.to_tokens(&mut Writer { out, dialect: self.dialect }, self.format())
    }

    fn decode(&self, kind: PacketKind, bytes: &Bytes) -> Result<Packet, DecodeError> {
        let open = match self.dialect {
            Dialect::MsgPack => |input| Reader::new(input, Dialect::MsgPack),
            Dialect::Notepack => |input| Reader::new(input, Dialect::Notepack),
        };
        Packet::from_tokens(kind, bytes, self.format(), open)
    }
}
