//! Making a broker: [`BrokerBuilder`].

mod build;
mod check;

use std::{sync::Arc, time::Duration};

use moleculer_protocol::{ProtocolVersion, Serializer};

use super::{ServiceBroker, lifecycle::Handlers};
use crate::{
    Body, BrokerOptions, BulkheadOptions, CircuitBreakerOptions, Error, ErrorInfo,
    ErrorRegenerator, IntoService, IntoTransporter, Middleware, Object, Plugins, Result,
    RetryPolicy, Service, Validator, Value,
    cacher::{DynCacher, IntoCacher},
    config::Millis,
    middleware::ErrorHandler,
    random::UidGenerator,
    service::run_lifecycle,
    strategy::StrategyChoice,
    transporter::DynTransporter,
};

/// Makes a plug-in once the others are known that it may choose from.
type Make<T> = Box<dyn FnOnce(&Plugins) -> Result<T> + Send>;

/// Sets an option once all options are known.
type Set = Box<dyn FnOnce(&mut BrokerOptions) + Send>;

/// Makes a [`ServiceBroker`] step by step.
///
/// What is set here wins over [`options`](Self::options), in any order.
#[must_use]
pub struct BrokerBuilder {
    plugins: Plugins,
    options: BrokerOptions,
    set: Vec<Set>,
    transporter: Option<Make<Arc<dyn DynTransporter>>>,
    serializer: Option<Arc<dyn Serializer>>,
    cacher: Option<Make<Option<Arc<dyn DynCacher>>>>,
    strategy: Option<StrategyChoice>,
    seed: Option<u64>,
    middlewares: Vec<Arc<dyn Middleware>>,
    validator: Option<Arc<dyn Validator>>,
    ignored: Vec<String>,
    services: Vec<Service>,
    error_handler: Option<ErrorHandler>,
    regenerator: Option<Arc<dyn ErrorRegenerator>>,
    uid_generator: Option<UidGenerator>,
    created: Vec<CreatedHandler>,
    handlers: Handlers,
}

type CreatedHandler = Box<dyn FnOnce(&ServiceBroker) -> Result<()> + Send>;

impl BrokerBuilder {
    /// Begins with the plug-ins that can be chosen by name.
    pub fn new(plugins: Plugins) -> Self {
        Self {
            plugins,
            options: BrokerOptions::default(),
            set: Vec::new(),
            transporter: None,
            serializer: None,
            cacher: None,
            strategy: None,
            seed: None,
            middlewares: Vec::new(),
            validator: None,
            ignored: Vec::new(),
            services: Vec::new(),
            error_handler: None,
            regenerator: None,
            uid_generator: None,
            created: Vec::new(),
            handlers: Handlers::default(),
        }
    }

    /// Takes options from a configuration.
    pub fn options(mut self, options: BrokerOptions) -> Self {
        self.options = options;
        self
    }

    fn set(mut self, set: impl FnOnce(&mut BrokerOptions) + Send + 'static) -> Self {
        self.set.push(Box::new(set));
        self
    }

    /// Sets the node id. Default: host name and process id.
    pub fn node_id(self, id: impl Into<String>) -> Self {
        let id = id.into();
        self.set(|options| options.node_id = Some(id))
    }

    /// Sets the namespace, which separates nodes on one medium. Default: empty.
    pub fn namespace(self, namespace: impl Into<String>) -> Self {
        let namespace = namespace.into();
        self.set(|options| options.namespace = namespace)
    }

    /// Sets the protocol version to speak. Default: 5.
    pub fn protocol(self, version: ProtocolVersion) -> Self {
        self.set(move |options| options.protocol = version)
    }

    /// Sets the default timeout of calls. Default: none.
    pub fn request_timeout(self, timeout: Duration) -> Self {
        self.set(move |options| options.request_timeout = Millis(timeout))
    }

    /// Sets whether and how failed calls are made again. Default: not at all.
    pub fn retry(self, policy: RetryPolicy) -> Self {
        self.set(|options| options.retry_policy = policy)
    }

    /// Sets whether and when a failing action gets no more calls. Default: it
    /// always gets them.
    pub fn circuit_breaker(self, options: CircuitBreakerOptions) -> Self {
        self.set(|all| all.circuit_breaker = options)
    }

    /// Sets whether and how many runs of a handler go on at once. Default: no
    /// limit.
    pub fn bulkhead(self, options: BulkheadOptions) -> Self {
        self.set(move |all| all.bulkhead = options)
    }

    /// Sets whether a stop waits for what still runs, and how long at most;
    /// `None` for not at all. Default: `None`.
    pub fn tracking(self, shutdown_timeout: Option<Duration>) -> Self {
        self.set(move |options| {
            options.tracking.enabled = shutdown_timeout.is_some();
            if let Some(timeout) = shutdown_timeout {
                options.tracking.shutdown_timeout = Millis(timeout);
            }
        })
    }

    /// Sets whether this node's own actions are preferred. Default: true.
    pub fn prefer_local(self, prefer: bool) -> Self {
        self.set(move |options| options.registry.prefer_local = prefer)
    }

    /// Sets how calls and events choose among several nodes: a strategy, or
    /// its name. Default: [`RoundRobin`](crate::strategy::RoundRobin).
    pub fn strategy(mut self, strategy: impl Into<StrategyChoice>) -> Self {
        self.strategy = Some(strategy.into());
        self
    }

    /// Makes ids, random choices and random waits the same in every run, for
    /// tests. Nodes with other ids differ, so a whole cluster can share one
    /// seed. Default: none, nothing can be foreseen.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets what other nodes are told. Default: empty.
    pub fn metadata(self, metadata: impl Into<Object>) -> Self {
        let metadata = metadata.into();
        self.set(|options| options.metadata = metadata)
    }

