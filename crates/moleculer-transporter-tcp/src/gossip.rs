//! What nodes tell each other: [`Gossip`].

use std::{
    collections::HashSet,
    hash::{BuildHasher, Hasher, RandomState},
    net::IpAddr,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use moleculer_core::{
    Host, NodeId, NodeView, PeerAddress, Result,
    protocol::{
        GossipHello, GossipRequest, GossipResponse, PacketBody, PacketKind,
        gossip::{self, Change, NodeRow},
        tcp::Announcement,
    },
};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use crate::{error::disconnected, rival::Rivals, session::Session};

/// Nodes that may be contacted at a time. Anybody can announce nodes; those
/// above it are left to the rounds.
const CONTACTS: usize = 64;
/// First pause before a node that could not be reached is contacted again;
/// each is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// How long `discover`, pushed news and goodbyes wait for peers.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);

/// The conversation with other nodes. What is learnt goes to the host; only
/// who is just being contacted is remembered here.
#[derive(Debug, Default)]
pub(crate) struct Gossip {
    contacts: Mutex<HashSet<NodeId>>,
    /// Those that are just told of this node, which has their id.
    pub(crate) rivals: Rivals,
    /// Told after each response.
    heard: Notify,
}

impl Gossip {
    /// Asks a random node, and the likelier the more are offline one of those.
    pub(crate) fn round(self: &Arc<Self>, session: &Arc<Session>) {
        let nodes = session.host.nodes();
        let Some(round) = gossip::round(nodes.iter().map(row), random) else { return };
        let Ok(request) = session.host.encode(PacketBody::GossipRequest(round.request)) else {
            return;
        };
        for node in round.targets {
            if nodes.iter().any(|known| known.id == node && known.available) {
                self.send_soon(session, node, PacketKind::GossipRequest, request.clone());
            } else {
                self.contact_soon(session, node);
            }
        }
    }

    /// Tells a node of this one and asks it; returns when that is sent.
    ///
    /// In this order a peer knows this node before it answers, so whoever has
    /// the answer hears of all changes that come after it.
    ///
    /// # Errors
    ///
    /// When it cannot be reached.
    pub(crate) async fn contact(&self, session: &Arc<Session>, node: &NodeId) -> Result<()> {
        let Some(_contact) = Contact::begin(self, node) else { return Ok(()) };
        // First, so that `push` reaches it with what changes after the news.
        session.connect(node)?;
        let news = self.news(session)?;
        self.send(session, node, PacketKind::GossipResponse, news).await?;
        self.ask(session, node).await
    }

    async fn ask(&self, session: &Arc<Session>, node: &NodeId) -> Result<()> {
        let nodes = session.host.nodes();
        let request = gossip::round(nodes.iter().map(row), random).map(|round| round.request);
        let request = PacketBody::GossipRequest(request.unwrap_or_default());
        let request = session.host.encode(request)?;
        self.send(session, node, PacketKind::GossipRequest, request).await
    }

    fn contact_soon(self: &Arc<Self>, session: &Arc<Session>, node: NodeId) {
        let (gossip, session_) = (Arc::clone(self), Arc::clone(session));
        session.spawn(async move {
            if let Err(error) = gossip.contact(&session_, &node).await {
                tracing::debug!(%node, %error, "the node does not answer");
            }
        });
    }

    /// Contacts a node that could not be reached, more and more rarely, until
    /// the rounds may take over.
    pub(crate) fn contact_again(self: &Arc<Self>, session: &Arc<Session>, node: NodeId) {
        let (gossip, session_) = (Arc::clone(self), Arc::clone(session));
        let token = session.token.clone();
        session.spawn(async move {
            let again = async {
                let mut pause = FIRST_PAUSE;
                while pause < *session_.config.gossip_period && pause <= LAST_PAUSE {
                    sleep(pause).await;
                    pause *= 2;
                    if is_available(&session_.host, &node)
                        || gossip.contact(&session_, &node).await.is_ok()
                    {
                        return;
                    }
                }
            };
            token.run_until_cancelled(again).await;
        });
    }

    /// Asks a node that asked first, unless it has told of itself meanwhile.
    fn ask_back_soon(self: &Arc<Self>, session: &Arc<Session>, node: NodeId) {
        let (gossip, session_) = (Arc::clone(self), Arc::clone(session));
        session.spawn(async move {
            if is_available(&session_.host, &node) {
                return;
            }
            if let Err(error) = gossip.ask(&session_, &node).await {
                tracing::debug!(%node, %error, "the node does not answer");
            }
        });
    }

    /// Returns when calls may go to a node.
    pub(crate) async fn until_available(&self, session: &Session, node: &NodeId) {
        loop {
            let mut heard = pin!(self.heard.notified());
            heard.as_mut().enable();
            if is_available(&session.host, node) {
                return;
            }
            heard.await;
        }
    }

    /// Nodes that are known but not available.
    pub(crate) fn unavailable(&self, session: &Session) -> Vec<NodeId> {
        let nodes = session.host.nodes().into_iter().filter(|node| !node.available);
        nodes.map(|node| node.id).collect()
    }

    /// Tells what changed about this node to all that may know it: nodes that
    /// are available, and those that it has told of itself but that have not
    /// told of themselves yet. Waits for the former.
    pub(crate) async fn push(&self, session: &Arc<Session>, news: Bytes) -> Result<()> {
        let connected = session.connected();
        for node in connected.iter().filter(|node| !is_available(&session.host, node)) {
            session.queue(node, session.frame(PacketKind::GossipResponse, news.clone())?);
        }
        timeout(PATIENCE, session.tell(&self.peers(session), news)).await.ok();
        Ok(())
    }

    /// Available nodes, those first that are connected, no more than may be.
    fn peers(&self, session: &Session) -> Vec<NodeId> {
        let nodes = session.host.nodes().into_iter().filter(|node| node.available && !node.local);
        let mut peers: Vec<_> = nodes.map(|node| node.id).collect();
        peers.sort_by_cached_key(|node| !session.is_connected(node));
        peers.truncate(session.config.max_connections);
        peers
    }

    /// All about this node, for peers that did not ask.
    pub(crate) fn news(&self, session: &Session) -> Result<Bytes> {
        let local = local(&session.host)?;
        encode_news(&session.host, row(&local))
    }

    /// Tells that this node is gone.
    pub(crate) fn goodbye(&self, session: &Session) -> Result<Bytes> {
        let local = local(&session.host)?;
        let gone = NodeRow { available: false, seq: local.seq + 1, ..row(&local) };
        encode_news(&session.host, gone)
    }

    /// Handles the first packet on a connection.
    pub(crate) fn met(
        &self,
        session: &Session,
        node: &NodeId,
        hello: GossipHello,
        from: Option<IpAddr>,
    ) {
        session.host.peer_seen(
            node,
            PeerAddress {
                seen_at: from,
                hostname: Some(hello.host).filter(|host| !host.is_empty()),
                port: Some(hello.port).filter(|port| *port > 0),
                ..PeerAddress::default()
            },
        );
    }

    /// Handles a datagram.
    pub(crate) fn announced(
        self: &Arc<Self>,
        session: &Arc<Session>,
        announcement: Announcement,
        from: IpAddr,
    ) {
        let Announcement { namespace, node_id: node, port } = announcement;
        if namespace != session.host.namespace() || node == *session.host.node_id() {
            return;
        }
        let mut address = PeerAddress { seen_at: Some(from), ..PeerAddress::default() };
        let known = session.host.node(&node);
        let available = known.as_ref().is_some_and(|node| node.available);
        if !available {
            let from = from.to_string();
            address.ip_list = known.map(|node| node.address.ip_list).unwrap_or_default();
            if !address.ip_list.contains(&from) {
                address.ip_list.insert(0, from.clone());
            }
            address.hostname = Some(from);
            address.port = Some(port);
        }
        session.host.peer_seen(&node, address);
        if !available {
            self.contact_soon(session, node);
        }
    }

    /// Handles a request: takes over what the sender knows better, and tells
    /// it what this node knows better.
    pub(crate) fn asked(
        self: &Arc<Self>,
        session: &Arc<Session>,
        sender: NodeId,
        request: &GossipRequest,
    ) {
        let host = &session.host;
        let Ok(local) = local(host) else { return };
        if let Some(seq) = gossip::rejoin(&row(&local), request) {
            host.raise_local_seq(seq);
        }
        if !is_available(host, &sender) {
            // First, so that `push` reaches it with what changes after the answer.
            session.connect(&sender).ok();
        }
        let nodes = host.nodes();
        let answer = gossip::answer(nodes.iter().map(row), request);
        make(host, answer.changes);
        if let Some(response) = answer.response {
            match host.encode(PacketBody::GossipResponse(response)) {
                Ok(body) => {
                    self.send_soon(session, sender.clone(), PacketKind::GossipResponse, body);
                }
                Err(error) => tracing::warn!(node = %sender, %error, "cannot answer gossip"),
            }
        }
        if !is_available(host, &sender) {
            self.ask_back_soon(session, sender);
        }
    }

    /// Handles a response: takes over what the sender knows better, and
    /// outdoes an earlier run of this node.
    pub(crate) fn told(
        self: &Arc<Self>,
        session: &Arc<Session>,
        sender: &NodeId,
        response: &GossipResponse,
    ) {
        let host = &session.host;
        let nodes = host.nodes();
        let known = |id: &NodeId| nodes.iter().find(|node| node.id == *id);
        self.tell_of_rivals(session, &nodes, response);
        self.seek_rival(session, response);
        let changes = gossip::apply(response, |id| known(id).map(row));
        make(host, changes);
        self.heard.notify_waiters();
        if let Some(seq) = outdone(&nodes, response) {
            host.raise_local_seq(seq);
            self.insist(session, sender);
        }
    }

    /// Tells all peers of this node, and one that holds it for another run.
    fn insist(self: &Arc<Self>, session: &Arc<Session>, node: &NodeId) {
        session.connect(node).ok();
        let Ok(news) = self.news(session) else { return };
        let (gossip, session_) = (Arc::clone(self), Arc::clone(session));
        session.spawn(async move {
            if let Err(error) = gossip.push(&session_, news).await {
                tracing::debug!(%error, "gossip is not sent");
            }
        });
    }

    pub(crate) fn send_soon(
        self: &Arc<Self>,
        session: &Arc<Session>,
        node: NodeId,
        kind: PacketKind,
        body: Bytes,
    ) {
        let (gossip, session_) = (Arc::clone(self), Arc::clone(session));
        session.spawn(async move {
            if let Err(error) = gossip.send(&session_, &node, kind, body).await {
                tracing::debug!(%node, %kind, %error, "gossip is not sent");
            }
        });
    }

    async fn send(
        &self,
        session: &Arc<Session>,
        node: &NodeId,
        kind: PacketKind,
        body: Bytes,
    ) -> Result<()> {
        self.log(session, "sending", kind, node);
        session.send(node, session.frame(kind, body)?).await
    }

    pub(crate) fn log(&self, session: &Session, what: &str, kind: PacketKind, node: &NodeId) {
        if session.config.debug {
            tracing::debug!(%node, "{what} {kind}");
        } else {
            tracing::trace!(%node, "{what} {kind}");
        }
    }

    fn contacts(&self) -> MutexGuard<'_, HashSet<NodeId>> {
        self.contacts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A node that is just being contacted.
struct Contact<'a> {
    gossip: &'a Gossip,
    node: &'a NodeId,
}

impl<'a> Contact<'a> {
    /// `None` if it is being contacted already, or too many are.
    fn begin(gossip: &'a Gossip, node: &'a NodeId) -> Option<Self> {
        let mut contacts = gossip.contacts();
        let begun = contacts.len() < CONTACTS && contacts.insert(node.clone());
        begun.then(|| Self { gossip, node })
    }
}

impl Drop for Contact<'_> {
    fn drop(&mut self) {
        self.gossip.contacts().remove(self.node);
    }
}

