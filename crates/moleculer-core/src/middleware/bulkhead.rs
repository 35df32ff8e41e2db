//! The built-in bulkhead, and its options: [`BulkheadOptions`].

use moleculer_protocol::{Object, Value};
use serde::{Deserialize, Serialize, Serializer};

/// Whether and how many runs of a handler go on at once; for all actions and
/// event listeners of a node
/// ([`BrokerBuilder::bulkhead`](crate::BrokerBuilder::bulkhead), option
/// `bulkhead`), for one action
/// ([`Action::bulkhead`](crate::Action::bulkhead)) or for one listener
/// ([`Event::bulkhead`](crate::Event::bulkhead)). What one leaves open is as
/// for all.
///
/// Calls above the limit wait in the order in which they came; the wait is a
/// part of the time that a call may take. When too many wait, further ones
/// fail with `QueueIsFullError`. Each handler has a limit of its own, on its
/// node.
///
/// ```
/// use moleculer_core::BulkheadOptions;
///
/// let options = BulkheadOptions::new().concurrency(5).max_queue_size(50);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BulkheadOptions {
    /// Whether runs are limited. Default: false.
    pub enabled: Option<bool>,
    /// How many run at once; 0 counts as 1. Default: 10.
    pub concurrency: Option<usize>,
    /// How many may wait; 0 for no limit. Default: 100.
    pub max_queue_size: Option<usize>,
}

impl BulkheadOptions {
    /// Runs are limited, with the defaults.
    pub fn new() -> Self {
        Self { enabled: Some(true), ..Self::default() }
    }

    /// Runs are not limited.
    pub fn off() -> Self {
        Self { enabled: Some(false), ..Self::default() }
    }

    /// Sets [`concurrency`](Self::concurrency).
    #[must_use]
    pub fn concurrency(mut self, runs: usize) -> Self {
        self.concurrency = Some(runs);
        self
    }

    /// Sets [`max_queue_size`](Self::max_queue_size).
    #[must_use]
    pub fn max_queue_size(mut self, waiting: usize) -> Self {
        self.max_queue_size = Some(waiting);
        self
    }

    /// The members as they are published.
    pub(crate) fn to_object(self) -> Object {
        let members = [
            ("enabled", self.enabled.map(Value::from)),
            ("concurrency", self.concurrency.map(Value::from)),
            ("maxQueueSize", self.max_queue_size.map(Value::from)),
        ];
        members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }

    /// Reads another node's options; members that do not fit count as absent.
    pub(crate) fn from_object(object: &Object) -> Self {
        let number = |key| object.get(key).and_then(Value::as_f64).map(|number| number as usize);
        Self {
            enabled: object.get("enabled").map(Value::is_truthy),
            concurrency: number("concurrency"),
            max_queue_size: number("maxQueueSize"),
        }
    }

    /// These, and what they leave open from `lower`.
    pub(crate) fn or(self, lower: Self) -> Self {
        Self {
            enabled: self.enabled.or(lower.enabled),
            concurrency: self.concurrency.or(lower.concurrency),
            max_queue_size: self.max_queue_size.or(lower.max_queue_size),
        }
    }
}

/// What is published.
impl Serialize for BulkheadOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_object().serialize(serializer)
    }
}
