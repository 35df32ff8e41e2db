//! Gossip between simulated nodes: a recorded conversation played again, and
//! clusters that must come to one view whatever happened to them.

#[path = "support/vectors.rs"]
mod vectors;

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use indexmap::IndexMap;
use moleculer_protocol::{
    GossipRequest, GossipResponse, JsonSerializer, NewsRow, NodeId, NodeInfo, Object, OnlineRow,
    PacketBody, PacketKind, Serializer, Value,
    gossip::{self, Answer, Change, NodeRow, Round},
    tcp::Announcement,
};
use proptest::prelude::*;

use self::vectors::{read, text};

/// A registry as gossip needs it.
struct Registry {
    me: NodeId,
    nodes: IndexMap<NodeId, Node>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Node {
    available: bool,
    seq: u64,
    cpu: (u64, f64),
    info: Option<Arc<NodeInfo>>,
}

impl Registry {
    fn new(me: &NodeId) -> Self {
        let mut registry = Self { me: me.clone(), nodes: IndexMap::new() };
        registry.nodes.insert(me.clone(), Node::default());
        registry.local().available = true;
        registry.set_seq(1);
        registry
    }

    fn local(&mut self) -> &mut Node {
        &mut self.nodes[0]
    }

    /// Makes the local info anew, unlike any before it.
    fn set_seq(&mut self, seq: u64) {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let me = self.me.to_string();
        let node = self.local();
        node.seq = seq;
        node.info = Some(Arc::new(NodeInfo {
            seq,
            hostname: me,
            instance_id: COUNT.fetch_add(1, Relaxed).to_string(),
            ..NodeInfo::default()
        }));
    }

    /// A node of which an announcement or a hello has told.
    fn meet(&mut self, id: &NodeId) {
        self.nodes.entry(id.clone()).or_default();
    }

    /// The connection to a node broke.
    fn lose(&mut self, id: &NodeId) {
        if let Some(node) = self.nodes.get_mut(id).filter(|node| node.available) {
            node.available = false;
            node.seq += 1;
        }
    }

    fn row<'a>(&'a self, id: &NodeId) -> Option<NodeRow<'a>> {
        let (id, node) = self.nodes.get_key_value(id)?;
        Some(NodeRow {
            id,
            local: *id == self.me,
            available: node.available,
            seq: node.seq,
            cpu_seq: node.cpu.0,
            cpu: Some(node.cpu.1),
            info: node.info.as_ref(),
        })
    }

    fn rows(&self) -> impl Iterator<Item = NodeRow<'_>> {
        self.nodes.keys().filter_map(|id| self.row(id))
    }

    fn round(&self, random: impl FnMut() -> f64) -> Option<Round> {
        gossip::round(self.rows(), random)
    }

    fn answer(&mut self, request: &GossipRequest) -> Answer {
        let local = self.row(&self.me).expect("the local node");
        if let Some(seq) = gossip::rejoin(&local, request) {
            self.set_seq(seq);
        }
        gossip::answer(self.rows(), request)
    }

    fn apply(&mut self, response: &GossipResponse) {
        let changes = gossip::apply(response, |id| self.row(id));
        self.change(changes);
    }

    fn change(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Offline { node, seq } => {
                    assert_ne!(node, self.me, "nobody takes himself off");
                    let node = self.nodes.get_mut(&node).expect("a known node");
                    node.available = false;
                    node.seq = seq;
                }
                Change::Info { node, info } => {
                    assert_ne!(node, self.me, "nobody learns of himself");
                    let node = self.nodes.entry(node).or_default();
                    node.available = true;
                    node.seq = info.seq;
                    node.info = Some(info);
                }
                Change::Cpu { node, cpu_seq, cpu } => {
                    let node = self.nodes.get_mut(&node).expect("a known node");
                    assert!(node.available, "a load does not bring a node back");
                    node.cpu = (cpu_seq, cpu);
                }
            }
        }
    }
}

