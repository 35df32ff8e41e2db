//! A medium inside one process, for tests and for several nodes in one program.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
};

use bytes::Bytes;
use moleculer_protocol::{NodeId, Target, Topic};
use tokio::sync::mpsc;

use super::{Transporter, TransporterCapabilities, TryPublishError};
use crate::{Delivery, Error, Flow, Result, host::Host, sync::lock};

/// Packets that may wait for one node; above it publishers wait.
const QUEUE: usize = 1024;

/// Connects nodes of one process.
///
/// ```
/// use moleculer_core::{BrokerBuilder, InProcessNetwork, Plugins};
///
/// let network = InProcessNetwork::default();
/// let a = BrokerBuilder::new(Plugins::core()).node_id("a").transporter(network.transporter());
/// let b = BrokerBuilder::new(Plugins::core()).node_id("b").transporter(network.transporter());
/// ```
#[derive(Clone, Default)]
pub struct InProcessNetwork(Arc<Mutex<Nodes>>);

#[derive(Default)]
struct Nodes {
    /// Ordered, so that every run delivers in the same order.
    queues: BTreeMap<Address, mpsc::Sender<Delivery>>,
    isolated: BTreeSet<NodeId>,
}

/// Namespace and node id.
type Address = (String, NodeId);

impl InProcessNetwork {
    /// A transporter for one more node.
    pub fn transporter(&self) -> InProcessTransporter {
        InProcessTransporter { network: self.clone(), host: OnceLock::new() }
    }

    /// Cuts a node off: packets to and from it vanish, as if its cable were out.
    pub fn isolate(&self, node: &str) {
        self.nodes().isolated.insert(node.into());
    }

    /// Ends an [`isolate`](Self::isolate).
    pub fn rejoin(&self, node: &str) {
        self.nodes().isolated.remove(node);
    }

    fn nodes(&self) -> MutexGuard<'_, Nodes> {
        lock(&self.0)
    }
}

impl fmt::Debug for InProcessNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InProcessNetwork({} nodes)", self.nodes().queues.len())
    }
}

/// One node's end of an [`InProcessNetwork`].
#[derive(Debug)]
pub struct InProcessTransporter {
    network: InProcessNetwork,
    host: OnceLock<Host>,
}

impl InProcessTransporter {
    fn host(&self) -> Result<&Host> {
        self.host.get().ok_or_else(|| Error::internal("not connected"))
    }

    /// The queues of those who get a packet of this topic.
    fn receivers(&self, topic: &Topic) -> Result<Vec<mpsc::Sender<Delivery>>> {
        let host = self.host()?;
        let nodes = self.network.nodes();
        if !nodes.queues.contains_key(&(host.namespace().to_owned(), host.node_id().clone())) {
            return Err(Error::internal("disconnected"));
        }
        if nodes.isolated.contains(host.node_id()) {
            return Ok(Vec::new());
        }
        let reachable = nodes.queues.iter().filter(|((namespace, node), _)| {
            namespace == host.namespace() && !nodes.isolated.contains(node)
        });
        let wanted: Vec<_> = match &topic.target {
            Target::Node(node) => reachable.filter(|((_, id), _)| id == node).collect(),
            Target::All => reachable.collect(),
            _ => return Err(Error::internal("this medium does not balance")),
        };
        Ok(wanted.into_iter().map(|(_, queue)| queue.clone()).collect())
    }
}

impl Transporter for InProcessTransporter {
    fn name(&self) -> &'static str {
        "InProcess"
    }

    fn capabilities(&self) -> TransporterCapabilities {
        TransporterCapabilities { can_pause: true, ..TransporterCapabilities::default() }
    }

    async fn connect(&self, host: Host) -> Result<()> {
        let (queue, mut received) = mpsc::channel::<Delivery>(QUEUE);
        let address = (host.namespace().to_owned(), host.node_id().clone());
        let mut nodes = self.network.nodes();
        if nodes.queues.contains_key(&address) {
            return Err(Error::options(format!(
                "the node id '{}' is taken in this network; give each node its own",
                host.node_id()
            )));
        }
        nodes.queues.insert(address, queue);
        let reader = host.clone();
        host.spawn(async move {
            while let Some(delivery) = received.recv().await {
                if reader.deliver(delivery) == Flow::Pause {
                    reader.ready().await;
                }
            }
        });
        self.host.set(host).map_err(|_| Error::internal("a transporter connects once"))
    }

    async fn subscribe(&self, _: Vec<Topic>) -> Result<()> {
        Ok(())
    }

    fn try_publish(&self, topic: &Topic, bytes: Bytes) -> std::result::Result<(), TryPublishError> {
        // Only with one receiver is it sure that nobody gets it twice.
        let Target::Node(_) = topic.target else {
            return Err(TryPublishError::Full(bytes));
        };
        let receivers = self.receivers(topic).map_err(TryPublishError::Failed)?;
        let Some(receiver) = receivers.first() else {
            return Ok(());
        };
        match receiver.try_send(Delivery::new(topic.kind, bytes)) {
            Err(mpsc::error::TrySendError::Full(delivery)) => {
                Err(TryPublishError::Full(delivery.bytes))
            }
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
    }

    async fn publish(&self, topic: &Topic, bytes: Bytes) -> Result<()> {
        for receiver in self.receivers(topic)? {
            // Who has gone away gets nothing.
            drop(receiver.send(Delivery::new(topic.kind, bytes.clone())).await);
        }
        Ok(())
    }

    async fn disconnect(&self) -> Result<()> {
        if let Some(host) = self.host.get() {
            let address = (host.namespace().to_owned(), host.node_id().clone());
            self.network.nodes().queues.remove(&address);
        }
        Ok(())
    }
}
