//! Discovery by packets that every node gets: the default.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use moleculer_protocol::{HeartbeatPacket, NodeId, Packet, PacketBody, PacketKind, Topic};

use super::Discoverer;
use crate::{NodeView, Result, host::Host};

/// Time that other nodes get to answer the first DISCOVER.
const ANSWERS: Duration = Duration::from_millis(500);
/// Time between looks for nodes that are gone for good.
const CLEAN: Duration = Duration::from_secs(60);
/// Age at which an offline node is forgotten.
const FORGET: Duration = Duration::from_secs(600);

/// Nodes ask with DISCOVER, tell with INFO, and show life with HEARTBEAT.
#[derive(Debug)]
pub struct LocalDiscoverer {
    interval: Duration,
    timeout: Duration,
    host: OnceLock<Host>,
}

impl LocalDiscoverer {
    /// `interval` is the time between heartbeats, zero for none; `timeout`
    /// the silence after which a node counts as gone.
    pub const fn new(interval: Duration, timeout: Duration) -> Self {
        Self { interval, timeout, host: OnceLock::new() }
    }

    async fn send(&self, kind: PacketKind, node: Option<NodeId>, body: PacketBody) -> Result<()> {
        let Some(host) = self.host.get() else {
            return Ok(());
        };
        let topic = node.map_or_else(|| Topic::all(kind), |node| Topic::node(kind, node));
        host.send(topic, body).await
    }

    fn reply(&self, kind: PacketKind, node: NodeId, body: PacketBody) {
        let Some(host) = self.host.get().cloned() else {
            return;
        };
        host.clone().spawn(async move {
            if let Err(error) = host.send(Topic::node(kind, node), body).await {
                tracing::warn!(%kind, %error, "an answer to a discovery packet was not sent");
            }
        });
    }

    fn heartbeat(&self, host: &Host, sender: NodeId, beat: &HeartbeatPacket) {
        let node = host.node(&sender).filter(|node| node.available);
        let known = node.is_some_and(|node| {
            let instance = node.info.as_ref().map_or("", |info| &info.instance_id);
            beat.seq.is_none_or(|seq| seq == node.seq)
                && beat.instance_id.as_ref().is_none_or(|id| instance.starts_with(id.as_str()))
        });
        if known {
            host.node_alive(&sender, beat.cpu, None);
        } else {
            self.reply(PacketKind::Discover, sender, PacketBody::Discover);
        }
    }

    fn spawn_timers(&self, host: &Host) {
        let (interval, timeout) = (self.interval, self.timeout);
        let beats = host.clone();
        host.spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                beats.refresh_local_cpu().await;
                let Some(node) = beats.node(beats.node_id()) else { return };
                let beat = PacketBody::Heartbeat(beat(&node));
                if let Err(error) = beats.send(Topic::all(PacketKind::Heartbeat), beat).await {
                    tracing::warn!(%error, "a heartbeat was not sent");
                }
            }
        });
        let checks = host.clone();
        host.spawn(async move {
            loop {
                tokio::time::sleep(timeout.max(Duration::from_millis(1))).await;
                for node in checks.silent_nodes(timeout) {
                    tracing::warn!(node_id = %node, "no heartbeat: the node counts as gone");
                    checks.node_offline(&node, true);
                }
            }
        });
        let cleaner = host.clone();
        host.spawn(async move {
            loop {
                tokio::time::sleep(CLEAN).await;
                cleaner.forget_offline(FORGET);
            }
        });
    }
}

impl Discoverer for LocalDiscoverer {
    fn name(&self) -> &'static str {
        "Local"
    }

    async fn start(&self, host: Host) -> Result<()> {
        if self.host.set(host.clone()).is_ok() && !self.interval.is_zero() {
            self.spawn_timers(&host);
        }
        Ok(())
    }

    async fn discover(&self, node: Option<NodeId>) -> Result<()> {
        let all = node.is_none();
        self.send(PacketKind::Discover, node, PacketBody::Discover).await?;
        if all {
            tokio::time::sleep(ANSWERS).await;
        }
        Ok(())
    }

    async fn send_local_info(&self, node: Option<NodeId>) -> Result<()> {
        let Some(info) = self.host.get().and_then(local_info) else {
            return Ok(());
        };
        self.send(PacketKind::Info, node, info).await
    }

    fn handle(&self, packet: Packet, _: Option<IpAddr>) {
        let Some(host) = self.host.get() else { return };
        match packet.body {
            PacketBody::Discover => {
                if let Some(info) = local_info(host) {
                    self.reply(PacketKind::Info, packet.sender, info);
                }
            }
            PacketBody::Info(info) => host.node_info(&packet.sender, Arc::from(info)),
            PacketBody::Disconnect => host.node_offline(&packet.sender, false),
            PacketBody::Heartbeat(beat) => self.heartbeat(host, packet.sender, &beat),
            other => tracing::debug!(kind = %other.kind(), "this medium knows no such packet"),
        }
    }

    async fn stop(&self) -> Result<()> {
        self.send(PacketKind::Disconnect, None, PacketBody::Disconnect).await
    }
}

/// Tells which info is the current one, so that whoever missed it asks: ADR 0024.
fn beat(node: &NodeView) -> HeartbeatPacket {
    let instance_id = node.info.as_ref().map(|info| info.instance_id.clone());
    HeartbeatPacket { cpu: node.cpu, seq: Some(node.seq), instance_id }
}

/// This node's info; the port is for gossip only.
fn local_info(host: &Host) -> Option<PacketBody> {
    let mut info = host.node(host.node_id())?.info?;
    if info.port.is_some() {
        Arc::make_mut(&mut info).port = None;
    }
    Some(PacketBody::Info(Box::new(Arc::unwrap_or_clone(info))))
}
