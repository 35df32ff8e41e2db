//! Packets in: decode, check, hand on. Nothing here waits.

use std::sync::{Arc, atomic::Ordering};

use futures_util::future::join_all;
use moleculer_protocol::{
    EventPacket, NodeId, Packet, PacketBody, PacketKind, PacketVersion, PingPacket, PongPacket,
    RequestPacket, ResponsePacket, Topic, WireError,
};

use super::{
    Transit,
    pending::Answer,
    stream::{Key, Marks, Opened, Part, Side},
};
use crate::{
    Body, Delivery, EventKind, Flow, Result, ServiceBroker,
    broker::{self, Origin, PacketOrigin, Phase, Sent},
};

impl Transit {
    /// Takes a received packet; whatever the bytes, nothing here fails.
    pub(super) fn receive(self: &Arc<Self>, delivery: &Delivery) -> Flow {
        let Some(broker) = self.broker.upgrade() else {
            return Flow::Go;
        };
        match self.decode(delivery) {
            Ok(packet) => match &self.hooks.message {
                None => self.dispatch(&broker, packet, delivery),
                Some(hook) => hook(packet, delivery),
            },
            Err(error) => {
                if let Some(untold) = self.dropped.count() {
                    let from = delivery.from.map(|address| address.to_string());
                    tracing::warn!(%error, from, bytes = delivery.bytes.len(), untold, "an invalid packet is dropped");
                }
                broker.announce_error("transit", "failedProcessingPacket", &error);
            }
        }
        if self.running.load(Ordering::Acquire) >= self.max_running {
            Flow::Pause
        } else {
            Flow::Go
        }
    }

    fn decode(&self, delivery: &Delivery) -> Result<Packet> {
        let Some(hook) = &self.hooks.receive else {
            return Ok(self.serializer.decode(delivery.kind, &delivery.bytes)?);
        };
        let bytes = hook(delivery.kind, delivery.bytes.clone())?;
        Ok(self.serializer.decode(delivery.kind, &bytes)?)
    }

    pub(super) fn dispatch(
        self: &Arc<Self>,
        broker: &ServiceBroker,
        packet: Packet,
        delivery: &Delivery,
    ) {
        if !self.version_fits(&packet) {
            return;
        }
        let own = packet.sender == self.node_id;
        let sender = packet.sender;
        match packet.body {
            PacketBody::Request(request) => {
                self.on_request_packet(broker, sender, *request, delivery.bytes.len());
            }
            PacketBody::Response(response) => {
                self.on_response_packet(&sender, *response, delivery.bytes.len());
            }
            PacketBody::Event(event) => on_event(broker, sender, *event),
            // Of the gossip only another node of this id sends it to this one.
            body if own && body.kind() != PacketKind::GossipResponse => {
                self.on_own_packet(broker, &body);
            }
            PacketBody::Ping(ping) => self.on_ping(broker, sender, ping),
            PacketBody::Pong(pong) => broker.on_pong(sender, &pong),
            body => {
                let packet = Packet { version: packet.version, sender, body };
                self.discoverer.handle(packet, delivery.from);
            }
        }
    }

    fn version_fits(&self, packet: &Packet) -> bool {
        let fits =
            self.disable_version_check || packet.version == PacketVersion::Known(self.protocol);
        if !fits && let Some(untold) = self.other_versions.count() {
            tracing::warn!(
                node_id = %packet.sender,
                kind = %packet.kind(),
                actual = %self.protocol,
                received = packet.version.as_str(),
                untold,
                "Protocol version mismatch: the packet is dropped; set `protocol`, or \
                 `transit.disableVersionCheck` on both sides"
            );
        }
        fits
    }

