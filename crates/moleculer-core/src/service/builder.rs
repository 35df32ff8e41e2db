//! Declaring a service by hand: [`Service::builder`].

use std::sync::Arc;

use moleculer_protocol::{Object, Value};

use super::{
    Service, ServiceHandle,
    action::{Action, Event},
    handler::{Handler, run_lifecycle},
    hooks::{AfterHook, ErrorHook, Hooks, UnboundHooks},
    merge,
    name::ServiceName,
    schema::{DeclaredAction, Lifecycle},
};
use crate::{Error, Result};

/// Declares a service step by step. `S` is the state that its handlers share;
/// it is cloned for each handler, so wrap what is large in an `Arc`.
#[must_use]
#[derive(Debug)]
pub struct ServiceBuilder<S> {
    service: Service,
    mixins: Vec<Service>,
    state: S,
}

impl ServiceBuilder<()> {
    pub(super) const fn new(name: Arc<str>) -> Self {
        let service = Service {
            name,
            version: None,
            settings: Object::new(),
            metadata: Object::new(),
            dependencies: Vec::new(),
            actions: Vec::new(),
            without: Vec::new(),
            events: Vec::new(),
            hooks: Hooks::new(),
            merged: Vec::new(),
            created: Vec::new(),
            started: Vec::new(),
            stopped: Vec::new(),
            flaw: None,
        };
        Self { service, mixins: Vec::new(), state: () }
    }

    /// Gives the service a state. Actions and events are added after this.
    pub fn with_state<S: Clone + Send + Sync + 'static>(self, state: S) -> ServiceBuilder<S> {
        ServiceBuilder { service: self.service, mixins: self.mixins, state }
    }
}

