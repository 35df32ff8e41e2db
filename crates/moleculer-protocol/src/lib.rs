#![doc = include_str!("../README.md")]

mod error;
pub mod format;
pub mod gossip;
mod id;
pub mod json;
mod misfit;
mod packet;
mod payload;
pub mod schema;
mod serializer;
pub mod tcp;
mod topic;
mod value;
mod visits;

pub use self::{
    error::WireError,
    format::{DecodeError, EncodeError, FaultKind, Format, ValueFormat},
    id::{NodeId, PacketId},
    json::JsonSerializer,
    misfit::Misfit,
    packet::{
        ClientInfo, EventPacket, FieldWriter, GossipHello, GossipRequest, GossipResponse,
        HeartbeatPacket, NewsRow, NodeInfo, OnlineRow, Packet, PacketBody, PacketKind,
        PacketVersion, PingPacket, PongPacket, ProtocolVersion, RawPayload, RequestPacket,
        ResponsePacket, ServiceInfo, read_packet,
    },
    payload::{Payload, Refused},
    serializer::{Serializer, SerializerPlugin},
    topic::{Target, Topic},
    value::{BigInt, Date, Extended, Object, Value, ValueDeserializer},
};
