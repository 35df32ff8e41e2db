//! Finding who offers an action.

use std::{
    iter,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::available_parallelism,
};

use foldhash::quality::RandomState;
use moleculer_protocol::NodeId;
use papaya::HashMap;

use super::{Node, Pace, ServiceItem};
use crate::{ActionDef, ActionFn, broker::WeakBroker};

/// All actions that were ever known, by full name.
///
/// An action stays when nobody offers it any more: it is then not available,
/// which is another error than not found.
///
/// An entry never changes: a change puts a new one in its place. So a lookup
/// takes one step, takes no lock, and sees a list as a whole.
pub(crate) struct Actions {
    entries: HashMap<Arc<str>, ActionEntry, RandomState>,
    prefer_local: bool,
    /// How many copies there are of an endpoint on this node: a power of two.
    copies: usize,
}

/// One action of one node.
pub(crate) struct ActionEndpoint {
    pub(crate) name: Arc<str>,
    pub(crate) node: Arc<Node>,
    pub(crate) service: Arc<ServiceItem>,
    pub(crate) def: ActionDef,
    /// For calls that bring no options.
    pub(crate) plain: ActionFn,
    /// For calls that bring options.
    pub(crate) full: ActionFn,
    /// Whether the static chain limits the time of a call.
    pub(crate) has_timeout: bool,
    /// Whether requests of other nodes start in the reader's task.
    pub(crate) pace: Pace,
    pub(crate) broker: WeakBroker,
}

impl ActionEndpoint {
    /// The same endpoint with a reference count of its own.
    fn copy(&self) -> Self {
        Self {
            name: self.name.clone(),
            node: self.node.clone(),
            service: self.service.clone(),
            def: self.def.clone(),
            plain: self.plain.clone(),
            full: self.full.clone(),
            has_timeout: self.has_timeout,
            pace: Pace::default(),
            broker: self.broker.clone(),
        }
    }
}

/// What a lookup found.
pub(crate) enum Lookup<R> {
    Found(R),
    /// The action is known but nobody offers it now.
    Unavailable,
    Unknown,
}

impl<R> From<Option<R>> for Lookup<R> {
    fn from(found: Option<R>) -> Self {
        found.map_or(Self::Unavailable, Self::Found)
    }
}

/// Who offers an action.
struct ActionEntry {
    internal: bool,
    all: Vec<Arc<ActionEndpoint>>,
    /// Copies of the one on this node.
    local: Option<Copies>,
    /// Whose turn it is; outlives changes.
    next: Arc<AtomicUsize>,
}

impl Actions {
    pub(super) fn new(prefer_local: bool) -> Self {
        Self {
            entries: HashMap::with_hasher(RandomState::default()),
            prefer_local,
            copies: available_parallelism()
                .map_or(1, |threads| threads.get().min(16).next_power_of_two()),
        }
    }

    /// Chooses an endpoint and uses it; nothing is locked, and nothing shared
    /// is written unless there is a choice to make.
    #[inline]
    pub(crate) fn choose<R>(
        &self,
        name: &str,
        use_it: impl FnOnce(Lookup<&Arc<ActionEndpoint>>) -> R,
    ) -> R {
        match self.entries.pin().get(name) {
            None => use_it(Lookup::Unknown),
            Some(entry) => use_it(entry.choose(self.prefer_local).into()),
        }
    }

    /// Uses the endpoint on one node.
    pub(crate) fn on_node<R>(
        &self,
        name: &str,
        node: &NodeId,
        use_it: impl FnOnce(Lookup<&Arc<ActionEndpoint>>) -> R,
    ) -> R {
        match self.entries.pin().get(name) {
            None => use_it(Lookup::Unknown),
            Some(entry) => {
                let mut all = entry.all.iter();
                use_it(all.find(|endpoint| endpoint.node.id == *node).into())
            }
        }
    }

    /// The endpoint on this node, for requests from others.
    pub(crate) fn local(&self, name: &str) -> Lookup<Arc<ActionEndpoint>> {
        match self.entries.pin().get(name) {
            None => Lookup::Unknown,
            Some(entry) => entry.local.as_ref().map(|local| local.first().clone()).into(),
        }
    }