#[test]
fn a_recorded_conversation_goes_the_same_way() {
    for version in ["0.14", "0.15"] {
        let file = read(&format!("{version}/tcp.json"));
        let conversation = file.get("conversation").and_then(Value::as_array);
        let entries = conversation.expect("a conversation").iter();
        let mut replay = Replay {
            nodes: ["node-1", "node-2"].map(|id| Registry::new(&id.into())),
            open: None,
            stopping: false,
            answers: 0,
        };
        for entry in entries {
            replay.step(entry.as_object().expect("an object"));
        }
        replay.settle(None);
        assert_eq!(replay.answers, 5, "{version}");
    }
}

/// Two nodes that do what the recorded ones did.
///
/// What a node says of itself (its seq and its load) is taken from the
/// recording; what it knows of the other must follow from the packets.
struct Replay {
    nodes: [Registry; 2],
    /// A request whose receiver has not been heard since: who, and what.
    open: Option<(usize, GossipRequest)>,
    /// The second node is going down and gets no answers any more.
    stopping: bool,
    answers: usize,
}

impl Replay {
    fn step(&mut self, entry: &Object) {
        let kind = entry.get("kind").and_then(Value::as_str);
        match (kind, entry.get("type").and_then(Value::as_str)) {
            (Some("udp"), _) => {
                let announcement = Announcement::parse(text(entry, "text").as_bytes());
                self.meet(&announcement.expect("an announcement").node_id);
            }
            (Some("tcp"), Some(kind @ ("GOSSIP_HELLO" | "GOSSIP_REQ" | "GOSSIP_RES"))) => {
                self.packet(PacketKind::parse(kind).expect(kind), text(entry, "json"));
            }
            (Some("tcp"), _) => {}
            (None, _) => self.mark(text(entry, "mark")),
            _ => panic!("{entry:?}"),
        }
    }

    fn mark(&mut self, mark: &str) {
        match mark {
            "b1 saw disconnect" => self.nodes[0].lose(&"node-2".into()),
            "b2 stopped" => {
                self.nodes[1].lose(&"node-1".into());
                self.stopping = true;
            }
            "b2 restarted" => {
                self.settle(None);
                self.nodes[1] = Registry::new(&"node-2".into());
                self.stopping = false;
            }
            _ => {}
        }
    }

    fn meet(&mut self, id: &NodeId) {
        let at = self.index(id);
        self.nodes[1 - at].meet(id);
    }

    fn index(&self, id: &NodeId) -> usize {
        let at = self.nodes.iter().position(|node| node.me == *id);
        at.expect("one of two nodes")
    }

    fn packet(&mut self, kind: PacketKind, json: &str) {
        let bytes = Bytes::from(mend(json));
        let packet = JsonSerializer.decode(kind, &bytes).expect(json);
        match packet.body {
            PacketBody::GossipHello(_) => self.meet(&packet.sender),
            PacketBody::GossipRequest(request) => {
                self.settle(None);
                self.request(&packet.sender, request);
            }
            PacketBody::GossipResponse(response) => self.settle(Some(response)),
            other => panic!("{other:?}"),
        }
    }

    fn request(&mut self, sender: &NodeId, request: GossipRequest) {
        let at = self.index(sender);
        let (id, row) = &request.online[0];
        assert_eq!(id, sender, "a request begins with its sender");
        let node = &mut self.nodes[at];
        node.set_seq(row.seq);
        node.local().cpu = (row.cpu_seq, row.cpu);

        let round = node.round(|| 0.0).expect("somebody to talk to");
        assert_eq!(round.request, request);
        assert_eq!(round.targets, [self.nodes[1 - at].me.clone()]);
        self.open = Some((1 - at, request));
    }

    /// Answers the open request as the recorded node did.
    fn settle(&mut self, recorded: Option<GossipResponse>) {
        let Some((at, request)) = self.open.take() else {
            assert_eq!(recorded, None, "nobody has asked");
            return;
        };
        let me = self.nodes[at].me.clone();
        let mine = recorded.iter().flat_map(|response| &response.online);
        if let Some((_, row)) = mine.into_iter().find(|(id, _)| *id == me) {
            self.introduce(at, row, &request);
        }
        let answer = self.nodes[at].answer(&request);
        self.nodes[at].change(answer.changes);
        if self.stopping {
            return;
        }
        assert_eq!(answer.response, recorded, "{request:?}");
        if let Some(response) = recorded {
            self.nodes[1 - at].apply(&response);
            self.answers += 1;
        }
    }

