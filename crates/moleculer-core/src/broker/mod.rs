//! The broker: [`ServiceBroker`].

mod builder;
mod call;
mod emit;
mod lifecycle;
mod services;
mod tasks;

use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use moleculer_protocol::{NodeId, PacketId, Payload};
use serde::Serialize;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub(crate) use self::emit::{Origin, PacketOrigin, Sent};
use self::services::Services;
pub use self::{
    builder::BrokerBuilder,
    call::{Call, CallFuture, Response},
    emit::{Emit, EmitFuture},
    services::ServiceStatus,
};
pub(crate) use self::{call::Own, lifecycle::Phase, tasks::Tasks};
use crate::{
    BrokerOptions, Error, ErrorKind, Object,
    context::EventKind,
    registry::{Change, Registry},
    transit::Transit,
};

/// A node: hosts services, calls actions and sends events, here and on other
/// nodes. A cheap clone; the node ends with [`stop`](Self::stop), or when the
/// last clone is dropped.
///
/// ```
/// use moleculer_core::{Action, BrokerBuilder, Params, Plugins, Result, Service};
///
/// async fn double(Params(n): Params<i64>) -> Result<i64> {
///     Ok(2 * n)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let broker = BrokerBuilder::new(Plugins::core())
///     .service(Service::builder("math").action(Action::new("double", double)))
///     .start()
///     .await?;
/// let four: i64 = broker.call("math.double", 2).await?;
/// assert_eq!(four, 4);
/// broker.stop().await
/// # }
/// ```
#[derive(Clone)]
pub struct ServiceBroker(Arc<Inner>);

pub(crate) type WeakInner = Weak<Inner>;

/// The broker as contexts and tasks hold it: without keeping it alive.
#[derive(Clone)]
pub(crate) struct WeakBroker(WeakInner);

impl WeakBroker {
    pub(crate) fn upgrade(&self) -> Option<ServiceBroker> {
        self.0.upgrade().map(ServiceBroker)
    }
}

pub(crate) struct Inner {
    pub(crate) options: BrokerOptions,
    pub(crate) node_id: NodeId,
    pub(crate) instance_id: String,
    pub(crate) registry: Registry,
    pub(crate) transit: OnceLock<Arc<Transit>>,
    pub(crate) tasks: Tasks,
    phase: lifecycle::PhaseCell,
    /// Ends a start that is under way.
    stop_asked: CancellationToken,
    services: Mutex<Services>,
    handlers: lifecycle::Handlers,
    services_changed: Notify,
    failure: Mutex<Option<Error>>,
    ids: IdSource,
}

