//! Records to packets.

use std::{marker::PhantomData, sync::Arc};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny},
};

use super::{
    Field, SchemaReader, data_type,
    fields::{Carried, SENDER, Stream, VER, event, info, plain, request, response},
};
use crate::{
    ClientInfo, EventPacket, GossipHello, HeartbeatPacket, NodeId, NodeInfo, Object, Packet,
    PacketBody, PacketId, PacketKind, PacketVersion, Payload, PingPacket, PongPacket, RawPayload,
    RequestPacket, ResponsePacket, Value, WireError,
    format::{DecodeError, Format},
    json, read_packet,
};

/// How often text may be wrapped into text. Each time doubles its escapes, so
/// that no sender gets further.
const MOST_WRAPPED: usize = 32;

type Result<T> = std::result::Result<T, DecodeError>;

/// Reads a packet of a kind that the topic told. Params and data share the
/// buffer of `packet`, in which the bytes that `reader` yields lie.
///
/// # Errors
///
/// What `reader` reports, and fields that are missing or malformed. The
/// message names the field, but not the packet.
///
/// # Panics
///
/// When `reader` yields a payload that lies elsewhere.
pub fn decode<'a>(
    kind: PacketKind,
    packet: &Bytes,
    reader: &mut impl SchemaReader<'a>,
) -> Result<Packet> {
    let input = &mut Input { packet, reader, bytes: PhantomData };
    let version = PacketVersion::parse(input.text(VER)?.unwrap_or_default());
    let sender = NodeId::from(input.needed(SENDER)?);
    let body = match kind {
        PacketKind::Event => PacketBody::Event(Box::new(input.event()?)),
        PacketKind::Request => PacketBody::Request(Box::new(input.request()?)),
        PacketKind::Response => PacketBody::Response(Box::new(input.response()?)),
        PacketKind::Discover => PacketBody::Discover,
        PacketKind::Disconnect => PacketBody::Disconnect,
        PacketKind::Info => PacketBody::Info(Box::new(input.info()?)),
        PacketKind::Heartbeat => PacketBody::Heartbeat(HeartbeatPacket {
            cpu: input.double(plain::CPU)?,
            ..HeartbeatPacket::default()
        }),
        PacketKind::Ping => PacketBody::Ping(PingPacket {
            time: input.needed_integer(plain::TIME)?,
            id: input.id(plain::PING_ID)?,
        }),
        PacketKind::Pong => {
            let time = input.needed_integer(plain::TIME)?;
            let arrived = input.needed_integer(plain::ARRIVED)?;
            PacketBody::Pong(PongPacket { time, id: input.id(plain::PONG_ID)?, arrived })
        }
        PacketKind::GossipHello => PacketBody::GossipHello(GossipHello {
            host: input.needed(plain::HOST)?.to_owned(),
            port: input.needed_integer(plain::PORT)?,
        }),
        PacketKind::GossipRequest => input.rows::<false>()?,
        PacketKind::GossipResponse => input.rows::<true>()?,
    };
    Ok(Packet { version, sender, body })
}

/// Reads fields; errors name them.
struct Input<'p, 'a, R> {
    packet: &'p Bytes,
    reader: &'p mut R,
    bytes: PhantomData<&'a [u8]>,
}

