//! How nodes find each other: [`Discoverer`].

mod local;

use std::{fmt, net::IpAddr};

use futures_util::future::BoxFuture;
use moleculer_protocol::{NodeId, Packet};

pub use self::local::{LocalDiscoverer, LocalOptions};
use crate::{Result, host::Host};

/// Finds other nodes, makes this one known, and tells who is alive.
///
/// # Contract
///
/// - `start` is called after the transporter is connected and subscribed. It
///   spawns its timers on the host and returns; timers end with
///   [`Host::stopping`].
/// - `handle` gets every packet of discovery: DISCOVER, INFO, DISCONNECT,
///   HEARTBEAT and the GOSSIP kinds. It is called in the reader's task, so it
///   must not block; answers are sent from spawned tasks. Packets with this
///   node's own id do not come, but for a GOSSIP_RES, which another node of the
///   same id sent: see [`Host::rival`].
/// - What it learns goes to the host's registry methods; it keeps no second
///   truth about nodes.
/// - `stop` says goodbye. It is called while the transporter is still connected.
pub trait Discoverer: fmt::Debug + Send + Sync + 'static {
    /// The name in configuration, for example `Local`.
    fn name(&self) -> &'static str;

    /// Begins to look for nodes.
    fn start(&self, host: Host) -> impl Future<Output = Result<()>> + Send;

    /// Looks for all nodes, or asks one what it offers. Returns when the
    /// nodes that can be reached at once had the time to answer.
    fn discover(&self, node: Option<NodeId>) -> impl Future<Output = Result<()>> + Send;

    /// Tells all nodes, or one, what this node offers now.
    fn send_local_info(&self, node: Option<NodeId>) -> impl Future<Output = Result<()>> + Send;

    /// Handles a packet of discovery; `from` is the address of its socket.
    fn handle(&self, packet: Packet, from: Option<IpAddr>);

    /// Says goodbye and ends.
    fn stop(&self) -> impl Future<Output = Result<()>> + Send;
}

/// [`Discoverer`] as a trait object; implemented for every discoverer.
pub trait DynDiscoverer: fmt::Debug + Send + Sync + 'static {
    /// See [`Discoverer::name`].
    fn name(&self) -> &'static str;
    /// See [`Discoverer::start`].
    fn start_dyn(&self, host: Host) -> BoxFuture<'_, Result<()>>;
    /// See [`Discoverer::discover`].
    fn discover_dyn(&self, node: Option<NodeId>) -> BoxFuture<'_, Result<()>>;
    /// See [`Discoverer::send_local_info`].
    fn send_local_info_dyn(&self, node: Option<NodeId>) -> BoxFuture<'_, Result<()>>;
    /// See [`Discoverer::handle`].
    fn handle(&self, packet: Packet, from: Option<IpAddr>);
    /// See [`Discoverer::stop`].
    fn stop_dyn(&self) -> BoxFuture<'_, Result<()>>;
}

impl<D: Discoverer> DynDiscoverer for D {
    fn name(&self) -> &'static str {
        Discoverer::name(self)
    }
    fn start_dyn(&self, host: Host) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.start(host))
    }
    fn discover_dyn(&self, node: Option<NodeId>) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.discover(node))
    }
    fn send_local_info_dyn(&self, node: Option<NodeId>) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.send_local_info(node))
    }
    fn handle(&self, packet: Packet, from: Option<IpAddr>) {
        Discoverer::handle(self, packet, from);
    }
    fn stop_dyn(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.stop())
    }
}
