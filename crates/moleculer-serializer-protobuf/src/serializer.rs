//! The serializer.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use moleculer_protocol::{
    DecodeError, EncodeError, Format, Packet, PacketBody, PacketKind, ProtocolVersion, Serializer,
    SerializerPlugin, schema,
};
use prost::Message;

use crate::{
    message::{
        Empty, Event, GossipHello, GossipRows, Heartbeat, Info, Ping, Pong, Request, Response,
    },
    read::Reader,
    slot::Slots,
    write::Writer,
};

/// Packets of protocol 4 as messages of proto3, byte for byte as Moleculer JS
/// with `"ProtoBuf"` writes them. Params, data and meta are JSON text inside;
/// binary params and data are carried as they are.
///
/// ```
/// use bytes::Bytes;
/// use moleculer_protocol::{PacketKind, Serializer};
/// use moleculer_serializer_protobuf::ProtoBufSerializer;
///
/// let bytes = Bytes::from_static(b"\x0a\x014\x12\x06node-1");
/// let packet = ProtoBufSerializer.decode(PacketKind::Discover, &bytes)?;
/// assert_eq!(packet.sender, "node-1");
/// # Ok::<(), moleculer_protocol::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ProtoBufSerializer;

/// For a broker's registry of plug-ins: the name `ProtoBuf`.
pub const PLUGIN: SerializerPlugin = SerializerPlugin {
    name: "ProtoBuf",
    build: |options| {
        SerializerPlugin::no_options(&options)?;
        Ok(Arc::new(ProtoBufSerializer))
    },
};

impl Serializer for ProtoBufSerializer {
    fn name(&self) -> &'static str {
        "ProtoBuf"
    }

    fn format(&self) -> Format {
        Format::Json
    }

    fn protocols(&self) -> &'static [ProtocolVersion] {
        &[ProtocolVersion::V4]
    }

    fn encode(&self, packet: &Packet, out: &mut BytesMut) -> Result<(), EncodeError> {
        let encode = match packet.kind() {
            PacketKind::Event => encode::<Event>,
            PacketKind::Request => encode::<Request>,
            PacketKind::Response => encode::<Response>,
            PacketKind::Info => encode::<Info>,
            PacketKind::Heartbeat => encode::<Heartbeat>,
            PacketKind::Ping => encode::<Ping>,
            PacketKind::Pong => encode::<Pong>,
            PacketKind::GossipHello => encode::<GossipHello>,
            PacketKind::GossipRequest | PacketKind::GossipResponse => encode::<GossipRows>,
            PacketKind::Discover | PacketKind::Disconnect => encode::<Empty>,
            other => {
                let message = format!("{other}: ProtoBuf has no message for it");
                return Err(EncodeError::new(message));
            }
        };
        encode(packet, out)
    }

    fn decode(&self, kind: PacketKind, bytes: &Bytes) -> Result<Packet, DecodeError> {
        let decode = match kind {
            PacketKind::Event => decode::<Event>,
            PacketKind::Request => decode::<Request>,
            PacketKind::Response => decode::<Response>,
            PacketKind::Info => decode::<Info>,
            PacketKind::Heartbeat => decode::<Heartbeat>,
            PacketKind::Ping => decode::<Ping>,
            PacketKind::Pong => decode::<Pong>,
            PacketKind::GossipHello => decode::<GossipHello>,
            PacketKind::GossipRequest | PacketKind::GossipResponse => decode::<GossipRows>,
            PacketKind::Discover | PacketKind::Disconnect => decode::<Empty>,
            other => {
                let message = format!("{other}: ProtoBuf has no message for it");
                return Err(DecodeError::new(message));
            }
        };
        decode(kind, bytes).map_err(|error| error.within(kind))
    }
}

fn encode<M: Message + Slots + Default>(
    packet: &Packet,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let mut message = M::default();
    schema::encode(packet, &mut Writer::new(&mut message))?;
    message.encode(out).map_err(|error| EncodeError::new(error.to_string()))
}

fn decode<M: Message + Slots + Default>(
    kind: PacketKind,
    bytes: &Bytes,
) -> Result<Packet, DecodeError> {
    let message = M::decode(bytes.clone()).map_err(|error| DecodeError::new(error.to_string()))?;
    let mut packet = schema::decode(kind, bytes, &mut Reader(&message))?;
    let (stream, seq) = match &mut packet.body {
        PacketBody::Request(request) => (&mut request.stream, &mut request.seq),
        PacketBody::Response(response) => (&mut response.stream, &mut response.seq),
        _ => return Ok(packet),
    };
    // Defaults both, which say no more than absent fields.
    if *stream != Some(true) && seq.unwrap_or(0) == 0 {
        (*stream, *seq) = (None, None);
    }
    Ok(packet)
}
