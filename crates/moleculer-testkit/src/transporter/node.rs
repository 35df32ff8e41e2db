//! A transporter with a host that writes down what it gets.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use moleculer_core::{
    Delivery, DynTransporter, Error, Flow, Host, HostApi, NodeId, NodeView, PeerAddress,
    ProtocolVersion, Result as CoreResult, TryPublishError,
    protocol::{JsonSerializer, NodeInfo, Packet, PacketBody, PacketKind, Serializer, Topic},
};
use tokio::{sync::Notify, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{DEADLINE, Make, Outcome};

/// Where the nodes of a case listen, for media that want to know.
pub(super) type AddressBook = Arc<Mutex<BTreeMap<NodeId, u16>>>;

/// A node without a broker.
pub(super) struct Node {
    pub(super) transporter: Arc<dyn DynTransporter>,
    host: Arc<Recorder>,
}

/// What a medium told of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Lost,
    Back,
}

/// Everything that a transporter did with its host.
struct Recorder {
    id: NodeId,
    namespace: String,
    book: AddressBook,
    seen: Mutex<Seen>,
    changed: Notify,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

#[derive(Default)]
pub(super) struct Seen {
    pub(super) packets: Vec<(PacketKind, Bytes)>,
    pub(super) told: Vec<Told>,
    paused: bool,
}

impl Seen {
    /// The bodies of this kind.
    pub(super) fn bodies(&self, kind: PacketKind) -> Vec<Bytes> {
        let packets = self.packets.iter().filter(|(found, _)| *found == kind);
        packets.map(|(_, bytes)| bytes.clone()).collect()
    }
}

impl Node {
    pub(super) fn new(id: &str, namespace: &str, make: &Make, book: &AddressBook) -> Outcome<Self> {
        let transporter = make().map_err(|error| format!("it cannot be made: {error}"))?;
        let host = Arc::new(Recorder {
            id: id.into(),
            namespace: namespace.to_owned(),
            book: Arc::clone(book),
            seen: Mutex::default(),
            changed: Notify::new(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        });
        Ok(Self { transporter, host })
    }

    pub(super) async fn try_connect(&self) -> CoreResult<()> {
        self.transporter.connect_dyn(Host::new(Shared(Arc::clone(&self.host)))).await
    }

    pub(super) async fn connect(&self) -> Outcome {
        let connected = timeout(DEADLINE, self.try_connect()).await;
        let connected = connected.map_err(|_| format!("connect takes over {DEADLINE:?}"))?;
        connected.map_err(|error| format!("connect failed: {error}"))
    }

    pub(super) async fn subscribe(&self) -> Outcome {
        let subscribed = self.transporter.subscribe_dyn(topics(&self.host.id)).await;
        subscribed.map_err(|error| format!("subscribe failed: {error}"))
    }

    /// Publishes as a broker does.
    pub(super) async fn publish(&self, topic: &Topic, bytes: impl Into<Bytes>) -> CoreResult<()> {
        match self.transporter.try_publish(topic, bytes.into()) {
            Ok(()) => Ok(()),
            Err(TryPublishError::Full(bytes)) => self.transporter.publish_dyn(topic, bytes).await,
            Err(TryPublishError::Failed(error)) => Err(error),
        }
    }

    /// Publishes, and tells which packet failed.
    pub(super) async fn send(
        &self,
        kind: PacketKind,
        to: &str,
        bytes: impl Into<Bytes>,
    ) -> Outcome {
        let topic = Topic::node(kind, to.into());
        let sent = timeout(DEADLINE, self.publish(&topic, bytes)).await;
        let sent = sent.map_err(|_| format!("publishing to {to} takes over {DEADLINE:?}"))?;
        sent.map_err(|error| format!("publishing a {kind} to {to} failed: {error}"))
    }

    /// Publishes to all.
    pub(super) async fn send_all(&self, kind: PacketKind, bytes: impl Into<Bytes>) -> Outcome {
        let sent = self.publish(&Topic::all(kind), bytes).await;
        sent.map_err(|error| format!("publishing a {kind} to all failed: {error}"))
    }

    /// Waits until a condition holds.
    pub(super) async fn until(&self, what: &str, holds: impl Fn(&Seen) -> bool) -> Outcome {
        let wait = async {
            loop {
                let changed = self.host.changed.notified();
                if holds(&self.seen()) {
                    return;
                }
                changed.await;
            }
        };
        timeout(DEADLINE, wait).await.map_err(|_| {
            let count = self.seen().packets.len();
            format!("{what}: not within {DEADLINE:?}; node {} got {count} packets", self.host.id)
        })
    }

    /// Waits for this many packets of a kind, and gives them.
    pub(super) async fn receives(&self, kind: PacketKind, count: usize) -> Outcome<Vec<Bytes>> {
        let what = format!("{count} packets of {kind}");
        self.until(&what, |seen| seen.bodies(kind).len() >= count).await?;
        Ok(self.seen().bodies(kind))
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.host.seen()
    }

    /// Makes the host answer with [`Flow::Pause`], or lets it read on.
    pub(super) fn pause(&self, paused: bool) {
        self.seen().paused = paused;
        self.host.changed.notify_waiters();
    }

    /// Disconnects and ends, as a broker does.
    pub(super) async fn disconnect(&self) -> Outcome {
        self.leave().await?;
        self.end().await
    }

    /// Disconnects; the host lives on.
    pub(super) async fn leave(&self) -> Outcome {
        let ended = timeout(DEADLINE, self.transporter.disconnect_dyn()).await;
        let ended = ended.map_err(|_| format!("disconnect takes over {DEADLINE:?}"))?;
        ended.map_err(|error| format!("disconnect failed: {error}"))
    }

    /// Ends the host's tasks.
    pub(super) async fn end(&self) -> Outcome {
        self.host.stopping.cancel();
        self.host.tasks.close();
        let tasks = timeout(DEADLINE, self.host.tasks.wait()).await;
        tasks.map_err(|_| "a task that was given to the host does not end".to_owned())
    }

    pub(super) fn id(&self) -> &str {
        &self.host.id
    }
}

/// The topics that a broker subscribes to.
fn topics(id: &NodeId) -> Vec<Topic> {
    use PacketKind as K;
    let own = |kind| Topic::node(kind, id.clone());
    let targeted = [K::Event, K::Request, K::Response, K::Discover, K::Info, K::Ping, K::Pong];
    let all = [K::Discover, K::Info, K::Disconnect, K::Heartbeat, K::Ping];
    targeted.map(own).into_iter().chain(all.map(Topic::all)).collect()
}

impl Recorder {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen());
        self.changed.notify_waiters();
    }

