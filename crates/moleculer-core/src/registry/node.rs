//! A node as the registry keeps it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use moleculer_protocol::{NodeId, NodeInfo};
use tokio::time::Instant;

use crate::host::{NodeView, PeerAddress};

/// A node; shared by its endpoints.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) local: bool,
    available: AtomicBool,
    state: Mutex<NodeState>,
}

/// What changes about a node.
pub(crate) struct NodeState {
    pub(crate) seq: u64,
    pub(crate) cpu_seq: u64,
    pub(crate) cpu: Option<f64>,
    pub(crate) instance_id: String,
    pub(crate) info: Option<Arc<NodeInfo>>,
    pub(crate) address: PeerAddress,
    pub(crate) last_heartbeat: Instant,
    pub(crate) offline_since: Option<Instant>,
}

impl Node {
    pub(super) fn new(id: NodeId, local: bool) -> Self {
        Self {
            id,
            local,
            available: AtomicBool::new(local),
            state: Mutex::new(NodeState {
                seq: u64::from(local),
                cpu_seq: 0,
                cpu: None,
                instance_id: String::new(),
                info: None,
                address: PeerAddress::default(),
                last_heartbeat: Instant::now(),
                offline_since: None,
            }),
        }
    }

    /// Whether calls may go to this node.
    pub(crate) fn available(&self) -> bool {
        self.available.load(Ordering::Acquire)
    }

    pub(super) fn set_available(&self, available: bool) -> bool {
        self.available.swap(available, Ordering::AcqRel)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, NodeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long ago the last sign of life was.
    pub(crate) fn silent_for(&self) -> Duration {
        self.state().last_heartbeat.elapsed()
    }

    pub(super) fn offline_for(&self, age: Duration) -> bool {
        !self.local && self.state().offline_since.is_some_and(|since| since.elapsed() > age)
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
        match cpu_seq {
            Some(seq) if seq <= state.cpu_seq => {}
            seq => {
                state.cpu = cpu.or(state.cpu);
                state.cpu_seq = seq.unwrap_or(state.cpu_seq);
            }
        }
    }

    /// Stores this node's own CPU load; the sequence number counts changes.
    pub(crate) fn set_own_cpu(&self, cpu: f64) {
        let mut state = self.state();
        if state.cpu != Some(cpu) {
            state.cpu = Some(cpu);
            state.cpu_seq += 1;
        }
    }

    /// `local_info` is this node's own info, which is not kept here.
    pub(super) fn view(&self, local_info: Option<Arc<NodeInfo>>) -> NodeView {
        let state = self.state();
        let info = local_info.or_else(|| state.info.clone());
        NodeView {
            id: self.id.clone(),
            local: self.local,
            available: self.available(),
            seq: if self.local { info.as_ref().map_or(0, |info| info.seq) } else { state.seq },
            cpu_seq: state.cpu_seq,
            cpu: state.cpu,
            info,
            address: state.address.clone(),
        }
    }
}