    /// A node shows its whole info: that is what it had when it answered.
    fn introduce(&mut self, at: usize, row: &NewsRow, request: &GossipRequest) {
        let node = &mut self.nodes[at];
        let local = node.row(&node.me).expect("the local node");
        let least = gossip::rejoin(&local, request).unwrap_or(0);
        let info = row.info.clone().expect("an info");
        assert!(info.seq >= least, "{} is below {least}", info.seq);
        let local = node.local();
        local.seq = info.seq;
        local.info = Some(info);
        local.cpu = row.cpu.expect("a load");
    }
}

/// Where the recording was cut, what is left of the services goes as well.
fn mend(json: &str) -> String {
    let cut = r#""services":["<trimmed>"]"#;
    let Some((before, after)) = json.split_once(cut) else {
        return json.to_owned();
    };
    // A list, the info, and the number that follows it: "]},1".
    let end = after
        .match_indices("]},")
        .find(|(at, _)| after[at + 3..].starts_with(|c: char| c.is_ascii_digit()));
    let (at, _) = end.expect("the end of an info");
    format!("{before}{cut}{}", &after[at + 1..])
}

/// What can happen to a node of a cluster.
#[derive(Clone, Debug)]
enum Op {
    /// Its services change.
    Change(usize),
    /// Its load changes.
    Load(usize, u8),
    /// It loses the connection to another one.
    Lose(usize, usize),
    /// It starts again and remembers nothing; the others notice that it went.
    Restart(usize),
    /// It tells another one of a change without being asked.
    Push(usize, usize),
    /// It makes a round of gossip.
    Gossip(usize),
}

fn ops(nodes: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(nodes), 0..40)
}

fn op(nodes: usize) -> impl Strategy<Value = Op> {
    let node = 0..nodes;
    prop_oneof![
        1 => node.clone().prop_map(Op::Change),
        1 => (node.clone(), any::<u8>()).prop_map(|(node, load)| Op::Load(node, load)),
        1 => (node.clone(), node.clone()).prop_map(|(node, other)| Op::Lose(node, other)),
        1 => node.clone().prop_map(Op::Restart),
        1 => (node.clone(), node.clone()).prop_map(|(node, other)| Op::Push(node, other)),
        4 => node.prop_map(Op::Gossip),
    ]
}

struct Cluster {
    nodes: Vec<Registry>,
    seed: Cell<u64>,
}

impl Cluster {
    /// Nodes that know each other's addresses.
    fn new(size: usize, seed: u64) -> Self {
        let nodes = (0..size).map(|at| Registry::new(&id(at))).collect();
        let mut cluster = Self { nodes, seed: Cell::new(seed) };
        for at in 0..size {
            cluster.introduce(at);
        }
        cluster
    }

    fn introduce(&mut self, at: usize) {
        for other in 0..self.nodes.len() {
            self.nodes[at].meet(&id(other));
        }
    }

    fn random(&self) -> f64 {
        let next = self
            .seed
            .get()
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.seed.set(next);
        (next >> 11) as f64 / (1u64 << 53) as f64
    }

    fn run(&mut self, op: &Op) {
        match *op {
            Op::Change(at) => {
                let seq = self.nodes[at].local().seq + 1;
                self.nodes[at].set_seq(seq);
            }
            Op::Load(at, load) => {
                let cpu = &mut self.nodes[at].local().cpu;
                *cpu = (cpu.0 + 1, load.into());
            }
            Op::Lose(at, other) if at != other => self.nodes[at].lose(&id(other)),
            Op::Restart(at) => {
                self.nodes[at] = Registry::new(&id(at));
                self.introduce(at);
                for other in (0..self.nodes.len()).filter(|&other| other != at) {
                    self.nodes[other].lose(&id(at));
                }
            }
            Op::Push(at, to) if at != to => {
                let local = self.nodes[at].row(&id(at)).expect("the local node");
                let response = gossip::news([local]).expect("news");
                self.nodes[to].apply(&response);
            }
            Op::Gossip(at) => self.gossip(at),
            Op::Lose(..) | Op::Push(..) => {}
        }
    }