    /// Adds an endpoint, in place of the same node's earlier one.
    pub(super) fn put(&self, endpoint: &Arc<ActionEndpoint>) {
        self.change(&endpoint.name, |all| {
            match all.iter_mut().find(|other| other.node.id == endpoint.node.id) {
                Some(other) => *other = endpoint.clone(),
                None => all.push(endpoint.clone()),
            }
        });
    }

    /// Removes a node's endpoint.
    pub(super) fn remove(&self, name: &str, node: &NodeId) {
        self.change(&name.into(), |all| all.retain(|endpoint| endpoint.node.id != *node));
    }

    /// Changes are made under the registry's lock, one at a time.
    fn change(&self, name: &Arc<str>, change: impl FnOnce(&mut Vec<Arc<ActionEndpoint>>)) {
        let entries = self.entries.pin();
        let old = entries.get(name);
        let mut all = old.map(|entry| entry.all.clone()).unwrap_or_default();
        change(&mut all);
        let local = all.iter().find(|endpoint| endpoint.node.local);
        let entry = ActionEntry {
            internal: name.starts_with('$'),
            local: local.map(|endpoint| Copies::new(endpoint, self.copies)),
            all,
            next: old.map(|entry| entry.next.clone()).unwrap_or_default(),
        };
        entries.insert(name.clone(), entry);
    }

    /// All actions with their endpoints, for listings.
    pub(crate) fn snapshot(&self) -> Vec<(Arc<str>, Vec<Arc<ActionEndpoint>>)> {
        let entries = self.entries.pin();
        let mut all: Vec<_> =
            entries.iter().map(|(name, entry)| (name.clone(), entry.all.clone())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

impl ActionEntry {
    #[inline]
    fn choose(&self, prefer_local: bool) -> Option<&Arc<ActionEndpoint>> {
        match (&self.local, self.all.as_slice()) {
            (Some(local), all) if prefer_local || self.internal || all.len() == 1 => {
                Some(local.mine())
            }
            (_, []) => None,
            (_, [only]) => Some(only),
            (_, all) => Some(&all[self.next.fetch_add(1, Ordering::Relaxed) % all.len()]),
        }
    }
}

/// An endpoint several times. Each call counts a reference to its endpoint;
/// two threads that count on the same one are slower than one thread alone.
struct Copies(Box<[Arc<ActionEndpoint>]>);

impl Copies {
    fn new(endpoint: &Arc<ActionEndpoint>, number: usize) -> Self {
        let more = (1..number).map(|_| Arc::new(endpoint.copy()));
        Self(iter::once(endpoint.clone()).chain(more).collect())
    }

    /// The copy whose pace counts: the one for requests of other nodes.
    fn first(&self) -> &Arc<ActionEndpoint> {
        &self.0[0]
    }

    /// The copy for the current thread.
    #[inline]
    fn mine(&self) -> &Arc<ActionEndpoint> {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local!(static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed));
        &self.0[THREAD.with(|thread| thread & (self.0.len() - 1))]
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::{Action, BrokerBuilder, Error, Plugins, Service};

    async fn pong() -> Result<&'static str, Error> {
        Ok("pong")
    }

    #[tokio::test]
    async fn a_change_reaches_every_copy() {
        let service = Service::builder("ping").action(Action::new("pong", pong));
        let broker = BrokerBuilder::new(Plugins::core()).service(service).start().await.unwrap();
        let actions = &broker.registry().actions;
        // More threads than there are copies.
        let found = || -> Vec<bool> {
            let choose = || actions.choose("ping.pong", |found| matches!(found, Lookup::Found(_)));
            thread::scope(|scope| {
                let threads: Vec<_> = (0..32).map(|_| scope.spawn(choose)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            })
        };
        assert_eq!(found(), [true; 32]);
        broker.registry().remove_local("ping").unwrap();
        assert_eq!(found(), [false; 32]);
        broker.stop().await.unwrap();
    }
}
