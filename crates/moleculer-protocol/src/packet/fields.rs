//! Member names and order of packets, for self-describing serializers.

use super::{EventPacket, NodeInfo, Packet, PacketBody, RequestPacket, ResponsePacket};
use crate::{Object, PacketId, Payload, Value, format::EncodeError};

/// Receives the members of a packet in the order in which JavaScript writes
/// them. JSON, MsgPack and CBOR implement it; nobody else spells the names.
pub trait FieldWriter {
    /// Writes text.
    ///
    /// # Errors
    ///
    /// These methods fail when the format cannot carry the value.
    fn text(&mut self, key: &'static str, text: &str) -> Result<(), EncodeError>;

    /// Writes any small value: a flag, a number, null, an object.
    ///
    /// # Errors
    ///
    /// See [`FieldWriter::text`].
    fn value(&mut self, key: &'static str, value: &Value) -> Result<(), EncodeError>;

    /// Writes an object.
    ///
    /// # Errors
    ///
    /// See [`FieldWriter::text`].
    fn object(&mut self, key: &'static str, object: &Object) -> Result<(), EncodeError>;

    /// Writes a list. By default as a [`value`](Self::value), of copies.
    ///
    /// # Errors
    ///
    /// See [`FieldWriter::text`].
    fn list(&mut self, key: &'static str, items: &[Value]) -> Result<(), EncodeError> {
        self.value(key, &Value::Array(items.to_vec()))
    }

    /// Writes params, a result or event data. Never called with nothing.
    ///
    /// # Errors
    ///
    /// See [`FieldWriter::text`].
    fn payload(&mut self, key: &'static str, payload: &Payload) -> Result<(), EncodeError>;
}

impl Packet {
    /// Hands every member to `writer`, `ver` and `sender` last.
    ///
    /// # Errors
    ///
    /// When `writer` fails; the message names the packet and the member.
    pub fn write_fields(&self, writer: &mut impl FieldWriter) -> Result<(), EncodeError> {
        let writer = &mut Named(writer);
        self.body
            .write_fields(writer)
            .and_then(|()| writer.text("ver", self.version.as_str()))
            .and_then(|()| writer.text("sender", &self.sender))
            .map_err(|error| error.within(self.kind()))
    }
}

/// Puts the member's name in front of an error.
struct Named<'a, W>(&'a mut W);

impl<W: FieldWriter> FieldWriter for Named<'_, W> {
    fn text(&mut self, key: &'static str, text: &str) -> Result<(), EncodeError> {
        self.0.text(key, text).map_err(|error| error.within(key))
    }
    fn value(&mut self, key: &'static str, value: &Value) -> Result<(), EncodeError> {
        self.0.value(key, value).map_err(|error| error.within(key))
    }
    fn object(&mut self, key: &'static str, object: &Object) -> Result<(), EncodeError> {
        let result = self.0.object(key, object);
        result.map_err(|error| error.within(key))
    }
    fn list(&mut self, key: &'static str, items: &[Value]) -> Result<(), EncodeError> {
        self.0.list(key, items).map_err(|error| error.within(key))
    }
    fn payload(&mut self, key: &'static str, payload: &Payload) -> Result<(), EncodeError> {
        let result = self.0.payload(key, payload);
        result.map_err(|error| error.within(key))
    }
}

impl PacketBody {
    fn write_fields(&self, writer: &mut impl FieldWriter) -> Result<(), EncodeError> {
        match self {
            Self::Request(request) => request.write_fields(writer),
            Self::Response(response) => response.write_fields(writer),
            Self::Event(event) => event.write_fields(writer),
            Self::Info(info) => info.write_fields(writer),
            other => other
                .plain_members()
                .into_iter()
                .try_for_each(|(key, value)| writer.value(key, &value)),
        }
    }
}

impl RequestPacket {
    fn write_fields(&self, writer: &mut impl FieldWriter) -> Result<(), EncodeError> {
        self.id.with_str(|id| writer.text("id", id))?;
        writer.text("action", &self.action)?;
        payload(writer, "params", &self.params)?;
        writer.object("meta", &self.meta)?;
        if let Some(headers) = &self.headers {
            writer.object("headers", headers)?;
        }
        if let Some(timeout) = self.timeout {
            writer.value("timeout", &timeout.into())?;
        }
        writer.value("level", &self.level.into())?;
        writer.value("tracing", &self.tracing.into())?;
        id(writer, "parentID", self.parent_id.as_ref())?;
        id(writer, "requestID", self.request_id.as_ref())?;
        text(writer, "caller", self.caller.as_deref())?;
        stream(writer, self.stream, self.seq)
    }
}

impl ResponsePacket {
    fn write_fields(&self, writer: &mut impl FieldWriter) -> Result<(), EncodeError> {
        self.id.with_str(|id| writer.text("id", id))?;
        writer.object("meta", &self.meta)?;
        if let Some(headers) = &self.headers {
            writer.object("headers", headers)?;
        }
        writer.value("success", &self.success.into())?;
        payload(writer, "data", &self.data)?;
        stream(writer, self.stream, self.seq)?;
        match &self.error {
            Some(error) => writer.object("error", &error.to_object()),
            None => Ok(()),
        }
    }
}

impl EventPacket {
    fn write_fields(&self, writer: &mut impl FieldWriter) -> Result<(), EncodeError> {
        if let Some(id) = &self.id {
            id.with_str(|id| writer.text("id", id))?;
        }
        writer.text("event", &self.event)?;
        payload(writer, "data", &self.data)?;
        if let Some(groups) = &self.groups {
            let groups = groups.iter().map(|group| Value::from(&**group)).collect();
            writer.value("groups", &Value::Array(groups))?;
        }
        writer.value("broadcast", &self.broadcast.into())?;
        writer.object("meta", &self.meta)?;
        if let Some(headers) = &self.headers {
            writer.object("headers", headers)?;
        }
        writer.value("level", &self.level.into())?;
        writer.value("tracing", &self.tracing.into())?;
        id(writer, "parentID", self.parent_id.as_ref())?;
        id(writer, "requestID", self.request_id.as_ref())?;
        text(writer, "caller", self.caller.as_deref())?;
        writer.value("needAck", &Value::Null)
    }
}

impl NodeInfo {
    fn write_fields(&self, writer: &mut impl FieldWriter) -> Result<(), EncodeError> {
        writer.list("services", &self.services)?;
        writer.value("ipList", &self.ip_list.clone().into())?;
        writer.text("hostname", &self.hostname)?;
        writer.object("client", &self.client.to_object())?;
        writer.object("config", &self.config)?;
        writer.text("instanceID", &self.instance_id)?;
        writer.object("metadata", &self.metadata)?;
        writer.value("seq", &self.seq.into())?;
        match self.port {
            Some(port) => writer.value("port", &port.into()),
            None => Ok(()),
        }
    }
}

fn payload(
    writer: &mut impl FieldWriter,
    key: &'static str,
    payload: &Payload,
) -> Result<(), EncodeError> {
    if payload.is_nothing() {
        return Ok(());
    }
    writer.payload(key, payload)
}

fn id(
    writer: &mut impl FieldWriter,
    key: &'static str,
    id: Option<&PacketId>,
) -> Result<(), EncodeError> {
    match id {
        Some(id) => id.with_str(|id| writer.text(key, id)),
        None => writer.value(key, &Value::Null),
    }
}

fn text(
    writer: &mut impl FieldWriter,
    key: &'static str,
    text: Option<&str>,
) -> Result<(), EncodeError> {
    match text {
        Some(text) => writer.text(key, text),
        None => writer.value(key, &Value::Null),
    }
}

fn stream(
    writer: &mut impl FieldWriter,
    stream: Option<bool>,
    seq: Option<u64>,
) -> Result<(), EncodeError> {
    if let Some(stream) = stream {
        writer.value("stream", &stream.into())?;
    }
    match seq {
        Some(seq) => writer.value("seq", &seq.into()),
        None => Ok(()),
    }
}
