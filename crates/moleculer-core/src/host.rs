//! What the broker offers to a transporter and a discoverer: [`Host`].

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use moleculer_protocol::{NodeId, NodeInfo, PacketBody, PacketKind, Topic};
use tokio_util::sync::CancellationToken;

use crate::{Error, Result};

/// The broker, as a transporter and a discoverer see it.
///
/// Cheap to clone. It does not keep the broker alive: after the broker is
/// gone, calls do nothing and [`Host::stopping`] is cancelled.
#[derive(Clone)]
pub struct Host(Arc<dyn HostApi>);

/// Whether a transporter may go on reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a transporter whose medium can wait pauses its reader"]
pub enum Flow {
    /// Read on.
    Go,
    /// Too many requests are running: wait for [`Host::ready`] first.
    Pause,
}

/// A received packet, still encoded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Delivery {
    /// The kind that topic or frame told.
    pub kind: PacketKind,
    /// The encoded packet.
    pub bytes: Bytes,
    /// Address of the socket it came from, where there is one.
    pub from: Option<IpAddr>,
}

impl Delivery {
    /// A packet whose origin the medium does not tell.
    pub const fn new(kind: PacketKind, bytes: Bytes) -> Self {
        Self { kind, bytes, from: None }
    }

    /// Tells the address of the socket.
    #[must_use]
    pub const fn from_address(mut self, address: IpAddr) -> Self {
        self.from = Some(address);
        self
    }
}

/// A node as the registry knows it now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeView {
    /// The node's id.
    pub id: NodeId,
    /// Whether it is this node.
    pub local: bool,
    /// Whether calls may go to it.
    pub available: bool,
    /// Sequence number of its services; 0 before its first info.
    pub seq: u64,
    /// Sequence number of its CPU load.
    pub cpu_seq: u64,
    /// CPU load in percent.
    pub cpu: Option<f64>,
    /// What it told of itself; `None` before its first info.
    pub info: Option<Arc<NodeInfo>>,
    /// Where it can be reached.
    pub address: PeerAddress,
    /// When it last showed a sign of life, from the making of this broker.
    pub last_seen: Duration,
    /// Since when it is offline, from the making of this broker.
    pub offline_since: Option<Duration>,
}

impl NodeView {
    /// A node of which nothing more is known, not available.
    pub fn new(id: NodeId) -> Self {
        Self {
            id,
            local: false,
            available: false,
            seq: 0,
            cpu_seq: 0,
            cpu: None,
            info: None,
            address: PeerAddress::default(),
            last_seen: Duration::ZERO,
            offline_since: None,
        }
    }
}

/// Where a node can be reached over TCP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerAddress {
    /// Address that the node's datagram or socket came from; the best guess.
    pub seen_at: Option<IpAddr>,
    /// Host name that the node told, or that a static list named.
    pub hostname: Option<String>,
    /// Addresses that the node told.
    pub ip_list: Vec<String>,
    /// Port on which it listens.
    pub port: Option<u16>,
}

impl Host {
    /// A host; brokers make theirs themselves.
    pub fn new(api: impl HostApi) -> Self {
        Self(Arc::new(api))
    }

    /// Id of this node.
    pub fn node_id(&self) -> &NodeId {
        self.0.node_id()
    }

    /// The namespace, empty when there is none.
    pub fn namespace(&self) -> &str {
        self.0.namespace()
    }

    /// Whether packets of another protocol version are accepted.
    pub fn accepts_any_version(&self) -> bool {
        self.0.accepts_any_version()
    }

    /// Hands a received packet in. Decodes it, and completes the waiting call
    /// or starts the handler; never blocks and never panics, whatever the bytes.
    pub fn deliver(&self, delivery: Delivery) -> Flow {
        self.0.deliver(delivery)
    }

