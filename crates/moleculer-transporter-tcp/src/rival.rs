//! Two nodes of one id over TCP: ADR 0038.
//!
//! A node has one connection to each id, so of two that share one the second
//! is told nothing, and the first is told what was meant for the second.

use std::sync::Arc;

use futures_util::future::join_all;
use moleculer_core::{
    NodeView, Result,
    protocol::{GossipResponse, NewsRow, NodeInfo, PacketBody, PacketKind},
};
use tokio::{join, sync::Semaphore};

use crate::{
    connection::Connection,
    error::disconnected,
    gossip::Gossip,
    session::{Session, address, open},
};

/// Addresses that are tried of one node.
const ADDRESSES: usize = 8;
/// Nodes that are told at a time: anybody can make them up.
const RIVALS: usize = 16;

/// How many others of this id may be told of this node.
#[derive(Debug)]
pub(crate) struct Rivals(Arc<Semaphore>);

impl Default for Rivals {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(RIVALS)))
    }
}

impl Gossip {
    /// Takes what another node of this id told of itself.
    pub(crate) fn hears_rival(self: &Arc<Self>, session: &Arc<Session>, response: &GossipResponse) {
        for info in rivals(session, response) {
            if session.host.rival(&info.instance_id) {
                self.confront(session, info);
            }
        }
    }

    /// Looks whether another node of this id lives, if somebody knows one: an
    /// earlier run does not listen any more.
    pub(crate) fn seek_rival(self: &Arc<Self>, session: &Arc<Session>, response: &GossipResponse) {
        // One that starts or stops is not what the other has to go for.
        if session.host.has_started() {
            for info in rivals(session, response) {
                self.confront(session, info);
            }
        }
    }

    /// Tells available nodes of others that use their ids.
    pub(crate) fn tell_of_rivals(
        self: &Arc<Self>,
        session: &Arc<Session>,
        nodes: &[NodeView],
        response: &GossipResponse,
    ) {
        for (id, row) in &response.online {
            let known = nodes.iter().find(|node| node.id == *id && node.available && !node.local);
            let (Some(known), Some(info)) = (known, &row.info) else { continue };
            let instance = known.info.as_ref().map_or("", |info| &info.instance_id);
            if instance.is_empty() || instance == info.instance_id {
                continue;
            }
            let news = GossipResponse {
                online: vec![(id.clone(), NewsRow { info: Some(Arc::clone(info)), cpu: None })],
                offline: Vec::new(),
            };
            if let Ok(news) = session.host.encode(PacketBody::GossipResponse(news)) {
                tracing::debug!(node = %id, "it is told of another node of its id");
                self.send_soon(session, id.clone(), PacketKind::GossipResponse, news);
            }
        }
    }

    /// Tells another node of this id of this one, where that one says that it
    /// listens.
    fn confront(self: &Arc<Self>, session: &Arc<Session>, rival: &Arc<NodeInfo>) {
        let Some(port) = rival.port else { return };
        let Ok(turn) = Arc::clone(&self.rivals.0).try_acquire_owned() else { return };
        let (gossip, session_) = (Arc::clone(self), Arc::clone(session));
        let hosts = rival.ip_list.iter().chain([&rival.hostname]).take(ADDRESSES);
        let addresses: Vec<_> = hosts.map(|host| address(host, port)).collect();
        session.spawn(async move {
            let tell = addresses.iter().map(|address| gossip.tell_rival(&session_, address));
            for (address, told) in addresses.iter().zip(join_all(tell).await) {
                if let Err(error) = told {
                    tracing::debug!(address, %error, "there is no other node of this id");
                }
            }
            drop(turn);
        });
    }

    /// Over a connection of its own: that to this id leads nowhere.
    async fn tell_rival(&self, session: &Arc<Session>, address: &str) -> Result<()> {
        let node = session.host.node_id();
        let news = session.frame(PacketKind::GossipResponse, self.news(session)?)?;
        let token = session.token.child_token();
        let connection = Connection::new(address.to_owned(), &session.hello()?, token);
        let serve = async {
            let end = connection.run(open(node, address)).await;
            connection.finish(&end);
        };
        let tell = async {
            let sent = connection.send(news).await;
            connection.close();
            sent.map_err(|_| disconnected())
        };
        join!(tell, serve).0
    }
}

/// Infos of this node's id that are not its own.
fn rivals<'a>(
    session: &Session,
    response: &'a GossipResponse,
) -> impl Iterator<Item = &'a Arc<NodeInfo>> {
    let local = session.host.node(session.host.node_id()).and_then(|local| local.info);
    response.online.iter().filter_map(move |(id, row)| {
        let (info, local) = (row.info.as_ref()?, local.as_ref()?);
        (*id == *session.host.node_id() && info.instance_id != local.instance_id).then_some(info)
    })
}
