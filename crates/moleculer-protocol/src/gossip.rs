//! What nodes tell each other of the cluster over TCP, as pure functions over
//! the rows of the caller's registry: no state, no clock, no randomness.
//!
//! Every few seconds a node makes a [`Round`] and sends its request to one or
//! two peers. A peer answers with what it knows better ([`answer`]) and takes
//! over what the requester knows better; the requester does so with the
//! answer ([`apply`]). Numbers that only grow decide who knows better: `seq`
//! counts what a node offers and how often it went away, `cpu_seq` its load.
//!
//! Handling a request, with the local node first, since a request may say
//! that it is gone:
//!
//! ```
//! use std::sync::Arc;
//!
//! use moleculer_protocol::{
//!     GossipRequest, NodeId, NodeInfo,
//!     gossip::{NodeRow, answer, rejoin},
//! };
//!
//! let me = NodeId::from("me");
//! let mut info = Arc::new(NodeInfo { seq: 1, ..NodeInfo::default() });
//! let request = GossipRequest {
//!     online: vec![],
//!     offline: vec![("me".into(), 4)],
//! };
//! if let Some(seq) = rejoin(&row(&me, &info), &request) {
//!     info = Arc::new(NodeInfo { seq, ..NodeInfo::default() });
//! }
//! let answer = answer([row(&me, &info)], &request);
//! let news = &answer.response.unwrap().online[0].1;
//! assert_eq!(news.info.as_ref().unwrap().seq, 5);
//!
//! /// The registry's only row.
//! fn row<'a>(id: &'a NodeId, info: &'a Arc<NodeInfo>) -> NodeRow<'a> {
//!     NodeRow {
//!         id,
//!         local: true,
//!         available: true,
//!         seq: info.seq,
//!         cpu_seq: 0,
//!         cpu: None,
//!         info: Some(info),
//!     }
//! }
//! ```

use std::{collections::HashMap, sync::Arc};

use crate::{GossipRequest, GossipResponse, NewsRow, NodeId, NodeInfo, OnlineRow};

/// What the registry knows of one node, the local one included.
#[derive(Clone, Copy, Debug)]
pub struct NodeRow<'a> {
    /// The node's id.
    pub id: &'a NodeId,
    /// Whether it is the registry's own node.
    pub local: bool,
    /// Whether it is online.
    pub available: bool,
    /// Sequence number of what it offers; 0 when only its address is known.
    pub seq: u64,
    /// Sequence number of its CPU load; 0 when that is not known.
    pub cpu_seq: u64,
    /// Its CPU load in percent.
    pub cpu: Option<f64>,
    /// Its info, to be passed on.
    pub info: Option<&'a Arc<NodeInfo>>,
}

/// One round of gossip.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    /// What to send.
    pub request: GossipRequest,
    /// To whom: an online node, an offline one, or one of each. That sending
    /// to an offline node fails is the usual case.
    pub targets: Vec<NodeId>,
}

/// Makes the request of a round and chooses whom to send it to; `None` while
/// no other node is known.
///
/// `random` gives numbers from 0 (inclusive) to 1 (exclusive). The more nodes
/// are offline in comparison with the others, the likelier one of them is
/// probed; with nobody online always.
pub fn round<'a>(
    rows: impl IntoIterator<Item = NodeRow<'a>>,
    mut random: impl FnMut() -> f64,
) -> Option<Round> {
    let mut request = GossipRequest::default();
    let (mut online, mut offline) = (Vec::new(), Vec::new());
    for row in rows {
        if row.available {
            request.online.push((row.id.clone(), row.online()));
            if !row.local {
                online.push(row.id);
            }
        } else {
            if row.seq > 0 {
                request.offline.push((row.id.clone(), row.seq));
            }
            offline.push(row.id);
        }
    }
    if online.is_empty() && offline.is_empty() {
        return None;
    }
    let ratio = offline.len() as f64 / (online.len() + 1) as f64;
    let mut targets: Vec<_> = pick(&online, &mut random).into_iter().collect();
    if ratio >= 1.0 || random() < ratio {
        targets.extend(pick(&offline, &mut random));
    }
    Some(Round { request, targets })
}

fn pick(ids: &[&NodeId], random: &mut impl FnMut() -> f64) -> Option<NodeId> {
    let last = ids.len().checked_sub(1)?;
    let at = (random() * ids.len() as f64) as usize;
    Some(ids[at.min(last)].clone())
}

/// The seq that the local node must take because `request` says that it is
/// gone; `None` if it does not, or is out of date.
///
/// The requester remembers an earlier run of this node, or lost a connection.
/// Make the local info anew with this seq (a greater one will do), then call
/// [`answer`], which tells the requester.
pub fn rejoin(local: &NodeRow<'_>, request: &GossipRequest) -> Option<u64> {
    let (_, seq) = request.offline.iter().find(|(id, _)| id == local.id)?;
    (*seq > 0 && *seq >= local.seq).then(|| seq.saturating_add(1))
}

/// What a [`GossipRequest`] leads to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// What to send back, unless the requester knows everything.
    pub response: Option<GossipResponse>,
    /// What the requester knows better.
    pub changes: Vec<Change>,
}

