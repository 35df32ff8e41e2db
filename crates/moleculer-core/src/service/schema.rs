//! A declared service: [`Service`].

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use moleculer_protocol::{Object, ServiceInfo, Value};

use super::{
    ServiceBuilder, ServiceHandle,
    cache::Cache,
    definition::{ActionDef, EventDef, Visibility},
    handler::{ActionFn, EventFn},
    hooks::{HookLists, Hooks},
    name::ServiceName,
};
use crate::{Error, Result, config};

/// A declared service, ready for [`BrokerBuilder::service`](crate::BrokerBuilder::service)
/// or, as a mixin, for [`ServiceBuilder::mixin`].
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
    pub(crate) dependencies: Vec<ServiceName>,
    pub(super) actions: Vec<DeclaredAction>,
    /// Actions of mixins that this service does not take over.
    pub(super) without: Vec<Arc<str>>,
    pub(super) events: Vec<DeclaredEvent>,
    pub(super) hooks: Hooks,
    pub(super) merged: Vec<Merged>,
    pub(crate) created: Vec<Created>,
    pub(crate) started: Vec<Lifecycle>,
    pub(crate) stopped: Vec<Lifecycle>,
    /// What is wrong with the declaration, told when a broker takes it.
    pub(super) flaw: Option<String>,
}

/// An action with what its declaration says itself: the rest may come from a mixin.
#[derive(Clone)]
pub(super) struct DeclaredAction {
    pub(super) def: ActionDef,
    pub(super) visibility: Option<Visibility>,
    pub(super) handler: Option<ActionFn>,
    pub(super) hooks: HookLists,
}

/// An event listener with all its handlers.
#[derive(Clone)]
pub(super) struct DeclaredEvent {
    pub(super) def: EventDef,
    pub(super) handlers: Vec<EventFn>,
}

/// A lifecycle handler with its state bound.
pub(crate) type Lifecycle =
    Arc<dyn Fn(ServiceHandle) -> BoxFuture<'static, Result<()>> + Send + Sync>;
pub(crate) type Created = Arc<dyn Fn(&ServiceHandle) -> Result<()> + Send + Sync>;
pub(super) type Merged = Arc<dyn Fn(&mut Service) + Send + Sync>;

impl Service {
    /// Begins a service without state.
    pub fn builder(name: impl Into<Arc<str>>) -> ServiceBuilder<()> {
        ServiceBuilder::new(name.into())
    }

    /// Begins a mixin: a service without a name, to be merged into others.
    ///
    /// ```
    /// use moleculer_core::{Action, Result, Service};
    ///
    /// async fn count() -> Result<u32> {
    ///     Ok(7)
    /// }
    ///
    /// let countable = Service::mixin().action(Action::new("count", count)).build();
    /// let posts = Service::builder("posts").mixin(countable).build();
    /// assert_eq!(posts.action_names().collect::<Vec<_>>(), ["count"]);
    /// ```
    pub fn mixin() -> ServiceBuilder<()> {
        ServiceBuilder::new("".into())
    }

    /// Name without version; empty for a mixin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Text or number, if it has one.
    pub const fn version(&self) -> Option<&Value> {
        self.version.as_ref()
    }

    /// Name with version: `v2.greeter`.
    ///
    /// A numeric version is written with a `v`, a text as it is; the setting
    /// `$noVersionPrefix` leaves it out.
    pub fn full_name(&self) -> String {
        self.info().full_name
    }

    /// All settings, the secured ones included.
    pub const fn settings(&self) -> &Object {
        &self.settings
    }

    /// The settings, to change them in a [`merged`](ServiceBuilder::merged) handler.
    pub const fn settings_mut(&mut self) -> &mut Object {
        &mut self.settings
    }

    /// The metadata, which other nodes see.
    pub const fn metadata(&self) -> &Object {
        &self.metadata
    }

    /// The metadata, to change it in a [`merged`](ServiceBuilder::merged) handler.
    pub const fn metadata_mut(&mut self) -> &mut Object {
        &mut self.metadata
    }

    /// What has to be there before it starts.
    pub fn dependencies(&self) -> &[ServiceName] {
        &self.dependencies
    }

    /// Names of its actions, without the service's name.
    pub fn action_names(&self) -> impl Iterator<Item = &str> {
        self.actions.iter().map(|action| &*action.def.raw_name)
    }

    /// Names and patterns of the events it listens to.
    pub fn event_names(&self) -> impl Iterator<Item = &str> {
        self.events.iter().map(|event| &*event.def.name)
    }

    /// Takes an action out, in a [`merged`](ServiceBuilder::merged) handler.
    pub fn remove_action(&mut self, name: &str) {
        self.actions.retain(|action| *action.def.raw_name != *name);
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

    /// Runs the `merged` handlers, then `change`, and checks what came out.
    pub(crate) fn complete(mut self, change: impl FnOnce(&mut Self)) -> Result<Self> {
        for merged in std::mem::take(&mut self.merged) {
            merged(&mut self);
        }
        change(&mut self);
        self.check()?;
        Ok(self)
    }

    fn check(&self) -> Result<()> {
        if self.name.is_empty() {
            return Err(Error::schema("Service name can't be empty! Give the service a name."));
        }
        if let Some(flaw) = &self.flaw {
            return Err(Error::schema(format!("{flaw} in '{}' service!", self.name)));
        }
        let missing = |kind: &str, name: &str| {
            let name =
                format!("Missing {kind} handler on '{name}' {kind} in '{}' service!", self.name);
            Err(Error::schema(name))
        };
        for action in &self.actions {
            if action.def.raw_name.is_empty() {
                let message = "Invalid action definition in '' action in";
                return Err(Error::schema(format!(
                    "{message} '{}' service! Give the action a name.",
                    self.name
                )));
            }
            if action.handler.is_none() {
                return missing("action", &action.def.raw_name);
            }
        }
        match self.events.iter().find(|event| event.handlers.is_empty()) {
            Some(event) => missing("event", &event.def.name),
            None => {
                self.duration("$dependencyTimeout")?;
                self.duration("$shutdownTimeout")?;
                self.cache().map(drop)
            }
        }
    }

    /// A setting in ms, or a text with a unit.
    pub(crate) fn duration(&self, setting: &str) -> Result<Option<Duration>> {
        let value = self.settings.defined(setting).filter(|value| !value.is_nullish());
        value.map(config::millis).transpose().map_err(|problem| {
            Error::schema(format!("{setting} in '{}' service: {problem}", self.name))
        })
    }

    /// The `cache` of actions that have none.
    pub(super) fn cache(&self) -> Result<Option<Cache>> {
        let value = self.settings.defined("$cache");
        value.map(Cache::from_value).transpose().map_err(|problem| {
            Error::schema(format!("$cache in '{}' service: {problem}", self.name))
        })
    }

    /// Sets what other nodes are told of the rules for params.
    pub(crate) fn show_rules(&mut self, show: impl Fn(&Value) -> Object) {
        for DeclaredAction { def, .. } in &mut self.actions {
            def.published = def.params.as_ref().map(&show);
        }
        for DeclaredEvent { def, .. } in &mut self.events {
            def.published = def.params.as_ref().map(&show);
        }
    }

    pub(crate) fn flag(&self, setting: &str) -> bool {
        self.settings.get(setting).is_some_and(Value::is_truthy)
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.full_name())
            .field("actions", &self.action_names().collect::<Vec<_>>())
            .field("events", &self.event_names().collect::<Vec<_>>())
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
