//! Declaring a service by hand: [`Service::builder`].

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use moleculer_protocol::{Object, ServiceInfo, Value};

use super::{
    definition::{ActionDef, EventDef, Visibility},
    handler::{ActionFn, EventFn, Handler, run_lifecycle},
};
use crate::{Body, Context, Error, Result, ServiceBroker};

/// A declared service, ready for [`BrokerBuilder::service`](crate::BrokerBuilder::service).
///
/// ```
/// use moleculer_core::{Action, Params, Result, Service};
///
/// async fn greet(Params(name): Params<String>) -> Result<String> {
///     Ok(format!("Hello {name}"))
/// }
///
/// let service = Service::builder("greeter").version(2).action(Action::new("greet", greet)).build();
/// assert_eq!(service.full_name(), "v2.greeter");
/// ```
#[derive(Clone)]
pub struct Service {
    pub(crate) name: Arc<str>,
    pub(crate) version: Option<Value>,
    pub(crate) settings: Object,
    pub(crate) metadata: Object,
    pub(crate) dependencies: Vec<String>,
    pub(crate) actions: Vec<(ActionDef, ActionFn)>,
    pub(crate) events: Vec<(EventDef, EventFn)>,
    pub(crate) started: Vec<Lifecycle>,
    pub(crate) stopped: Vec<Lifecycle>,
}

/// A lifecycle handler with its state bound.
pub(crate) type Lifecycle =
    Arc<dyn Fn(ServiceBroker) -> BoxFuture<'static, Result<()>> + Send + Sync>;

impl Service {
    /// Begins a service without state.
    pub fn builder(name: impl Into<Arc<str>>) -> ServiceBuilder<()> {
        ServiceBuilder {
            service: Self {
                name: name.into(),
                version: None,
                settings: Object::new(),
                metadata: Object::new(),
                dependencies: Vec::new(),
                actions: Vec::new(),
                events: Vec::new(),
                started: Vec::new(),
                stopped: Vec::new(),
            },
            state: (),
        }
    }

    /// Name with version: `v2.greeter`.
    pub fn full_name(&self) -> String {
        self.info().full_name
    }

    /// The service without its actions and events, as other nodes see it.
    pub(crate) fn info(&self) -> ServiceInfo {
        let mut service = Object::from([("name", Value::from(&*self.name))]);
        if let Some(version) = &self.version {
            service.insert("version", version.clone());
        }
        service.insert("settings", self.settings.clone());
        service.insert("metadata", self.metadata.clone());
        // A service object with a name always parses.
        ServiceInfo::parse(&service.into()).unwrap_or_default()
    }

    /// Checks names and duplicates.
    pub(crate) fn check(&self) -> Result<()> {
        if self.name.is_empty() {
            return Err(Error::schema("Service name can't be empty! Give the service a name."));
        }
        let names = self.actions.iter().map(|(def, _)| &def.raw_name);
        if let Some(name) = first_duplicate(names) {
            return Err(Error::schema(format!(
                "action '{name}' is declared twice in '{}' service; rename one of them",
                self.name
            )));
        }
        match self.actions.iter().find(|(def, _)| def.raw_name.is_empty()) {
            Some(_) => {
                Err(Error::schema(format!("an action in '{}' service has no name", self.name)))
            }
            None => Ok(()),
        }
    }
}

fn first_duplicate<'a, T: PartialEq + 'a>(items: impl Iterator<Item = T>) -> Option<T> {
    let mut seen = Vec::new();
    for item in items {
        if seen.contains(&item) {
            return Some(item);
        }
        seen.push(item);
    }
    None
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.full_name())
            .field(
                "actions",
                &self.actions.iter().map(|(def, _)| &def.raw_name).collect::<Vec<_>>(),
            )
            .field("events", &self.events.iter().map(|(def, _)| &def.name).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Whatever can be given to a broker as a service: a [`Service`], its
/// builder, or a value whose `impl` block carries `#[service]`.
pub trait IntoService {
    /// Makes it a service.
    fn into_service(self) -> Service;
}

impl IntoService for Service {
    fn into_service(self) -> Service {
        self
    }
}

impl<S: Clone + Send + Sync + 'static> IntoService for ServiceBuilder<S> {
    fn into_service(self) -> Service {
        self.build()
    }
}

/// Declares a service step by step. `S` is the state that its handlers share;
/// it is cloned for each handler, so wrap what is large in an `Arc`.
#[must_use]
#[derive(Debug)]
pub struct ServiceBuilder<S> {
    service: Service,
    state: S,
}

impl ServiceBuilder<()> {
    /// Gives the service a state. Actions and events are added after this.
    pub fn with_state<S: Clone + Send + Sync + 'static>(self, state: S) -> ServiceBuilder<S> {
        ServiceBuilder { service: self.service, state }
    }
}