fn row(node: &NodeView) -> NodeRow<'_> {
    NodeRow {
        id: &node.id,
        local: node.local,
        available: node.available,
        seq: node.seq,
        cpu_seq: node.cpu_seq,
        cpu: node.cpu,
        info: node.info.as_ref(),
    }
}

/// The seq that this node must take because the sender knows an earlier run
/// of it, gone or not. The reference waits until a request tells it so.
fn outdone(nodes: &[NodeView], response: &GossipResponse) -> Option<u64> {
    let local = nodes.iter().find(|node| node.local)?;
    let instance = &local.info.as_ref()?.instance_id;
    let gone = response.offline.iter().filter(|(id, _)| *id == local.id).map(|(_, seq)| *seq);
    let online = response.online.iter().filter(|(id, _)| *id == local.id);
    let stale = online
        .filter_map(|(_, row)| row.info.as_ref())
        .filter(|info| info.instance_id != *instance)
        .map(|info| info.seq);
    let seq = gone.chain(stale).max()?;
    (seq > 0 && seq >= local.seq).then(|| seq.saturating_add(1))
}

fn is_available(host: &Host, node: &NodeId) -> bool {
    host.node(node).is_some_and(|node| node.available)
}

fn local(host: &Host) -> Result<NodeView> {
    host.node(host.node_id()).ok_or_else(disconnected)
}

fn encode_news(host: &Host, row: NodeRow<'_>) -> Result<Bytes> {
    let news = gossip::news([row]).unwrap_or_default();
    host.encode(PacketBody::GossipResponse(news))
}

fn make(host: &Host, changes: Vec<Change>) {
    for change in changes {
        match change {
            Change::Offline { node, seq } => {
                if is_available(host, &node) {
                    host.node_offline(&node, false);
                }
                host.set_node_seq(&node, seq);
            }
            Change::Info { node, info } => host.node_info(&node, info),
            Change::Cpu { node, cpu_seq, cpu } => host.node_alive(&node, Some(cpu), Some(cpu_seq)),
        }
    }
}

/// From 0 to 1; each hasher has random keys.
fn random() -> f64 {
    (RandomState::new().build_hasher().finish() >> 11) as f64 / (1_u64 << 53) as f64
}