impl<S: Clone + Send + Sync + 'static> ServiceBuilder<S> {
    /// Sets the version: a number (`2` makes `v2.name`) or a text.
    pub fn version(mut self, version: impl Into<Value>) -> Self {
        self.service.version = Some(version.into());
        self
    }

    /// Sets the settings, which other nodes see.
    ///
    /// | setting | effect |
    /// | --- | --- |
    /// | `$noVersionPrefix: true` | the full name has no version |
    /// | `$noServiceNamePrefix: true` | actions go by their own names |
    /// | `$secureSettings: [keys]` | these settings stay on this node |
    /// | `$cache` | the `cache` of actions that have none |
    /// | `$dependencyTimeout` | longest wait for dependencies, in ms; instead of the broker's |
    /// | `$shutdownTimeout` | longest wait for running calls when it stops, in ms |
    ///
    /// `$dependencyInterval` has no effect: a service that comes is told of,
    /// not polled for.
    pub fn settings(mut self, settings: impl Into<Object>) -> Self {
        self.service.settings = settings.into();
        self
    }

    /// Sets the metadata, which other nodes see.
    pub fn metadata(mut self, metadata: impl Into<Object>) -> Self {
        self.service.metadata = metadata.into();
        self
    }

    /// Adds services that must be known before this one starts: full names,
    /// or [`ServiceName`] values.
    pub fn dependencies<D: Into<ServiceName>>(
        mut self,
        dependencies: impl IntoIterator<Item = D>,
    ) -> Self {
        self.service.dependencies.extend(dependencies.into_iter().map(Into::into));
        self
    }

    /// Adds the parts of another declaration, as far as this one does not
    /// have them.
    ///
    /// This service wins over its mixins, an earlier mixin over a later one.
    /// Name, version, and each option of an action or event come from the
    /// first that sets them; settings, metadata and extra members are filled
    /// in deeply, arrays index by index. Handlers of events and of the
    /// lifecycle add up, the mixin's first; `stopped` runs in reverse. Of
    /// hooks, the mixin's are the outer ones.
    pub fn mixin(mut self, mixin: impl super::IntoService) -> Self {
        self.mixins.push(mixin.into_service());
        self
    }

    /// Leaves out an action that a mixin brings.
    pub fn without_action(mut self, name: &str) -> Self {
        self.service.without.push(name.into());
        self
    }

    /// Adds an action. To change options of a mixin's action, add an
    /// [`Action::inherited`].
    pub fn action(mut self, action: Action<S>) -> Self {
        let action = action.bind(&self.state);
        let same = |other: &DeclaredAction| other.def.raw_name == action.def.raw_name;
        if self.service.actions.iter().any(same) {
            let flaw = format!("action '{}' is declared twice", action.def.raw_name);
            self.service.flaw.get_or_insert(flaw);
        }
        self.service.actions.push(action);
        self
    }

    /// Adds an event listener.
    pub fn event(mut self, event: Event<S>) -> Self {
        merge::add_event(&mut self.service.events, event.bind(&self.state));
        self
    }

    /// Adds a hook that runs before the handlers of the actions that `names`
    /// fits: a name, a pattern, several of them with `|` between, or `*` for
    /// all.
    ///
    /// It is a [`Handler`] whose result is dropped. It may read the params,
    /// and replace them with [`Context::set_params`](crate::Context::set_params);
    /// when it fails, the call fails with its error.
    ///
    /// Hooks for `*` run first, then those for names in the order in which
    /// they were added, then those of the action itself.
    ///
    /// ```
    /// use moleculer_core::{Action, Context, Error, Params, Result, Service};
    ///
    /// async fn only_users(ctx: Context) -> Result<()> {
    ///     ctx.meta().get("user").map(|_| ()).ok_or_else(|| Error::client(401, "NO_USER", "log in"))
    /// }
    ///
    /// async fn remove(Params(id): Params<u64>) -> Result<u64> {
    ///     Ok(id)
    /// }
    ///
    /// async fn report(ctx: Context, removed: u64) -> Result<u64> {
    ///     ctx.emit("posts.removed", removed).await?;
    ///     Ok(removed)
    /// }
    ///
    /// let posts = Service::builder("posts")
    ///     .before("create|update|remove", only_users)
    ///     .action(Action::new("remove", remove).after(report));
    /// ```
    pub fn before<Args: 'static>(mut self, names: &str, hook: impl Handler<Args, S>) -> Self {
        self.add_hooks(names, |hooks| hooks.before(hook));
        self
    }

    /// Adds a hook that gets the result of the actions that `names` fits, and
    /// returns the one that the caller gets: see [`before`](Self::before).
    ///
    /// The order is the reverse: hooks of the action itself run first, those
    /// for `*` last. A result that an error hook made is not passed here.
    pub fn after<Args: 'static>(mut self, names: &str, hook: impl AfterHook<Args, S>) -> Self {
        self.add_hooks(names, |hooks| hooks.after(hook));
        self
    }

    /// Adds a hook that gets the error of the actions that `names` fits, of
    /// their other hooks too.
    ///
    /// It returns an error to go on with, for the next hook, or a result for
    /// the caller, which ends it. The order is that of [`after`](Self::after).
    pub fn on_error<Args: 'static>(mut self, names: &str, hook: impl ErrorHook<Args, S>) -> Self {
        self.add_hooks(names, |hooks| hooks.on_error(hook));
        self
    }

    fn add_hooks(&mut self, names: &str, add: impl FnOnce(&mut UnboundHooks<S>)) {
        let mut hooks = UnboundHooks::default();
        add(&mut hooks);
        self.service.hooks.add(names, hooks.bind(&self.state));
    }

    /// Adds a handler that sees the declaration after all mixins are merged,
    /// and may change it.
    pub fn merged(mut self, handler: impl Fn(&mut Service) + Send + Sync + 'static) -> Self {
        self.service.merged.push(Arc::new(handler));
        self
    }

    /// Adds a handler that runs when the broker has taken the service, before
    /// anything starts.
    ///
    /// An error is that of [`build`](crate::BrokerBuilder::build) or
    /// [`create_service`](crate::ServiceBroker::create_service).
    pub fn created<E: Into<Error>>(
        mut self,
        handler: impl Fn(&ServiceHandle, &S) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        let state = self.state.clone();
        let bound = move |service: &ServiceHandle| handler(service, &state).map_err(Into::into);
        self.service.created.push(Arc::new(bound));
        self
    }

    /// Adds a handler that runs before the service can be called, once its
    /// dependencies are there; the broker does not start when it fails.
    pub fn started<F, Fut, E>(mut self, handler: F) -> Self
    where
        F: Fn(ServiceHandle, S) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Error>,
    {
        let lifecycle = self.lifecycle(handler);
        self.service.started.push(lifecycle);
        self
    }

    /// Adds a handler that runs when the service stops, if its `started`
    /// handlers have run or begun to. Several run in reverse.
    pub fn stopped<F, Fut, E>(mut self, handler: F) -> Self
    where
        F: Fn(ServiceHandle, S) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Error>,
    {
        let lifecycle = self.lifecycle(handler);
        self.service.stopped.push(lifecycle);
        self
    }

    fn lifecycle<F, Fut, E>(&self, handler: F) -> Lifecycle
    where
        F: Fn(ServiceHandle, S) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Error>,
    {
        let state = self.state.clone();
        Arc::new(move |service| run_lifecycle(|| handler(service, state.clone())))
    }

    /// Ends the declaration and merges the mixins into it.
    pub fn build(self) -> Service {
        merge::merge_all(self.service, self.mixins)
    }
}
