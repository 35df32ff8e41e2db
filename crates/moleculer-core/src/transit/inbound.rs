//! Packets in: decode, check, hand on. Nothing here waits.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::future::join_all;
use moleculer_protocol::{
    EventPacket, NodeId, Object, Packet, PacketBody, PacketKind, PacketVersion, PingPacket,
    PongPacket, RequestPacket, ResponsePacket, Topic, Value,
};

use super::{Transit, pending::Answer};
use crate::{
    Context, Delivery, Error, ErrorKind, EventKind, Flow, ServiceBroker, Visibility,
    broker::{Origin, PacketOrigin, Phase, Sent},
    context::{ContextInit, Extra},
    registry::Lookup,
};

impl Transit {
    /// Takes a received packet; whatever the bytes, nothing here fails.
    pub(super) fn receive(self: &Arc<Self>, delivery: &Delivery) -> Flow {
        let Some(broker) = self.broker.upgrade() else {
            return Flow::Go;
        };
        match self.serializer.decode(delivery.kind, &delivery.bytes) {
            Ok(packet) => self.dispatch(&broker, packet, delivery),
            Err(error) => {
                let from = delivery.from.map(|address| address.to_string());
                tracing::warn!(%error, from, bytes = delivery.bytes.len(), "an invalid packet is dropped");
            }
        }
        if self.running.load(Ordering::Acquire) >= self.max_running {
            Flow::Pause
        } else {
            Flow::Go
        }
    }

    fn dispatch(self: &Arc<Self>, broker: &ServiceBroker, packet: Packet, delivery: &Delivery) {
        if !self.version_fits(&packet) {
            return;
        }
        let own = packet.sender == self.node_id;
        let sender = packet.sender;
        match packet.body {
            PacketBody::Request(request) => self.on_request(broker, sender, *request),
            PacketBody::Response(response) => self.on_response(&sender, *response),
            PacketBody::Event(event) => on_event(broker, sender, *event),
            PacketBody::Info(info) if own => {
                if info.instance_id != broker.inner().instance_id {
                    broker.fail(Error::internal(format!(
                        "another node uses the node id '{sender}'; give each node its own"
                    )));
                }
            }
            _ if own => {}
            PacketBody::Ping(ping) => self.on_ping(broker, sender, ping),
            PacketBody::Pong(pong) => on_pong(broker, &sender, &pong),
            body => {
                let packet = Packet {
                    version: packet.version,
                    sender,
                    body,
                };
                self.discoverer.handle(packet, delivery.from);
            }
        }
    }

    fn version_fits(&self, packet: &Packet) -> bool {
        let fits =
            self.disable_version_check || packet.version == PacketVersion::Known(self.protocol);
        if !fits {
            tracing::warn!(
                node_id = %packet.sender,
                kind = %packet.kind(),
                actual = %self.protocol,
                received = packet.version.as_str(),
                "Protocol version mismatch: the packet is dropped; set `protocol`, or \
                 `transit.disableVersionCheck` on both sides"
            );
        }
        fits
    }

    fn on_request(
        self: &Arc<Self>,
        broker: &ServiceBroker,
        sender: NodeId,
        request: RequestPacket,
    ) {
        let id = request.id.clone();
        let refused = |kind| Error::about_action(kind, &request.action, Some(&self.node_id));
        let running = self.running.fetch_add(1, Ordering::AcqRel);
        let slot = Slot(self.clone());
        let endpoint = if broker.inner().phase() >= Phase::Stopping {
            Err(refused(ErrorKind::ServiceNotAvailable))
        } else if running >= self.max_running && !self.transporter.capabilities().can_pause {
            Err(refused(ErrorKind::QueueIsFull))
        } else {
            match broker.registry().actions.local(&request.action) {
                Lookup::Found(endpoint) if endpoint.def.visibility != Visibility::Protected => {
                    Ok(endpoint)
                }
                Lookup::Unavailable => Err(refused(ErrorKind::ServiceNotAvailable)),
                _ => Err(refused(ErrorKind::ServiceNotFound)),
            }
        };
        let transit = self.clone();
        match endpoint {
            Ok(endpoint) => {
                let timeout = request.timeout.and_then(duration);
                // Without a timeout on either side there is nothing to add.
                let plain =
                    timeout.is_none_or(|timeout| timeout.is_zero()) && !endpoint.has_timeout;
                let chain = if plain {
                    endpoint.plain.clone()
                } else {
                    endpoint.full.clone()
                };
                let ctx = Context::for_action(
                    endpoint,
                    request_context(sender.clone(), request, timeout),
                );
                broker.inner().tasks.spawn(async move {
                    let result = chain(ctx.clone()).await;
                    transit.respond(&sender, Some(&ctx), id, result).await;
                    drop(slot);
                });
            }
            Err(error) => broker.inner().tasks.spawn(async move {
                transit.respond(&sender, None, id, Err(error)).await;
                drop(slot);
            }),
        }
    }