impl<'a, R: SchemaReader<'a>> Input<'_, 'a, R> {
    fn event(&mut self) -> Result<EventPacket> {
        let id = self.id(event::ID)?;
        let event = self.needed(event::EVENT)?.into();
        let data = self.payload(event::DATA)?;
        let groups = self.list(event::GROUPS)?;
        let broadcast = self.flag(event::BROADCAST)?.unwrap_or(false);
        let meta = self.object(event::META)?;
        let level = self.integer(event::LEVEL)?.unwrap_or(1);
        let tracing = self.flag(event::TRACING)?;
        let parent_id = self.id(event::PARENT_ID)?;
        let request_id = self.id(event::REQUEST_ID)?;
        self.stream(event::STREAM)?;
        let caller = self.text(event::CALLER)?.map(Arc::from);
        self.flag(event::NEED_ACK)?;
        Ok(EventPacket {
            id,
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

    fn request(&mut self) -> Result<RequestPacket> {
        let id = self.needed(request::ID)?.into();
        let mut request = RequestPacket::new(id, self.needed(request::ACTION)?);
        request.params = self.payload(request::PARAMS)?;
        request.meta = self.object(request::META)?;
        request.timeout = self.double(request::TIMEOUT)?;
        request.level = self.integer(request::LEVEL)?.unwrap_or(1);
        request.tracing = self.flag(request::TRACING)?;
        request.parent_id = self.id(request::PARENT_ID)?;
        request.request_id = self.id(request::REQUEST_ID)?;
        (request.stream, request.seq) = self.stream(request::STREAM)?;
        request.caller = self.text(request::CALLER)?.map(Arc::from);
        Ok(request)
    }

    fn response(&mut self) -> Result<ResponsePacket> {
        let id = self.needed(response::ID)?.into();
        let success = self.flag(response::SUCCESS)?.unwrap_or(false);
        let data = self.payload(response::DATA)?;
        let error = match self.json::<Value>(response::ERROR)? {
            Some(error) if error.is_truthy() => {
                Some(WireError::from_value(error).map_err(|error| error.within("error"))?)
            }
            _ => None,
        };
        let meta = self.object(response::META)?;
        let (stream, seq) = self.stream(response::STREAM)?;
        Ok(ResponsePacket { id, meta, headers: None, success, data, error, stream, seq })
    }

    fn info(&mut self) -> Result<NodeInfo> {
        let services: Vec<Value> = self.json(info::SERVICES)?.unwrap_or_default();
        let config = self.object(info::CONFIG)?;
        let ip_list = self.list(info::IP_LIST)?.unwrap_or_default();
        let hostname = self.text(info::HOSTNAME)?.unwrap_or_default().to_owned();
        let client = self.read(info::CLIENT, |reader, field| {
            let Some(texts) = reader.record(field)? else { return Ok(None) };
            let [kind, version, lang_version] = texts;
            let [kind, version, lang_version] = [utf8(kind)?, utf8(version)?, utf8(lang_version)?];
            Ok(Some(ClientInfo {
                kind: kind.to_owned(),
                version: version.to_owned(),
                lang_version: lang_version.to_owned(),
            }))
        })?;
        Ok(NodeInfo {
            services: services.into(),
            ip_list,
            hostname,
            client: client.unwrap_or_default(),
            config,
            seq: self.integer(info::SEQ)?.unwrap_or(0),
            instance_id: self.text(info::INSTANCE_ID)?.unwrap_or_default().to_owned(),
            metadata: self.object(info::METADATA)?,
            port: None,
        })
    }

    /// The rows of a gossip packet, which protocol knows how to read from objects.
    fn rows<const RESPONSE: bool>(&mut self) -> Result<PacketBody> {
        let mut members = Object::from([("sender", "")]);
        for field in [plain::ONLINE, plain::OFFLINE] {
            if let Some(rows) = self.json::<Value>(field)? {
                members.insert(field.name, rows);
            }
        }
        let Gossip::<RESPONSE>(packet) = Value::from(members).into_type()?;
        Ok(packet.body)
    }

    fn read<T>(
        &mut self,
        field: Field,
        read: impl FnOnce(&mut R, Field) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        read(self.reader, field).map_err(|error| error.within(field.name))
    }

    fn flag(&mut self, field: Field) -> Result<Option<bool>> {
        self.read(field, R::flag)
    }

    fn double(&mut self, field: Field) -> Result<Option<f64>> {
        self.read(field, R::double)
    }

    fn integer<N: TryFrom<i64>>(&mut self, field: Field) -> Result<Option<N>> {
        self.read(field, |reader, field| {
            let Some(n) = reader.integer(field)? else { return Ok(None) };
            let error = |_| DecodeError::new(format!("{n} is out of range"));
            N::try_from(n).map(Some).map_err(error)
        })
    }

    fn needed_integer<N: TryFrom<i64>>(&mut self, field: Field) -> Result<N> {
        self.integer(field)?.ok_or_else(|| missing(field))
    }

    fn text(&mut self, field: Field) -> Result<Option<&'a str>> {
        self.read(field, |reader, field| reader.bytes(field)?.map(utf8).transpose())
    }

    fn needed(&mut self, field: Field) -> Result<&'a str> {
        self.text(field)?.ok_or_else(|| missing(field))
    }

    fn id(&mut self, field: Field) -> Result<Option<PacketId>> {
        Ok(self.text(field)?.map(PacketId::from))
    }

    fn list<T: From<&'a str>>(&mut self, field: Field) -> Result<Option<Vec<T>>> {
        let mut items = Vec::new();
        self.read(field, |reader, field| {
            let found = reader.list(field, |item| {
                items.push(utf8(item)?.into());
                Ok(())
            })?;
            Ok(found.then_some(items))
        })
    }

    /// JSON text; an empty one says no more than an absent one.
    fn json<T: DeserializeOwned>(&mut self, field: Field) -> Result<Option<T>> {
        self.read(field, |reader, field| match reader.bytes(field)? {
            None | Some([]) => Ok(None),
            Some(text) => json::from_slice(text).map(Some),
        })
    }

    /// The JSON text of an object; a falsy value stands for `{}`.
    ///
    /// The reference wraps the metadata of a response stream into text once
    /// more with each chunk.
    fn object(&mut self, field: Field) -> Result<Object> {
        let mut value = self.json(field)?;
        for _ in 0..MOST_WRAPPED {
            match value {
                Some(Value::String(text)) if !text.is_empty() => {
                    value = Some(
                        json::from_slice(text.as_bytes())
                            .map_err(|error| error.within(field.name))?,
                    );
                }
                _ => break,
            }
        }
        match value {
            Some(Value::Object(object)) => Ok(object),
            Some(other) if other.is_truthy() => {
                let error = DecodeError::new(format!("expected an object, found {other:?}"));
                Err(error.within(field.name))
            }
            _ => Ok(Object::new()),
        }
    }

    fn stream(&mut self, Stream(on, place): Stream) -> Result<(Option<bool>, Option<u64>)> {
        Ok((self.flag(on)?, self.integer(place)?))
    }

    /// Params or data, sharing the packet's buffer. A type that nobody knows
    /// is taken for JSON.
    fn payload(&mut self, Carried(field, data_type): Carried) -> Result<Payload> {
        let bytes = self.read(field, R::bytes)?;
        let data_type = self.integer(data_type)?.unwrap_or(data_type::UNDEFINED);
        Ok(match (data_type, bytes) {
            (data_type::UNDEFINED, _) => Payload::nothing(),
            (data_type::BUFFER, bytes) => {
                Payload::cloneable(self.packet.slice_ref(bytes.unwrap_or_default()))
            }
            (data_type::NULL, _) | (_, None) => Payload::null(),
            (_, Some(text)) => Payload::encoded(self.packet.slice_ref(text), Format::Json),
        })
    }
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| DecodeError::new(error.to_string()))
}

fn missing(field: Field) -> DecodeError {
    DecodeError::new(format!("missing field `{}`", field.name))
}

struct Gossip<const RESPONSE: bool>(Packet);

impl<'de, const RESPONSE: bool> Deserialize<'de> for Gossip<RESPONSE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let kind = if RESPONSE { PacketKind::GossipResponse } else { PacketKind::GossipRequest };
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