    /// Sets the medium: a transporter, its builder, a name or a URL.
    /// Default: none, all calls are local.
    pub fn transporter(mut self, transporter: impl IntoTransporter + Send + 'static) -> Self {
        self.transporter = Some(Box::new(|plugins| transporter.into_transporter(plugins)));
        self
    }

    /// Sets the serializer. Default: JSON.
    pub fn serializer(mut self, serializer: impl Serializer) -> Self {
        self.serializer = Some(Arc::new(serializer));
        self
    }

    /// Sets the serializer by its name, for example `"MsgPack"`.
    pub fn serializer_named(self, name: &str) -> Self {
        let name = Value::from(name);
        self.set(|options| options.serializer = Some(name))
    }

    /// Sets where results of actions are kept: a cacher, its builder, a name, a
    /// URL, or `true` for `Memory`. Default: nowhere, and services whose
    /// actions want it are refused.
    pub fn cacher(mut self, cacher: impl IntoCacher + Send + 'static) -> Self {
        self.cacher = Some(Box::new(|plugins| cacher.into_cacher(plugins)));
        self
    }

    /// Adds a middleware; the first one added is the closest to the handlers
    /// (but for those that the options name: they are closer still).
    pub fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.middlewares.push(Arc::new(middleware));
        self
    }

    /// Sets what checks params by the rules of actions and events. Default: as
    /// the option `validator` says.
    pub fn validator(mut self, validator: impl Validator) -> Self {
        self.validator = Some(Arc::new(validator));
        self
    }

    /// Lets services have options that nothing handles: `cache`, `params`
    /// (rules) or `tracing` of actions and events. They are published and have
    /// no other effect.
    ///
    /// Without this a service with such an option is refused, because somebody
    /// relies on it: for example, on a cache.
    ///
    /// ```
    /// use moleculer_core::{Action, BrokerBuilder, Cache, Plugins, Result, Service};
    ///
    /// async fn count() -> Result<u32> {
    ///     Ok(7)
    /// }
    ///
    /// let service = Service::builder("posts").action(Action::new("count", count).cache(Cache::new()));
    /// let service = service.build();
    ///
    /// let broker = || BrokerBuilder::new(Plugins::core()).service(service.clone());
    /// let error = broker().build().unwrap_err();
    /// assert!(error.message().contains("has the option `cache`, which nothing handles"));
    /// assert!(broker().ignore_options(["cache"]).build().is_ok());
    /// ```
    pub fn ignore_options<O: Into<String>>(mut self, options: impl IntoIterator<Item = O>) -> Self {
        self.ignored.extend(options.into_iter().map(Into::into));
        self
    }

    /// Sets what gets every error of an action or event before its caller
    /// does: what it returns is the result. Default: errors stay as they are.
    ///
    /// ```
    /// use moleculer_core::{BrokerBuilder, ErrorInfo, Plugins};
    ///
    /// let broker = BrokerBuilder::new(Plugins::core()).error_handler(|error, info| {
    ///     if let ErrorInfo::Action(ctx) = info {
    ///         eprintln!("{} failed: {error}", ctx.action());
    ///     }
    ///     Err(error)
    /// });
    /// ```
    pub fn error_handler(
        mut self,
        handler: impl Fn(Error, &ErrorInfo<'_>) -> Result<Body> + Send + Sync + 'static,
    ) -> Self {
        self.error_handler = Some(ErrorHandler::new(handler));
        self
    }

    /// Sets how errors of your own classes travel between nodes.
    pub fn error_regenerator(mut self, regenerator: impl ErrorRegenerator) -> Self {
        self.regenerator = Some(Arc::new(regenerator));
        self
    }

    /// Sets what makes the ids of contexts and events; they must be unique in
    /// the whole network. Default: random UUIDs.
    pub fn uid_generator(mut self, generate: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.uid_generator = Some(Arc::new(generate));
        self
    }

    /// Adds a service.
    pub fn service(mut self, service: impl IntoService) -> Self {
        self.services.push(service.into_service());
        self
    }

    /// Adds a handler that runs at the end of [`build`](Self::build), when all
    /// services are created; its error is that of `build`.
    pub fn created<E: Into<Error>>(
        mut self,
        handler: impl FnOnce(&ServiceBroker) -> Result<(), E> + Send + 'static,
    ) -> Self {
        self.created.push(Box::new(|broker| handler(broker).map_err(Into::into)));
        self
    }

    /// Adds a handler that runs when the broker has started; the broker stops
    /// again when it fails.
    pub fn started<F, Fut, E>(mut self, handler: F) -> Self
    where
        F: Fn(ServiceBroker) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Error>,
    {
        let handler = move |broker| run_lifecycle(|| handler(broker));
        self.handlers.started.push(Box::new(handler));
        self
    }

    /// Adds a handler that runs when the services are stopped and the
    /// transporter is disconnected; its error is logged.
    pub fn stopped<F, Fut, E>(mut self, handler: F) -> Self
    where
        F: Fn(ServiceBroker) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Error>,
    {
        let handler = move |broker| run_lifecycle(|| handler(broker));
        self.handlers.stopped.push(Box::new(handler));
        self
    }

    /// Makes the broker and starts it.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build) and [`ServiceBroker::start`].
    pub async fn start(self) -> Result<ServiceBroker> {
        let broker = self.build()?;
        broker.start().await?;
        Ok(broker)
    }
}

impl std::fmt::Debug for BrokerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerBuilder")
            .field("plugins", &self.plugins)
            .field("services", &self.services)
            .finish_non_exhaustive()
    }
}