    fn gossip(&mut self, at: usize) {
        let round = self.nodes[at].round(|| self.random());
        let round = round.expect("somebody to talk to");
        for target in round.targets {
            let target = self.nodes.iter_mut().find(|node| node.me == target);
            let target = target.expect("a node of the cluster");
            let answer = target.answer(&round.request);
            target.change(answer.changes);
            if let Some(response) = answer.response {
                self.nodes[at].apply(&response);
            }
        }
    }

    /// What a node knows, in the order of ids. After a restart a node may
    /// reach an old number with another load; the next load mends that.
    fn view(&self, at: usize, loads: bool) -> Vec<(NodeId, Node)> {
        let nodes = self.nodes[at].nodes.iter();
        let mut view: Vec<_> = nodes.map(|(id, node)| (id.clone(), node.clone())).collect();
        view.sort_by(|(a, _), (b, _)| a.cmp(b));
        if !loads {
            view.iter_mut().for_each(|(_, node)| node.cpu.1 = 0.0);
        }
        view
    }
}

fn id(at: usize) -> NodeId {
    format!("node-{at}").into()
}

proptest! {
    #[test]
    fn all_nodes_come_to_one_view(
        (size, ops) in (2..5_usize).prop_flat_map(|size| (Just(size), ops(size))),
        seed: u64,
    ) {
        let mut cluster = Cluster::new(size, seed);
        ops.iter().for_each(|op| cluster.run(op));
        // Nothing happens any more but gossip.
        for _ in 0..40 {
            (0..size).for_each(|at| cluster.gossip(at));
        }
        let loads = !ops.iter().any(|op| matches!(op, Op::Restart(_)));
        let first = cluster.view(0, loads);
        prop_assert_eq!(first.len(), size);
        for (id, node) in &first {
            prop_assert!(node.available, "{} is offline", id);
            let info = node.info.as_ref().expect("an info");
            prop_assert_eq!(info.seq, node.seq);
            prop_assert_eq!(&info.hostname, id.as_str());
        }
        for at in 1..size {
            prop_assert_eq!(&cluster.view(at, loads), &first);
        }
        // Who agrees has nothing to tell.
        let request = cluster.nodes[0].round(|| 0.0).expect("a round").request;
        prop_assert_eq!(cluster.nodes[1].answer(&request), Answer::default());
    }
}

/// Neither costs more than one look at each row, nor overflows.
#[test]
fn hostile_packets_of_many_rows_do_no_harm() {
    const MANY: usize = 100_000;
    let mut registry = Registry::new(&"me".into());
    for at in 0..MANY {
        registry.meet(&id(at));
    }
    let row = OnlineRow { seq: u64::MAX, cpu_seq: u64::MAX, cpu: f64::NAN };
    let strangers = (MANY..2 * MANY).map(id).chain(["me".into()]);
    let request = GossipRequest {
        online: strangers.clone().map(|id| (id, row)).collect(),
        offline: (0..MANY).map(id).chain(["me".into()]).map(|id| (id, u64::MAX)).collect(),
    };
    let answer = registry.answer(&request);
    assert_eq!(answer.changes.len(), MANY);
    let response = answer.response.expect("the local node insists");
    assert_eq!(response.online.len(), 1);
    assert_eq!(registry.local().seq, u64::MAX);
    registry.change(answer.changes);

    let news =
        NewsRow { info: Some(Arc::new(NodeInfo::default())), cpu: Some((u64::MAX, f64::NAN)) };
    let response = GossipResponse {
        online: strangers.map(|id| (id, news.clone())).collect(),
        offline: request.offline,
    };
    registry.apply(&response);
    assert_eq!(registry.nodes.len(), 1 + 2 * MANY);
    assert!(registry.local().available);
    assert_eq!(registry.local().cpu, (0, 0.0));
}
