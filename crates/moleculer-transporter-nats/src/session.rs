//! From the first connection to the last: what is sent, and what is done when
//! the connection is lost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::PublishErrorKind;
use bytes::Bytes;
use futures_util::FutureExt;
use moleculer_core::{
    Error, Host, Result, TryPublishError,
    protocol::{PacketKind, Topic},
};
use tokio::{
    sync::{Mutex, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{instrument::WithSubscriber, subscriber::NoSubscriber};

use crate::{
    NatsConfig,
    connection::{Connection, Listener},
    error::{disconnected, no_room, not_published, queue_full},
    inbox::Inbox,
    room::Room,
    servers::Servers,
    shares::Shares,
};

/// First pause between attempts to connect again; each is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Longest wait at the end for what is still to be written, and for the tasks.
const END: Duration = Duration::from_secs(1);
/// What other nodes take to be back, beside the longest pause between attempts.
const OTHERS_ARE_BACK: Duration = Duration::from_millis(250);
/// Largest packet of a server that was not told otherwise.
pub(crate) const DEFAULT_MAX_PAYLOAD: usize = 1 << 20;

/// What a connected transporter has.
#[derive(Debug)]
pub(crate) struct Session {
    config: Arc<NatsConfig>,
    host: Host,
    way: watch::Sender<Way>,
    /// How often it was lost.
    losses: AtomicU64,
    shares: Mutex<Shares>,
    /// For bytes that are to be written.
    room: Room,
    closing: CancellationToken,
}

/// The way to the server.
#[derive(Debug)]
enum Way {
    Open(Arc<Connection>),
    /// Lost; there is hope that it comes back.
    Lost(Arc<Connection>),
    /// For good.
    Closed,
}

impl Session {
    /// Connects for the first time.
    pub(crate) async fn open(config: Arc<NatsConfig>, host: Host) -> Result<Arc<Self>> {
        let (way, closing) = (watch::Sender::new(Way::Closed), CancellationToken::new());
        let (losses, shares) = (AtomicU64::new(0), Mutex::default());
        let room = Room::new(config.max_queued_bytes);
        let session = Arc::new(Self { config, host, way, losses, shares, room, closing });
        let connection = session.connect(&session.config.url).await?;
        session.way.send_replace(Way::Open(connection));
        Ok(session)
    }

    async fn connect(self: &Arc<Self>, servers: &Servers) -> Result<Arc<Connection>> {
        let node = self.host.node_id();
        Connection::open(&self.config, servers, node, Arc::clone(self)).await.map(Arc::new)
    }

    /// Subscribes, and reads from now on.
    pub(crate) async fn subscribe(self: &Arc<Self>, topics: Vec<Topic>) -> Result<()> {
        let connection = self.connection()?;
        let inbox = self.inbox(&connection, &topics).await?;
        self.confirm(&connection).await?;
        self.host.spawn(Arc::clone(self).run(connection, inbox, topics));
        Ok(())
    }

    /// Takes a share of these balanced topics instead of those before: first
    /// of the new ones, then of the old ones no more.
    pub(crate) async fn subscribe_balanced(&self, topics: Vec<Topic>) -> Result<()> {
        let mut shares = self.shares.lock().await;
        let connection = self.connection()?;
        self.take_shares(&mut shares, &topics, &connection).await?;
        self.confirm(&connection).await?;
        shares.keep(&topics).await;
        Ok(())
    }

    async fn take_shares(
        &self,
        shares: &mut Shares,
        topics: &[Topic],
        connection: &Connection,
    ) -> Result<()> {
        let taken = shares.take(topics, &connection.client, &self.host).await;
        taken.map_err(|error| disconnected().with_source(error))
    }

    fn connection(&self) -> Result<Arc<Connection>> {
        match &*self.way.borrow() {
            Way::Open(connection) | Way::Lost(connection) => Ok(Arc::clone(connection)),
            Way::Closed => Err(disconnected()),
        }
    }

    async fn inbox(&self, connection: &Connection, topics: &[Topic]) -> Result<Inbox> {
        let inbox = Inbox::open(&connection.client, topics, self.host.namespace()).await;
        inbox.map_err(|error| disconnected().with_source(error))
    }

    /// Waits until the server knows the subscriptions.
    async fn confirm(&self, connection: &Connection) -> Result<()> {
        let own = Topic::node(PacketKind::Pong, self.host.node_id().clone());
        let subject = format!("{}.subscribed", own.name(self.host.namespace()));
        connection.confirm(subject, *self.config.timeout).await
    }

    /// Reads; and makes a new connection when async-nats has given one up.
    async fn run(
        self: Arc<Self>,
        mut connection: Arc<Connection>,
        mut inbox: Inbox,
        topics: Vec<Topic>,
    ) {
        let mut servers = self.config.url.clone();
        loop {
            if !self.config.ignore_cluster_updates {
                servers.learn(&connection.client.server_info().connect_urls);
            }
            inbox.read(&self.host).await;
            // Until then it may have more to tell.
            connection.ended.cancelled().await;
            self.lost();
            let again = self.closing.run_until_cancelled(self.reconnect(&servers, &topics)).await;
            let Some(Some(again)) = again else { return };
            (connection, inbox) = again;
            tracing::info!(%servers, "connected to NATS again");
            self.reopen(Some(&connection));
        }
    }

    async fn reconnect(
        self: &Arc<Self>,
        servers: &Servers,
        topics: &[Topic],
    ) -> Option<(Arc<Connection>, Inbox)> {
        let mut pause = FIRST_PAUSE.min(*self.config.reconnect_time_wait);
        let (mut attempt, mut told) = (0, String::new());
        while self.config.attempts().is_none_or(|most| attempt < most) {
            sleep(pause).await;
            pause = (pause * 2).min(*self.config.reconnect_time_wait);
            attempt += 1;
            let attempted = async {
                let connection = self.connect(servers);
                let connection = if attempt == 1 {
                    connection.await?
                } else {
                    // async-nats would tell of each attempt.
                    connection.with_subscriber(NoSubscriber::new()).await?
                };
                let inbox = self.inbox(&connection, topics).await?;
                let mut shares = self.shares.lock().await;
                let mut again = Shares::default();
                self.take_shares(&mut again, &shares.topics(), &connection).await?;
                *shares = again;
                self.confirm(&connection).await?;
                Ok::<_, Error>((connection, inbox))
            };
            match attempted.await {
                Ok(again) => return Some(again),
                // Each reason once.
                Err(error) if told != error.message() => {
                    tracing::warn!(%error, "NATS is not there again yet; this node goes on trying");
                    told = error.message().to_owned();
                }
                Err(_) => {}
            }
        }
        self.give_up();
        None
    }

    fn give_up(&self) {
        let gave_up = self
            .way
            .send_if_modified(|way| !matches!(std::mem::replace(way, Way::Closed), Way::Closed));
        if gave_up {
            tracing::error!(
                servers = %self.config.url,
                "NATS was lost and no further attempt is allowed: this node stays disconnected"
            );
        }
    }

    /// Largest packet that the server takes.
    pub(crate) fn max_packet(&self) -> usize {
        match &*self.way.borrow() {
            Way::Open(connection) | Way::Lost(connection) => connection.client.max_payload(),
            Way::Closed => DEFAULT_MAX_PAYLOAD,
        }
    }

    pub(crate) fn try_publish(&self, topic: &Topic, bytes: Bytes) -> Result<(), TryPublishError> {
        let way = self.way.borrow();
        let client = match &*way {
            Way::Open(connection) => &connection.client,
            Way::Lost(_) => return Err(TryPublishError::Full(bytes)),
            Way::Closed => return Err(TryPublishError::Failed(disconnected())),
        };
        let Some(held) = self.room.try_enter(&bytes) else {
            return Err(TryPublishError::Full(bytes));
        };
        let subject = topic.name(self.host.namespace());
        // Tokio's budget would make a queue look full that is not.
        let published = tokio::task::unconstrained(client.publish(subject, held));
        match published.now_or_never() {
            Some(Ok(())) => Ok(()),
            None => Err(TryPublishError::Full(bytes)),
            Some(Err(error)) if error.kind() == PublishErrorKind::Send => {
                Err(TryPublishError::Full(bytes))
            }
            Some(Err(error)) => {
                let subject = topic.name(self.host.namespace());
                Err(TryPublishError::Failed(not_published(&subject, error)))
            }
        }
    }

    /// Waits for room, or for the connection to come back.
    pub(crate) async fn publish(&self, topic: &Topic, bytes: Bytes) -> Result<()> {
        let Some(_place) = self.room.line_up(&bytes) else {
            return Err(queue_full(self.host.node_id(), self.room.taken(), self.room.most()));
        };
        let published = timeout(patience(topic.kind), self.publish_once(topic, &bytes));
        match self.closing.run_until_cancelled(published).await {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(no_room(self.host.node_id())),
            None => Err(disconnected()),
        }
    }

    async fn publish_once(&self, topic: &Topic, bytes: &Bytes) -> Result<()> {
        let subject = topic.name(self.host.namespace());
        let mut way = self.way.subscribe();
        let mut was_lost = false;
        loop {
            let client = match &*way.borrow_and_update() {
                Way::Open(connection) => Some(connection.client.clone()),
                Way::Lost(_) => None,
                Way::Closed => return Err(disconnected()),
            };
            if let Some(client) = client {
                if was_lost && is_awaited(topic.kind) {
                    // The receiver was lost as well, and has to be back first:
                    // what nobody subscribes to is gone.
                    sleep(*self.config.reconnect_time_wait + OTHERS_ARE_BACK).await;
                }
                let turn = self.room.turn().await;
                let held = self.room.enter(&turn, bytes).await.ok_or_else(disconnected)?;
                match client.publish(subject.clone(), held).await {
                    // The connection has ended; the next one takes it.
                    Err(error) if error.kind() == PublishErrorKind::Send => {}
                    result => return result.map_err(|error| not_published(&subject, error)),
                }
            }
            was_lost = true;
            way.changed().await.map_err(|_| disconnected())?;
        }
    }

    /// Writes what is to be written and ends the connection.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        let (connection, open) = match self.way.send_replace(Way::Closed) {
            Way::Open(connection) => (connection, true),
            Way::Lost(connection) => (connection, false),
            Way::Closed => return,
        };
        let end = async {
            if open && let Err(error) = connection.client.flush().await {
                tracing::warn!(%error, "the last packets were not written");
            }
            // Nobody listens if the connection has ended already.
            connection.client.drain().await.ok();
            connection.ended.cancelled().await;
        };
        if timeout(END, end).await.is_err() {
            tracing::warn!("the NATS server took too long to take the last packets");
        }
    }

    /// The connection is back, or there is a new one.
    fn reopen(&self, new: Option<&Arc<Connection>>) {
        let changed = self.way.send_if_modified(|way| {
            let Way::Lost(old) = &*way else { return false };
            *way = Way::Open(Arc::clone(new.unwrap_or(old)));
            true
        });
        if changed {
            self.host.reconnected();
        }
    }
}

