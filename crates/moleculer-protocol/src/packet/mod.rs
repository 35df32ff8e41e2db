//! The packets of protocols 4 and 5.

mod fields;
mod info;
mod plain;
mod read;
mod tokens;

use std::{fmt, sync::Arc};

pub use self::{
    fields::FieldWriter,
    info::{ClientInfo, NodeInfo, ServiceInfo},
    read::{RawPayload, read_packet},
};
use crate::{NodeId, Object, PacketId, Payload, WireError};

/// A protocol version that a node can speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProtocolVersion {
    /// Moleculer 0.14.
    V4,
    /// Moleculer 0.15.
    #[default]
    V5,
}

impl ProtocolVersion {
    /// The version as it stands in packets.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V4 => "4",
            Self::V5 => "5",
        }
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The `ver` member of a received packet: anything a sender may put there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PacketVersion {
    /// One of ours.
    Known(ProtocolVersion),
    /// Another text; what is not text is shown as JSON, a missing one is empty.
    Other(Box<str>),
}

impl PacketVersion {
    /// Takes the text of a `ver` member.
    pub fn parse(text: &str) -> Self {
        match text {
            "4" => Self::Known(ProtocolVersion::V4),
            "5" => Self::Known(ProtocolVersion::V5),
            other => Self::Other(other.into()),
        }
    }

    /// The text as received.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(version) => version.as_str(),
            Self::Other(text) => text,
        }
    }
}

impl From<ProtocolVersion> for PacketVersion {
    fn from(version: ProtocolVersion) -> Self {
        Self::Known(version)
    }
}

/// The type of a packet. It is never inside the payload: the topic, or the
/// type byte of a TCP frame, tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PacketKind {
    /// An event.
    Event,
    /// A request.
    Request,
    /// The response to a request.
    Response,
    /// Asks for `Info`.
    Discover,
    /// Tells what a node offers.
    Info,
    /// Says goodbye.
    Disconnect,
    /// Sign of life.
    Heartbeat,
    /// Asks for `Pong`.
    Ping,
    /// Answers `Ping`.
    Pong,
    /// TCP: what the sender knows of the cluster.
    GossipRequest,
    /// TCP: what the receiver lacks.
    GossipResponse,
    /// TCP: first packet on a connection.
    GossipHello,
}

impl PacketKind {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::Event,
        Self::Request,
        Self::Response,
        Self::Discover,
        Self::Info,
        Self::Disconnect,
        Self::Heartbeat,
        Self::Ping,
        Self::Pong,
        Self::GossipRequest,
        Self::GossipResponse,
        Self::GossipHello,
    ];

    /// The command in topics, for example `REQ`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "EVENT",
            Self::Request => "REQ",
            Self::Response => "RES",
            Self::Discover => "DISCOVER",
            Self::Info => "INFO",
            Self::Disconnect => "DISCONNECT",
            Self::Heartbeat => "HEARTBEAT",
            Self::Ping => "PING",
            Self::Pong => "PONG",
            Self::GossipRequest => "GOSSIP_REQ",
            Self::GossipResponse => "GOSSIP_RES",
            Self::GossipHello => "GOSSIP_HELLO",
        }
    }

    /// The kind of a command in a topic.
    pub fn parse(command: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == command)
    }
}

impl fmt::Display for PacketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A packet: its sender, the sender's protocol version, and the content.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// Protocol version of the sender.
    pub version: PacketVersion,
    /// Node that sent it.
    pub sender: NodeId,
    /// The content.
    pub body: PacketBody,
}

impl Packet {
    /// The kind of the content.
    pub const fn kind(&self) -> PacketKind {
        self.body.kind()
    }
}

/// The content of a [`Packet`], one variant for each kind.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant is its kind")]
pub enum PacketBody {
    Event(Box<EventPacket>),
    Request(Box<RequestPacket>),
    Response(Box<ResponsePacket>),
    Discover,
    Info(Box<NodeInfo>),
    Disconnect,
    Heartbeat(HeartbeatPacket),
    Ping(PingPacket),
    Pong(PongPacket),
    GossipRequest(GossipRequest),
    GossipResponse(GossipResponse),
    GossipHello(GossipHello),
}

impl PacketBody {
    /// The kind of this content.
    pub const fn kind(&self) -> PacketKind {
        match self {
            Self::Event(_) => PacketKind::Event,
            Self::Request(_) => PacketKind::Request,
            Self::Response(_) => PacketKind::Response,
            Self::Discover => PacketKind::Discover,
            Self::Info(_) => PacketKind::Info,
            Self::Disconnect => PacketKind::Disconnect,
            Self::Heartbeat(_) => PacketKind::Heartbeat,
            Self::Ping(_) => PacketKind::Ping,
            Self::Pong(_) => PacketKind::Pong,
            Self::GossipRequest(_) => PacketKind::GossipRequest,
            Self::GossipResponse(_) => PacketKind::GossipResponse,
            Self::GossipHello(_) => PacketKind::GossipHello,
        }
    }
}