    /// Resolves when a [`Flow::Pause`] is over.
    pub fn ready(&self) -> BoxFuture<'static, ()> {
        self.0.ready()
    }

    /// The medium is connected again after it was lost.
    pub fn reconnected(&self) {
        self.0.connected(true);
    }

    /// The medium is lost; the transporter tries to get it back by itself.
    pub fn disconnected(&self, error: &Error) {
        self.0.disconnected(error);
    }

    /// Encodes a packet with the broker's serializer and send hooks.
    ///
    /// # Errors
    ///
    /// When the packet cannot be encoded or the broker is gone.
    pub fn encode(&self, body: PacketBody) -> Result<Bytes> {
        self.0.encode(body)
    }

    /// Encodes and publishes a packet.
    ///
    /// # Errors
    ///
    /// When it cannot be encoded, or the transporter refuses it.
    pub fn send(&self, topic: Topic, body: PacketBody) -> BoxFuture<'static, Result<()>> {
        self.0.send(topic, body)
    }

    /// All known nodes, this one included.
    pub fn nodes(&self) -> Vec<NodeView> {
        self.0.nodes()
    }

    /// One known node.
    pub fn node(&self, id: &NodeId) -> Option<NodeView> {
        self.0.node(id)
    }

    /// Makes this node's sequence number at least `seq` and regenerates its info.
    pub fn raise_local_seq(&self, seq: u64) {
        self.0.raise_local_seq(seq);
    }

    /// Tells the port on which this node listens; raises the sequence number.
    pub fn set_local_port(&self, port: u16) {
        self.0.set_local_port(port);
    }

    /// Measures this node's CPU load for 100 ms and stores it.
    pub fn refresh_local_cpu(&self) -> BoxFuture<'static, ()> {
        self.0.refresh_local_cpu()
    }

    /// A node told what it offers.
    pub fn node_info(&self, node: &NodeId, info: Arc<NodeInfo>) {
        self.0.node_info(node, info);
    }

    /// A node showed a sign of life, with its CPU load where it told.
    pub fn node_alive(&self, node: &NodeId, cpu: Option<f64>, cpu_seq: Option<u64>) {
        self.0.node_alive(node, cpu, cpu_seq);
    }

    /// A node is gone: its actions are forgotten and its calls rejected.
    pub fn node_offline(&self, node: &NodeId, unexpected: bool) {
        self.0.node_offline(node, unexpected);
    }

    /// Stores the sequence number of a node that is offline.
    pub fn set_node_seq(&self, node: &NodeId, seq: u64) {
        self.0.set_node_seq(node, seq);
    }

    /// Remembers where a node can be reached; an unknown one is added as
    /// offline. Members that are set replace those known before; with a port in
    /// it and while the node is available, when it goes.
    pub fn peer_seen(&self, node: &NodeId, address: PeerAddress) {
        self.0.peer_seen(node, address);
    }

    /// Available nodes whose last sign of life is longer ago than `limit`; none
    /// before this node has been connected for as long.
    pub fn silent_nodes(&self, limit: Duration) -> Vec<NodeId> {
        self.0.silent_nodes(limit)
    }

    /// Forgets nodes that are offline for longer than `age`.
    pub fn forget_offline(&self, age: Duration) {
        self.0.forget_offline(age);
    }

    /// Whether this node has started and does not stop yet.
    pub fn has_started(&self) -> bool {
        self.0.has_started()
    }

    /// Another node, with this instance id, lives under this node's id. True if
    /// this node stays and has to tell the other one of itself; otherwise the
    /// broker stops with that error, and says no goodbye, which would take the
    /// other one off all nodes.
    pub fn rival(&self, instance_id: &str) -> bool {
        self.0.rival(instance_id)
    }

    /// Runs a task that belongs to the broker: `stop()` waits for it.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(Box::pin(task));
    }

    /// Cancelled when the broker stops its tasks.
    pub fn stopping(&self) -> CancellationToken {
        self.0.stopping()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({})", self.node_id())
    }
}

/// What stands behind a [`Host`], which documents the methods: the broker, or
/// a test that looks at a transporter without one.
pub trait HostApi: Send + Sync + 'static {
    /// See [`Host::node_id`].
    fn node_id(&self) -> &NodeId;
    /// See [`Host::namespace`].
    fn namespace(&self) -> &str;
    /// See [`Host::accepts_any_version`].
    fn accepts_any_version(&self) -> bool;
    /// See [`Host::deliver`].
    fn deliver(&self, delivery: Delivery) -> Flow;
    /// See [`Host::ready`].
    fn ready(&self) -> BoxFuture<'static, ()>;
    /// The medium is connected; see [`Host::reconnected`].
    fn connected(&self, was_reconnect: bool);
    /// See [`Host::disconnected`].
    fn disconnected(&self, error: &Error);
    /// See [`Host::encode`].
    ///
    /// # Errors
    ///
    /// As there.
    fn encode(&self, body: PacketBody) -> Result<Bytes>;
    /// See [`Host::send`].
    fn send(&self, topic: Topic, body: PacketBody) -> BoxFuture<'static, Result<()>>;
    /// See [`Host::nodes`].
    fn nodes(&self) -> Vec<NodeView>;
    /// See [`Host::node`].
    fn node(&self, id: &NodeId) -> Option<NodeView>;
    /// See [`Host::raise_local_seq`].
    fn raise_local_seq(&self, seq: u64);
    /// See [`Host::set_local_port`].
    fn set_local_port(&self, port: u16);
    /// See [`Host::refresh_local_cpu`].
    fn refresh_local_cpu(&self) -> BoxFuture<'static, ()>;
    /// See [`Host::node_info`].
    fn node_info(&self, node: &NodeId, info: Arc<NodeInfo>);
    /// See [`Host::node_alive`].
    fn node_alive(&self, node: &NodeId, cpu: Option<f64>, cpu_seq: Option<u64>);
    /// See [`Host::node_offline`].
    fn node_offline(&self, node: &NodeId, unexpected: bool);
    /// See [`Host::set_node_seq`].
    fn set_node_seq(&self, node: &NodeId, seq: u64);
    /// See [`Host::peer_seen`].
    fn peer_seen(&self, node: &NodeId, address: PeerAddress);
    /// See [`Host::silent_nodes`].
    fn silent_nodes(&self, limit: Duration) -> Vec<NodeId>;
    /// See [`Host::forget_offline`].
    fn forget_offline(&self, age: Duration);
    /// See [`Host::has_started`].
    fn has_started(&self) -> bool {
        true
    }
    /// See [`Host::rival`].
    fn rival(&self, instance_id: &str) -> bool {
        let _ = instance_id;
        true
    }
    /// See [`Host::spawn`].
    fn spawn(&self, task: BoxFuture<'static, ()>);
    /// See [`Host::stopping`].
    fn stopping(&self) -> CancellationToken;
}
