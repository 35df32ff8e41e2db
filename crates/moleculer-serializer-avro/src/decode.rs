//! Records to packets. The order of the members is the schema.

use std::sync::Arc;

use bytes::Bytes;
use moleculer_protocol::{
    ClientInfo, DecodeError, EventPacket, GossipHello, HeartbeatPacket, NodeId, NodeInfo, Object,
    Packet, PacketBody, PacketId, PacketKind, PacketVersion, Payload, PingPacket, PongPacket,
    RawPayload, RequestPacket, ResponsePacket, Value, WireError, read_packet,
};
use serde::{Deserialize, Deserializer, de::IgnoredAny};

use crate::read::Reader;

type Result<T> = std::result::Result<T, DecodeError>;

pub(crate) fn packet(kind: PacketKind, bytes: &Bytes) -> Result<Packet> {
    let input = &mut Reader::new(bytes);
    let version = PacketVersion::parse(input.field("ver", Reader::string)?);
    let sender = NodeId::from(input.field("sender", Reader::string)?);
    let body = match kind {
        PacketKind::Event => PacketBody::Event(Box::new(event(input)?)),
        PacketKind::Request => PacketBody::Request(Box::new(request(input)?)),
        PacketKind::Response => PacketBody::Response(Box::new(response(input)?)),
        PacketKind::Discover => PacketBody::Discover,
        PacketKind::Disconnect => PacketBody::Disconnect,
        PacketKind::Info => PacketBody::Info(Box::new(info(input)?)),
        PacketKind::Heartbeat => PacketBody::Heartbeat(HeartbeatPacket {
            cpu: Some(input.field("cpu", Reader::double)?),
            ..HeartbeatPacket::default()
        }),
        PacketKind::Ping => PacketBody::Ping(PingPacket {
            time: input.field("time", Reader::long)?,
            id: id(input, "id")?,
        }),
        PacketKind::Pong => {
            let time = input.field("time", Reader::long)?;
            let arrived = input.field("arrived", Reader::long)?;
            let id = id(input, "id")?;
            PacketBody::Pong(PongPacket { time, id, arrived })
        }
        PacketKind::GossipHello => PacketBody::GossipHello(GossipHello {
            host: input.field("host", Reader::string)?.to_owned(),
            port: input.field("port", Reader::int)?,
        }),
        PacketKind::GossipRequest => rows::<false>(input)?,
        PacketKind::GossipResponse => rows::<true>(input)?,
        _ => return Err(DecodeError::new("Avro has no schema for it")),
    };
    input.end()?;
    Ok(Packet {
        version,
        sender,
        body,
    })
}

fn event(input: &mut Reader<'_>) -> Result<EventPacket> {
    let id = input.field("id", Reader::string)?.into();
    let event = input.field("event", Reader::string)?.into();
    let data = input.payload("data")?;
    let groups = input.option("groups", Reader::list)?;
    let broadcast = input.field("broadcast", Reader::boolean)?;
    let meta = input.field("meta", Reader::object)?;
    let level = input.field("level", Reader::int)?;
    let tracing = input.option("tracing", Reader::boolean)?;
    let parent_id = self::id(input, "parentID")?;
    let request_id = self::id(input, "requestID")?;
    stream(input)?;
    let caller = text(input, "caller")?;
    input.option("needAck", Reader::boolean)?;
    Ok(EventPacket {
        id: Some(id),
        event,
        data,
        groups,
        broadcast,
        meta,
        headers: None,
        level,
        tracing,
        parent_id,
        request_id,
        caller,
    })
}

fn request(input: &mut Reader<'_>) -> Result<RequestPacket> {
    let id = input.field("id", Reader::string)?.into();
    let action = input.field("action", Reader::string)?;
    let mut request = RequestPacket::new(id, action);
    request.params = input.payload("params")?;
    request.meta = input.field("meta", Reader::object)?;
    request.timeout = input.option("timeout", Reader::double)?;
    request.level = input.field("level", Reader::int)?;
    request.tracing = input.option("tracing", Reader::boolean)?;
    request.parent_id = self::id(input, "parentID")?;
    request.request_id = self::id(input, "requestID")?;
    (request.stream, request.seq) = stream(input)?;
    request.caller = text(input, "caller")?;
    Ok(request)
}

fn response(input: &mut Reader<'_>) -> Result<ResponsePacket> {
    let id = input.field("id", Reader::string)?.into();
    let success = input.field("success", Reader::boolean)?;
    let data = input.payload("data")?;
    let error = input.option("error", |input| match input.json::<Value>()? {
        error if error.is_truthy() => WireError::from_value(error).map(Some),
        _ => Ok(None),
    })?;
    let meta = input.field("meta", Reader::object)?;
    let (stream, seq) = stream(input)?;
    Ok(ResponsePacket {
        id,
        meta,
        headers: None,
        success,
        data,
        error: error.flatten(),
        stream,
        seq,
    })
}

fn info(input: &mut Reader<'_>) -> Result<NodeInfo> {
    let services = input.field("services", Reader::json)?;
    let config = input.field("config", Reader::object)?;
    let ip_list = input.field("ipList", Reader::list)?;
    let hostname = input.field("hostname", Reader::string)?.to_owned();
    let mut client = |name| input.field(name, Reader::string).map(str::to_owned);
    let client = ClientInfo {
        kind: client("client.type")?,
        version: client("client.version")?,
        lang_version: client("client.langVersion")?,
    };
    Ok(NodeInfo {
        services,
        ip_list,
        hostname,
        client,
        config,
        seq: input.field("seq", Reader::int)?,
        instance_id: input.field("instanceID", Reader::string)?.to_owned(),
        metadata: input.field("metadata", Reader::object)?,
        port: None,
    })
}

fn id(input: &mut Reader<'_>, name: &str) -> Result<Option<PacketId>> {
    Ok(input.option(name, Reader::string)?.map(PacketId::from))
}

fn text(input: &mut Reader<'_>, name: &str) -> Result<Option<Arc<str>>> {
    Ok(input.option(name, Reader::string)?.map(Arc::from))
}

fn stream(input: &mut Reader<'_>) -> Result<(Option<bool>, Option<u64>)> {
    let stream = input.option("stream", Reader::boolean)?;
    Ok((stream, input.option("seq", Reader::int)?))
}

/// The rows of a gossip packet, which protocol knows how to read from objects.
fn rows<const RESPONSE: bool>(input: &mut Reader<'_>) -> Result<PacketBody> {
    let mut members = Object::from([("sender", "")]);
    for name in ["online", "offline"] {
        if let Some(rows) = input.option(name, Reader::json::<Value>)? {
            members.insert(name, rows);
        }
    }
    let Gossip::<RESPONSE>(packet) = Value::from(members).into_type()?;
    Ok(packet.body)
}

struct Gossip<const RESPONSE: bool>(Packet);

impl<'de, const RESPONSE: bool> Deserialize<'de> for Gossip<RESPONSE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let kind = if RESPONSE {
            PacketKind::GossipResponse
        } else {
            PacketKind::GossipRequest
        };
        read_packet::<NoPayload, D>(kind, deserializer, ()).map(Self)
    }
}

/// Gossip carries none.
struct NoPayload;

impl<'de> Deserialize<'de> for NoPayload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl RawPayload<'_> for NoPayload {
    type Source = ();

    fn into_payload(self, (): ()) -> Payload {
        Payload::nothing()
    }
}
