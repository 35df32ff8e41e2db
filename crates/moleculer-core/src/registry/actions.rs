//! Finding who offers an action.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
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

/// What a lookup found.
pub(crate) enum Lookup<R> {
    Found(R),
    /// The action is known but nobody offers it now.
    Unavailable,
    Unknown,
}

/// Who offers an action.
struct ActionEntry {
    internal: bool,
    all: Vec<Arc<ActionEndpoint>>,
    /// The one on this node.
    local: Option<Arc<ActionEndpoint>>,
    /// Whose turn it is; outlives changes.
    next: Arc<AtomicUsize>,
}

impl Actions {
    pub(super) fn new(prefer_local: bool) -> Self {
        Self {
            entries: HashMap::with_hasher(RandomState::default()),
            prefer_local,
        }
    }

    /// Chooses an endpoint and uses it; nothing is locked, and nothing shared
    /// is written unless there is a choice to make.
    pub(crate) fn choose<R>(
        &self,
        name: &str,
        use_it: impl FnOnce(&Arc<ActionEndpoint>) -> R,
    ) -> Lookup<R> {
        self.with(name, |entry| entry.choose(self.prefer_local).map(use_it))
    }

    /// Uses the endpoint on one node.
    pub(crate) fn on_node<R>(
        &self,
        name: &str,
        node: &NodeId,
        use_it: impl FnOnce(&Arc<ActionEndpoint>) -> R,
    ) -> Lookup<R> {
        self.with(name, |entry| {
            entry
                .all
                .iter()
                .find(|endpoint| endpoint.node.id == *node)
                .map(use_it)
        })
    }

    /// The endpoint on this node, for requests from others.
    pub(crate) fn local(&self, name: &str) -> Lookup<Arc<ActionEndpoint>> {
        self.with(name, |entry| entry.local.clone())
    }

    fn with<R>(&self, name: &str, find: impl FnOnce(&ActionEntry) -> Option<R>) -> Lookup<R> {
        match self.entries.pin().get(name) {
            None => Lookup::Unknown,
            Some(entry) => find(entry).map_or(Lookup::Unavailable, Lookup::Found),
        }
    }

    /// Adds an endpoint, in place of the same node's earlier one.
    pub(super) fn put(&self, endpoint: &Arc<ActionEndpoint>) {
        self.change(&endpoint.name, |all| {
            match all
                .iter_mut()
                .find(|other| other.node.id == endpoint.node.id)
            {
                Some(other) => *other = endpoint.clone(),
                None => all.push(endpoint.clone()),
            }
        });
    }

    /// Removes a node's endpoint.
    pub(super) fn remove(&self, name: &str, node: &NodeId) {
        self.change(&name.into(), |all| {
            all.retain(|endpoint| endpoint.node.id != *node)
        });
    }

    /// Changes are made under the registry's lock, one at a time.
    fn change(&self, name: &Arc<str>, change: impl FnOnce(&mut Vec<Arc<ActionEndpoint>>)) {
        let entries = self.entries.pin();
        let old = entries.get(name);
        let mut all = old.map(|entry| entry.all.clone()).unwrap_or_default();
        change(&mut all);
        let entry = ActionEntry {
            internal: name.starts_with('$'),
            local: all.iter().find(|endpoint| endpoint.node.local).cloned(),
            all,
            next: old.map(|entry| entry.next.clone()).unwrap_or_default(),
        };
        entries.insert(name.clone(), entry);
    }

    /// All actions with their endpoints, for listings.
    pub(crate) fn snapshot(&self) -> Vec<(Arc<str>, Vec<Arc<ActionEndpoint>>)> {
        let entries = self.entries.pin();
        let mut all: Vec<_> = entries
            .iter()
            .map(|(name, entry)| (name.clone(), entry.all.clone()))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

impl ActionEntry {
    fn choose(&self, prefer_local: bool) -> Option<&Arc<ActionEndpoint>> {
        if let Some(local) = self
            .local
            .as_ref()
            .filter(|_| prefer_local || self.internal)
        {
            return Some(local);
        }
        match self.all.as_slice() {
            [] => None,
            [only] => Some(only),
            all => Some(&all[self.next.fetch_add(1, Ordering::Relaxed) % all.len()]),
        }
    }
}
