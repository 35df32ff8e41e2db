//! The transit as its transporter and discoverer see it.

use std::sync::{Arc, Weak, atomic::Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use moleculer_protocol::{NodeId, NodeInfo, PacketBody, PacketKind, Topic};
use tokio_util::sync::CancellationToken;

use super::Transit;
use crate::{
    Delivery, Error, Flow, NodeView, Object, PeerAddress, Result, ServiceBroker,
    broker::{Phase, Tasks, WeakBroker},
    host::HostApi,
    registry::Change,
    system,
};

/// Holds the broker weakly: a transporter may keep its host.
pub(super) struct TransitHost {
    transit: Weak<Transit>,
    broker: WeakBroker,
    tasks: Tasks,
    node_id: NodeId,
    namespace: String,
    accepts_any_version: bool,
}

impl TransitHost {
    pub(super) fn new(transit: &Arc<Transit>, broker: &ServiceBroker) -> Self {
        Self {
            transit: Arc::downgrade(transit),
            broker: broker.downgrade(),
            tasks: broker.inner().tasks.clone(),
            node_id: broker.node_id().clone(),
            namespace: broker.namespace().to_owned(),
            accepts_any_version: transit.disable_version_check,
        }
    }

    fn transit(&self) -> Result<Arc<Transit>> {
        self.transit.upgrade().ok_or_else(crate::broker::stopped)
    }

    /// Runs a change and tells everybody about it.
    fn change(&self, change: impl FnOnce(&ServiceBroker) -> Vec<Change>) {
        if let Some(broker) = self.broker.upgrade() {
            let changes = change(&broker);
            broker.announce(changes);
        }
    }
}

impl HostApi for TransitHost {
    fn node_id(&self) -> &NodeId {
        &self.node_id
    }

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn accepts_any_version(&self) -> bool {
        self.accepts_any_version
    }

    fn deliver(&self, delivery: Delivery) -> Flow {
        self.transit.upgrade().map_or(Flow::Go, |transit| transit.receive(&delivery))
    }

    fn ready(&self) -> BoxFuture<'static, ()> {
        let Some(transit) = self.transit.upgrade() else {
            return Box::pin(std::future::ready(()));
        };
        Box::pin(async move {
            loop {
                // Registered before the look, so that no wake-up is missed.
                let room = transit.room.notified();
                if transit.running.load(Ordering::Acquire) < transit.max_running {
                    return;
                }
                room.await;
            }
        })
    }

    fn connected(&self, was_reconnect: bool) {
        let Some(transit) = self.transit.upgrade() else {
            return;
        };
        transit.set_connected();
        if let Some(broker) = self.broker.upgrade() {
            let data = Object::from([("wasReconnect", was_reconnect)]);
            broker.announce_event("$transporter.connected", data);
        }
        self.tasks.spawn(async move {
            transit.send_local_info().await;
            if let Err(error) = transit.discoverer.discover_dyn(None).await {
                tracing::warn!(%error, "looking for other nodes failed");
            }
        });
    }

    fn disconnected(&self, error: &Error) {
        if let Some(transit) = self.transit.upgrade() {
            transit.connected.store(false, Ordering::Release);
            tracing::warn!(%error, transporter = transit.transporter_name(), "the connection is lost");
            transit.announce_error("transporter", "clientError", error);
        }
        if let Some(broker) = self.broker.upgrade() {
            broker.announce_event("$transporter.disconnected", Object::from([("graceFul", false)]));
        }
    }

    fn encode(&self, body: PacketBody) -> Result<Bytes> {
        self.transit()?.encode(&Topic::all(body.kind()), body)
    }

    fn send(&self, topic: Topic, body: PacketBody) -> BoxFuture<'static, Result<()>> {
        let transit = self.transit();
        let kind = body.kind();
        Box::pin(async move {
            let transit = transit?;
            if kind == PacketKind::Heartbeat && !transit.is_connected() {
                // The first one after the outage tells as much.
                return Ok(());
            }
            let sent = transit.send(&topic, body).await;
            if let (Err(error), Some(r#type)) = (&sent, error_type(kind)) {
                transit.announce_error("transit", r#type, error);
            }
            sent
        })
    }

    fn nodes(&self) -> Vec<NodeView> {
        let Some(broker) = self.broker.upgrade() else {
            return Vec::new();
        };
        let registry = broker.registry();
        registry.nodes().iter().map(|node| registry.view(node)).collect()
    }

    fn node(&self, id: &NodeId) -> Option<NodeView> {
        let broker = self.broker.upgrade()?;
        let node = broker.registry().node(id)?;
        Some(broker.registry().view(&node))
    }

    fn raise_local_seq(&self, seq: u64) {
        if let Some(broker) = self.broker.upgrade() {
            broker.registry().change_local(|local| local.raise_seq(seq));
        }
    }

    fn set_local_port(&self, port: u16) {
        if let Some(broker) = self.broker.upgrade() {
            broker.registry().change_local(|local| local.set_port(port));
        }
    }

    fn refresh_local_cpu(&self) -> BoxFuture<'static, ()> {
        let broker = self.broker.clone();
        Box::pin(async move {
            if let (Some(cpu), Some(broker)) = (system::cpu_load().await, broker.upgrade()) {
                broker.registry().local_node().set_own_cpu(cpu);
            }
        })
    }

    fn node_info(&self, node: &NodeId, info: Arc<NodeInfo>) {
        let Ok(transit) = self.transit() else { return };
        self.change(|broker| broker.registry().node_info(node, &info, &transit.request_fn()));
    }

    fn node_alive(&self, node: &NodeId, cpu: Option<f64>, cpu_seq: Option<u64>) {
        if let Some(node) = self.broker.upgrade().and_then(|broker| broker.registry().node(node)) {
            node.alive(cpu, cpu_seq);
        }
    }

    fn node_offline(&self, node: &NodeId, unexpected: bool) {
        self.change(|broker| broker.registry().node_offline(node, unexpected));
        if let Ok(transit) = self.transit() {
            transit.node_gone(node);
        }
    }

    fn set_node_seq(&self, node: &NodeId, seq: u64) {
        if let Some(broker) = self.broker.upgrade() {
            broker.registry().set_node_seq(node, seq);
        }
    }

    fn peer_seen(&self, node: &NodeId, address: PeerAddress) {
        if let Some(broker) = self.broker.upgrade() {
            broker.registry().peer_seen(node, address);
        }
    }

    fn forget_offline(&self, age: std::time::Duration) {
        if let Some(broker) = self.broker.upgrade() {
            broker.registry().forget_offline(age);
        }
    }

    fn silent_nodes(&self, limit: std::time::Duration) -> Vec<NodeId> {
        let (Some(broker), Ok(transit)) = (self.broker.upgrade(), self.transit()) else {
            return Vec::new();
        };
        if !transit.heard_for(limit) {
            // It was this node that heard nothing.
            return Vec::new();
        }
        let nodes = broker.registry().nodes().into_iter();
        let silent =
            nodes.filter(|node| !node.local && node.available() && node.silent_for() > limit);
        silent.map(|node| node.id.clone()).collect()
    }

    fn has_started(&self) -> bool {
        self.broker.upgrade().is_some_and(|broker| broker.inner().phase() == Phase::Started)
    }

    fn rival(&self, instance_id: &str) -> bool {
        match (self.transit(), self.broker.upgrade()) {
            (Ok(transit), Some(broker)) => transit.stays(&broker, instance_id),
            _ => false,
        }
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.tasks.spawn(task);
    }

    fn stopping(&self) -> CancellationToken {
        self.tasks.token().clone()
    }
}

/// What it is called when a packet of discovery is not sent.
fn error_type(kind: PacketKind) -> Option<&'static str> {
    match kind {
        PacketKind::Discover => Some("failedNodeDiscovery"),
        PacketKind::Info => Some("failedSendInfoPacket"),
        PacketKind::Heartbeat => Some("failedSendHeartbeatPacket"),
        _ => None,
    }
}
