//! A service that a broker hosts: [`ServiceHandle`].

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
};

use futures_util::future::join_all;
use moleculer_protocol::{NodeId, Object, Payload, Value};
use serde::Serialize;

use super::{
    Service,
    cache::Cache,
    definition::{ActionDef, EventDef, Visibility},
    handler::{ActionFn, EventFn, detach},
    schema::{DeclaredAction, DeclaredEvent},
};
use crate::{
    Call, Error, Result, ServiceBroker,
    broker::{Own, Tasks},
    registry::{ActionEndpoint, ServiceItem},
};

/// A service that a broker hosts, as its lifecycle handlers and its contexts
/// see it. A cheap clone.
///
/// ```
/// use moleculer_core::{Action, BrokerBuilder, Context, Plugins, Result, Service, Visibility};
///
/// async fn add_tax(ctx: Context) -> Result<f64> {
///     let rate = ctx.service()?.settings().get("rate").and_then(|rate| rate.as_f64());
///     Ok(ctx.params::<f64>()? * (1.0 + rate.unwrap_or(0.0)))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let shop = Service::builder("shop")
///     .settings([("rate", 0.25)])
///     .action(Action::new("addTax", add_tax).visibility(Visibility::Private));
/// let broker = BrokerBuilder::new(Plugins::core()).service(shop).start().await?;
/// let shop = broker.local_service("shop").unwrap();
/// assert_eq!(shop.call::<f64>("addTax", 100).await?, 125.0);
/// # broker.stop().await
/// # }
/// ```
#[derive(Clone)]
pub struct ServiceHandle {
    broker: ServiceBroker,
    instance: Arc<Instance>,
}

impl ServiceHandle {
    pub(crate) const fn new(broker: ServiceBroker, instance: Arc<Instance>) -> Self {
        Self { broker, instance }
    }

    /// The broker that hosts it.
    pub const fn broker(&self) -> &ServiceBroker {
        &self.broker
    }

    /// Name without version.
    pub fn name(&self) -> &str {
        &self.instance.service.name
    }

    /// Text or number, if it has one.
    pub fn version(&self) -> Option<&Value> {
        self.instance.service.version()
    }

    /// Name with version.
    pub fn full_name(&self) -> &str {
        &self.instance.item.full_name
    }

    /// All settings, the secured ones included.
    pub fn settings(&self) -> &Object {
        self.instance.service.settings()
    }

    /// The metadata.
    pub fn metadata(&self) -> &Object {
        self.instance.service.metadata()
    }

    /// Calls an action of this service on this node, by its name without the
    /// service's. Private actions can be called in no other way.
    ///
    /// It starts a new chain of calls: see
    /// [`Context::call_own`](crate::Context::call_own) for one within a call.
    ///
    /// # Errors
    ///
    /// `ServiceNotFoundError` when the service has no such action, and
    /// whatever the action fails with.
    pub fn call<'a, R>(
        &'a self,
        action: &'a str,
        params: impl Serialize + Send + Sync + 'static,
    ) -> Call<'a, R> {
        Call::new(action, Payload::new(params))
            .on(&self.broker)
            .own(Own::Service(self.instance.clone()))
    }

    /// Runs the handlers of this service's listener of exactly this name or
    /// pattern, without middlewares: for tests.
    ///
    /// # Errors
    ///
    /// `MoleculerError` with type `NOT_FOUND_EVENT` when there is none, and
    /// whatever the handlers fail with.
    pub async fn handle_event(
        &self,
        event: &str,
        data: impl Serialize + Send + Sync + 'static,
    ) -> Result<()> {
        let own = self.instance.events.iter().find(|own| *own.def.name == *event);
        let own = own.ok_or_else(|| {
            Error::internal(format!("No '{event}' registered local event handler"))
                .with_type("NOT_FOUND_EVENT")
                .with_data(Object::from([("eventName", event)]))
        })?;
        let endpoint = Arc::new(self.broker.registry().bare(&self.instance, own));
        (own.handler)(crate::Context::for_own_event(endpoint, Payload::new(data))).await
    }

    pub(crate) const fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }
}

impl fmt::Debug for ServiceHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServiceHandle").field(&self.full_name()).finish()
    }
}

/// What a [`ServiceHandle`] shares.
pub(crate) struct Instance {
    pub(crate) service: Service,
    pub(crate) item: Arc<ServiceItem>,
    pub(crate) actions: Vec<InstanceAction>,
    pub(crate) events: Vec<InstanceEvent>,
    stage: AtomicU8,
}

