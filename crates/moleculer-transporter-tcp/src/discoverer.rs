//! How TCP nodes find each other: [`GossipDiscoverer`].

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream};
use moleculer_core::{
    Discoverer, Host, NodeId, Result,
    protocol::{Packet, PacketBody, tcp::Announcement},
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    error::disconnected,
    gossip::{Gossip, PATIENCE},
    session::Session,
    transporter::Link,
    udp,
};

/// Age at which an offline node is forgotten, as other discoverers do.
const FORGET: Duration = Duration::from_secs(600);

/// Finds nodes by a static list, by UDP and by what other nodes tell, and
/// tells them what this one knows.
///
/// Besides answering and asking in rounds, as the reference does, it contacts
/// a node as soon as it hears of it, and pushes changes of this node.
#[derive(Debug)]
pub(crate) struct GossipDiscoverer {
    link: Arc<Link>,
    gossip: Arc<Gossip>,
    /// Nothing is said after the goodbye.
    stopped: AtomicBool,
    /// Ends timers and UDP.
    token: Mutex<CancellationToken>,
}

impl GossipDiscoverer {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        Self {
            link,
            gossip: Arc::default(),
            stopped: AtomicBool::new(false),
            token: Mutex::default(),
        }
    }

    fn session(&self) -> Result<Arc<Session>> {
        let session = self.link.session.load_full().ok_or_else(disconnected)?;
        if self.stopped.load(Ordering::Acquire) {
            return Err(disconnected());
        }
        Ok(session)
    }

    fn announce(&self, session: &Arc<Session>, token: &CancellationToken) {
        let announcement = Announcement {
            namespace: session.host.namespace().to_owned(),
            node_id: session.host.node_id().clone(),
            port: session.port,
        };
        let text = match announcement.encode() {
            Ok(text) => text,
            Err(error) => {
                tracing::warn!(%error, "no UDP discovery");
                return;
            }
        };
        let channels = udp::open(&session.config).into_iter().map(Arc::new);
        let channels: Vec<_> = channels.collect();
        for channel in &channels {
            let (gossip, session_) = (Arc::clone(&self.gossip), Arc::clone(session));
            let found = move |announcement, from| gossip.announced(&session_, announcement, from);
            spawn(session, token, udp::receive(Arc::clone(channel), found));
        }
        spawn(session, token, udp::announce(channels, text, Arc::clone(&session.config)));
    }
}

impl Discoverer for GossipDiscoverer {
    fn name(&self) -> &'static str {
        "Gossip"
    }

    async fn start(&self, _: Host) -> Result<()> {
        self.stopped.store(false, Ordering::Release);
        let session = self.session()?;
        let token = session.token.child_token();
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token.clone();
        if session.config.udp_discovery {
            self.announce(&session, &token);
        }
        let (gossip, session_) = (Arc::clone(&self.gossip), Arc::clone(&session));
        spawn(&session, &token, async move {
            loop {
                sleep(*session_.config.gossip_period).await;
                session_.host.refresh_local_cpu().await;
                session_.host.forget_offline(FORGET);
                gossip.round(&session_);
            }
        });
        Ok(())
    }

    async fn discover(&self, node: Option<NodeId>) -> Result<()> {
        let session = self.session()?;
        let nodes = match node {
            Some(node) => vec![node],
            None => self.gossip.unavailable(&session),
        };
        let at_a_time = session.config.max_connections;
        let contacts = stream::iter(&nodes).for_each_concurrent(at_a_time, |node| {
            let session = Arc::clone(&session);
            async move {
                match self.gossip.contact(&session, node).await {
                    Ok(()) => self.gossip.until_available(&session, node).await,
                    // It may be about to start as well.
                    Err(_) => self.gossip.contact_again(&session, node.clone()),
                }
            }
        });
        // Who needs longer is found by the rounds.
        timeout(PATIENCE, contacts).await.ok();
        Ok(())
    }

    async fn send_local_info(&self, node: Option<NodeId>) -> Result<()> {
        let session = self.session()?;
        let news = self.gossip.news(&session)?;
        let Some(node) = node else { return self.gossip.push(&session, news).await };
        timeout(PATIENCE, session.tell(&[node], news)).await.ok();
        Ok(())
    }

    fn handle(&self, packet: Packet, from: Option<IpAddr>) {
        let Ok(session) = self.session() else { return };
        let sender = packet.sender;
        self.gossip.log(&session, "received", packet.body.kind(), &sender);
        match packet.body {
            PacketBody::GossipResponse(response) if sender == *session.host.node_id() => {
                self.gossip.hears_rival(&session, &response);
            }
            PacketBody::GossipHello(hello) => self.gossip.met(&session, &sender, hello, from),
            PacketBody::GossipRequest(request) => self.gossip.asked(&session, sender, &request),
            PacketBody::GossipResponse(response) => self.gossip.told(&session, &sender, &response),
            other => tracing::debug!(node = %sender, kind = %other.kind(), "not expected over TCP"),
        }
    }

    async fn stop(&self) -> Result<()> {
        let session = self.session()?;
        self.token.lock().unwrap_or_else(PoisonError::into_inner).cancel();
        self.stopped.store(true, Ordering::Release);
        let goodbye = self.gossip.goodbye(&session)?;
        self.gossip.push(&session, goodbye).await
    }
}

fn spawn(
    session: &Session,
    token: &CancellationToken,
    task: impl Future<Output = ()> + Send + 'static,
) {
    let token = token.clone();
    session.spawn(async move {
        token.run_until_cancelled_owned(task).await;
    });
}
