//! Between the broker and one transporter: packets out, packets in.

mod conflict;
mod host;
mod inbound;
mod outbound;
mod pending;
mod request;
mod stream;

use std::{
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use moleculer_protocol::{NodeId, PacketKind, ProtocolVersion, Serializer, Topic};
use tokio::{sync::Notify, time::Instant};

use self::{host::TransitHost, pending::Pending, stream::Incoming};
use crate::{
    ActionFn, Error, ErrorRegenerator, Host, MessageFn, Object, RandomSource, Result,
    ServiceBroker,
    broker::{Phase, WeakBroker},
    discoverer::{DynDiscoverer, LocalDiscoverer, LocalOptions},
    middleware::TransitHooks,
    seldom::Seldom,
    sync::lock,
    transporter::DynTransporter,
};

/// Time between attempts to connect, when the first one failed.
const RECONNECT: Duration = Duration::from_secs(5);

/// Silence after which a stream that nobody reads is forgotten, and one that
/// cannot go on broken off.
const FORGET_STREAMS: Duration = Duration::from_secs(60);

/// How far the time between heartbeats may be from the configured one.
const HEARTBEAT_SPREAD: Duration = Duration::from_millis(500);

/// One transporter with its serializer, its discoverer and the calls that
/// wait for a response over it.
pub(crate) struct Transit {
    transporter: Arc<dyn DynTransporter>,
    serializer: Arc<dyn Serializer>,
    discoverer: Arc<dyn DynDiscoverer>,
    broker: WeakBroker,
    node_id: NodeId,
    protocol: ProtocolVersion,
    disable_version_check: bool,
    pending: Pending,
    /// Streams that other nodes send.
    incoming: Incoming,
    max_chunk_size: usize,
    /// Incoming requests that run now, and their limit.
    running: AtomicUsize,
    max_running: usize,
    /// Notified when `running` falls below its limit.
    room: Notify,
    /// Notified when a stop waits for `running` to become 0.
    answered: Option<Notify>,
    connected: AtomicBool,
    /// Another node has this node's id, and stays.
    gave_way: AtomicBool,
    /// When the connection was made that this node hears others on.
    hears_since: Mutex<Instant>,
    info_changed: Notify,
    /// The seq of this node's info as it was last told to all.
    told: AtomicU64,
    /// The topics that the medium shares out; none where the broker chooses.
    /// Held while the medium is told: the last list has to be the last told.
    balanced: Option<tokio::sync::Mutex<Vec<Topic>>>,
    hooks: TransitHooks,
    /// For the log: invalid packets, those of other versions, and what was
    /// not sent.
    dropped: Seldom,
    other_versions: Seldom,
    unsent_events: Seldom,
    unsent_responses: Seldom,
    /// Packets of nodes that have this node's id and have to go.
    rivals: Seldom,
    regenerator: Option<Arc<dyn ErrorRegenerator>>,
}

impl Transit {
    pub(crate) fn new(
        transporter: Arc<dyn DynTransporter>,
        serializer: Arc<dyn Serializer>,
        discoverer: &LocalOptions,
        broker: &ServiceBroker,
    ) -> Arc<Self> {
        let options = broker.options();
        let discoverer = transporter.discoverer().unwrap_or_else(|| {
            let (interval, timeout) = (*options.heartbeat_interval, *options.heartbeat_timeout);
            let local = LocalDiscoverer::new(discoverer, interval, timeout);
            Arc::new(local.spread(|interval| heartbeat_interval(interval, &broker.inner().random)))
        });
        Arc::new_cyclic(|transit| Self {
            hooks: hooks(broker, transit),
            regenerator: broker.inner().regenerator.clone(),
            transporter,
            serializer,
            discoverer,
            broker: broker.downgrade(),
            node_id: broker.node_id().clone(),
            protocol: options.protocol,
            disable_version_check: options.transit.disable_version_check,
            pending: Pending::new(options.transit.max_queue_size),
            incoming: Incoming::default(),
            max_chunk_size: options.transit.max_chunk_size,
            running: AtomicUsize::new(0),
            max_running: options.transit.max_running_requests.max(1),
            room: Notify::new(),
            answered: options.tracking.enabled.then(Notify::new),
            connected: AtomicBool::new(false),
            gave_way: AtomicBool::new(false),
            hears_since: Mutex::new(Instant::now()),
            info_changed: Notify::new(),
            told: AtomicU64::new(0),
            dropped: Seldom::default(),
            other_versions: Seldom::default(),
            unsent_events: Seldom::default(),
            unsent_responses: Seldom::default(),
            rivals: Seldom::default(),
            balanced: options.disable_balancer.then(tokio::sync::Mutex::default),
        })
    }

    pub(crate) fn transporter_name(&self) -> &'static str {
        self.transporter.name()
    }

    pub(crate) fn serializer_name(&self) -> &'static str {
        self.serializer.name()
    }

    /// Number of requests that wait for a response.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Number of streams that other nodes send and that have not ended.
    pub(crate) fn incoming_streams(&self) -> usize {
        self.incoming.len()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    fn set_connected(&self) {
        *lock(&self.hears_since) = Instant::now();
        self.connected.store(true, Ordering::Release);
    }

    /// Whether it has been connected for longer than this.
    fn heard_for(&self, time: Duration) -> bool {
        self.is_connected() && lock(&self.hears_since).elapsed() > time
    }

    /// Whether this protocol version has headers.
    pub(crate) fn has_headers(&self) -> bool {
        self.protocol == ProtocolVersion::V5
    }

    /// Connects, retrying what a retry may mend; subscribes; finds the others.
    pub(crate) async fn connect(self: &Arc<Self>) -> Result<()> {
        let Some(broker) = self.broker.upgrade() else {
            return Ok(());
        };
        let host = Host::new(TransitHost::new(self, &broker));
        while let Err(error) = self.transporter.connect_dyn(host.clone()).await {
            let give_up = broker.options().transit.disable_reconnect || !error.retryable();
            if give_up {
                return Err(error);
            }
            tracing::warn!(transporter = self.transporter_name(), %error, "not connected; next attempt in 5 s");
            tokio::time::sleep(RECONNECT).await;
            if broker.inner().phase() >= Phase::Stopping {
                return Err(error);
            }
        }
        self.transporter.subscribe_dyn(self.topics()).await?;
        self.set_connected();
        self.discoverer.start_dyn(host).await?;
        self.discoverer.discover_dyn(None).await?;
        self.spawn_info_sender(&broker);
        self.spawn_stream_sweeper(&broker);
        let data = Object::from([("wasReconnect", false)]);
        broker.announce_event("$transporter.connected", data);
        Ok(())
    }

    /// In the order of the reference.
    fn topics(&self) -> Vec<Topic> {
        use PacketKind as K;
        let own = |kind| Topic::node(kind, self.node_id.clone());
        vec![
            own(K::Event),
            own(K::Request),
            own(K::Response),
            Topic::all(K::Discover),
            own(K::Discover),
            Topic::all(K::Info),
            own(K::Info),
            Topic::all(K::Disconnect),
            Topic::all(K::Heartbeat),
            Topic::all(K::Ping),
            own(K::Ping),
            own(K::Pong),
        ]
    }

    /// Tells what failed between this node and the others.
    fn announce_error(&self, module: &'static str, r#type: &'static str, error: &Error) {
        if let Some(broker) = self.broker.upgrade() {
            broker.announce_error(module, r#type, error);
        }
    }

    /// Tells other nodes about changed services once it has been quiet.
    fn spawn_info_sender(self: &Arc<Self>, broker: &ServiceBroker) {
        let transit = self.clone();
        let quiet = *broker.options().transit.service_changed_debounce_time;
        broker.inner().tasks.spawn(async move {
            loop {
                transit.info_changed.notified().await;
                while !quiet.is_zero()
                    && tokio::time::timeout(quiet, transit.info_changed.notified()).await.is_ok()
                {
                }
                if transit.local_seq() != Some(transit.told.load(Ordering::Acquire)) {
                    transit.send_local_info().await;
                }
            }
        });
    }

    fn spawn_stream_sweeper(&self, broker: &ServiceBroker) {
        let (incoming, broker_ref) = (self.incoming.clone(), broker.downgrade());
        broker.inner().tasks.spawn(async move {
            loop {
                tokio::time::sleep(FORGET_STREAMS / 2).await;
                let Some(broker) = broker_ref.upgrade() else { return };
                incoming.sweep(FORGET_STREAMS, |sender| {
                    broker.registry().node(sender).is_some_and(|node| node.available())
                });
            }
        });
    }

    pub(crate) fn local_info_changed(&self) {
        self.info_changed.notify_one();
    }

    pub(crate) async fn send_local_info(&self) {
        if !self.is_connected() || self.gave_way.load(Ordering::Acquire) {
            return;
        }
        let seq = self.local_seq();
        self.take_new_shares().await;
        match self.discoverer.send_local_info_dyn(None).await {
            Ok(()) => self.told.store(seq.unwrap_or(0), Ordering::Release),
            Err(error) => tracing::warn!(%error, "this node's info was not sent"),
        }
        self.leave_old_shares().await;
    }

    /// Other nodes hear of a service when its share can arrive.
    async fn take_new_shares(&self) {
        let Some(balanced) = &self.balanced else { return };
        let mut taken = balanced.lock().await;
        let mut topics = self.balanced_topics();
        if topics.iter().any(|topic| !taken.contains(topic)) {
            let old = taken.iter().filter(|topic| !topics.contains(topic)).cloned();
            topics.extend(old.collect::<Vec<_>>());
            self.share(&mut taken, topics).await;
        }
    }

    /// Takes no more packets for services that other nodes know to be gone.
    async fn leave_old_shares(&self) {
        let Some(balanced) = &self.balanced else { return };
        let mut taken = balanced.lock().await;
        let topics = self.balanced_topics();
        if taken.iter().any(|topic| !topics.contains(topic)) {
            self.share(&mut taken, topics).await;
        }
    }

    /// Takes no share any more. Until then other nodes know no better than to
    /// send, and what came has to be answered.
    pub(crate) async fn leave_shares(&self) {
        if let Some(balanced) = self.balanced.as_ref().filter(|_| self.is_connected()) {
            self.share(&mut *balanced.lock().await, Vec::new()).await;
        }
    }

    fn balanced_topics(&self) -> Vec<Topic> {
        let broker =
            self.broker.upgrade().filter(|broker| broker.inner().phase() < Phase::Stopping);
        broker.map(|broker| broker.registry().balanced_topics()).unwrap_or_default()
    }

    async fn share(&self, taken: &mut Vec<Topic>, topics: Vec<Topic>) {
        match self.transporter.subscribe_balanced_dyn(topics.clone()).await {
            Ok(()) => *taken = topics,
            Err(error) => {
                tracing::warn!(%error, "the medium does not know what this node takes a share of");
            }
        }
    }

    fn local_seq(&self) -> Option<u64> {
        Some(self.broker.upgrade()?.registry().local_info().seq)
    }

    /// Waits until what was asked of this node has been answered, if running
    /// handlers are waited for at all: a handler has ended before its response
    /// is on its way.
    pub(crate) async fn answered(&self, limit: Duration) {
        let Some(answered) = &self.answered else { return };
        let all = async {
            loop {
                // Registered before the look, so that the end is not missed.
                let changed = answered.notified();
                if self.running.load(Ordering::Acquire) == 0 {
                    return;
                }
                changed.await;
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            let running = self.running.load(Ordering::Acquire);
            tracing::warn!(running, "requests are left unanswered by this stop");
        }
    }

    /// Says goodbye, disconnects, and rejects what still waits.
    pub(crate) async fn disconnect(&self) {
        if let Some(broker) = self.broker.upgrade() {
            broker.announce_event("$transporter.disconnected", Object::from([("graceFul", true)]));
        }
        let was_connected = self.connected.swap(false, Ordering::AcqRel);
        let goodbye = was_connected && !self.gave_way.load(Ordering::Acquire);
        if goodbye && let Err(error) = self.discoverer.stop_dyn().await {
            tracing::warn!(%error, "the goodbye was not sent");
        }
        if let Err(error) = self.transporter.disconnect_dyn().await {
            tracing::warn!(%error, transporter = self.transporter_name(), "not disconnected cleanly");
        }
        self.pending.reject_all();
        self.incoming.node_gone(None);
    }

    /// The handler of every action of other nodes: sends the request.
    pub(crate) fn request_fn(self: &Arc<Self>) -> ActionFn {
        let transit = Arc::downgrade(self);
        Arc::new(move |ctx| match transit.upgrade() {
            Some(transit) => transit.request(&ctx),
            None => Box::pin(std::future::ready(Err(crate::broker::stopped()))),
        })
    }

    /// A node is gone: what waits for it is rejected.
    pub(crate) fn node_gone(&self, node: &NodeId) {
        self.pending.reject_node(node);
        self.incoming.node_gone(Some(node));
    }
}

/// Some time earlier or later, so that nodes that start together do not beat together.
fn heartbeat_interval(interval: Duration, random: &RandomSource) -> Duration {
    let most = HEARTBEAT_SPREAD.min(interval / 2).as_millis() as usize;
    interval.saturating_sub(Duration::from_millis(most as u64))
        + Duration::from_millis(random.below(2 * most + 1) as u64)
}

/// What middlewares wrap around packets and bytes.
fn hooks(broker: &ServiceBroker, transit: &Weak<Transit>) -> TransitHooks {
    let (broker_ref, transit) = (broker.downgrade(), transit.clone());
    let message: MessageFn = Arc::new(move |packet, delivery| {
        if let (Some(transit), Some(broker)) = (transit.upgrade(), broker_ref.upgrade()) {
            transit.dispatch(&broker, packet, delivery);
        }
    });
    broker.inner().middlewares.transit_hooks(&message)
}