    fn on_response(&self, sender: &NodeId, response: ResponsePacket) {
        let ResponsePacket {
            id,
            meta,
            headers,
            success,
            data,
            error,
            ..
        } = response;
        let headers = headers.unwrap_or_default();
        let found = self.pending.complete(&id, || {
            if success {
                return Ok(Answer {
                    value: data,
                    meta,
                    headers,
                });
            }
            let error = error.unwrap_or_default();
            Err(Answer {
                value: Error::from_wire(error, sender),
                meta,
                headers,
            })
        });
        if found.is_none() {
            tracing::debug!(%id, node_id = %sender, "a response that nobody waits for");
        }
    }

    fn on_ping(self: &Arc<Self>, broker: &ServiceBroker, sender: NodeId, ping: PingPacket) {
        let transit = self.clone();
        let pong = PongPacket {
            time: ping.time,
            id: ping.id,
            arrived: now(),
        };
        broker.inner().tasks.spawn(async move {
            let topic = Topic::node(PacketKind::Pong, sender);
            if let Err(error) = transit.send(&topic, PacketBody::Pong(pong)).await {
                tracing::debug!(?topic, %error, "a pong was not sent");
            }
        });
    }
}

/// Counts a running request; told when there is room again.
struct Slot(Arc<Transit>);

impl Drop for Slot {
    fn drop(&mut self) {
        let before = self.0.running.fetch_sub(1, Ordering::AcqRel);
        if before == self.0.max_running {
            self.0.room.notify_waiters();
        }
    }
}

fn request_context(
    sender: NodeId,
    request: RequestPacket,
    timeout: Option<Duration>,
) -> ContextInit {
    ContextInit {
        params: request.params,
        meta: request.meta,
        parent: None,
        level: Some(request.level),
        extra: Some(Box::new(Extra {
            id: request.id.into(),
            request_id: request.request_id,
            parent_id: request.parent_id,
            caller: request.caller,
            peer: sender.into(),
            headers: request.headers.unwrap_or_default(),
            tracing: request.tracing,
            timeout,
            ..Extra::default()
        })),
    }
}

/// Milliseconds from a packet; what is no duration counts as none.
fn duration(ms: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(ms / 1e3).ok()
}

fn on_event(broker: &ServiceBroker, sender: NodeId, packet: EventPacket) {
    if broker.inner().phase() >= Phase::Stopping {
        tracing::warn!(event = %packet.event, "an event is dropped: the broker stops");
        return;
    }
    let sent = Sent {
        event: packet.event,
        data: packet.data,
        kind: if packet.broadcast {
            EventKind::Broadcast
        } else {
            EventKind::Emit
        },
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
    let running = sent.start_local(broker);
    if !running.is_empty() {
        broker.inner().tasks.spawn(async move {
            join_all(running).await;
        });
    }
}

fn on_pong(broker: &ServiceBroker, sender: &NodeId, pong: &PongPacket) {
    let now = now();
    let elapsed = now - pong.time;
    let difference = (now - pong.arrived) as f64 - elapsed as f64 / 2.0;
    let mut data = Object::from([("nodeID", Value::from(sender.as_str()))]);
    data.insert("elapsedTime", elapsed);
    data.insert("timeDiff", difference.round() as i64);
    if let Some(id) = &pong.id {
        data.insert("id", id.to_string());
    }
    broker.announce_event("$node.pong", data);
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
