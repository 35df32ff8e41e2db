//! Packets and single values as CBOR.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use moleculer_protocol::{
    DecodeError, EncodeError, Format, Packet, PacketKind, Serializer, SerializerPlugin, Value,
    ValueFormat,
    format::{ReadTokens, WriteTokens},
};
use serde::Deserialize;

use crate::{read::Reader, write::Writer};

/// Packets as CBOR (RFC 8949), as Moleculer JS with `"CBOR"` writes them.
///
/// Every packet of protocols 4 and 5 is one map; params, data and meta are
/// CBOR too.
///
/// ```
/// use bytes::Bytes;
/// use moleculer_protocol::{PacketKind, Serializer};
/// use moleculer_serializer_cbor::CborSerializer;
///
/// let serializer = CborSerializer::new();
/// let bytes = Bytes::from_static(b"\xb9\0\x02\x63ver\x615\x66sender\x66node-1");
/// let packet = serializer.decode(PacketKind::Discover, &bytes)?;
/// assert_eq!(packet.sender, "node-1");
/// # Ok::<(), moleculer_protocol::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CborSerializer {
    config: CborConfig,
}

/// What can be chosen, with the reference's names.
///
/// ```
/// use moleculer_protocol::{Object, Value};
/// use moleculer_serializer_cbor::CborConfig;
///
/// let options = Value::from(Object::from([("useTag259ForMaps", true)]));
/// assert!(options.into_type::<CborConfig>()?.use_tag259_for_maps);
/// # Ok::<(), moleculer_protocol::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CborConfig {
    /// Whether a map says that it is one, so that it arrives as a `Map`.
    /// Without, which is the default, it arrives as an object. Read are both.
    #[serde(rename = "useTag259ForMaps")]
    pub use_tag259_for_maps: bool,
}

/// For a broker's registry of plug-ins: the name `CBOR`, with the options of
/// [`CborConfig`].
pub const PLUGIN: SerializerPlugin = SerializerPlugin {
    name: "CBOR",
    build: |options| {
        let config = Value::from(options).into_type()?;
        Ok(Arc::new(CborSerializer::with_config(config)))
    },
};

impl CborSerializer {
    /// A serializer with the defaults of [`CborConfig`].
    pub const fn new() -> Self {
        Self { config: CborConfig { use_tag259_for_maps: false } }
    }

    /// A serializer with options.
    pub const fn with_config(config: CborConfig) -> Self {
        Self { config }
    }
}

impl Serializer for CborSerializer {
    fn name(&self) -> &'static str {
        PLAIN.name()
    }

    fn format(&self) -> Format {
        Format::Other(if self.config.use_tag259_for_maps { &TAGGED } else { &PLAIN })
    }

    fn encode(&self, packet: &Packet, out: &mut BytesMut) -> Result<(), EncodeError> {
        let mut writer = Writer { out, tag_maps: self.config.use_tag259_for_maps };
        packet.to_tokens(&mut writer, self.format())
    }

    fn decode(&self, kind: PacketKind, bytes: &Bytes) -> Result<Packet, DecodeError> {
        Packet::from_tokens(kind, bytes, self.format(), Reader::new)
    }
}

static PLAIN: CborFormat = CborFormat { tag_maps: false };
static TAGGED: CborFormat = CborFormat { tag_maps: true };

/// Single values as CBOR.
#[derive(Debug)]
struct CborFormat {
    tag_maps: bool,
}

impl ValueFormat for CborFormat {
    fn name(&self) -> &'static str {
        "CBOR"
    }

    fn encode(&self, out: &mut BytesMut, write: &WriteTokens<'_>) -> Result<(), EncodeError> {
        write(&mut Writer { out, tag_maps: self.tag_maps })
    }

    fn decode(&self, input: &[u8], read: &mut ReadTokens<'_>) -> Result<(), DecodeError> {
        read(&mut Reader::new(input))
    }
}
