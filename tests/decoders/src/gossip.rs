//! Gossip packets, decoded and applied to what a node knows.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use moleculer_protocol::{
    GossipRequest, GossipResponse, JsonSerializer, NodeId, NodeInfo, PacketBody, PacketKind,
    Serializer,
    gossip::{self, Change, NodeRow},
};

use crate::{Target, memory::bounded, vectors::load};

const KINDS: [PacketKind; 2] = [PacketKind::GossipRequest, PacketKind::GossipResponse];
/// A node of the vectors, which some of them say is gone.
const ME: &str = "node-3";

pub(crate) fn target() -> Target {
    Target::new("gossip", check, seeds)
}

/// The first byte chooses request or response; the rest is the packet.
fn check(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else { return };
    let kind = KINDS[usize::from(*kind) % KINDS.len()];
    let bytes = Bytes::copy_from_slice(bytes);
    let Ok(packet) = JsonSerializer.decode(kind, &bytes) else { return };
    let mut registry = Registry::new();
    match packet.body {
        PacketBody::GossipRequest(request) => registry.answer(&request, bytes.len()),
        PacketBody::GossipResponse(response) => registry.apply(&response, bytes.len()),
        other => panic!("{other:?} is not of the kind asked for"),
    }
}

#[derive(Debug)]
struct Registry(BTreeMap<NodeId, Node>);

#[derive(Clone, Debug, Default, PartialEq)]
struct Node {
    available: bool,
    seq: u64,
    cpu: (u64, f64),
    info: Option<Arc<NodeInfo>>,
}

impl Registry {
    /// The own node, an online one, an offline one, and one of which only the
    /// address is known.
    fn new() -> Self {
        let online = |seq, cpu_seq| {
            let info = NodeInfo { seq, ..NodeInfo::default() };
            Node { available: true, seq, cpu: (cpu_seq, 1.0), info: Some(Arc::new(info)) }
        };
        let offline = Node { available: false, ..online(4, 1) };
        let nodes = [
            (ME, online(3, 1)),
            ("node-1", online(2, 1)),
            ("node-2", offline),
            ("x", Node::default()),
        ];
        Self(nodes.map(|(id, node)| (id.into(), node)).into())
    }

    fn answer(&mut self, request: &GossipRequest, len: usize) {
        let me = self.row(&ME.into()).expect("the own node");
        if let Some(seq) = gossip::rejoin(&me, request) {
            assert!(seq >= me.seq, "the own node goes back to {seq}");
            self.0.entry(ME.into()).or_default().seq = seq;
        }
        let answer = bounded(len, || gossip::answer(self.rows(), request));
        self.assert_known(&answer.response.unwrap_or_default());
        self.change(answer.changes);
        let again = gossip::answer(self.rows(), request).changes;
        assert_eq!(again, [], "the second time is no news");
    }

    fn apply(&mut self, response: &GossipResponse, len: usize) {
        let changes = bounded(len, || gossip::apply(response, |id| self.row(id)));
        self.change(changes);
        // A node of which a response says two things may go back and forth.
        let ids = response.online.iter().map(|(id, _)| id);
        let mut ids = ids.chain(response.offline.iter().map(|(id, _)| id));
        let mut seen = HashSet::new();
        if ids.all(|id| seen.insert(id)) {
            let again = gossip::apply(response, |id| self.row(id));
            assert_eq!(again, [], "the second time is no news");
        }
    }

    fn change(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Offline { node, seq } => {
                    assert_ne!(node, ME, "nobody takes himself off");
                    let node = self.0.get_mut(&node).expect("a known node");
                    (node.available, node.seq) = (false, seq);
                }
                Change::Info { node, info } => {
                    assert_ne!(node, ME, "nobody learns of himself");
                    let node = self.0.entry(node).or_default();
                    (node.available, node.seq, node.info) = (true, info.seq, Some(info));
                }
                Change::Cpu { node, cpu_seq, cpu } => {
                    let node = self.0.get_mut(&node).expect("a known node");
                    assert!(node.available, "a load does not bring a node back");
                    assert!(cpu.is_finite() && cpu_seq > node.cpu.0);
                    node.cpu = (cpu_seq, cpu);
                }
            }
        }
    }

    fn assert_known(&self, response: &GossipResponse) {
        for (id, row) in &response.online {
            let node = &self.0[id];
            assert!(node.available && row.cpu.is_none_or(|cpu| cpu == node.cpu), "{id}: {row:?}");
        }
        for (id, seq) in &response.offline {
            assert!(!self.0[id].available && self.0[id].seq == *seq, "{id}: {seq}");
        }
    }

    fn rows(&self) -> impl Iterator<Item = NodeRow<'_>> {
        self.0.keys().filter_map(|id| self.row(id))
    }

    fn row(&self, id: &NodeId) -> Option<NodeRow<'_>> {
        let (id, node) = self.0.get_key_value(id)?;
        Some(NodeRow {
            id,
            local: *id == ME,
            available: node.available,
            seq: node.seq,
            cpu_seq: node.cpu.0,
            cpu: Some(node.cpu.1),
            info: node.info.as_ref(),
        })
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let vectors = ["0.14/json.json", "0.15/json.json"].into_iter().flat_map(load);
    let packets = vectors.filter_map(|vector| {
        let kind = KINDS.iter().position(|kind| *kind == vector.kind)?;
        Some([&[kind as u8], &vector.bytes?[..]].concat())
    });
    packets.collect()
}
