//! Finding who offers an action.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use arc_swap::ArcSwap;
use foldhash::quality::RandomState;
use moleculer_protocol::NodeId;
use papaya::HashMap;

use super::{Node, ServiceItem};
use crate::{ActionDef, ActionFn, broker::WeakBroker};

/// All actions that were ever known, by full name.
///
/// An action stays when nobody offers it any more: it is then not available,
/// which is another error than not found.
pub(crate) struct Actions {
    entries: HashMap<Arc<str>, Arc<ActionEntry>, RandomState>,
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
    pub(crate) broker: WeakBroker,
}

/// What a lookup found.
pub(crate) enum Lookup<R> {
    Found(R),
    /// The action is known but nobody offers it now.
    Unavailable,
    Unknown,
}

pub(crate) struct ActionEntry {
    internal: bool,
    list: ArcSwap<List>,
    next: AtomicUsize,
}

#[derive(Default)]
struct List {
    all: Vec<Arc<ActionEndpoint>>,
    local: Option<Arc<ActionEndpoint>>,
}

impl Actions {
    pub(super) fn new(prefer_local: bool) -> Self {
        Self {
            entries: HashMap::with_hasher(RandomState::default()),
            prefer_local,
        }
    }

    /// Chooses an endpoint; nothing is locked and nothing shared is written
    /// unless there is a choice to make.
    pub(crate) fn choose(&self, name: &str) -> Lookup<Arc<ActionEndpoint>> {
        self.with(name, |entry| entry.choose(self.prefer_local))
    }

    /// The endpoint on one node.
    pub(crate) fn on_node(&self, name: &str, node: &NodeId) -> Lookup<Arc<ActionEndpoint>> {
        self.with(name, |entry| {
            entry
                .list
                .load()
                .all
                .iter()
                .find(|endpoint| endpoint.node.id == *node)
                .cloned()
        })
    }

    /// The endpoint on this node, for requests from others.
    pub(crate) fn local(&self, name: &str) -> Lookup<Arc<ActionEndpoint>> {
        self.with(name, |entry| entry.list.load().local.clone())
    }

    fn with(
        &self,
        name: &str,
        find: impl FnOnce(&ActionEntry) -> Option<Arc<ActionEndpoint>>,
    ) -> Lookup<Arc<ActionEndpoint>> {
        match self.entries.pin().get(name) {
            None => Lookup::Unknown,
            Some(entry) => find(entry).map_or(Lookup::Unavailable, Lookup::Found),
        }
    }

    /// Adds an endpoint, in place of the same node's earlier one.
    pub(super) fn put(&self, endpoint: &Arc<ActionEndpoint>) {
        let entries = self.entries.pin();
        let name = endpoint.name.clone();
        let entry = entries.get_or_insert_with(name, || Arc::new(ActionEntry::new(&endpoint.name)));
        entry.change(|all| {
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
        if let Some(entry) = self.entries.pin().get(name) {
            entry.change(|all| all.retain(|endpoint| endpoint.node.id != *node));
        }
    }

    /// All actions with their endpoints, for listings.
    pub(crate) fn snapshot(&self) -> Vec<(Arc<str>, Vec<Arc<ActionEndpoint>>)> {
        let entries = self.entries.pin();
        let mut all: Vec<_> = entries
            .iter()
            .map(|(name, entry)| (name.clone(), entry.list.load().all.clone()))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

impl ActionEntry {
    fn new(name: &str) -> Self {
        Self {
            internal: name.starts_with('$'),
            list: ArcSwap::default(),
            next: AtomicUsize::new(0),
        }
    }

    fn choose(&self, prefer_local: bool) -> Option<Arc<ActionEndpoint>> {
        let list = self.list.load();
        match &list.local {
            Some(local) if prefer_local || self.internal => return Some(local.clone()),
            _ => {}
        }
        match list.all.as_slice() {
            [] => None,
            [only] => Some(only.clone()),
            all => Some(all[self.next.fetch_add(1, Ordering::Relaxed) % all.len()].clone()),
        }
    }

    /// Changes are made under the registry's lock, one at a time.
    fn change(&self, change: impl FnOnce(&mut Vec<Arc<ActionEndpoint>>)) {
        let mut all = self.list.load().all.clone();
        change(&mut all);
        let local = all.iter().find(|endpoint| endpoint.node.local).cloned();
        self.list.store(Arc::new(List { all, local }));
    }
}
