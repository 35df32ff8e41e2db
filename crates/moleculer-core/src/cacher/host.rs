//! What the broker offers to a cacher: [`CacherHost`].

use std::{fmt, sync::Arc};

use crate::{
    Error, RandomSource, WeakBroker,
    broker::{ServiceBroker, Tasks},
};

/// The broker, as a cacher sees it. A cheap clone that does not keep the
/// broker alive.
#[derive(Clone)]
pub struct CacherHost {
    broker: WeakBroker,
    tasks: Tasks,
    random: Arc<RandomSource>,
    namespace: Arc<str>,
}

impl CacherHost {
    /// The host of a broker, which it makes for its own cacher.
    pub fn new(broker: &ServiceBroker) -> Self {
        Self {
            broker: broker.downgrade(),
            tasks: broker.inner().tasks.clone(),
            random: Arc::new(broker.inner().random.fork()),
            namespace: broker.namespace().into(),
        }
    }

    /// A host without a broker, for tests of cachers and for tools.
    pub fn without_broker(namespace: &str) -> Self {
        Self {
            broker: WeakBroker::default(),
            tasks: Tasks::default(),
            random: Arc::default(),
            namespace: namespace.into(),
        }
    }

    /// The namespace, empty when there is none.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Where all that is random comes from.
    pub fn random(&self) -> &RandomSource {
        &self.random
    }

    /// Runs a task that ends with the broker, if it did not end before.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Tells services of this node, by the event `$cacher.error`, what failed
    /// in the background: `clientError`, or `failedSendPing` for a server that
    /// does not answer. What a method returns the broker tells itself.
    pub fn report(&self, r#type: &'static str, error: &Error) {
        tracing::warn!(%error, "the cacher failed");
        if let Some(broker) = self.broker.upgrade() {
            broker.announce_error("cacher", r#type, error);
        }
    }

    /// Number of tasks that run, those of the broker included.
    pub fn running_tasks(&self) -> usize {
        self.tasks.len()
    }
}

impl fmt::Debug for CacherHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacherHost").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}
