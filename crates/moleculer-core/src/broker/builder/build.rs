//! From what is set to a broker: [`BrokerBuilder::build`].

use std::sync::{Arc, Mutex, OnceLock, Weak};

use futures_util::future::ready;
use moleculer_protocol::{JsonSerializer, NodeId};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    BrokerBuilder,
    check::{balances, check_node_id, check_protocol, warn_of_no_effect},
};
use crate::{
    BrokerOptions, CallFn, EmitFn, Middleware, Places, Plugins, RandomSource, Result, Value,
    broker::{
        Inner, ServiceBroker, Tasks, WeakBroker, bus::Bus, latency::LatencyMonitor,
        lifecycle::PhaseCell, ping::Pings, stopped,
    },
    discoverer::LocalOptions,
    internal,
    middleware::{Hooks, Middlewares, builtin},
    random::IdSource,
    registry::{Identity, Registry},
    service::CarriedOptions,
    strategy::Strategies,
    system,
    transit::Transit,
    validator,
};

impl BrokerBuilder {
    /// Makes the broker.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` when an option or plug-in is wrong,
    /// `ServiceSchemaError` when a service is.
    pub fn build(self) -> Result<ServiceBroker> {
        let mut options = self.options;
        for set in self.set {
            set(&mut options);
        }
        let places = options.origin.places.clone();
        warn_of_no_effect(&options);
        let node_id = NodeId::from(options.node_id.clone().unwrap_or_else(default_node_id));
        check_node_id(&node_id).map_err(|error| places.locate("nodeID", error))?;
        let plugins = self.plugins;
        let named = Named { plugins: &plugins, places: &places };

        let transporter = match self.transporter {
            Some(make) => Some(make(&plugins)?),
            None => named.make("transporter", &options.transporter, Plugins::make_transporter)?,
        };
        let discoverer = LocalOptions::from_choice(options.registry.discoverer.as_ref())
            .map_err(|error| places.locate("registry.discoverer", error))?;
        if options.disable_balancer {
            options.disable_balancer = balances(transporter.as_deref());
        }
        let serializer = match self.serializer {
            Some(serializer) => Some(serializer),
            None => named.make("serializer", &options.serializer, Plugins::make_serializer)?,
        };
        let serializer = serializer.unwrap_or_else(|| Arc::new(JsonSerializer));
        check_protocol(&*serializer, options.protocol)
            .map_err(|error| places.locate("serializer", error))?;
        let cacher = match self.cacher {
            Some(make) => make(&plugins)?,
            None => named.make("cacher", &options.cacher, Plugins::make_cacher)?.flatten(),
        };

        let tasks = Tasks::default();
        let mut middlewares = named.middlewares(&options)?;
        middlewares.extend(self.middlewares);
        let validator = validator::choose(self.validator, &options.validator, &plugins, &places)?;
        let mut ignored = self.ignored;
        ignored.extend(validator.ignored());
        let error_handler = self.error_handler.clone();
        let layers = builtin(&options, &tasks, cacher.as_ref(), error_handler, validator.layer());
        middlewares.extend(layers);
        let carried = CarriedOptions::new(middlewares.iter().map(|m| &**m), &ignored)?;
        let middlewares = Middlewares(middlewares);

        let random = self
            .seed
            .map_or_else(RandomSource::default, |seed| RandomSource::for_node(seed, &node_id));
        let instance_id = random.uuid();
        let configured = (options.registry.strategy.as_ref(), &options.registry.strategy_options);
        let strategies =
            Strategies::new(plugins, self.strategy.as_ref(), configured, random.fork())
                .map_err(|error| places.locate("registry.strategy", error))?;
        let identity = Identity {
            node_id: node_id.clone(),
            instance_id: instance_id.clone(),
            metadata: options.metadata.clone(),
        };
        let internal = options.internal_services.then(internal::service);
        let inner = Arc::new_cyclic(|inner: &Weak<Inner>| {
            let weak = WeakBroker(inner.clone());
            Inner {
                hooks: hooks(&middlewares, &weak),
                registry: Registry::new(identity, &options, middlewares.clone(), strategies, weak),
                middlewares,
                carried,
                cacher,
                error_handler: self.error_handler,
                regenerator: self.regenerator,
                options,
                node_id,
                instance_id,
                transit: OnceLock::new(),
                tasks,
                phase: PhaseCell::default(),
                stop_asked: CancellationToken::new(),
                services: Mutex::default(),
                handlers: self.handlers,
                services_changed: Notify::new(),
                failure: Mutex::new(None),
                ids: IdSource::new(&random, self.uid_generator),
                random,
                bus: Bus::default(),
                pings: Pings::default(),
                latency: LatencyMonitor::default(),
            }
        });
        let broker = ServiceBroker(inner);
        if let Some(transporter) = transporter {
            let transit = Transit::new(transporter, serializer, &discoverer, &broker);
            broker.0.transit.get_or_init(|| transit);
        }
        for service in internal.into_iter().chain(self.services) {
            broker.add_service(service)?;
        }
        broker.0.middlewares.created(&broker);
        for created in self.created {
            created(&broker)?;
        }
        Ok(broker)
    }
}

/// What the options name.
struct Named<'a> {
    plugins: &'a Plugins,
    places: &'a Places,
}

impl Named<'_> {
    /// Makes the plug-in that an option names, if it does; an error says where
    /// the option stands.
    fn make<T>(
        &self,
        option: &str,
        choice: &Option<Value>,
        make: impl FnOnce(&Plugins, &Value) -> Result<T>,
    ) -> Result<Option<T>> {
        let made = choice.as_ref().map(|choice| make(self.plugins, choice)).transpose();
        made.map_err(|error| self.places.locate(option, error))
    }

    fn middlewares(&self, options: &BrokerOptions) -> Result<Vec<Arc<dyn Middleware>>> {
        let choices = options.middlewares.iter().enumerate();
        let made = choices.map(|(i, choice)| {
            (self.plugins.make_middleware(choice))
                .map_err(|error| self.places.locate(&format!("middlewares[{i}]"), error))
        });
        made.collect()
    }
}

fn default_node_id() -> String {
    format!("{}-{}", system::hostname().to_lowercase(), std::process::id())
}

/// The broker's functions with what middlewares wrap around them.
fn hooks(middlewares: &Middlewares, broker: &WeakBroker) -> Hooks {
    let here = broker.clone();
    let call: CallFn = Arc::new(move |request| match here.upgrade() {
        Some(broker) => request.run(&broker),
        None => Box::pin(ready(Err(stopped()))),
    });
    let here = broker.clone();
    let emit: EmitFn = Arc::new(move |request| {
        let sent = here.upgrade().ok_or_else(stopped);
        match sent.and_then(|broker| request.run(&broker)) {
            Ok(running) => Box::pin(running),
            Err(error) => Box::pin(ready(Err(error))),
        }
    });
    middlewares.hooks(&call, &emit)
}
