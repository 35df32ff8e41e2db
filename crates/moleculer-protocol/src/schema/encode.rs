//! Packets to records.

use std::fmt::Display;

use bytes::BytesMut;
use serde::Serialize;

use super::{
    Field, SchemaWriter, data_type,
    fields::{Carried, SENDER, Stream, VER, event, info, plain, request, response},
};
use crate::{
    EventPacket, FieldWriter, NodeInfo, Object, Packet, PacketBody, PacketId, Payload,
    ProtocolVersion, RequestPacket, ResponsePacket, Value,
    format::{EncodeError, Format},
    json,
};

type Result = std::result::Result<(), EncodeError>;

/// Writes a packet.
///
/// # Errors
///
/// When the packet is one of protocol 5 or has headers, when a number does
/// not fit its field, or when a value cannot be JSON. The message names the
/// packet.
pub fn encode<W: SchemaWriter>(packet: &Packet, out: &mut W) -> Result {
    let result = if packet.version == ProtocolVersion::V5.into() {
        Err(protocol_5::<W>())
    } else {
        write_packet(packet, out)
    };
    result.map_err(|error| EncodeError::new(format!("{}: {error}", packet.kind())))
}

fn write_packet<W: SchemaWriter>(packet: &Packet, out: &mut W) -> Result {
    text(out, VER, packet.version.as_str());
    text(out, SENDER, &packet.sender);
    match &packet.body {
        PacketBody::Event(event) => write_event(out, event)?,
        PacketBody::Request(request) => write_request(out, request)?,
        PacketBody::Response(response) => write_response(out, response)?,
        PacketBody::Discover | PacketBody::Disconnect => {}
        PacketBody::Info(info) => write_info(out, info)?,
        // Where a load that is not known yet cannot be left out it is 0:
        // without its heartbeat the node would be taken for dead.
        PacketBody::Heartbeat(beat) => {
            out.double(plain::CPU, beat.cpu.or(W::COMPLETE.then_some(0.0)));
        }
        PacketBody::Ping(ping) => {
            out.long(plain::TIME, Some(ping.time));
            id(out, plain::PING_ID, ping.id.as_ref());
        }
        PacketBody::Pong(pong) => {
            out.long(plain::TIME, Some(pong.time));
            out.long(plain::ARRIVED, Some(pong.arrived));
            id(out, plain::PONG_ID, pong.id.as_ref());
        }
        PacketBody::GossipHello(hello) => {
            text(out, plain::HOST, &hello.host);
            out.int(plain::PORT, Some(hello.port.into()));
        }
        PacketBody::GossipRequest(_) | PacketBody::GossipResponse(_) => write_rows(out, packet)?,
    }
    Ok(())
}

fn write_event<W: SchemaWriter>(out: &mut W, event: &EventPacket) -> Result {
    no_headers::<W>(event.headers.as_ref())?;
    if W::COMPLETE && event.id.is_none() {
        return Err(EncodeError::new(format!("id: {} cannot leave it out", W::NAME)));
    }
    id(out, event::ID, event.id.as_ref());
    text(out, event::EVENT, &event.event);
    payload(out, event::DATA, &event.data)?;
    out.list(event::GROUPS, event.groups.as_deref());
    out.flag(event::BROADCAST, Some(event.broadcast));
    json(out, event::META, Some(&event.meta))?;
    int(out, event::LEVEL, Some(event.level))?;
    out.flag(event::TRACING, event.tracing);
    id(out, event::PARENT_ID, event.parent_id.as_ref());
    id(out, event::REQUEST_ID, event.request_id.as_ref());
    // Events have no streams, though the schema has a place for them.
    stream(out, event::STREAM, None, None)?;
    out.bytes(event::CALLER, event.caller.as_deref().map(str::as_bytes));
    // And no acknowledgement.
    out.flag(event::NEED_ACK, None);
    Ok(())
}

fn write_request<W: SchemaWriter>(out: &mut W, request: &RequestPacket) -> Result {
    no_headers::<W>(request.headers.as_ref())?;
    id(out, request::ID, Some(&request.id));
    text(out, request::ACTION, &request.action);
    payload(out, request::PARAMS, &request.params)?;
    json(out, request::META, Some(&request.meta))?;
    out.double(request::TIMEOUT, request.timeout);
    int(out, request::LEVEL, Some(request.level))?;
    out.flag(request::TRACING, request.tracing);
    id(out, request::PARENT_ID, request.parent_id.as_ref());
    id(out, request::REQUEST_ID, request.request_id.as_ref());
    stream(out, request::STREAM, request.stream, request.seq)?;
    out.bytes(request::CALLER, request.caller.as_deref().map(str::as_bytes));
    Ok(())
}

