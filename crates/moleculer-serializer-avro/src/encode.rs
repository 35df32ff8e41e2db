//! Packets to records. The order of the members is the schema.

use bytes::BytesMut;
use moleculer_protocol::{
    EncodeError, EventPacket, FieldWriter, NodeInfo, Object, Packet, PacketBody, Payload,
    RequestPacket, ResponsePacket, Value, json,
};

use crate::write::Writer;

type Result = std::result::Result<(), EncodeError>;

pub(crate) fn protocol_5() -> EncodeError {
    EncodeError::new(
        "Avro carries protocol 4 only; set the protocol to 4 or choose another serializer",
    )
}

pub(crate) fn packet(packet: &Packet, out: &mut BytesMut) -> Result {
    let out = &mut Writer(out);
    out.string(packet.version.as_str());
    out.string(&packet.sender);
    match &packet.body {
        PacketBody::Event(event) => write_event(out, event)?,
        PacketBody::Request(request) => write_request(out, request)?,
        PacketBody::Response(response) => write_response(out, response)?,
        PacketBody::Discover | PacketBody::Disconnect => {}
        PacketBody::Info(info) => write_info(out, info)?,
        // A load that is not known yet has no place in the schema; without
        // its heartbeat the node would be taken for dead.
        PacketBody::Heartbeat(beat) => out.double(beat.cpu.unwrap_or(0.0)),
        PacketBody::Ping(ping) => {
            out.long(ping.time);
            out.option(ping.id.as_ref(), Writer::id);
        }
        PacketBody::Pong(pong) => {
            out.long(pong.time);
            out.long(pong.arrived);
            out.option(pong.id.as_ref(), Writer::id);
        }
        PacketBody::GossipHello(hello) => {
            out.string(&hello.host);
            out.int("port", hello.port)?;
        }
        PacketBody::GossipRequest(_) | PacketBody::GossipResponse(_) => write_rows(out, packet)?,
        other => {
            return Err(EncodeError::new(format!(
                "Avro has no schema for {}",
                other.kind()
            )));
        }
    }
    Ok(())
}

fn write_event(out: &mut Writer<'_>, event: &EventPacket) -> Result {
    no_headers(event.headers.as_ref())?;
    let id = event.id.as_ref();
    out.id(id.ok_or_else(|| EncodeError::new("id: Avro cannot leave it out"))?);
    out.string(&event.event);
    out.payload("data", &event.data)?;
    out.option(event.groups.as_deref(), Writer::list);
    out.boolean(event.broadcast);
    out.json("meta", &event.meta)?;
    out.int("level", event.level)?;
    out.option(event.tracing, Writer::boolean);
    out.option(event.parent_id.as_ref(), Writer::id);
    out.option(event.request_id.as_ref(), Writer::id);
    // Events have no streams, though the schema has a place for them.
    out.option(None, Writer::boolean);
    out.option(None, Writer::long);
    out.option(event.caller.as_deref(), Writer::string);
    // And no acknowledgement.
    out.option(None, Writer::boolean);
    Ok(())
}

fn write_request(out: &mut Writer<'_>, request: &RequestPacket) -> Result {
    no_headers(request.headers.as_ref())?;
    out.id(&request.id);
    out.string(&request.action);
    out.payload("params", &request.params)?;
    out.json("meta", &request.meta)?;
    out.option(request.timeout, Writer::double);
    out.int("level", request.level)?;
    out.option(request.tracing, Writer::boolean);
    out.option(request.parent_id.as_ref(), Writer::id);
    out.option(request.request_id.as_ref(), Writer::id);
    write_stream(out, request.stream, request.seq)?;
    out.option(request.caller.as_deref(), Writer::string);
    Ok(())
}

fn write_response(out: &mut Writer<'_>, response: &ResponsePacket) -> Result {
    no_headers(response.headers.as_ref())?;
    out.id(&response.id);
    out.boolean(response.success);
    out.payload("data", &response.data)?;
    out.long(response.error.is_some().into());
    if let Some(error) = &response.error {
        out.json("error", &error.to_object())?;
    }
    out.json("meta", &response.meta)?;
    write_stream(out, response.stream, response.seq)
}

fn write_stream(out: &mut Writer<'_>, stream: Option<bool>, seq: Option<u64>) -> Result {
    out.option(stream, Writer::boolean);
    out.long(seq.is_some().into());
    seq.map_or(Ok(()), |seq| out.int("seq", seq))
}

fn write_info(out: &mut Writer<'_>, info: &NodeInfo) -> Result {
    out.json("services", &info.services)?;
    out.json("config", &info.config)?;
    out.list(&info.ip_list);
    out.string(&info.hostname);
    out.string(&info.client.kind);
    out.string(&info.client.version);
    out.string(&info.client.lang_version);
    out.int("seq", info.seq)?;
    out.string(&info.instance_id);
    out.json("metadata", &info.metadata)
}

/// The schema has no place for headers, and they must not be lost silently.
fn no_headers(headers: Option<&Object>) -> Result {
    headers.map_or(Ok(()), |_| Err(protocol_5()))
}

fn write_rows(out: &mut Writer<'_>, packet: &Packet) -> Result {
    let mut rows = Rows::default();
    packet.write_fields(&mut rows)?;
    for text in [rows.online, rows.offline] {
        out.option((!text.is_empty()).then_some(text), |out, text| {
            out.bytes(&text);
        });
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