impl<S: Clone + Send + Sync + 'static> ServiceBuilder<S> {
    /// Sets the version: a number (`2` makes `v2.name`) or a text.
    pub fn version(mut self, version: impl Into<Value>) -> Self {
        self.service.version = Some(version.into());
        self
    }

    /// Sets the settings, which other nodes see.
    pub fn settings(mut self, settings: impl Into<Object>) -> Self {
        self.service.settings = settings.into();
        self
    }

    /// Sets the metadata, which other nodes see.
    pub fn metadata(mut self, metadata: impl Into<Object>) -> Self {
        self.service.metadata = metadata.into();
        self
    }

    /// Adds full names of services that must be known before this one starts.
    pub fn dependencies<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.service.dependencies.extend(names.into_iter().map(Into::into));
        self
    }

    /// Adds an action.
    pub fn action(mut self, action: Action<S>) -> Self {
        let bound = (action.bind)(self.state.clone());
        self.service.actions.push((action.def, bound));
        self
    }

    /// Adds an event listener.
    pub fn event(mut self, event: Event<S>) -> Self {
        let (handler, state) = (event.handler, self.state.clone());
        let bound: EventFn = Arc::new(move |ctx| {
            let running = handler(ctx, &state);
            Box::pin(async move { running.await.map(drop) })
        });
        self.service.events.push((event.def, bound));
        self
    }

    /// Adds a handler that runs before the service can be called; the broker
    /// does not start when it fails.
    pub fn started<F, Fut, E>(mut self, handler: F) -> Self
    where
        F: Fn(ServiceBroker, S) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Error>,
    {
        let lifecycle = self.lifecycle(handler);
        self.service.started.push(lifecycle);
        self
    }

    /// Adds a handler that runs when the service stops.
    pub fn stopped<F, Fut, E>(mut self, handler: F) -> Self
    where
        F: Fn(ServiceBroker, S) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Error>,
    {
        let lifecycle = self.lifecycle(handler);
        self.service.stopped.push(lifecycle);
        self
    }

    fn lifecycle<F, Fut, E>(&self, handler: F) -> Lifecycle
    where
        F: Fn(ServiceBroker, S) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Error>,
    {
        let state = self.state.clone();
        Arc::new(move |broker| run_lifecycle(handler(broker, state.clone())))
    }

    /// Ends the declaration.
    pub fn build(self) -> Service {
        self.service
    }
}

type Erased<S> = Arc<dyn Fn(Context, &S) -> BoxFuture<'static, Result<Body>> + Send + Sync>;

/// An action: a name, a handler and options.
#[must_use]
pub struct Action<S = ()> {
    def: ActionDef,
    bind: Box<dyn FnOnce(S) -> ActionFn + Send + Sync>,
}

impl<S: Send + Sync + 'static> Action<S> {
    /// An action with a [`Handler`].
    pub fn new<Args: 'static>(name: &str, handler: impl Handler<Args, S>) -> Self {
        Self::from_fn(name, move |ctx, state| handler.call(ctx, state))
    }

    /// An action from a function that gets the context and the state and
    /// starts the work.
    pub fn from_fn(
        name: &str,
        handler: impl Fn(Context, &S) -> BoxFuture<'static, Result<Body>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            def: ActionDef::new(name),
            bind: Box::new(|state| Arc::new(move |ctx| handler(ctx, &state))),
        }
    }

    /// Sets who may call it. Default: published.
    pub fn visibility(mut self, visibility: Visibility) -> Self {
        self.def.visibility = visibility;
        self
    }

    /// Sets the default timeout of its calls; zero for none. Default: the
    /// broker's `requestTimeout`.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.def.timeout = Some(timeout);
        self
    }

    /// Lets the handler run on when its caller timed out or went away.
    pub fn detached(mut self) -> Self {
        self.def.detached = true;
        self
    }

    /// Adds a member to the published definition, for gateways and tools.
    pub fn extra(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.def.extra.insert(key, value);
        self
    }
}

impl<S> fmt::Debug for Action<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Action").field(&self.def).finish()
    }
}

/// An event listener: a name or pattern, a handler and options.
#[must_use]
pub struct Event<S = ()> {
    def: EventDef,
    handler: Erased<S>,
}

impl<S: 'static> Event<S> {
    /// A listener with a [`Handler`]; its result is dropped.
    ///
    /// In `name`, `?` stands for one character, `*` for a part between dots
    /// and `**` for anything.
    pub fn new<Args: 'static>(name: &str, handler: impl Handler<Args, S>) -> Self {
        Self::from_fn(name, move |ctx, state| handler.call(ctx, state))
    }

    /// A listener from a function that gets the context and the state and
    /// starts the work.
    pub fn from_fn(
        name: &str,
        handler: impl Fn(Context, &S) -> BoxFuture<'static, Result<Body>> + Send + Sync + 'static,
    ) -> Self {
        Self { def: EventDef::new(name), handler: Arc::new(handler) }
    }

    /// Sets the group that shares each event. Default: the service's name.
    pub fn group(mut self, group: &str) -> Self {
        self.def.group = Some(group.into());
        self
    }
}

impl<S> fmt::Debug for Event<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Event").field(&self.def).finish()
    }
}
