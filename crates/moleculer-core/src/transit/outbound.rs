//! Packets out: requests, events, responses.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use moleculer_protocol::{
    EventPacket, NodeId, Packet, PacketBody, PacketKind, Payload, ProtocolVersion, RequestPacket,
    Target, Topic, WireError,
};

use super::{
    Transit,
    pending::Guard,
    stream::{Upload, mark_objects},
};
use crate::{Body, Context, Error, ErrorKind, Object, Result, Value, transporter::TryPublishError};

/// Room for a small packet, so that most are encoded without growing.
const FIRST_BUFFER: usize = 512;

/// A request on its way: who waits for the response, what found no room, and
/// the packet if a stream comes after it.
type Sent = (Guard, Option<(Topic, Bytes)>, Option<Box<RequestPacket>>);

/// Header of a request that is a retry, or a part of one: what is below
/// should not retry too.
pub(super) const RETRY: &str = "$retry";

/// Header of a response whose error was retried below: what is above should
/// not retry too.
pub(super) const RETRIED: &str = "$retried";

impl Transit {
    /// Sends the request of a context and waits for its response. What can be
    /// done without waiting is done before this returns.
    pub(super) fn request(self: Arc<Self>, ctx: &Context) -> BoxFuture<'static, Result<Body>> {
        match self.send_request(ctx) {
            Err(error) => Box::pin(std::future::ready(Err(self.not_sent(error)))),
            Ok((guard, unsent, opening)) => {
                let ctx = ctx.clone();
                Box::pin(async move {
                    if let Some((topic, bytes)) = unsent {
                        let sent = self.transporter.publish_dyn(&topic, bytes).await;
                        sent.map_err(|error| self.not_sent(error))?;
                    }
                    let upload = opening.and_then(|opening| self.start_upload(&ctx, *opening));
                    let result = self.receive_response(&ctx, guard).await;
                    if let Some(upload) = upload.filter(|_| result.is_ok()) {
                        upload.release();
                    }
                    result
                })
            }
        }
    }

    /// Tells that a request was not sent, unless it was not even tried.
    fn not_sent(&self, error: Error) -> Error {
        if !matches!(error.kind(), ErrorKind::QueueIsFull | ErrorKind::RequestRejected) {
            self.announce_error("transit", "failedSendRequestPacket", &error);
        }
        error
    }

    /// Gives the bytes back if the transporter has no room for them now, and
    /// the packet if a stream comes after it.
    fn send_request(&self, ctx: &Context) -> Result<Sent> {
        let endpoint = ctx.action_endpoint().ok_or_else(crate::broker::stopped)?;
        self.check_connected()?;
        let node = &endpoint.node;
        let id = ctx.id();
        let guard = self.pending.insert(
            id.clone(),
            endpoint.name.clone(),
            node.id.clone(),
            &self.node_id,
        )?;
        // Looked at after the entry is in: whoever takes the node offline
        // either sees the entry or is seen here.
        if !node.available() {
            return Err(Error::about_action(
                ErrorKind::RequestRejected,
                &endpoint.name,
                Some(&node.id),
            ));
        }
        let params = ctx.payload();
        let mut request = RequestPacket {
            action: endpoint.name.clone(),
            params: if params.is_nothing() { Payload::empty() } else { params },
            meta: ctx.meta(),
            headers: self.has_headers().then(|| request_headers(ctx)),
            timeout: Some(timeout_of(ctx)),
            level: ctx.level(),
            tracing: ctx.tracing(),
            parent_id: ctx.parent_id(),
            request_id: Some(ctx.request_id()),
            caller: ctx.caller(),
            stream: Some(false),
            seq: None,
            id,
        };
        let opening = ctx
            .has_stream()
            .then(|| self.open_stream(ctx, &mut request).map(|()| Box::new(request.clone())));
        let opening = opening.transpose()?;
        let target = if node.is_certain() {
            Target::Node(node.id.clone())
        } else {
            Target::Action(endpoint.name.clone())
        };
        let topic = Topic { kind: PacketKind::Request, target };
        let bytes = self.encode(&topic, PacketBody::Request(Box::new(request)))?;
        let unsent = self.try_publish(&topic, bytes)?;
        Ok((guard, unsent.map(|bytes| (topic, bytes)), opening))
    }

    /// Makes a request the first packet of a stream.
    fn open_stream(&self, ctx: &Context, request: &mut RequestPacket) -> Result<()> {
        if self.protocol == ProtocolVersion::V4 {
            // There the stream takes the place of the params.
            let params = std::mem::replace(&mut request.params, Payload::null()).to_value()?;
            let empty = params.as_object().is_some_and(Object::is_empty);
            if !(empty || matches!(params, Value::Null | Value::Undefined)) {
                let message = "protocol 4 carries no params beside a stream; put them into the \
                               metadata, or use protocol 5";
                return Err(Error::client(400, "PARAMS_WITH_STREAM", message));
            }
        }
        if ctx.has_object_stream() {
            mark_objects(&mut request.meta, &mut request.headers);
        }
        request.stream = Some(true);
        request.seq = Some(0);
        Ok(())
    }

    fn start_upload(self: &Arc<Self>, ctx: &Context, opening: RequestPacket) -> Option<Upload> {
        let node = ctx.action_endpoint()?.node.id.clone();
        let broker = self.broker.upgrade()?;
        Some(self.clone().upload(&broker.inner().tasks, node, opening, ctx.take_stream()?))
    }

    async fn receive_response(&self, ctx: &Context, mut guard: Guard) -> Result<Body> {
        let reply = guard.reply().await;
        let (meta, headers, result) = match reply {
            Some(Ok(answer)) => (answer.meta, answer.headers, Ok(answer.value)),
            Some(Err(mut answer)) => {
                let retried = answer.headers.remove(RETRIED).is_some();
                let error = if retried { answer.value.with_retried() } else { answer.value };
                (answer.meta, answer.headers, Err(error))
            }
            None => return Err(crate::broker::stopped()),
        };
        ctx.merge_meta(meta);
        for (key, value) in headers {
            ctx.set_response_header(key, value);
        }
        result
    }

    /// Sends an event; a failure is logged.
    pub(crate) fn send_event(
        self: Arc<Self>,
        target: Target,
        packet: EventPacket,
    ) -> BoxFuture<'static, Result<()>> {
        let event = packet.event.clone();
        let topic = Topic { kind: PacketKind::Event, target };
        let sent = self
            .check_connected()
            .and_then(|()| self.encode(&topic, PacketBody::Event(Box::new(packet))))
            .and_then(|bytes| self.try_publish(&topic, bytes));
        Box::pin(async move {
            let result = match sent {
                Ok(Some(bytes)) => self.transporter.publish_dyn(&topic, bytes).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = &result {
                if let Some(untold) = self.unsent_events.count() {
                    tracing::error!(%event, ?topic, %error, untold, "an event was not sent");
                }
                self.announce_error("transit", "failedSendEventPacket", error);
            }
            result
        })
    }

    /// Sends a packet of any other kind.
    pub(crate) async fn send(&self, topic: &Topic, body: PacketBody) -> Result<()> {
        let bytes = self.encode(topic, body)?;
        match self.try_publish(topic, bytes)? {
            None => Ok(()),
            Some(bytes) => self.transporter.publish_dyn(topic, bytes).await,
        }
    }

    /// Encodes a packet of this node; one that the medium cannot carry is refused.
    pub(super) fn encode(&self, topic: &Topic, body: PacketBody) -> Result<Bytes> {
        let mut packet =
            Packet { version: self.protocol.into(), sender: self.node_id.clone(), body };
        if let Some(hook) = &self.hooks.publish {
            packet = hook(topic, packet)?;
        }
        let mut out = BytesMut::with_capacity(FIRST_BUFFER);
        self.serializer.encode(&packet, &mut out)?;
        let mut bytes = out.freeze();
        if let Some(hook) = &self.hooks.send {
            bytes = hook(packet.kind(), bytes)?;
        }
        match self.transporter.capabilities().max_packet {
            Some(limit) if bytes.len() > limit => Err(too_large(packet.kind(), bytes.len(), limit)),
            _ => Ok(bytes),
        }
    }

    /// Gives the bytes back if the transporter has no room now.
    pub(super) fn try_publish(&self, topic: &Topic, bytes: Bytes) -> Result<Option<Bytes>> {
        match self.transporter.try_publish(topic, bytes) {
            Ok(()) => Ok(None),
            Err(TryPublishError::Full(bytes)) => Ok(Some(bytes)),
            Err(TryPublishError::Failed(error)) => Err(error),
        }
    }

    /// The form in which an error of this node travels.
    pub(super) fn plain_error(&self, error: &Error) -> WireError {
        let plain = error.to_wire(&self.node_id);
        match &self.regenerator {
            None => plain,
            Some(regenerator) => regenerator.extract_plain_error(error, plain),
        }
    }

    /// Rebuilds an error that came from `sender`.
    pub(super) fn restore(&self, plain: WireError, sender: &NodeId) -> Error {
        let custom = self
            .regenerator
            .as_ref()
            .and_then(|regenerator| regenerator.restore_custom_error(&plain, sender));
        Error::from_wire(plain, sender, custom)
    }

    fn check_connected(&self) -> Result<()> {
        if self.is_connected() {
            return Ok(());
        }
        Err(Error::from_data(ErrorKind::BrokerDisconnected, Object::new()))
    }
}

/// The headers of a call, and whether it is a retry or part of one.
fn request_headers(ctx: &Context) -> Object {
    let mut headers = ctx.headers();
    if ctx.attempt() > 0 || ctx.within_retry() {
        headers.insert(RETRY, true);
    }
    headers
}

/// The timeout that the callee is told, in ms; 0 for none.
fn timeout_of(ctx: &Context) -> f64 {
    let timeout = ctx.deadline().map(|deadline| deadline.timeout).or_else(|| ctx.asked_timeout());
    timeout.map_or(0.0, |timeout| timeout.as_secs_f64() * 1e3)
}

fn too_large(kind: PacketKind, size: usize, limit: usize) -> Error {
    let data = Object::from([("size", Value::from(size)), ("limit", limit.into())]);
    let message = format!(
        "a {kind} packet of {size} bytes is larger than the transporter's limit of {limit}; \
         send less, or raise that limit on all nodes"
    );
    Error::new(ErrorKind::Moleculer, message).with_type("PACKET_TOO_LARGE").with_data(data)
}
