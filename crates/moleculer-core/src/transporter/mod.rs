//! Media between nodes: [`Transporter`].

mod in_process;

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use moleculer_protocol::Topic;

pub use self::in_process::{InProcessNetwork, InProcessTransporter};
use crate::{Result, discoverer::DynDiscoverer, host::Host};

/// Carries encoded packets between nodes.
///
/// # Contract
///
/// - `connect` resolves when packets can flow both ways; the broker retries a
///   failed one. After it the transporter reconnects by itself.
/// - When `subscribe` resolves, packets of these topics arrive: one published
///   after that is not lost.
/// - Received bytes go to [`Host::deliver`] by a plain call, unchanged, and in
///   the order in which they came from one peer. Where the medium keeps no
///   order between topics, a DISCONNECT still comes after what came before it.
/// - A packet for a node reaches that node alone, one for all every node of
///   the namespace; whether its sender is one of them is the medium's choice.
/// - `publish` and `try_publish` keep the order of packets to one target.
/// - `try_publish` never waits; `publish` waits while the way is full. What
///   waits is bounded.
/// - A medium that is lost is told with [`Host::disconnected`]; one that is
///   back, and subscribed to as before, with [`Host::reconnected`].
/// - `disconnect` ends every task and socket that `connect` made, flushing
///   what was published before it. After it publishing fails.
/// - Nothing that a peer sends ends the process or a task that serves others.
///
/// `moleculer-testkit` has a test program with a case for each of these.
pub trait Transporter: fmt::Debug + Send + Sync + 'static {
    /// The name in configuration, for example `TCP`.
    fn name(&self) -> &'static str;

    /// What this medium can do.
    fn capabilities(&self) -> TransporterCapabilities;

    /// Connects, and hands every incoming packet to `host`.
    fn connect(&self, host: Host) -> impl Future<Output = Result<()>> + Send;

    /// Asks for the packets of these topics; called once, after `connect`.
    fn subscribe(&self, topics: Vec<Topic>) -> impl Future<Output = Result<()>> + Send;

    /// Asks for the packets of these balanced topics, in place of those that
    /// were asked for before; called when the services of this node change.
    ///
    /// # Errors
    ///
    /// The default fails: only media that are
    /// [`balanced`](TransporterCapabilities::balanced) can do it.
    fn subscribe_balanced(&self, topics: Vec<Topic>) -> impl Future<Output = Result<()>> + Send {
        let _ = topics;
        let error = crate::Error::internal("this medium does not balance");
        std::future::ready(Err(error))
    }

    /// Publishes at once if there is room, else gives the bytes back.
    ///
    /// # Errors
    ///
    /// [`TryPublishError::Full`] when [`publish`](Self::publish) has to be
    /// awaited; the default always asks for that.
    fn try_publish(&self, topic: &Topic, bytes: Bytes) -> std::result::Result<(), TryPublishError> {
        let _ = topic;
        Err(TryPublishError::Full(bytes))
    }

    /// Publishes, waiting for room.
    fn publish(&self, topic: &Topic, bytes: Bytes) -> impl Future<Output = Result<()>> + Send;

    /// Ends the connection.
    fn disconnect(&self) -> impl Future<Output = Result<()>> + Send;

    /// The discoverer that this medium brings along, if it has
    /// [`own_discovery`](TransporterCapabilities::own_discovery).
    fn discoverer(&self) -> Option<Arc<dyn DynDiscoverer>> {
        None
    }
}

/// Facts about a medium; the broker adapts to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransporterCapabilities {
    /// The medium chooses one of several receivers by itself:
    /// [`subscribe_balanced`](Transporter::subscribe_balanced).
    pub balanced: bool,
    /// Nodes find each other by the transporter's own discoverer.
    pub own_discovery: bool,
    /// The reader can wait when [`Flow::Pause`](crate::Flow::Pause) says so.
    pub can_pause: bool,
    /// Largest encoded packet in bytes, if there is a limit.
    pub max_packet: Option<usize>,
}

/// Why [`Transporter::try_publish`] did not publish.
#[derive(Debug)]
pub enum TryPublishError {
    /// There is no room now: await `publish` with these bytes.
    Full(Bytes),
    /// The packet cannot go out at all.
    Failed(crate::Error),
}

/// [`Transporter`] as a trait object; implemented for every transporter.
pub trait DynTransporter: fmt::Debug + Send + Sync + 'static {
    /// See [`Transporter::name`].
    fn name(&self) -> &'static str;
    /// See [`Transporter::capabilities`].
    fn capabilities(&self) -> TransporterCapabilities;
    /// See [`Transporter::connect`].
    fn connect_dyn(&self, host: Host) -> BoxFuture<'_, Result<()>>;
    /// See [`Transporter::subscribe`].
    fn subscribe_dyn(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<()>>;
    /// See [`Transporter::subscribe_balanced`].
    fn subscribe_balanced_dyn(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<()>>;
    /// See [`Transporter::try_publish`].
    ///
    /// # Errors
    ///
    /// As there.
    fn try_publish(&self, topic: &Topic, bytes: Bytes) -> std::result::Result<(), TryPublishError>;
    /// See [`Transporter::publish`].
    fn publish_dyn<'a>(&'a self, topic: &'a Topic, bytes: Bytes) -> BoxFuture<'a, Result<()>>;
    /// See [`Transporter::disconnect`].
    fn disconnect_dyn(&self) -> BoxFuture<'_, Result<()>>;
    /// See [`Transporter::discoverer`].
    fn discoverer(&self) -> Option<Arc<dyn DynDiscoverer>>;
}

impl<T: Transporter> DynTransporter for T {
    fn name(&self) -> &'static str {
        Transporter::name(self)
    }
    fn capabilities(&self) -> TransporterCapabilities {
        Transporter::capabilities(self)
    }
    fn connect_dyn(&self, host: Host) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.connect(host))
    }
    fn subscribe_dyn(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.subscribe(topics))
    }
    fn subscribe_balanced_dyn(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.subscribe_balanced(topics))
    }
    fn try_publish(&self, topic: &Topic, bytes: Bytes) -> std::result::Result<(), TryPublishError> {
        Transporter::try_publish(self, topic, bytes)
    }
    fn publish_dyn<'a>(&'a self, topic: &'a Topic, bytes: Bytes) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.publish(topic, bytes))
    }
    fn disconnect_dyn(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.disconnect())
    }
    fn discoverer(&self) -> Option<Arc<dyn DynDiscoverer>> {
        Transporter::discoverer(self)
    }
}
