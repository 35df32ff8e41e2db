//! What lives between connect and disconnect: [`Session`].

use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use moleculer_core::{
    Host, NodeId, PeerAddress, Result, TryPublishError,
    protocol::{GossipHello, PacketBody, PacketKind},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    TcpConfig,
    connection::{Connection, End, Frame, SendError},
    error::{disconnected, no_address, not_sendable, unreachable},
    socket,
};

/// How long opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The outgoing connections by node, and the tasks of all sockets.
pub(crate) struct Session {
    pub(crate) host: Host,
    pub(crate) config: Arc<TcpConfig>,
    /// Port on which this node listens.
    pub(crate) port: u16,
    connections: papaya::HashMap<NodeId, Arc<Connection>, foldhash::fast::RandomState>,
    /// Held while a connection is added.
    opening: Mutex<()>,
    /// The tasks of outgoing connections; closed when no more may be opened.
    outgoing: TaskTracker,
    tasks: TaskTracker,
    /// Ends everything.
    pub(crate) token: CancellationToken,
}

impl Session {
    pub(crate) fn new(host: Host, config: Arc<TcpConfig>, port: u16) -> Arc<Self> {
        Arc::new(Self {
            token: host.stopping().child_token(),
            host,
            config,
            port,
            connections: papaya::HashMap::default(),
            opening: Mutex::new(()),
            outgoing: TaskTracker::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// Runs a task that [`close`](Self::close) waits for.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.host.spawn(self.tasks.track_future(task));
    }

    pub(crate) fn frame(&self, kind: PacketKind, body: Bytes) -> Result<Frame> {
        Frame::new(kind, body, self.config.max_packet_size).map_err(not_sendable)
    }

    pub(crate) fn try_send(&self, node: &NodeId, frame: Frame) -> Result<(), TryPublishError> {
        let connections = self.connections.pin();
        let Some(connection) = connections.get(node) else {
            return Err(TryPublishError::Full(frame.into_body()));
        };
        connection.try_send(frame).map_err(|error| match error {
            SendError::Full(body) => TryPublishError::Full(body),
            SendError::Gone(frame) => TryPublishError::Full(frame.into_body()),
            SendError::Failed(error) => TryPublishError::Failed(error),
            SendError::Broken(error) => {
                TryPublishError::Failed(unreachable(node, &connection.address, error))
            }
        })
    }

    /// Sends a packet, over a new connection if there is none.
    pub(crate) async fn send(self: &Arc<Self>, node: &NodeId, mut frame: Frame) -> Result<()> {
        loop {
            let connection = self.connection(node)?;
            frame = match connection.send(frame).await {
                Ok(()) => return Ok(()),
                Err(SendError::Gone(frame)) => frame,
                Err(SendError::Failed(error)) => return Err(error),
                Err(SendError::Full(_) | SendError::Broken(_)) => return Err(disconnected()),
            };
            self.forget(node, &connection);
        }
    }

    /// Queues a packet for a node that there is a connection to, open or not;
    /// without room it is lost.
    pub(crate) fn queue(&self, node: &NodeId, frame: Frame) {
        if let Some(connection) = self.connections.pin().get(node)
            && connection.try_queue(frame).is_err()
        {
            tracing::debug!(%node, "the node is not told of changes: its queue is full");
        }
    }

    /// Sends an encoded GOSSIP_RES to several nodes.
    pub(crate) async fn tell(self: &Arc<Self>, nodes: &[NodeId], response: Bytes) {
        let sends = nodes.iter().map(|node| async {
            let frame = self.frame(PacketKind::GossipResponse, response.clone())?;
            self.send(node, frame).await
        });
        for (node, sent) in nodes.iter().zip(join_all(sends).await) {
            if let Err(error) = sent {
                tracing::debug!(%node, %error, "the node is not told of changes");
            }
        }
    }

    /// Opens the connection to a node, unless there is one.
    ///
    /// # Errors
    ///
    /// When nobody knows where the node is.
    pub(crate) fn connect(self: &Arc<Self>, node: &NodeId) -> Result<()> {
        self.connection(node).map(drop)
    }

    /// Nodes that there is a connection to, open or not.
    pub(crate) fn connected(&self) -> Vec<NodeId> {
        self.connections.pin().keys().cloned().collect()
    }

    pub(crate) fn is_connected(&self, node: &NodeId) -> bool {
        self.connections.pin().contains_key(node)
    }

    /// Ends all tasks and sockets, after what is queued has been read.
    ///
    /// The accepted sockets come last: a peer that sees the end of one takes
    /// this node for gone, and may not have read its last responses yet.
    pub(crate) async fn close(&self) {
        let opening = self.lock_opening();
        self.outgoing.close();
        for connection in self.connections.pin().values() {
            connection.close();
        }
        drop(opening);
        self.outgoing.wait().await;
        self.token.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn connection(self: &Arc<Self>, node: &NodeId) -> Result<Arc<Connection>> {
        if let Some(connection) = self.connections.pin().get(node) {
            return Ok(Arc::clone(connection));
        }
        let address = self.address_of(node)?;
        let hello = self.hello()?;
        let _opening = self.lock_opening();
        if self.outgoing.is_closed() {
            return Err(disconnected());
        }
        let connections = self.connections.pin();
        if let Some(connection) = connections.get(node) {
            return Ok(Arc::clone(connection));
        }
        let connection = Connection::new(address, &hello, self.token.child_token());
        let connection = Arc::new(connection);
        connections.insert(node.clone(), Arc::clone(&connection));
        let serve = Arc::clone(self).serve(node.clone(), Arc::clone(&connection));
        self.host.spawn(self.outgoing.track_future(serve));
        Ok(connection)
    }

    async fn serve(self: Arc<Self>, node: NodeId, connection: Arc<Connection>) {
        let connect = async {
            let stream = open(&node, &connection.address).await?;
            self.close_least_used();
            Ok(stream)
        };
        let end = connection.run(connect).await;
        self.forget(&node, &connection);
        connection.finish(&end);
        let address = &connection.address;
        match &end {
            End::Closed => {}
            End::Lost(error) => {
                tracing::debug!(%node, address, %error, "the peer closed the connection");
                self.host.node_offline(&node, false);
            }
            End::Unreachable(error) => {
                tracing::debug!(%node, address, %error, "the peer cannot be reached");
                self.host.node_offline(&node, true);
            }
            End::Broken(error) => {
                tracing::warn!(%node, address, %error, "sending to the peer failed");
                self.host.node_offline(&node, true);
            }
        }
    }

    fn forget(&self, node: &NodeId, connection: &Arc<Connection>) {
        // An error means that another one has taken its place.
        self.connections.pin().remove_if(node, |_, known| Arc::ptr_eq(known, connection)).ok();
    }

    /// Makes room for a connection that is about to be open.
    fn close_least_used(&self) {
        let connections = self.connections.pin();
        let mut open: Vec<_> = connections
            .iter()
            .filter_map(|(node, connection)| Some((connection.last_used()?, node, connection)))
            .collect();
        let excess = (open.len() + 1).saturating_sub(self.config.max_connections);
        open.sort_unstable_by_key(|(used, ..)| *used);
        for (_, node, connection) in open.into_iter().take(excess) {
            self.forget(node, connection);
            connection.close();
        }
    }

    /// Where a node listens, as `host:port`.
    fn address_of(&self, node: &NodeId) -> Result<String> {
        let known = self.host.node(node);
        let known = known.as_ref().map(|view| &view.address);
        let port = known.and_then(|known| known.port);
        match (known.and_then(|known| self.host_of(known)), port) {
            (Some(host), Some(port)) => Ok(address(&host, port)),
            _ => Err(no_address(node)),
        }
    }

    fn host_of(&self, address: &PeerAddress) -> Option<String> {
        let hostname = address.hostname.clone().filter(|name| !name.is_empty());
        let seen_at = address.seen_at.map(|ip| ip.to_string());
        seen_at
            .or_else(|| hostname.filter(|_| self.config.use_hostname))
            .or_else(|| address.ip_list.first().cloned())
    }

    /// The first packet on each connection.
    pub(crate) fn hello(&self) -> Result<Frame> {
        let local = self.host.node(self.host.node_id());
        let local = local.ok_or_else(disconnected)?;
        let mut address = local.address;
        if let Some(info) = &local.info {
            address.hostname.get_or_insert_with(|| info.hostname.clone());
            address.ip_list.extend(info.ip_list.iter().cloned());
        }
        let host = self.host_of(&address).unwrap_or_default();
        let port = self.port;
        let body = self.host.encode(PacketBody::GossipHello(GossipHello { host, port }))?;
        self.frame(PacketKind::GossipHello, body)
    }

    fn lock_opening(&self) -> MutexGuard<'_, ()> {
        self.opening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `host:port`; IPv6 addresses in brackets.
pub(crate) fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Opens the socket to a node.
pub(crate) async fn open(node: &NodeId, address: &str) -> Result<TcpStream> {
    let opened = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
    let stream = opened.unwrap_or_else(|_| {
        let text = format!("no answer within {} s", CONNECT_TIMEOUT.as_secs());
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    });
    stream
        .and_then(|stream| socket::prepare(&stream).map(|()| stream))
        .map_err(|error| unreachable(node, address, error))
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("host", &self.host)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}