impl Listener for Arc<Session> {
    fn lost(&self) {
        self.losses.fetch_add(1, Ordering::AcqRel);
        let mut lost = None;
        self.way.send_if_modified(|way| {
            let Way::Open(connection) = &*way else { return false };
            lost = Some(Arc::clone(connection));
            *way = Way::Lost(Arc::clone(connection));
            true
        });
        let Some(connection) = lost else { return };
        self.host.disconnected(&disconnected());
        if self.config.attempts() == Some(0) {
            self.give_up();
            // Or async-nats would come back with it.
            self.host.spawn(async move {
                connection.client.drain().await.ok();
            });
        }
    }

    fn back(&self) {
        let losses = self.losses.load(Ordering::Acquire);
        let Ok(connection) = self.connection() else { return };
        let session = Self::clone(self);
        self.host.spawn(async move {
            let confirmed = session.closing.run_until_cancelled(session.confirm(&connection)).await;
            let lost_again = session.losses.load(Ordering::Acquire) != losses;
            if matches!(confirmed, Some(Ok(()))) && !lost_again {
                session.reopen(None);
            }
        });
    }
}

/// How long a packet may wait. Those that nobody waits for tell of a moment
/// that soon has passed.
const fn patience(kind: PacketKind) -> Duration {
    Duration::from_secs(if is_awaited(kind) { 60 } else { 1 })
}

const fn is_awaited(kind: PacketKind) -> bool {
    matches!(kind, PacketKind::Request | PacketKind::Response | PacketKind::Event)
}