/// A request, or a chunk of a request stream. Spec "Packet fields", REQ.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestPacket {
    /// Id of the caller's context; the response and all chunks carry it.
    pub id: PacketId,
    /// Full action name.
    pub action: Arc<str>,
    /// Parameters; nothing means that the member is absent.
    pub params: Payload,
    /// Metadata of the call.
    pub meta: Object,
    /// Headers of the call; `None` in protocol 4.
    pub headers: Option<Object>,
    /// Milliseconds the caller waits, 0 for ever; absent if it never said.
    pub timeout: Option<f64>,
    /// Depth of the call, 1 for a root call.
    pub level: u32,
    /// Whether the call is sampled for tracing, if that is decided.
    pub tracing: Option<bool>,
    /// Id of the parent context or span.
    pub parent_id: Option<PacketId>,
    /// Id of the root call.
    pub request_id: Option<PacketId>,
    /// Full name of the calling service.
    pub caller: Option<Arc<str>>,
    /// `Some(true)` opens or continues a stream, `Some(false)` closes it or
    /// says that there is none.
    pub stream: Option<bool>,
    /// Place in the stream.
    pub seq: Option<u64>,
}

impl RequestPacket {
    /// A plain root request; the other fields take their defaults.
    pub fn new(id: PacketId, action: impl Into<Arc<str>>) -> Self {
        Self {
            id,
            action: action.into(),
            params: Payload::nothing(),
            meta: Object::new(),
            headers: None,
            timeout: None,
            level: 1,
            tracing: None,
            parent_id: None,
            request_id: None,
            caller: None,
            stream: None,
            seq: None,
        }
    }
}

/// A response, or a chunk of a response stream. Spec "Packet fields", RES.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponsePacket {
    /// Id of the request.
    pub id: PacketId,
    /// The callee's whole metadata.
    pub meta: Object,
    /// Response headers; `None` in protocol 4.
    pub headers: Option<Object>,
    /// Whether the call succeeded.
    pub success: bool,
    /// The result; nothing means that the member is absent.
    pub data: Payload,
    /// What went wrong.
    pub error: Option<WireError>,
    /// As in a request; absent in a plain response.
    pub stream: Option<bool>,
    /// Place in the stream.
    pub seq: Option<u64>,
}

/// An event. Spec "Packet fields", EVENT.
#[derive(Clone, Debug, PartialEq)]
pub struct EventPacket {
    /// A new id for each target node; foreign senders may leave it out.
    pub id: Option<PacketId>,
    /// Name of the event.
    pub event: Arc<str>,
    /// The payload; an event without one carries null. Nothing means that a
    /// foreign sender left the member out.
    pub data: Payload,
    /// Groups that are to handle it; `None` or empty for all.
    pub groups: Option<Vec<Arc<str>>>,
    /// Whether every listener gets it, not one for each group.
    pub broadcast: bool,
    /// Metadata of the emitter.
    pub meta: Object,
    /// Headers; `None` in protocol 4.
    pub headers: Option<Object>,
    /// As in a request.
    pub level: u32,
    /// As in a request.
    pub tracing: Option<bool>,
    /// As in a request.
    pub parent_id: Option<PacketId>,
    /// As in a request.
    pub request_id: Option<PacketId>,
    /// As in a request.
    pub caller: Option<Arc<str>>,
}

/// Sign of life.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeartbeatPacket {
    /// CPU load in percent, unless it is not known yet.
    pub cpu: Option<f64>,
    /// The sender's service sequence number; only discoverers store it.
    pub seq: Option<u64>,
    /// The sender's instance id or a prefix of it; only discoverers store it.
    pub instance_id: Option<String>,
}

/// Asks for a [`PongPacket`].
#[derive(Clone, Debug, PartialEq)]
pub struct PingPacket {
    /// Sender's clock, milliseconds since 1970.
    pub time: i64,
    /// Id of the ping; old senders leave it out.
    pub id: Option<PacketId>,
}

/// Answers a [`PingPacket`].
#[derive(Clone, Debug, PartialEq)]
pub struct PongPacket {
    /// `time` of the ping.
    pub time: i64,
    /// `id` of the ping.
    pub id: Option<PacketId>,
    /// Receiver's clock, milliseconds since 1970.
    pub arrived: i64,
}

/// First packet on a TCP connection: who is calling and where it listens.
#[derive(Clone, Debug, PartialEq)]
pub struct GossipHello {
    /// Host of the sender.
    pub host: String,
    /// Port on which the sender listens.
    pub port: u16,
}

/// What the sender knows of the cluster. Spec "Gossip round".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GossipRequest {
    /// Available nodes, the sender included.
    pub online: Vec<(NodeId, OnlineRow)>,
    /// Nodes gone, with their sequence number.
    pub offline: Vec<(NodeId, u64)>,
}

/// A row about an available node in a [`GossipRequest`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OnlineRow {
    /// Sequence number of the node's services.
    pub seq: u64,
    /// Sequence number of its CPU load.
    pub cpu_seq: u64,
    /// CPU load in percent.
    pub cpu: f64,
}

/// What the receiver of a [`GossipRequest`] knows better.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GossipResponse {
    /// Available nodes.
    pub online: Vec<(NodeId, NewsRow)>,
    /// Nodes gone, with their sequence number.
    pub offline: Vec<(NodeId, u64)>,
}

/// A row about an available node in a [`GossipResponse`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewsRow {
    /// The node's info, if the requester's was older.
    pub info: Option<Arc<NodeInfo>>,
    /// Sequence number and value of the CPU load, if the requester's was older.
    pub cpu: Option<(u64, f64)>,
}