fn write_response<W: SchemaWriter>(out: &mut W, response: &ResponsePacket) -> Result {
    no_headers::<W>(response.headers.as_ref())?;
    id(out, response::ID, Some(&response.id));
    out.flag(response::SUCCESS, Some(response.success));
    payload(out, response::DATA, &response.data)?;
    let error = response.error.as_ref().map(|error| error.to_object());
    json(out, response::ERROR, error.as_ref())?;
    json(out, response::META, Some(&response.meta))?;
    stream(out, response::STREAM, response.stream, response.seq)
}

fn write_info(out: &mut impl SchemaWriter, info: &NodeInfo) -> Result {
    json(out, info::SERVICES, Some(&&*info.services))?;
    json(out, info::CONFIG, Some(&info.config))?;
    out.list(info::IP_LIST, Some(&info.ip_list));
    text(out, info::HOSTNAME, &info.hostname);
    let client = &info.client;
    out.record(info::CLIENT, [&client.kind, &client.version, &client.lang_version]);
    int(out, info::SEQ, Some(info.seq))?;
    text(out, info::INSTANCE_ID, &info.instance_id);
    json(out, info::METADATA, Some(&info.metadata))
}

fn text(out: &mut impl SchemaWriter, field: Field, text: &str) {
    out.bytes(field, Some(text.as_bytes()));
}

fn id(out: &mut impl SchemaWriter, field: Field, id: Option<&PacketId>) {
    match id {
        Some(id) => id.with_str(|id| text(out, field, id)),
        None => out.bytes(field, None),
    }
}

fn int<N>(out: &mut impl SchemaWriter, field: Field, n: Option<N>) -> Result
where
    N: TryInto<i32> + Copy + Display,
{
    let fit = |n: N| {
        let error = || EncodeError::new(format!("{}: {n} does not fit 32 bits", field.name));
        n.try_into().map_err(|_| error())
    };
    out.int(field, n.map(fit).transpose()?);
    Ok(())
}

fn json<T: Serialize>(out: &mut impl SchemaWriter, field: Field, value: Option<&T>) -> Result {
    let Some(value) = value else {
        out.bytes(field, None);
        return Ok(());
    };
    out.encoded(field, |out| json::to_writer(value, out).map(|()| true))
        .map_err(|error| EncodeError::new(format!("{}: {error}", field.name)))
}

fn stream(
    out: &mut impl SchemaWriter,
    Stream(on, place): Stream,
    stream: Option<bool>,
    seq: Option<u64>,
) -> Result {
    out.flag(on, stream);
    int(out, place, seq)
}

fn payload(
    out: &mut impl SchemaWriter,
    Carried(field, data_type): Carried,
    payload: &Payload,
) -> Result {
    let kind = if payload.is_nothing() {
        out.bytes(field, None);
        data_type::UNDEFINED
    } else if let Some(bytes) = payload.as_bytes() {
        out.bytes(field, Some(&bytes));
        data_type::BUFFER
    } else {
        let mut kind = data_type::JSON;
        out.encoded(field, |out| {
            let start = out.len();
            payload.encode(&Format::Json, out)?;
            if &out[start..] == b"null" {
                kind = data_type::NULL;
            }
            Ok(kind == data_type::JSON)
        })
        .map_err(|error| EncodeError::new(format!("{}: {error}", field.name)))?;
        kind
    };
    out.int(data_type, Some(kind));
    Ok(())
}

/// The schema has no place for headers, and they must not be lost silently.
fn no_headers<W: SchemaWriter>(headers: Option<&Object>) -> Result {
    headers.map_or(Ok(()), |_| Err(protocol_5::<W>()))
}

fn protocol_5<W: SchemaWriter>() -> EncodeError {
    EncodeError::new(format!(
        "{} carries protocol 4 only; set the protocol to 4 or choose another serializer",
        W::NAME
    ))
}

fn write_rows(out: &mut impl SchemaWriter, packet: &Packet) -> Result {
    let mut rows = Rows::default();
    packet.write_fields(&mut rows)?;
    for (field, text) in [(plain::ONLINE, rows.online), (plain::OFFLINE, rows.offline)] {
        out.bytes(field, (!text.is_empty()).then_some(&text));
    }
    Ok(())
}

/// The rows of a gossip packet as JSON text, empty where there are none.
#[derive(Default)]
struct Rows {
    online: BytesMut,
    offline: BytesMut,
}

impl FieldWriter for Rows {
    fn value(&mut self, key: &'static str, value: &Value) -> Result {
        match key {
            "online" => json::to_writer(value, &mut self.online),
            "offline" => json::to_writer(value, &mut self.offline),
            _ => Ok(()),
        }
    }

    fn text(&mut self, _: &'static str, _: &str) -> Result {
        Ok(())
    }

    fn object(&mut self, _: &'static str, _: &Object) -> Result {
        Ok(())
    }

    fn payload(&mut self, _: &'static str, _: &Payload) -> Result {
        Ok(())
    }
}
