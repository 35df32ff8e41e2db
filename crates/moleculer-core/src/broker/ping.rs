//! Asking other nodes for a sign of life: [`ServiceBroker::ping`].

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::future::join_all;
use moleculer_protocol::{
    NodeId, Object, PacketBody, PacketId, PacketKind, PingPacket, PongPacket, Topic, Value,
};
use tokio::{sync::oneshot, time::Instant};

use super::{ServiceBroker, lock};
use crate::registry::Node;

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long all may take when this node leaves.
const LEAVE_PATIENCE: Duration = Duration::from_secs(1);

/// A node's answer to a ping.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Pong {
    /// Who answered.
    pub node_id: NodeId,
    /// Time from the ping to the answer.
    pub elapsed: Duration,
    /// How far that node's clock is behind ours, in ms, if both ways took the
    /// same time.
    pub time_diff: i64,
    /// Id of the ping.
    pub id: Option<PacketId>,
}

/// The pings that wait for their answer.
#[derive(Default)]
pub(crate) struct Pings(Mutex<BTreeMap<PacketId, Waiting>>);

struct Waiting {
    node: NodeId,
    sent: Instant,
    answer: oneshot::Sender<Pong>,
}

impl ServiceBroker {
    /// Asks a node for a sign of life. `None` when it does not answer within
    /// 2 s, or this node is not connected. To wait less, put a timeout around it.
    ///
    /// Every answer is also told by the event `$node.pong`.
    pub async fn ping(&self, node: impl Into<NodeId>) -> Option<Pong> {
        let (node, transit) = (node.into(), self.transit()?);
        if !transit.is_connected() {
            return None;
        }
        let (answer, pong) = oneshot::channel();
        let id = self.new_id();
        let waiting = Waiting { node: node.clone(), sent: Instant::now(), answer };
        let _forget = self.0.pings.wait(&id, waiting);
        let ping = PingPacket { time: now(), id: Some(id.clone()) };
        let topic = Topic::node(PacketKind::Ping, node);
        tokio::time::timeout(PATIENCE, async {
            if let Err(error) = transit.send(&topic, PacketBody::Ping(ping)).await {
                tracing::warn!(?topic, %error, "a ping was not sent");
                self.announce_error("transit", "failedSendPingPacket", &error);
                return None;
            }
            pong.await.ok()
        })
        .await
        .ok()
        .flatten()
    }

    /// Pings every other node that is available, all at once. In the order in
    /// which they came to be known; empty when this node is not connected.
    pub async fn ping_all(&self) -> Vec<(NodeId, Option<Pong>)> {
        if self.transit().is_none_or(|transit| !transit.is_connected()) {
            return Vec::new();
        }
        let nodes = self.0.registry.nodes().into_iter();
        let others = nodes.filter(|node| !node.local && node.available());
        join_all(others.map(async |node| (node.id.clone(), self.ping(node.id.clone()).await))).await
    }

    /// Waits until every node that is there has answered, which it does after
    /// it took in what was sent before: from then on it makes no calls that
    /// it would not make now. A node that goes, or is silent for too long, is
    /// not waited for.
    pub(super) async fn peers_have_heard(&self) {
        if self.transit().is_none_or(|transit| !transit.is_connected()) {
            return;
        }
        let nodes = self.0.registry.nodes().into_iter();
        let others = nodes.filter(|node| !node.local && node.available());
        let answers = others.map(async |node| {
            tokio::select! {
                _ = self.ping(node.id.clone()) => {}
                () = self.gone(&node) => {}
            }
        });
        if tokio::time::timeout(LEAVE_PATIENCE, join_all(answers)).await.is_err() {
            tracing::debug!("not every node has heard yet that this one leaves");
        }
    }

    async fn gone(&self, node: &Node) {
        loop {
            // Registered before the look, so that the change is not missed.
            let changed = self.0.services_changed.notified();
            if !node.available() {
                return;
            }
            changed.await;
        }
    }

    /// Takes an answer in.
    pub(crate) fn on_pong(&self, node: NodeId, pong: &PongPacket) {
        let now = now();
        let waiting = self.0.pings.answered(&node, pong.id.as_ref());
        // Whoever made up the time of a ping decides nothing but this number.
        let told = Duration::from_millis(u64::try_from(now.saturating_sub(pong.time)).unwrap_or(0));
        let elapsed = waiting.as_ref().map_or(told, |waiting| waiting.sent.elapsed());
        let one_way = elapsed.as_secs_f64() * 500.0;
        let pong = Pong {
            time_diff: (now.saturating_sub(pong.arrived) as f64 - one_way).round() as i64,
            id: pong.id.clone(),
            node_id: node,
            elapsed,
        };
        let mut data = Object::from([
            ("nodeID", Value::from(pong.node_id.as_str())),
            ("elapsedTime", (pong.elapsed.as_millis() as u64).into()),
            ("timeDiff", pong.time_diff.into()),
        ]);
        if let Some(id) = &pong.id {
            data.insert("id", id.to_string());
        }
        self.announce_event("$node.pong", data);
        if let Some(waiting) = waiting {
            // Who gave up meanwhile misses nothing.
            waiting.answer.send(pong).ok();
        }
    }
}

impl Pings {
    /// Adds one; it is forgotten with the result.
    fn wait<'a>(&'a self, id: &'a PacketId, waiting: Waiting) -> impl Drop + 'a {
        lock(&self.0).insert(id.clone(), waiting);
        Forget { pings: self, id }
    }

    /// The ping that is answered: nodes that tell no id answer the first one.
    fn answered(&self, node: &NodeId, id: Option<&PacketId>) -> Option<Waiting> {
        let mut all = lock(&self.0);
        let id = match id {
            Some(id) => id.clone(),
            None => all.iter().find(|(_, ping)| ping.node == *node)?.0.clone(),
        };
        all.get(&id).filter(|ping| ping.node == *node)?;
        all.remove(&id)
    }
}

struct Forget<'a> {
    pings: &'a Pings,
    id: &'a PacketId,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        lock(&self.pings.0).remove(self.id);
    }
}

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