/// A change that the registry is to make, in the given order.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The node is gone: if it is available mark it offline, not as an
    /// unexpected loss; then store `seq`, whatever marking made of it.
    Offline {
        /// The node.
        node: NodeId,
        /// The seq to store.
        seq: u64,
    },
    /// Process this as an INFO packet from the node, which may be unknown.
    Info {
        /// The node.
        node: NodeId,
        /// Its info.
        info: Arc<NodeInfo>,
    },
    /// A sign of life from an available node. About the local node: an
    /// earlier run counted further, so that only higher numbers are news.
    Cpu {
        /// The node.
        node: NodeId,
        /// The `cpu_seq` to store.
        cpu_seq: u64,
        /// The load in percent, a finite number.
        cpu: f64,
    },
}

/// Compares a request with the own rows, the local one included.
///
/// Nodes that only the requester knows lead to nothing: the own next request
/// leaves them out, which makes the peer tell of them.
pub fn answer<'a>(rows: impl IntoIterator<Item = NodeRow<'a>>, request: &GossipRequest) -> Answer {
    let online: HashMap<_, _> = request.online.iter().map(|(id, row)| (id, row)).collect();
    let offline: HashMap<_, _> = request.offline.iter().map(|(id, seq)| (id, seq)).collect();
    let mut response = GossipResponse::default();
    let mut changes = Vec::new();
    for row in rows {
        // A seq of 0 is none; a row about both states counts as offline.
        let gone = offline.get(row.id).map(|&&seq| seq).filter(|&seq| seq > 0);
        let here = online.get(row.id).filter(|theirs| theirs.seq > 0);
        match (gone, here) {
            (Some(seq), _) if seq >= row.seq => {
                if row.local {
                    row.tell(&mut response);
                } else if row.available || seq > row.seq {
                    changes.push(row.offline(seq));
                }
            }
            (None, Some(theirs)) if theirs.seq >= row.seq => {
                if row.available {
                    changes.extend(row.newer_cpu(theirs.cpu_seq, theirs.cpu));
                    row.tell_cpu(theirs.cpu_seq, &mut response);
                }
            }
            _ => row.tell(&mut response),
        }
    }
    Answer { response: some(response), changes }
}

/// Compares a response with the own rows, the local one included.
pub fn apply<'a>(
    response: &GossipResponse,
    row: impl Fn(&NodeId) -> Option<NodeRow<'a>>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (id, theirs) in &response.online {
        let ours = row(id);
        if ours.is_some_and(|ours| ours.local) {
            continue;
        }
        let info = theirs.info.as_ref().filter(|info| ours.is_none_or(|ours| ours.seq < info.seq));
        changes.extend(info.map(|info| Change::Info { node: id.clone(), info: Arc::clone(info) }));
        // The load alone does not bring a node back: it would be a node
        // without services.
        if let Some((cpu_seq, cpu)) = theirs.cpu
            && (info.is_some() || ours.is_some_and(|ours| ours.available))
        {
            let ours = ours.unwrap_or(NodeRow::unknown(id));
            changes.extend(ours.newer_cpu(cpu_seq, cpu));
        }
    }
    for (id, seq) in &response.offline {
        let ours = row(id).filter(|ours| !ours.local && ours.seq < *seq);
        changes.extend(ours.map(|ours| ours.offline(*seq)));
    }
    changes
}

/// What to push to peers without being asked, when the local node changed or
/// stops: everything about these rows. `None` if there is nothing to tell.
///
/// A stopping node passes its own row, unavailable and with its seq raised.
pub fn news<'a>(rows: impl IntoIterator<Item = NodeRow<'a>>) -> Option<GossipResponse> {
    let mut response = GossipResponse::default();
    for row in rows {
        row.tell(&mut response);
    }
    some(response)
}

fn some(response: GossipResponse) -> Option<GossipResponse> {
    (response != GossipResponse::default()).then_some(response)
}

impl<'a> NodeRow<'a> {
    const fn unknown(id: &'a NodeId) -> Self {
        Self { id, local: false, available: false, seq: 0, cpu_seq: 0, cpu: None, info: None }
    }

    fn cpu(&self) -> f64 {
        self.cpu.filter(|cpu| cpu.is_finite()).unwrap_or(0.0)
    }

    fn online(&self) -> OnlineRow {
        OnlineRow { seq: self.seq, cpu_seq: self.cpu_seq, cpu: self.cpu() }
    }

    fn offline(&self, seq: u64) -> Change {
        Change::Offline { node: self.id.clone(), seq }
    }

    /// Adds all that is known of the node, if that is more than its address.
    fn tell(&self, response: &mut GossipResponse) {
        if !self.available {
            if self.seq > 0 {
                response.offline.push((self.id.clone(), self.seq));
            }
        } else if let Some(info) = self.info {
            let row =
                NewsRow { info: Some(Arc::clone(info)), cpu: Some((self.cpu_seq, self.cpu())) };
            response.online.push((self.id.clone(), row));
        }
    }

    /// Adds the load if the other side has an older one.
    fn tell_cpu(&self, theirs: u64, response: &mut GossipResponse) {
        if theirs < self.cpu_seq {
            let row = NewsRow { info: None, cpu: Some((self.cpu_seq, self.cpu())) };
            response.online.push((self.id.clone(), row));
        }
    }

    fn newer_cpu(&self, cpu_seq: u64, cpu: f64) -> Option<Change> {
        (cpu_seq > self.cpu_seq && cpu.is_finite()).then(|| Change::Cpu {
            node: self.id.clone(),
            cpu_seq,
            cpu,
        })
    }
}

#[cfg(test)]
mod tests;
