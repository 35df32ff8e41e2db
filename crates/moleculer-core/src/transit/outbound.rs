//! Packets out: requests, events, responses.

use std::sync::{Arc, atomic::Ordering};

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use moleculer_protocol::{
    EventPacket, NodeId, Packet, PacketBody, PacketKind, Payload, RequestPacket, Topic,
};

use super::{Transit, pending::Guard};
use crate::{Body, Context, Error, ErrorKind, Object, Result, Value, transporter::TryPublishError};

/// Room for a small packet, so that most are encoded without growing.
const FIRST_BUFFER: usize = 512;

impl Transit {
    /// Sends the request of a context and waits for its response. What can be
    /// done without waiting is done before this returns.
    pub(super) fn request(self: Arc<Self>, ctx: &Context) -> BoxFuture<'static, Result<Body>> {
        match self.send_request(ctx) {
            Err(error) => Box::pin(std::future::ready(Err(error))),
            Ok((guard, unsent)) => {
                let ctx = ctx.clone();
                Box::pin(async move {
                    if let Some((topic, bytes)) = unsent {
                        self.transporter.publish_dyn(&topic, bytes).await?;
                    }
                    self.receive_response(&ctx, guard).await
                })
            }
        }
    }

    /// Gives the packet back if the transporter has no room for it now.
    fn send_request(&self, ctx: &Context) -> Result<(Guard, Option<(Topic, Bytes)>)> {
        let endpoint = ctx.action_endpoint().ok_or_else(crate::broker::stopped)?;
        self.check_connected()?;
        if ctx.has_stream() {
            return Err(Error::internal("streams do not yet travel to other nodes"));
        }
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
        let request = RequestPacket {
            action: endpoint.name.clone(),
            params: if params.is_nothing() { Payload::empty() } else { params },
            meta: ctx.meta(),
            headers: self.has_headers().then(|| ctx.headers()),
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
        let topic = Topic::node(PacketKind::Request, node.id.clone());
        let bytes = self.encode(PacketBody::Request(Box::new(request)))?;
        let unsent = self.try_publish(&topic, bytes)?;
        Ok((guard, unsent.map(|bytes| (topic, bytes))))
    }

    async fn receive_response(&self, ctx: &Context, mut guard: Guard) -> Result<Body> {
        let reply = guard.reply().await;
        let (meta, headers, result) = match reply {
            Some(Ok(answer)) => (answer.meta, answer.headers, Ok(Body::Payload(answer.value))),
            Some(Err(answer)) => (answer.meta, answer.headers, Err(answer.value)),
            None => return Err(crate::broker::stopped()),
        };
        ctx.merge_meta(meta);
        for (key, value) in headers {
            ctx.set_response_header(key, value);
        }
        result
    }

    /// Sends an event to one node; a failure is logged.
    pub(crate) fn send_event(
        self: Arc<Self>,
        node: NodeId,
        packet: EventPacket,
    ) -> BoxFuture<'static, ()> {
        let event = packet.event.clone();
        let topic = Topic::node(PacketKind::Event, node);
        let sent = self
            .check_connected()
            .and_then(|()| self.encode(PacketBody::Event(Box::new(packet))))
            .and_then(|bytes| self.try_publish(&topic, bytes));
        Box::pin(async move {
            let result = match sent {
                Ok(Some(bytes)) => self.transporter.publish_dyn(&topic, bytes).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                tracing::error!(%event, ?topic, %error, "an event was not sent");
            }
        })
    }

    /// Sends a packet of any other kind.
    pub(super) async fn send(&self, topic: &Topic, body: PacketBody) -> Result<()> {
        let bytes = self.encode(body)?;
        match self.try_publish(topic, bytes)? {
            None => Ok(()),
            Some(bytes) => self.transporter.publish_dyn(topic, bytes).await,
        }
    }

    /// Encodes a packet of this node; one that the medium cannot carry is refused.
    pub(super) fn encode(&self, body: PacketBody) -> Result<Bytes> {
        let packet = Packet { version: self.protocol.into(), sender: self.node_id.clone(), body };
        let mut out = BytesMut::with_capacity(FIRST_BUFFER);
        self.serializer.encode(&packet, &mut out)?;
        match self.transporter.capabilities().max_packet {
            Some(limit) if out.len() > limit => Err(too_large(packet.kind(), out.len(), limit)),
            _ => Ok(out.freeze()),
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

    fn check_connected(&self) -> Result<()> {
        if self.connected.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(Error::from_data(ErrorKind::BrokerDisconnected, Object::new()))
    }
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
         send less, or raise the limit (maxPacketSize) on all nodes"
    );
    Error::new(ErrorKind::Moleculer, message).with_type("PACKET_TOO_LARGE").with_data(data)
}