    /// A request, or a part of the stream that came along with one.
    fn on_request_packet(
        self: &Arc<Self>,
        broker: &ServiceBroker,
        sender: NodeId,
        mut request: RequestPacket,
        size: usize,
    ) {
        let chunk = request.stream == Some(true);
        let Some(seq) = place(chunk, request.seq) else {
            return self.on_request(broker, sender, request, None);
        };
        let marks = Marks::take(&mut request.meta, request.headers.as_mut());
        let key = Key { sender, id: request.id.clone(), side: Side::Request };
        if seq == 0 {
            let sender = key.sender.clone();
            if let Opened::New(stream) = self.incoming.open(key, marks.objects) {
                self.on_request(broker, sender, request, Some(stream));
            }
            return;
        }
        let part = if chunk {
            Part::Chunk(request.params)
        } else {
            let error = marks.error.map(|error| WireError::from_value(error).unwrap_or_default());
            Part::End(error.map(|error| self.restore(error, &key.sender)))
        };
        self.incoming.push(&key, seq, part, size);
    }

    /// A response, or a part of the stream that is one.
    fn on_response_packet(&self, sender: &NodeId, mut response: ResponsePacket, size: usize) {
        let chunk = response.stream == Some(true);
        let Some(seq) = place(chunk, response.seq) else {
            let data = Body::Payload(std::mem::take(&mut response.data));
            return self.on_response(sender, response, data);
        };
        let marks = Marks::take(&mut response.meta, response.headers.as_mut());
        let key = Key { sender: sender.clone(), id: response.id.clone(), side: Side::Response };
        let awaited = self.pending.contains(&response.id);
        if seq == 0 && awaited {
            if let Opened::New(stream) = self.incoming.open(key, marks.objects) {
                self.on_response(sender, response, Body::Stream(stream));
            }
        } else if awaited || self.incoming.knows(&key) {
            let part = if chunk {
                Part::Chunk(response.data)
            } else {
                Part::End(response.error.map(|error| self.restore(error, sender)))
            };
            self.incoming.push(&key, seq, part, size);
        }
    }

    fn on_response(&self, sender: &NodeId, response: ResponsePacket, value: Body) {
        let ResponsePacket { id, meta, headers, success, error, .. } = response;
        let headers = headers.unwrap_or_default();
        let found = self.pending.complete(&id, || {
            if success {
                return Ok(Answer { value, meta, headers });
            }
            let error = error.unwrap_or_default();
            Err(Answer { value: self.restore(error, sender), meta, headers })
        });
        if found.is_none() {
            tracing::debug!(%id, node_id = %sender, "a response that nobody waits for");
        }
    }

    fn on_ping(self: &Arc<Self>, broker: &ServiceBroker, sender: NodeId, ping: PingPacket) {
        let transit = self.clone();
        let pong = PongPacket { time: ping.time, id: ping.id, arrived: broker::now() };
        broker.inner().tasks.spawn(async move {
            let topic = Topic::node(PacketKind::Pong, sender);
            if let Err(error) = transit.send(&topic, PacketBody::Pong(pong)).await {
                tracing::debug!(?topic, %error, "a pong was not sent");
                transit.announce_error("transit", "failedSendPongPacket", &error);
            }
        });
    }
}

/// The place of a packet in a stream; `None` for one that belongs to none.
fn place(chunk: bool, seq: Option<u64>) -> Option<u64> {
    let seq = seq.unwrap_or(0);
    (chunk || seq > 0).then_some(seq)
}

fn on_event(broker: &ServiceBroker, sender: NodeId, packet: EventPacket) {
    if broker.inner().phase() >= Phase::Stopping {
        tracing::warn!(event = %packet.event, "an event is dropped: the broker stops");
        return;
    }
    let sent = Sent {
        event: packet.event,
        data: packet.data,
        kind: if packet.broadcast { EventKind::Broadcast } else { EventKind::Emit },
        groups: packet.groups.map(Arc::from),
        meta: packet.meta,
        headers: packet.headers.unwrap_or_default(),
        origin: Origin::Packet(Box::new(PacketOrigin {
            sender,
            level: packet.level,
            request_id: packet.request_id,
            parent_id: packet.parent_id,
            caller: packet.caller,
            tracing: packet.tracing,
        })),
    };
    let mut running = sent.start_local(broker);
    running.retain_mut(|delivery| delivery.poll_in_place().is_pending());
    if !running.is_empty() {
        broker.inner().tasks.spawn(async move {
            join_all(running).await;
        });
    }
}