pub(crate) struct InstanceAction {
    pub(crate) def: Arc<ActionDef>,
    pub(crate) handler: ActionFn,
    /// For calls by the service itself; wrapped on its own when first used.
    pub(crate) own: OnceLock<Arc<ActionEndpoint>>,
}

pub(crate) struct InstanceEvent {
    pub(crate) def: Arc<EventDef>,
    pub(crate) group: Arc<str>,
    pub(crate) handler: EventFn,
}

/// How far a service has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    /// Nothing has run.
    Created,
    /// Somebody starts it, or waits for its dependencies.
    Starting,
    /// Its `started` handlers run.
    Begun,
    /// It can be called.
    Started,
    Stopped,
}

impl Instance {
    pub(crate) fn new(service: Service, node: NodeId, tasks: &Tasks) -> Arc<Self> {
        let mut info = service.info();
        // A wrong setting is refused before this.
        let cache = service.cache().unwrap_or_default();
        let full_name: Arc<str> = info.full_name.as_str().into();
        let actions: Vec<_> = service
            .actions
            .iter()
            .filter_map(|action| InstanceAction::new(&service, &full_name, &cache, action, tasks))
            .collect();
        let events: Vec<_> =
            service.events.iter().map(|event| InstanceEvent::new(&service, event)).collect();
        let told = actions.iter().filter(|action| action.def.visibility != Visibility::Private);
        info.actions = told.map(|a| (a.def.name.to_string(), a.def.to_object())).collect();
        info.events = events.iter().map(|e| (e.def.name.to_string(), e.def.to_object())).collect();
        info.settings = public_settings(&info.settings);
        Arc::new_cyclic(|instance| {
            let (instance, info) = (instance.clone(), Arc::new(info));
            let item = Arc::new(ServiceItem { node, local: true, full_name, info, instance });
            let stage = AtomicU8::new(Stage::Created as u8);
            Self { service, item, actions, events, stage }
        })
    }

    /// Moves from one stage to another; false when it is not in the first.
    pub(crate) fn advance(&self, from: Stage, to: Stage) -> bool {
        let (from, to) = (from as u8, to as u8);
        self.stage.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Ends it; tells whether its `started` handlers had begun.
    pub(crate) fn end(&self) -> bool {
        let stage = self.stage.swap(Stage::Stopped as u8, Ordering::AcqRel);
        stage == Stage::Begun as u8 || stage == Stage::Started as u8
    }
}

impl InstanceAction {
    /// None if it has no handler, which the declaration's check refuses.
    fn new(
        service: &Service,
        service_name: &str,
        cache: &Option<Cache>,
        declared: &DeclaredAction,
        tasks: &Tasks,
    ) -> Option<Self> {
        let handler = declared.handler.as_ref()?;
        let mut def = declared.def.clone();
        def.hooks = service.hooks.of_action(&def.raw_name, &declared.hooks);
        if !service.flag("$noServiceNamePrefix") {
            def.name = format!("{service_name}.{}", def.raw_name).into();
        }
        if def.cache.is_none() && !def.extra.contains_key("cache") {
            def.cache.clone_from(cache);
        }
        let handler = if def.detached { detach(handler, tasks) } else { handler.clone() };
        Some(Self { def: Arc::new(def), handler, own: OnceLock::new() })
    }
}

impl InstanceEvent {
    fn new(service: &Service, declared: &DeclaredEvent) -> Self {
        Self {
            def: Arc::new(declared.def.clone()),
            group: declared.def.group.clone().unwrap_or_else(|| service.name.clone()),
            handler: all_of(&declared.handlers),
        }
    }
}

/// `$secureSettings` and the settings that it names stay on this node.
fn public_settings(settings: &Object) -> Object {
    let secure =
        settings.get("$secureSettings").and_then(|keys| keys.as_array()).unwrap_or_default();
    let public = settings.iter().filter(|(key, _)| {
        *key != "$secureSettings" && !secure.iter().any(|secret| secret.as_str() == Some(key))
    });
    public.map(|(key, value)| (key, value.clone())).collect()
}

/// Several handlers run at once, each with the params; the first error counts.
fn all_of(handlers: &[EventFn]) -> EventFn {
    if let [only] = handlers {
        return only.clone();
    }
    let handlers = handlers.to_vec();
    Arc::new(move |ctx| {
        let start = |handler: &EventFn| ctx.lending_params(|| handler(ctx.clone()));
        let running: Vec<_> = handlers.iter().map(start).collect();
        Box::pin(async move { join_all(running).await.into_iter().collect() })
    })
}
