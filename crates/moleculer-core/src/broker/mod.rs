//! The broker: [`ServiceBroker`].

mod builder;
mod bus;
mod call;
mod emit;
mod latency;
mod lifecycle;
mod mcall;
mod ping;
mod services;
mod signals;
mod tasks;

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, Weak},
};

use moleculer_protocol::{NodeId, PacketId, Payload};
use serde::Serialize;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub(crate) use self::emit::{Origin, PacketOrigin, Sent};
use self::services::Services;
pub use self::{
    builder::BrokerBuilder,
    bus::Subscription,
    call::{Call, CallFuture, CallOptions, CallRequest, ClientCalls, Response, Via},
    emit::{Emit, EmitFuture, EmitRequest},
    mcall::{MultiCall, MultiCallMap},
    ping::Pong,
    services::ServiceStatus,
};
use self::{bus::Bus, latency::LatencyMonitor, ping::Pings};
pub(crate) use self::{call::Own, lifecycle::Phase, ping::now, tasks::Tasks};
use crate::{
    BrokerOptions, Error, ErrorKind, ErrorRegenerator, Object, RandomSource, Value,
    cacher::DynCacher,
    context::EventKind,
    health,
    middleware::{ErrorHandler, Hooks, Middlewares},
    random::IdSource,
    registry::{ActionEndpoint, Change, Registry},
    service::CarriedOptions,
    sync::lock,
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

/// A broker that is not kept alive: for middlewares, and whatever else a
/// broker owns and that needs its owner.
#[derive(Clone, Default)]
pub struct WeakBroker(Weak<Inner>);

impl fmt::Debug for WeakBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakBroker")
    }
}

impl WeakBroker {
    /// The broker, unless it is gone.
    pub fn upgrade(&self) -> Option<ServiceBroker> {
        self.0.upgrade().map(ServiceBroker)
    }
}

pub(crate) struct Inner {
    pub(crate) options: BrokerOptions,
    pub(crate) node_id: NodeId,
    pub(crate) instance_id: String,
    pub(crate) registry: Registry,
    pub(crate) middlewares: Middlewares,
    carried: CarriedOptions,
    pub(crate) hooks: Hooks,
    pub(crate) cacher: Option<Arc<dyn DynCacher>>,
    pub(crate) error_handler: Option<ErrorHandler>,
    pub(crate) regenerator: Option<Arc<dyn ErrorRegenerator>>,
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
    /// All that is random comes from here.
    pub(crate) random: RandomSource,
    bus: Bus,
    pings: Pings,
    latency: LatencyMonitor,
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

    /// Whether anybody, on any node, listens to an event of this name.
    pub fn has_event_listener(&self, event: &str) -> bool {
        self.0.registry.events.has_listener(event)
    }

    /// The groups that listen to an event of this name, each once.
    pub fn event_groups(&self, event: &str) -> Vec<Arc<str>> {
        self.0.registry.events.groups(event)
    }

    /// The state of this node and of its machine: the members of the
    /// reference's `$node.health`.
    ///
    /// What the system does not tell is null or 0. Secrets in the arguments
    /// of the process are masked.
    pub fn health(&self) -> Object {
        health::health()
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

    /// This broker without keeping it alive.
    pub fn downgrade(&self) -> WeakBroker {
        WeakBroker(Arc::downgrade(&self.0))
    }

    pub(crate) fn new_id(&self) -> PacketId {
        self.0.ids.next()
    }

    /// The endpoint for calls whose node the medium chooses.
    pub(crate) fn any_node(&self, one: &ActionEndpoint) -> ActionEndpoint {
        let request = self
            .transit()
            .map(Transit::request_fn)
            .unwrap_or_else(|| Arc::new(|_| Box::pin(std::future::ready(Err(stopped())))));
        self.0.registry.any_node(one, &request)
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

    /// A `$` event for this node; nobody waits for its handlers.
    pub(crate) fn announce_event(&self, event: &'static str, data: impl Into<Value>) {
        let data = Payload::from(data.into());
        let services = self.0.phase() < Phase::Stopped
            && !self.0.registry.events.all_local(event, None).is_empty();
        if !services {
            return self.0.bus.publish(event, &data);
        }
        let running = Emit::new(event, data, EventKind::BroadcastLocal).on(self).into_future();
        self.0.tasks.spawn(async move {
            if let Err(error) = running.await {
                tracing::error!(event, %error, "event not delivered");
            }
        });
    }

    /// Tells services of this node what failed in one of its parts.
    pub(crate) fn announce_error(&self, module: &'static str, r#type: &'static str, error: &Error) {
        let event = match module {
            "transit" => "$transit.error",
            "transporter" => "$transporter.error",
            "cacher" => "$cacher.error",
            _ => "$broker.error",
        };
        if self.0.bus.is_empty() && self.0.registry.events.all_local(event, None).is_empty() {
            return;
        }
        let mut wire = error.to_wire(&self.0.node_id);
        wire.stack = None;
        let error = Value::from(wire.to_object());
        let data = [("error", error), ("module", module.into()), ("type", r#type.into())];
        self.announce_event(event, Object::from(data));
    }

    fn node_value(&self, id: &NodeId) -> Value {
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

/// The error for work that a stopped broker is asked to do.
pub(crate) fn stopped() -> Error {
    Error::new(ErrorKind::ServiceNotAvailable, "the broker is stopped")
}
