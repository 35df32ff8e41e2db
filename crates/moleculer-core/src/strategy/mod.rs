//! Choosing one of several endpoints: [`Strategy`].

mod builtin;
mod choice;
mod sample;
mod shard;
mod simple;

use std::{fmt, sync::Arc, time::Duration};

use moleculer_protocol::{NodeId, Object, Payload, Value};

pub(crate) use self::{
    builtin::STRATEGIES,
    choice::{Strategies, invalid_endpoint},
};
pub use self::{
    choice::StrategyChoice,
    sample::{CpuUsage, Latency},
    shard::Shard,
    simple::{Random, RoundRobin},
};
use crate::{Context, RandomSource, broker::WeakBroker, registry::Node};

/// Chooses among the endpoints of an action or of an event's group.
///
/// It is asked only when there is a choice: not for a single endpoint, and not
/// where this node's own endpoint is preferred. Give one to
/// [`BrokerBuilder::strategy`](crate::BrokerBuilder::strategy) for all lists,
/// or to [`Action::strategy`](crate::Action::strategy) or
/// [`Event::strategy`](crate::Event::strategy) for one; the definition that
/// comes first, of this node or another, decides for the list.
///
/// # Contract
///
/// - The value that options hold is a pattern: [`for_list`](Self::for_list)
///   makes the instance that serves one list. Only instances choose, and an
///   instance serves one list for as long as the broker lives.
/// - `select` is called from any thread, several at a time, on the path of
///   each call: it does not block.
/// - `select` gets available endpoints only, in a stable order. As long as
///   [`Selection::version`] stays the same, so does the list.
/// - `None`, or an index past the end, fails the call with the error
///   `INVALID_ENDPOINT`.
/// - What is random comes from [`StrategyHost::random`], so that a seed repeats it.
///
/// `moleculer_testkit::strategy` checks these for any strategy.
///
/// ```
/// use std::sync::Arc;
/// use moleculer_core::strategy::{Endpoint, Selection, Strategy, StrategyHost};
///
/// /// Always takes the node with the smallest id.
/// #[derive(Clone, Debug)]
/// struct Smallest;
///
/// impl Strategy for Smallest {
///     fn name(&self) -> &str {
///         "Smallest"
///     }
///     fn for_list(&self, _: &StrategyHost) -> Arc<dyn Strategy> {
///         Arc::new(self.clone())
///     }
///     fn select(&self, endpoints: &[Endpoint], _: &Selection<'_>) -> Option<usize> {
///         (0..endpoints.len()).min_by_key(|&at| endpoints[at].node_id())
///     }
/// }
/// ```
pub trait Strategy: fmt::Debug + Send + Sync + 'static {
    /// The name in configuration and messages.
    fn name(&self) -> &str;

    /// Options as configuration has them. Those of built-in strategies are
    /// published with an action, so that other nodes choose alike.
    fn options(&self) -> Object {
        Object::new()
    }

    /// Makes the instance for one list.
    fn for_list(&self, host: &StrategyHost) -> Arc<dyn Strategy>;

    /// Index of the endpoint to take.
    fn select(&self, endpoints: &[Endpoint], call: &Selection<'_>) -> Option<usize>;
}

/// An endpoint as a strategy sees it: the node that it is on.
#[derive(Clone)]
pub struct Endpoint(pub(crate) Arc<Node>);

impl Endpoint {
    /// An endpoint that belongs to no broker, for tests of strategies.
    pub fn new(node: impl Into<NodeId>) -> Self {
        Self(Arc::new(Node::new(node.into(), false)))
    }

    /// Sets the CPU load, in percent.
    #[must_use]
    pub fn with_cpu(self, percent: f64) -> Self {
        self.0.cpu.set(Some(percent));
        self
    }

    /// Sets the latency.
    #[must_use]
    pub fn with_latency(self, latency: Duration) -> Self {
        self.0.latency.set(Some(latency.as_secs_f64() * 1e3));
        self
    }

    /// Id of the node.
    pub fn node_id(&self) -> &NodeId {
        &self.0.id
    }

    /// Whether it is this node.
    pub fn is_local(&self) -> bool {
        self.0.local
    }

    /// CPU load of the node in percent, as its last heartbeat told.
    pub fn cpu(&self) -> Option<f64> {
        self.0.cpu.get()
    }

    /// Average time in ms that pings to the node's host took, if somebody
    /// [asked for measurements](StrategyHost::measure_latency).
    pub fn latency(&self) -> Option<f64> {
        self.0.latency.get()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("node_id", self.node_id())
            .field("cpu", &self.cpu())
            .field("latency", &self.latency())
            .finish()
    }
}

/// What is to be sent to the chosen endpoint.
///
/// It is read without building or consuming anything more than the part asked for.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    params: &'a Payload,
    meta: Option<&'a Object>,
    parent: Option<&'a Context>,
    version: u64,
}

impl<'a> Selection<'a> {
    /// A selection for these params and metadata, for tests of strategies.
    pub const fn new(params: &'a Payload, meta: &'a Object) -> Self {
        Self::of(params, Some(meta), None)
    }

    /// `meta` is what is added to the metadata of `parent`.
    pub(crate) const fn of(
        params: &'a Payload,
        meta: Option<&'a Object>,
        parent: Option<&'a Context>,
    ) -> Self {
        Self { params, meta, parent, version: 0 }
    }

    /// Sets the version of the list.
    #[must_use]
    pub const fn with_version(self, version: u64) -> Self {
        Self { version, ..self }
    }

    /// The part of the params, or of the event's data, at a path such as
    /// `user.id`. `None` when there is none or the params cannot be read.
    pub fn param(&self, path: &str) -> Option<Value> {
        self.params.get(path).ok().flatten()
    }

    /// The part of the metadata at a path.
    pub fn meta(&self, path: &str) -> Option<Value> {
        let (key, rest) =
            path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
        let part = |value: &Value| match rest {
            None => Some(value.clone()),
            Some(rest) => value.pointer(rest).cloned(),
        };
        match self.meta.and_then(|meta| meta.get(key)) {
            Some(value) => part(value),
            None => self.parent?.with_meta(|meta| meta.get(key).and_then(part)),
        }
    }

    /// Changes when the list of endpoints does; no two lists share one.
    pub const fn version(&self) -> u64 {
        self.version
    }
}

/// The broker, as a strategy sees it.
#[derive(Debug)]
pub struct StrategyHost {
    random: RandomSource,
    broker: Option<WeakBroker>,
}

impl StrategyHost {
    /// A host without a broker, for tests of strategies.
    pub const fn from_seed(seed: u64) -> Self {
        Self { random: RandomSource::from_seed(seed), broker: None }
    }

    /// A source of randomness for one instance.
    pub fn random(&self) -> RandomSource {
        self.random.fork()
    }

    /// Asks the broker to measure [`Endpoint::latency`]: it pings one node of
    /// each host every `interval` and averages the last `samples` answers.
    /// The first one who asks decides both. Without a transporter there is
    /// nothing to measure.
    pub fn measure_latency(&self, samples: usize, interval: Duration) {
        if let Some(broker) = self.broker.as_ref().and_then(WeakBroker::upgrade) {
            broker.measure_latency(samples, interval);
        }
    }
}
