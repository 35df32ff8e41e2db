//! A network in one process that loses, delays, doubles and reorders packets
//! as a seed decides: [`SimNetwork`].

mod transporter;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use moleculer_core::{
    Error, Host, NodeId, RandomSource,
    protocol::{PacketKind, Target, Topic},
};
use tokio::{sync::Notify, time::Instant};

pub use self::transporter::SimTransporter;

/// Packets that may wait for one node; above it publishers wait.
const QUEUE: usize = 4096;

/// Connects the nodes of a simulation.
///
/// All time is tokio's and all chance comes from the seed: on a
/// current-thread runtime with paused time a whole cluster does the same in
/// every run, which [`trace`](Self::trace) shows. Faults can change at any
/// moment.
///
/// ```
/// use std::time::Duration;
///
/// use moleculer_core::{BrokerBuilder, Plugins};
/// use moleculer_testkit::network::{Faults, SimNetwork};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> moleculer_core::Result<()> {
/// let network = SimNetwork::new(42);
/// let node = |id: &str| {
///     BrokerBuilder::new(Plugins::core()).node_id(id).seed(42).transporter(network.transporter())
/// };
/// let (a, b) = (node("a").start().await?, node("b").start().await?);
/// network.set_faults(Faults::new().delay(Duration::ZERO..Duration::from_millis(20)).loss(0.1));
/// network.partition(&[&["a"], &["b"]]);
/// network.heal();
/// a.stop().await?;
/// b.stop().await
/// # }
/// ```
///
/// It balances as well: [`subscribe_balanced`](moleculer_core::Transporter::subscribe_balanced).
#[derive(Clone)]
pub struct SimNetwork(Arc<Mutex<State>>);

/// What happens to packets on their way.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    delay: (Duration, Duration),
    loss: f64,
    duplicates: f64,
    reorders: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self::new()
    }
}

impl Faults {
    /// None: packets arrive at once.
    pub const fn new() -> Self {
        Self {
            delay: (Duration::ZERO, Duration::ZERO),
            loss: 0.0,
            duplicates: 0.0,
            reorders: false,
        }
    }

    /// Packets take some time of this range, in steps of 1 ms.
    #[must_use]
    pub const fn delay(mut self, delay: std::ops::Range<Duration>) -> Self {
        self.delay = (delay.start, delay.end);
        self
    }

    /// The share of packets that never arrive, from 0 to 1.
    #[must_use]
    pub const fn loss(mut self, share: f64) -> Self {
        self.loss = share;
        self
    }

    /// The share of packets that arrive twice, from 0 to 1.
    #[must_use]
    pub const fn duplicates(mut self, share: f64) -> Self {
        self.duplicates = share;
        self
    }

    /// Lets packets overtake each other when their delays differ.
    #[must_use]
    pub const fn reorders(mut self) -> Self {
        self.reorders = true;
        self
    }
}

struct State {
    random: RandomSource,
    start: Instant,
    faults: Faults,
    /// Those of single ways, from one node to another.
    ways: BTreeMap<(NodeId, NodeId), Faults>,
    /// Which side of a partition a node is on.
    sides: BTreeMap<NodeId, usize>,
    /// Nodes that have no medium now.
    away: BTreeSet<NodeId>,
    /// In the order of their coming; an id may be there twice.
    ends: Vec<Arc<End>>,
    /// Arrival of the last packet on each way, for those that keep order.
    last: BTreeMap<(NodeId, NodeId), Instant>,
    /// Counts packets, so that those of one moment have an order.
    packets: u64,
    trace: String,
}

/// One node's end.
struct End {
    host: Host,
    inner: Mutex<Inbox>,
    /// Something came, or the end has come.
    work: Notify,
    room: Notify,
}

#[derive(Default)]
struct Inbox {
    /// By arrival.
    packets: BTreeMap<(Instant, u64), (NodeId, PacketKind, Bytes)>,
    balanced: Vec<Topic>,
    /// It has disconnected or crashed.
    over: bool,
}

