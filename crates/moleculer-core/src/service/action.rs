//! Declaring single actions and event listeners: [`Action`], [`Event`].

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use moleculer_protocol::Value;

use super::{
    cache::Cache,
    definition::{ActionDef, EventDef, Visibility},
    handler::{EventFn, Handler},
    hooks::{AfterHook, ErrorHook, HookLists, UnboundError, UnboundHooks},
    schema::{DeclaredAction, DeclaredEvent},
};
use crate::{
    Body, BulkheadOptions, CircuitBreakerOptions, Context, Fallback, Result, RetryPolicy,
    schemas::KnownSchema, strategy::StrategyChoice,
};

pub(super) type Erased<S> =
    Arc<dyn Fn(Context, &S) -> BoxFuture<'static, Result<Body>> + Send + Sync>;

/// An action: a name, a handler and options.
#[must_use]
pub struct Action<S = ()> {
    def: ActionDef,
    visibility: Option<Visibility>,
    handler: Option<Erased<S>>,
    hooks: UnboundHooks<S>,
    fallback: Option<UnboundError<S>>,
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
        Self { handler: Some(Arc::new(handler)), ..Self::inherited(name) }
    }

    /// Other options for an action that a mixin brings: its handler stays,
    /// and so do the options that are not set here.
    pub fn inherited(name: &str) -> Self {
        Self {
            def: ActionDef::new(name),
            visibility: None,
            handler: None,
            hooks: UnboundHooks::default(),
            fallback: None,
        }
    }

    /// Sets who may call it. Default: published.
    pub fn visibility(mut self, visibility: Visibility) -> Self {
        self.def.visibility = visibility;
        self.visibility = Some(visibility);
        self
    }

    /// Sets the default timeout of its calls; zero for none. Default: the
    /// broker's `requestTimeout`.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.def.timeout = Some(timeout);
        self
    }

    /// Sets how callers choose among the nodes that offer it. Default: the
    /// broker's strategy. The first definition of an action counts, of this
    /// node or another; the built-in strategies are published with it.
    pub fn strategy(mut self, strategy: impl Into<StrategyChoice>) -> Self {
        self.def.strategy = Some(strategy.into());
        self
    }

    /// Sets how failed calls of it are made again, by callers on every node.
    /// Default: as the caller's broker says.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.def.retry = Some(policy);
        self
    }

    /// Sets when callers on every node stop calling it because it fails.
    /// Default: as the caller's broker says.
    pub fn circuit_breaker(mut self, options: CircuitBreakerOptions) -> Self {
        self.def.circuit_breaker = Some(options);
        self
    }

    /// Sets how many of its runs go on at once on a node. Default: as the
    /// broker says.
    pub fn bulkhead(mut self, options: BulkheadOptions) -> Self {
        self.def.bulkhead = Some(options);
        self
    }

    /// Sets what answers a failed call, where the action runs: an async
    /// function that gets the error as its last argument, after what it takes
    /// from the context. It is asked when the call is not retried any more.
    ///
    /// ```
    /// use moleculer_core::{Action, Error, Result};
    ///
    /// async fn stars() -> Result<u32> {
    ///     Err(Error::server(503, "BUSY", "busy"))
    /// }
    ///
    /// async fn none(_: Error) -> Result<u32> {
    ///     Ok(0)
    /// }
    ///
    /// let action: Action = Action::new("stars", stars).fallback(none);
    /// ```
    pub fn fallback<Args: 'static>(mut self, handler: impl ErrorHook<Args, S>) -> Self {
        self.fallback = Some(Arc::new(move |ctx, error, state| handler.call(ctx, error, state)));
        self
    }

    /// Lets the handler run on when its caller timed out or went away.
    pub fn detached(mut self) -> Self {
        self.def.detached = true;
        self
    }

    /// Sets whether and how results are cached. Default: the service's setting
    /// `$cache`, else not at all.
    ///
    /// A broker without a cacher refuses the service: see
    /// [`BrokerBuilder::ignore_options`](crate::BrokerBuilder::ignore_options).
    ///
    /// ```
    /// use moleculer_core::{Action, Cache, Params, Result};
    ///
    /// async fn title(Params(id): Params<u64>) -> Result<String> {
    ///     Ok(format!("Post {id}"))
    /// }
    ///
    /// let action: Action = Action::new("title", title).cache(Cache::keys(["id"]));
    /// ```
    pub fn cache(mut self, cache: Cache) -> Self {
        self.def.cache = Some(cache);
        self
    }

    /// Sets rules that the params have to follow, in the language of the
    /// broker's [`Validator`](crate::Validator): that of fastest-validator, an
    /// object with a rule for each member, unless another one was chosen.
    ///
    /// Params are always checked against the handler's type; rules can say more
    /// than types. A broker without a validator refuses the service: see
    /// [`BrokerBuilder::ignore_options`](crate::BrokerBuilder::ignore_options).
    pub fn params(mut self, rules: impl Into<Value>) -> Self {
        self.def.params = Some(rules.into());
        self
    }

    /// Sets whether calls are traced, and how: a bool, or an object with the
    /// reference's members (`tags`, `spanName`, `safetyTags`). Default: as the
    /// tracer says.
    ///
    /// A broker without a tracer refuses the service, unless this is false: see
    /// [`BrokerBuilder::ignore_options`](crate::BrokerBuilder::ignore_options).
    pub fn tracing(mut self, tracing: impl Into<Value>) -> Self {
        self.def.tracing = Some(tracing.into());
        self
    }

    /// Adds a member to the published definition, for gateways and tools.
    pub fn extra(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.def.extra.insert(key, value);
        self
    }

    /// Publishes the JSON Schema of the params as `paramsSchema`, and as
    /// `params` the same in the rule language of Moleculer JS, for tools there.
    ///
    /// These rules are for reading: that params fit their type is checked
    /// anyway. `#[service]` does this for each handler whose types implement
    /// `JsonSchema`.
    ///
    /// ```
    /// use moleculer_core::{Action, Params, Result, Service};
    /// use schemars::JsonSchema;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize, JsonSchema)]
    /// struct Add {
    ///     a: i64,
    ///     b: Option<i64>,
    /// }
    ///
    /// async fn add(Params(p): Params<Add>) -> Result<i64> {
    ///     Ok(p.a + p.b.unwrap_or(1))
    /// }
    ///
    /// let action = Action::new("add", add).params_schema::<Add>().result_schema::<i64>();
    /// let math = Service::builder("math").action(action);
    /// ```
    #[cfg(feature = "schemas")]
    pub fn params_schema<T: schemars::JsonSchema>(mut self) -> Self {
        self.def.schemas.set_params(KnownSchema::of_params::<T>());
        self
    }

    /// Publishes the JSON Schema of the result as `resultSchema`: see
    /// [`params_schema`](Self::params_schema).
    #[cfg(feature = "schemas")]
    pub fn result_schema<T: schemars::JsonSchema>(mut self) -> Self {
        self.def.schemas.set_result(KnownSchema::of_result::<T>());
        self
    }

    /// For the output of the macro: the schemas of a handler's arguments, of
    /// which one may be the params', and of its result.
    #[doc(hidden)]
    pub fn known_schemas<const N: usize>(
        mut self,
        arguments: [KnownSchema; N],
        result: KnownSchema,
    ) -> Self {
        for argument in arguments {
            self.def.schemas.set_params(argument);
        }
        self.def.schemas.set_result(result);
        self
    }

    /// Adds a hook that runs before the handler, after those of the service:
    /// see [`ServiceBuilder::before`](crate::ServiceBuilder::before).
    pub fn before<Args: 'static>(mut self, hook: impl Handler<Args, S>) -> Self {
        self.hooks.before(hook);
        self
    }

    /// Adds a hook that gets the result, before those of the service: see
    /// [`ServiceBuilder::after`](crate::ServiceBuilder::after).
    pub fn after<Args: 'static>(mut self, hook: impl AfterHook<Args, S>) -> Self {
        self.hooks.after(hook);
        self
    }

    /// Adds a hook that gets the error, before those of the service: see
    /// [`ServiceBuilder::on_error`](crate::ServiceBuilder::on_error).
    pub fn on_error<Args: 'static>(mut self, hook: impl ErrorHook<Args, S>) -> Self {
        self.hooks.on_error(hook);
        self
    }

    /// Gives handler and hooks their state.
    pub(super) fn bind(mut self, state: &S) -> DeclaredAction
    where
        S: Clone,
    {
        let handler = self.handler.map(|handler| {
            let state = state.clone();
            Arc::new(move |ctx| handler(ctx, &state)) as _
        });
        self.def.fallback = self.fallback.map(|fallback| {
            let state = state.clone();
            Fallback::from_fn(move |ctx, error| fallback(ctx, error, &state))
        });
        let hooks: HookLists = self.hooks.bind(state);
        DeclaredAction { def: self.def, visibility: self.visibility, handler, hooks }
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
    handlers: Vec<Erased<S>>,
}

