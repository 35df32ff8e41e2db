//! Discovery by packets that every node gets: the default.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use moleculer_protocol::{HeartbeatPacket, NodeId, Packet, PacketBody, PacketKind, Topic, Value};
use serde::{Deserialize, Serialize};

use super::Discoverer;
use crate::{Error, NodeView, Result, Seconds, config::strict, host::Host};

/// Time that other nodes get to answer the first DISCOVER.
const ANSWERS: Duration = Duration::from_millis(500);
/// Time between looks for nodes that are gone for good.
const CLEAN: Duration = Duration::from_secs(60);

/// Nodes ask with DISCOVER, tell with INFO, and show life with HEARTBEAT.
#[derive(Debug)]
pub struct LocalDiscoverer {
    interval: Duration,
    timeout: Duration,
    /// Whether silence means that a node is gone.
    checks: bool,
    /// Silence after which a node that is gone is forgotten.
    forget: Option<Duration>,
    host: OnceLock<Host>,
}

/// Options of the discoverer `Local`, as a configuration has them at
/// `registry.discoverer.options`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LocalOptions {
    /// Time between heartbeats, in s; 0 for none. Default: that of the broker.
    pub heartbeat_interval: Option<Seconds>,
    /// Silence after which a node counts as gone, in s. Default: that of the
    /// broker.
    pub heartbeat_timeout: Option<Seconds>,
    /// Whether silent nodes stay. Default: false.
    pub disable_heartbeat_checks: bool,
    /// Whether nodes that are gone are remembered for ever; no more than 1000
    /// are. Default: false.
    pub disable_offline_node_removing: bool,
    /// Silence after which a node that is gone is forgotten, in s; `null` and 0
    /// for never. Default: 600.
    pub clean_offline_nodes_timeout: Option<Seconds>,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self {
            heartbeat_interval: None,
            heartbeat_timeout: None,
            disable_heartbeat_checks: false,
            disable_offline_node_removing: false,
            clean_offline_nodes_timeout: Some(Seconds(Duration::from_secs(600))),
        }
    }
}

impl LocalOptions {
    /// Reads the option `registry.discoverer`.
    pub(crate) fn from_choice(choice: Option<&Value>) -> Result<Self> {
        let (name, options) = match choice {
            None | Some(Value::Null | Value::Undefined | Value::Bool(_)) => ("Local", None),
            Some(Value::String(name)) => (name.as_str(), None),
            Some(Value::Object(choice)) => (
                choice.get("type").and_then(Value::as_str).unwrap_or("Local"),
                choice.get("options"),
            ),
            Some(_) => ("", None),
        };
        if !name.eq_ignore_ascii_case("Local") {
            return Err(Error::options(format!(
                "Invalid discoverer type '{name}'. `registry.discoverer` must be \"Local\"; others \
                 are not supported yet"
            )));
        }
        match options {
            None | Some(Value::Null | Value::Undefined) => Ok(Self::default()),
            Some(options) => strict("options of the discoverer Local", options.clone()),
        }
    }
}

impl LocalDiscoverer {
    /// `interval` and `timeout` are those of the broker, for options that say
    /// nothing else.
    pub fn new(options: &LocalOptions, interval: Duration, timeout: Duration) -> Self {
        let forget = options.clean_offline_nodes_timeout.filter(|age| !age.is_zero());
        Self {
            interval: options.heartbeat_interval.map_or(interval, |interval| *interval),
            timeout: options.heartbeat_timeout.map_or(timeout, |timeout| *timeout),
            checks: !options.disable_heartbeat_checks,
            forget: forget.filter(|_| !options.disable_offline_node_removing).map(|age| *age),
            host: OnceLock::new(),
        }
    }

    /// Beats some time earlier or later, so that nodes that start together do
    /// not beat together.
    #[must_use]
    pub(crate) fn spread(mut self, spread: impl FnOnce(Duration) -> Duration) -> Self {
        self.interval = spread(self.interval);
        self
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
        let gone = host.node(&sender).is_some_and(|node| !node.available);
        if known || gone {
            host.node_alive(&sender, beat.cpu, None);
        }
        if !known {
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
        if self.checks {
            every(host, timeout.max(Duration::from_millis(1)), move |host| {
                for node in host.silent_nodes(timeout) {
                    tracing::warn!(node_id = %node, "no heartbeat: the node counts as gone");
                    host.node_offline(&node, true);
                }
            });
        }
        if let Some(age) = self.forget {
            every(host, CLEAN, move |host| host.forget_offline(age));
        }
    }
}

fn every(host: &Host, period: Duration, work: impl Fn(&Host) + Send + 'static) {
    let own = host.clone();
    host.spawn(async move {
        loop {
            tokio::time::sleep(period).await;
            work(&own);
        }
    });
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