impl SimNetwork {
    /// A network without faults.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            random: RandomSource::from_seed(seed),
            start: Instant::now(),
            faults: Faults::new(),
            ways: BTreeMap::new(),
            sides: BTreeMap::new(),
            away: BTreeSet::new(),
            ends: Vec::new(),
            last: BTreeMap::new(),
            packets: 0,
            trace: String::new(),
        })))
    }

    /// A transporter for one more node.
    pub fn transporter(&self) -> SimTransporter {
        SimTransporter::new(self.clone())
    }

    /// Sets what happens between all nodes, in place of what was set before.
    pub fn set_faults(&self, faults: Faults) {
        let mut state = self.state();
        state.faults = faults;
        state.ways.clear();
    }

    /// Sets what happens to packets from one node to another.
    pub fn set_way(&self, from: &str, to: &str, faults: Faults) {
        self.state().ways.insert((from.into(), to.into()), faults);
    }

    /// Cuts the network in parts: packets between them vanish. Nodes that are
    /// not named are in the first part.
    pub fn partition(&self, parts: &[&[&str]]) {
        let sides = parts.iter().enumerate();
        self.state().sides = sides
            .flat_map(|(side, nodes)| nodes.iter().map(move |node| ((*node).into(), side)))
            .collect();
    }

    /// Ends all faults and partitions. What is under way still arrives.
    pub fn heal(&self) {
        self.set_faults(Faults::new());
        self.partition(&[]);
    }

    /// Takes the medium away from a node, which is told, or gives it back.
    pub fn set_away(&self, node: &str, away: bool) {
        let mut state = self.state();
        let changed = match away {
            true => state.away.insert(node.into()),
            false => state.away.remove(node),
        };
        let hosts = state.ends.iter().filter(|end| *end.host.node_id() == *node);
        let hosts: Vec<_> = hosts.map(|end| end.host.clone()).collect();
        drop(state);
        for host in hosts.iter().filter(|_| changed) {
            if away { host.disconnected(&lost()) } else { host.reconnected() }
        }
    }

    /// A node dies without a word: what it sends from now on vanishes, and
    /// what is under way to it too. Its id is free for another one.
    pub fn crash(&self, node: &str) {
        let dies = |end: &mut Arc<End>| *end.host.node_id() == *node;
        let dead: Vec<_> = self.state().ends.extract_if(.., dies).collect();
        for end in dead {
            end.finish();
        }
    }

    /// Packets that are under way.
    pub fn under_way(&self) -> usize {
        self.state().ends.iter().map(|end| end.inbox().packets.len()).sum()
    }

    /// What happened, in lines such as `1500 a > b REQ`, when a sent a request
    /// to b, and `1507 b < a REQ`, when it arrived there; the number is the
    /// time since the beginning in ms.
    pub fn trace(&self) -> String {
        self.state().trace.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a packet to one node. False when it has no room.
    fn send(&self, from: &NodeId, to: &Arc<End>, kind: PacketKind, bytes: &Bytes) -> bool {
        let mut state = self.state();
        let mut inbox = to.inbox();
        if inbox.packets.len() >= QUEUE {
            return false;
        }
        let text = format!("{from} > {} {kind}", to.host.node_id());
        state.write(&text);
        for at in state.arrivals(from, to.host.node_id()) {
            state.packets += 1;
            let number = state.packets;
            inbox.packets.insert((at, number), (from.clone(), kind, bytes.clone()));
        }
        drop(inbox);
        to.work.notify_one();
        true
    }

    fn arrived(&self, from: &NodeId, to: &NodeId, kind: PacketKind) {
        self.state().write(&format!("{to} < {from} {kind}"));
    }

    /// Those who get a packet of this topic.
    fn receivers(&self, host: &Host, topic: &Topic) -> Vec<Arc<End>> {
        let state = self.state();
        let ends = state.ends.iter().filter(|end| end.host.namespace() == host.namespace());
        match &topic.target {
            Target::Node(node) => ends.filter(|end| end.host.node_id() == node).cloned().collect(),
            Target::All => ends.cloned().collect(),
            _ => {
                let wanted: Vec<_> = ends.filter(|end| end.inbox().takes(topic)).collect();
                let chosen = state.random.below(wanted.len());
                wanted.into_iter().skip(chosen).take(1).cloned().collect()
            }
        }
    }
}

impl fmt::Debug for SimNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimNetwork({} nodes)", self.state().ends.len())
    }
}

impl State {
    fn write(&mut self, what: &str) {
        let at = self.start.elapsed().as_millis();
        // Text takes everything.
        writeln!(self.trace, "{at} {what}").ok();
    }

    /// When a packet arrives: never, once, or twice.
    fn arrivals(&mut self, from: &NodeId, to: &NodeId) -> Vec<Instant> {
        let side = |node| self.sides.get(node).copied().unwrap_or_default();
        let apart = side(from) != side(to) || self.away.contains(from) || self.away.contains(to);
        let way = (from.clone(), to.clone());
        let faults = self.ways.get(&way).unwrap_or(&self.faults).clone();
        if apart || self.happens(faults.loss) {
            return Vec::new();
        }
        let copies = 1 + usize::from(self.happens(faults.duplicates));
        let (least, most) = faults.delay;
        let spread = most.saturating_sub(least).as_millis() as usize;
        let mut arrivals = Vec::with_capacity(copies);
        for _ in 0..copies {
            let delay = least + Duration::from_millis(self.random.below(spread.max(1)) as u64);
            let mut at = Instant::now() + delay;
            if !faults.reorders {
                let last = self.last.entry(way.clone()).or_insert(at);
                at = at.max(*last);
                *last = at;
            }
            arrivals.push(at);
        }
        arrivals
    }

    fn happens(&self, share: f64) -> bool {
        share > 0.0 && (self.random.below(1 << 20) as f64) < share * f64::from(1 << 20)
    }
}

impl End {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self) {
        let mut inbox = self.inbox();
        inbox.over = true;
        inbox.packets.clear();
        drop(inbox);
        self.work.notify_one();
        self.room.notify_waiters();
    }
}

impl Inbox {
    fn takes(&self, topic: &Topic) -> bool {
        !self.over && self.balanced.iter().any(|mine| mine.kind == topic.kind && fits(mine, topic))
    }
}

/// Whether a balanced subscription covers a topic.
fn fits(mine: &Topic, topic: &Topic) -> bool {
    match (&mine.target, &topic.target) {
        (Target::Event { group, event: pattern }, Target::Event { group: wanted, event }) => {
            group == wanted && matches(pattern, event)
        }
        (mine, wanted) => mine == wanted,
    }
}

/// `*` stands for one part of a name, `**` at the end for all that follow.
fn matches(pattern: &str, event: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.split('.'), event.split('.'));
    loop {
        match (patterns.next(), parts.next()) {
            (Some("**"), Some(_)) | (None, None) => return true,
            (Some(pattern), Some(part)) if pattern == "*" || pattern == part => {}
            _ => return false,
        }
    }
}

fn lost() -> Error {
    Error::internal("the simulated network is lost").with_retryable(true)
}