impl<S: Send + Sync + 'static> Event<S> {
    /// A listener with a [`Handler`]; its result is dropped.
    ///
    /// In `name`, `?` stands for one character, `*` for a part between dots
    /// and `**` for anything. A service that declares a name twice runs both
    /// handlers for each event.
    pub fn new<Args: 'static>(name: &str, handler: impl Handler<Args, S>) -> Self {
        Self::from_fn(name, move |ctx, state| handler.call(ctx, state))
    }

    /// A listener from a function that gets the context and the state and
    /// starts the work.
    pub fn from_fn(
        name: &str,
        handler: impl Fn(Context, &S) -> BoxFuture<'static, Result<Body>> + Send + Sync + 'static,
    ) -> Self {
        Self { def: EventDef::new(name), handlers: vec![Arc::new(handler)] }
    }

    /// Other options for an event that a mixin listens to: its handlers stay.
    pub fn inherited(name: &str) -> Self {
        Self { def: EventDef::new(name), handlers: Vec::new() }
    }

    /// Sets the group that shares each event. Default: the service's name.
    pub fn group(mut self, group: &str) -> Self {
        self.def.group = Some(group.into());
        self
    }

    /// Sets how emitters choose within the group: see [`Action::strategy`].
    pub fn strategy(mut self, strategy: impl Into<StrategyChoice>) -> Self {
        self.def.strategy = Some(strategy.into());
        self
    }

    /// Waits until no event has come for this long, then handles the last
    /// one; the emitter does not wait. Default: zero, each event is handled.
    pub fn debounce(mut self, quiet: Duration) -> Self {
        self.def.debounce = Some(quiet);
        self
    }

    /// Drops events that come within this time after the last one that was
    /// handled. Default: zero, none is dropped.
    pub fn throttle(mut self, pause: Duration) -> Self {
        self.def.throttle = Some(pause);
        self
    }

    /// Sets how many of its runs go on at once on a node. Default: as the
    /// broker says.
    pub fn bulkhead(mut self, options: BulkheadOptions) -> Self {
        self.def.bulkhead = Some(options);
        self
    }

    /// Sets rules that the data of the event have to follow: see
    /// [`Action::params`].
    pub fn params(mut self, rules: impl Into<Value>) -> Self {
        self.def.params = Some(rules.into());
        self
    }

    /// Sets whether it is traced, and how: see [`Action::tracing`].
    pub fn tracing(mut self, tracing: impl Into<Value>) -> Self {
        self.def.tracing = Some(tracing.into());
        self
    }

    /// Adds a member to the published definition, for tools.
    pub fn extra(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.def.extra.insert(key, value);
        self
    }

    /// Gives the handlers their state.
    pub(super) fn bind(self, state: &S) -> DeclaredEvent
    where
        S: Clone,
    {
        let bind = |handler: Erased<S>| -> EventFn {
            let state = state.clone();
            Arc::new(move |ctx| {
                let running = handler(ctx, &state);
                Box::pin(async move { running.await.map(drop) })
            })
        };
        DeclaredEvent { def: self.def, handlers: self.handlers.into_iter().map(bind).collect() }
    }
}

impl<S> fmt::Debug for Event<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Event").field(&self.def).finish()
    }
}