    fn view(&self, id: &NodeId, port: u16) -> NodeView {
        let mut view = NodeView::new(id.clone());
        view.local = *id == self.id;
        view.available = true;
        view.address = PeerAddress {
            seen_at: Some(Ipv4Addr::LOCALHOST.into()),
            port: Some(port),
            ..PeerAddress::default()
        };
        view.info = Some(Arc::new(NodeInfo::default()));
        view
    }

    fn book(&self) -> MutexGuard<'_, BTreeMap<NodeId, u16>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The transporter's share of a [`Recorder`].
struct Shared(Arc<Recorder>);

impl HostApi for Shared {
    fn node_id(&self) -> &NodeId {
        &self.0.id
    }
    fn namespace(&self) -> &str {
        &self.0.namespace
    }
    fn accepts_any_version(&self) -> bool {
        false
    }
    fn deliver(&self, delivery: Delivery) -> Flow {
        // A greeting between transporters is no packet of the case.
        if delivery.kind == PacketKind::GossipHello {
            return Flow::Go;
        }
        self.0.change(|seen| seen.packets.push((delivery.kind, delivery.bytes)));
        if self.0.seen().paused { Flow::Pause } else { Flow::Go }
    }
    fn ready(&self) -> BoxFuture<'static, ()> {
        let recorder = Arc::clone(&self.0);
        Box::pin(async move {
            loop {
                let changed = recorder.changed.notified();
                if !recorder.seen().paused {
                    return;
                }
                changed.await;
            }
        })
    }
    fn connected(&self, _: bool) {
        self.0.change(|seen| seen.told.push(Told::Back));
    }
    fn disconnected(&self, _: &Error) {
        self.0.change(|seen| seen.told.push(Told::Lost));
    }
    fn encode(&self, body: PacketBody) -> CoreResult<Bytes> {
        let (version, sender) = (ProtocolVersion::V5.into(), self.0.id.clone());
        let mut out = BytesMut::new();
        JsonSerializer.encode(&Packet { version, sender, body }, &mut out)?;
        Ok(out.freeze())
    }
    fn send(&self, _: Topic, _: PacketBody) -> BoxFuture<'static, CoreResult<()>> {
        Box::pin(std::future::ready(Err(Error::internal("only discoverers send"))))
    }
    fn nodes(&self) -> Vec<NodeView> {
        self.0.book().iter().map(|(id, port)| self.0.view(id, *port)).collect()
    }
    fn node(&self, id: &NodeId) -> Option<NodeView> {
        let port = self.0.book().get(id).copied()?;
        Some(self.0.view(id, port))
    }
    fn raise_local_seq(&self, _: u64) {}
    fn set_local_port(&self, port: u16) {
        self.0.book().insert(self.0.id.clone(), port);
    }
    fn refresh_local_cpu(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
    fn node_info(&self, _: &NodeId, _: Arc<NodeInfo>) {}
    fn node_alive(&self, _: &NodeId, _: Option<f64>, _: Option<u64>) {}
    fn node_offline(&self, _: &NodeId, _: bool) {}
    fn set_node_seq(&self, _: &NodeId, _: u64) {}
    fn peer_seen(&self, _: &NodeId, _: PeerAddress) {}
    fn silent_nodes(&self, _: Duration) -> Vec<NodeId> {
        Vec::new()
    }
    fn forget_offline(&self, _: Duration) {}
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.tasks.spawn(task);
    }
    fn stopping(&self) -> CancellationToken {
        self.0.stopping.clone()
    }
}
