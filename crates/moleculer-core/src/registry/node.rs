//! A node as the registry keeps it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use moleculer_protocol::{NodeId, NodeInfo};
use tokio::time::Instant;

use super::Told;
use crate::{
    host::{NodeView, PeerAddress},
    sync::lock,
};

/// A node; shared by its endpoints.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) local: bool,
    available: AtomicBool,
    /// CPU load in percent.
    pub(crate) cpu: Reading,
    /// Average time of pings to the node's host in ms.
    pub(crate) latency: Reading,
    state: Mutex<NodeState>,
}

/// A measured number that strategies read without a lock.
pub(crate) struct Reading(AtomicU64);

impl Reading {
    const fn unknown() -> Self {
        Self(AtomicU64::new(f64::NAN.to_bits()))
    }

    pub(crate) fn get(&self) -> Option<f64> {
        let value = f64::from_bits(self.0.load(Ordering::Relaxed));
        (!value.is_nan()).then_some(value)
    }

    pub(crate) fn set(&self, value: Option<f64>) {
        self.0.store(value.unwrap_or(f64::NAN).to_bits(), Ordering::Relaxed);
    }
}

/// What changes about a node.
pub(crate) struct NodeState {
    pub(crate) seq: u64,
    pub(crate) cpu_seq: u64,
    pub(crate) instance_id: String,
    pub(crate) info: Option<Arc<NodeInfo>>,
    /// Its services, as long as it is there.
    pub(super) told: Option<Arc<Told>>,
    pub(crate) address: PeerAddress,
    /// Where it seems to be since it was there; for the time when it is gone.
    pub(super) moved: Option<PeerAddress>,
    /// A list names it: it is never forgotten.
    pub(crate) listed: bool,
    pub(crate) last_heartbeat: Instant,
    pub(crate) offline_since: Option<Instant>,
    /// It said goodbye, and no sign of life came since.
    pub(crate) left: bool,
}

impl Node {
    pub(crate) fn new(id: NodeId, local: bool) -> Self {
        Self {
            id,
            local,
            available: AtomicBool::new(local),
            cpu: Reading::unknown(),
            latency: Reading::unknown(),
            state: Mutex::new(NodeState {
                seq: u64::from(local),
                cpu_seq: 0,
                instance_id: String::new(),
                info: None,
                told: None,
                address: PeerAddress::default(),
                moved: None,
                listed: false,
                last_heartbeat: Instant::now(),
                offline_since: None,
                left: false,
            }),
        }
    }

    /// Stands for whichever node the medium chooses.
    pub(super) fn any() -> Self {
        let node = Self::new("".into(), false);
        node.set_available(true);
        node
    }

    /// Whether this is one certain node.
    pub(crate) fn is_certain(&self) -> bool {
        !self.id.is_empty()
    }

    /// Whether calls may go to this node.
    pub(crate) fn available(&self) -> bool {
        self.available.load(Ordering::Acquire)
    }

    pub(super) fn set_available(&self, available: bool) -> bool {
        self.available.swap(available, Ordering::AcqRel)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, NodeState> {
        lock(&self.state)
    }

    /// The name of its host: what its info says, before what only tells where
    /// to connect.
    pub(crate) fn host(&self) -> String {
        let state = self.state();
        let told = state.info.as_ref().map(|info| &info.hostname).filter(|host| !host.is_empty());
        told.or(state.address.hostname.as_ref()).cloned().unwrap_or_default()
    }

    /// Whether all that is known is that something from its address came.
    pub(super) fn was_only_met(&self) -> bool {
        let state = self.state();
        !self.local && state.info.is_none() && state.address.seen_at.is_some()
    }

    /// Whether this info was on its way when the node said goodbye.
    pub(super) fn sent_before_its_goodbye(&self, info: &NodeInfo) -> bool {
        let state = self.state();
        let same = !info.instance_id.is_empty() && state.instance_id == info.instance_id;
        state.left && same && info.seq <= state.seq
    }

    /// How long ago the last sign of life was.
    pub(crate) fn silent_for(&self) -> Duration {
        self.state().last_heartbeat.elapsed()
    }

    /// Whether it is gone, and its last sign of life older than this.
    pub(super) fn offline_for(&self, age: Duration) -> bool {
        self.gone_since().is_some() && self.silent_for() > age
    }

    /// When it went, if it may be forgotten.
    pub(super) fn gone_since(&self) -> Option<Instant> {
        let state = self.state();
        state.offline_since.filter(|_| !self.local && !state.listed)
    }

    /// Takes where something from this node came from. One that is there has
    /// not moved: who says that it listens elsewhere may be another one.
    pub(super) fn seen_at(&self, address: PeerAddress) {
        if self.local || !self.available() || address.port.is_none() {
            return self.set_address(address);
        }
        let mut state = self.state();
        state.address.seen_at = state.address.seen_at.or(address.seen_at);
        state.moved = Some(address);
    }

    /// Members that are set replace those known before.
    pub(super) fn set_address(&self, address: PeerAddress) {
        let known = &mut self.state().address;
        known.seen_at = address.seen_at.or(known.seen_at);
        known.hostname = address.hostname.or(known.hostname.take());
        known.port = address.port.or(known.port);
        if !address.ip_list.is_empty() {
            known.ip_list = address.ip_list;
        }
    }

    /// A sign of life; a CPU load older than the one known is ignored.
    pub(crate) fn alive(&self, cpu: Option<f64>, cpu_seq: Option<u64>) {
        let mut state = self.state();
        state.last_heartbeat = Instant::now();
        state.left = false;
        match cpu_seq {
            Some(seq) if seq <= state.cpu_seq => {}
            seq => {
                if cpu.is_some() {
                    self.cpu.set(cpu);
                }
                state.cpu_seq = seq.unwrap_or(state.cpu_seq);
            }
        }
    }

    /// Stores this node's own CPU load; the sequence number counts changes.
    pub(crate) fn set_own_cpu(&self, cpu: f64) {
        let mut state = self.state();
        if self.cpu.get() != Some(cpu) {
            self.cpu.set(Some(cpu));
            state.cpu_seq += 1;
        }
    }

    /// `local_info` is this node's own info, which is not kept here.
    ///
    /// Times count from `start`.
    pub(super) fn view(&self, local_info: Option<Arc<NodeInfo>>, start: Instant) -> NodeView {
        let state = self.state();
        let info = local_info.or_else(|| state.info.clone());
        NodeView {
            id: self.id.clone(),
            local: self.local,
            available: self.available(),
            seq: if self.local { info.as_ref().map_or(0, |info| info.seq) } else { state.seq },
            cpu_seq: state.cpu_seq,
            cpu: self.cpu.get(),
            info,
            address: state.address.clone(),
            last_seen: state.last_heartbeat.saturating_duration_since(start),
            offline_since: state.offline_since.map(|at| at.saturating_duration_since(start)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_does_not_change_the_host_that_a_node_told() {
        let node = Node::new("a".into(), false);
        let met_at = |address: &str| {
            let hostname = Some(address.to_owned());
            node.set_address(PeerAddress { hostname, ..PeerAddress::default() });
        };
        met_at("10.0.0.1");
        assert_eq!(node.host(), "10.0.0.1");
        let info = NodeInfo { hostname: "rack-7".into(), ..NodeInfo::default() };
        node.state().info = Some(Arc::new(info));
        // The first packet of a later connection.
        met_at("10.0.0.1");
        assert_eq!(node.host(), "rack-7");
    }
}