impl ServiceBroker {
    /// Calls an action.
    ///
    /// `params` is handed over as it is when the action runs on this node and
    /// takes the same type. What is awaited can be any deserializable type.
    /// Dropping the future cancels the call.
    ///
    /// # Errors
    ///
    /// `ServiceNotFoundError` when no node ever offered the action,
    /// `ServiceNotAvailableError` when none does now, and whatever the action
    /// fails with.
    pub fn call<'a, R>(
        &'a self,
        action: &'a str,
        params: impl Serialize + Send + Sync + 'static,
    ) -> Call<'a, R> {
        Call::new(action, Payload::new(params)).on(self)
    }

    /// Sends an event to one listener of each group.
    ///
    /// The future resolves when the listeners of this node have handled it
    /// and it is on its way to the others; their failures are logged.
    /// Dropping the future does not take the event back.
    pub fn emit<'a>(
        &'a self,
        event: &'a str,
        data: impl Serialize + Send + Sync + 'static,
    ) -> Emit<'a> {
        Emit::new(event, Payload::new(data), EventKind::Emit).on(self)
    }

    /// Sends an event to every listener on every node.
    pub fn broadcast<'a>(
        &'a self,
        event: &'a str,
        data: impl Serialize + Send + Sync + 'static,
    ) -> Emit<'a> {
        Emit::new(event, Payload::new(data), EventKind::Broadcast).on(self)
    }

    /// Sends an event to every listener of this node.
    pub fn broadcast_local<'a>(
        &'a self,
        event: &'a str,
        data: impl Serialize + Send + Sync + 'static,
    ) -> Emit<'a> {
        Emit::new(event, Payload::new(data), EventKind::BroadcastLocal).on(self)
    }

    /// Id of this node.
    pub fn node_id(&self) -> &NodeId {
        &self.0.node_id
    }

    /// The namespace, empty when there is none.
    pub fn namespace(&self) -> &str {
        &self.0.options.namespace
    }

    /// The options that this broker runs with.
    pub fn options(&self) -> &BrokerOptions {
        &self.0.options
    }

    /// Number of streams from other nodes that have not ended.
    pub fn incoming_streams(&self) -> usize {
        self.transit().map_or(0, |transit| transit.incoming_streams())
    }

    /// Number of requests to other nodes that wait for a response.
    pub fn pending_requests(&self) -> usize {
        self.0.transit.get().map_or(0, |transit| transit.pending())
    }

    /// Number of tasks that this broker runs.
    pub fn running_tasks(&self) -> usize {
        self.0.tasks.len()
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    pub(crate) fn transit(&self) -> Option<&Arc<Transit>> {
        self.0.transit.get()
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    pub(crate) fn downgrade(&self) -> WeakBroker {
        WeakBroker(Arc::downgrade(&self.0))
    }

    pub(crate) fn new_id(&self) -> PacketId {
        self.0.ids.next()
    }

    /// Tells services of this node, and those who wait, what changed.
    pub(crate) fn announce(&self, changes: Vec<Change>) {
        for change in changes {
            self.announce_one(&change);
        }
    }

    fn announce_one(&self, change: &Change) {
        let (event, data) = match change {
            Change::ServicesChanged { local } => {
                self.0.services_changed.notify_waiters();
                if *local {
                    self.0.local_services_changed();
                }
                ("$services.changed", Object::from([("localService", *local)]))
            }
            Change::NodeConnected { node, reconnected } => {
                tracing::info!(node_id = %node, reconnected, "node connected");
                let data =
                    [("node", self.node_value(node)), ("reconnected", (*reconnected).into())];
                ("$node.connected", data.into())
            }
            Change::NodeUpdated { node } => {
                ("$node.updated", Object::from([("node", self.node_value(node))]))
            }
            Change::NodeDisconnected { node, unexpected } => {
                tracing::info!(node_id = %node, unexpected, "node disconnected");
                let data = [("node", self.node_value(node)), ("unexpected", (*unexpected).into())];
                ("$node.disconnected", data.into())
            }
        };
        self.announce_event(event, data);
    }

    /// A `$` event for this node's services; nobody waits for its handlers.
    pub(crate) fn announce_event(&self, event: &'static str, data: Object) {
        let listeners = self.0.registry.events.all_local(event, None);
        if listeners.is_empty() {
            return;
        }
        let running =
            self.broadcast_local(event, moleculer_protocol::Value::from(data)).into_future();
        self.0.tasks.spawn(async move {
            if let Err(error) = running.await {
                tracing::error!(event, %error, "event not delivered");
            }
        });
    }

    fn node_value(&self, id: &NodeId) -> moleculer_protocol::Value {
        let node = self.0.registry.node(id);
        node.map_or_else(Default::default, |node| {
            crate::internal::node_object(&self.0.registry.view(&node), false).into()
        })
    }

    /// An error after which this node cannot go on: it stops, and
    /// [`run_until_signal`](Self::run_until_signal) returns the error.
    pub(crate) fn fail(&self, error: Error) {
        tracing::error!(node_id = %self.node_id(), %error, "the broker stops");
        lock(&self.0.failure).get_or_insert(error);
        let broker = self.clone();
        tokio::spawn(async move { broker.stop().await });
    }
}

impl fmt::Debug for ServiceBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceBroker")
            .field("node_id", &self.0.node_id)
            .field("namespace", &self.0.options.namespace)
            .field("phase", &self.0.phase.get())
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

/// A panic while one of these short locks is held leaves a whole value behind.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The error for work that a stopped broker is asked to do.
pub(crate) fn stopped() -> Error {
    Error::new(ErrorKind::ServiceNotAvailable, "the broker is stopped")
}

/// Makes ids with the form of a random UUID: a random start, a counter, and
/// a mixing function that maps different counts to different ids.
struct IdSource {
    seed: [u64; 2],
    count: AtomicU64,
}

impl IdSource {
    fn new() -> Self {
        let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
        Self { seed: [high, low], count: AtomicU64::new(0) }
    }

    fn next(&self) -> PacketId {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let high = mix(self.seed[0].wrapping_add(count));
        let low = mix(self.seed[1] ^ high.rotate_left(32)).wrapping_add(count);
        let bytes = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
        PacketId::from_uuid_bytes(*uuid::Builder::from_random_bytes(bytes).as_uuid().as_bytes())
    }
}

/// The finalizer of SplitMix64: a bijection that flips half of the bits.
const fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_look_like_uuids() {
        let ids = IdSource::new();
        let all: std::collections::HashSet<String> =
            (0..10_000).map(|_| ids.next().to_string()).collect();
        assert_eq!(all.len(), 10_000);
        assert!(all.iter().all(|id| id.len() == 36 && id.as_bytes()[14] == b'4'));
    }
}
