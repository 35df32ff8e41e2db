//! Finding who listens to an event.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use arc_swap::ArcSwap;
use foldhash::quality::RandomState;
use moleculer_protocol::NodeId;

use super::{
    Node, ServiceItem,
    pattern::{is_pattern, matches},
};
use crate::{EventDef, EventFn, broker::WeakBroker};

/// All listeners, by name or pattern, and group.
pub(crate) struct Events {
    table: ArcSwap<Table>,
    prefer_local: bool,
}

/// Exact names are found at once; only patterns are tried one by one.
#[derive(Clone, Default)]
struct Table {
    exact: HashMap<Arc<str>, Vec<Arc<EventEntry>>, RandomState>,
    patterns: Vec<Arc<EventEntry>>,
}

/// The listeners of one group to one name or pattern.
struct EventEntry {
    name: Arc<str>,
    group: Arc<str>,
    list: ArcSwap<Vec<Arc<EventEndpoint>>>,
    next: AtomicUsize,
}

/// One listener of one node.
pub(crate) struct EventEndpoint {
    pub(crate) node: Arc<Node>,
    pub(crate) service: Arc<ServiceItem>,
    pub(crate) def: EventDef,
    pub(crate) group: Arc<str>,
    /// The wrapped handler; listeners of other nodes have none here.
    pub(crate) handler: Option<EventFn>,
    pub(crate) broker: WeakBroker,
}

/// Who gets an event.
pub(crate) enum Target {
    Local(Arc<EventEndpoint>),
    Remote { node: NodeId, group: Arc<str> },
}

impl Events {
    pub(super) fn new(prefer_local: bool) -> Self {
        Self { table: ArcSwap::default(), prefer_local }
    }

    /// For each group, and each name or pattern that fits, one listener.
    pub(crate) fn choose(&self, event: &str, groups: Option<&[Arc<str>]>) -> Vec<Target> {
        let mut targets = Vec::new();
        self.each(event, groups, |entry| {
            let list = entry.list.load();
            let chosen = entry.choose(&list, self.prefer_local);
            targets.extend(chosen.map(|endpoint| entry.target(endpoint)));
        });
        targets
    }

    /// For each group one listener of this node, for events from others.
    pub(crate) fn choose_local(
        &self,
        event: &str,
        groups: Option<&[Arc<str>]>,
    ) -> Vec<Arc<EventEndpoint>> {
        let mut targets = Vec::new();
        self.each(event, groups, |entry| {
            let list = entry.list.load();
            let local: Vec<_> = list.iter().filter(|endpoint| endpoint.node.local).collect();
            targets.extend(entry.turn(&local).map(|endpoint| (*endpoint).clone()));
        });
        targets
    }

    /// Every listener of this node.
    pub(crate) fn all_local(
        &self,
        event: &str,
        groups: Option<&[Arc<str>]>,
    ) -> Vec<Arc<EventEndpoint>> {
        let mut targets = Vec::new();
        self.each(event, groups, |entry| {
            let list = entry.list.load();
            targets.extend(list.iter().filter(|endpoint| endpoint.node.local).cloned());
        });
        targets
    }

    /// Every other node with a listener, once.
    pub(crate) fn remote_nodes(&self, event: &str, groups: Option<&[Arc<str>]>) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = Vec::new();
        self.each(event, groups, |entry| {
            for endpoint in entry.list.load().iter().filter(|endpoint| !endpoint.node.local) {
                if !nodes.contains(&endpoint.node.id) {
                    nodes.push(endpoint.node.id.clone());
                }
            }
        });
        nodes
    }

    fn each(&self, event: &str, groups: Option<&[Arc<str>]>, mut visit: impl FnMut(&EventEntry)) {
        let groups = groups.filter(|groups| !groups.is_empty());
        let table = self.table.load();
        let exact = table.exact.get(event).into_iter().flatten();
        let patterns = table.patterns.iter().filter(|entry| matches(event, &entry.name));
        for entry in exact.chain(patterns) {
            if groups.is_none_or(|groups| groups.contains(&entry.group)) {
                visit(entry);
            }
        }
    }

    /// Adds a listener, in place of the same service's earlier one.
    pub(super) fn put(&self, endpoint: &Arc<EventEndpoint>) {
        let entry = self.entry(&endpoint.def.name, &endpoint.group);
        entry.change(|list| {
            let same = |other: &&mut Arc<EventEndpoint>| {
                other.node.id == endpoint.node.id
                    && other.service.full_name == endpoint.service.full_name
            };
            match list.iter_mut().find(same) {
                Some(other) => *other = endpoint.clone(),
                None => list.push(endpoint.clone()),
            }
        });
    }

    /// Removes the listener of one service of one node.
    pub(super) fn remove(&self, name: &str, group: &str, node: &NodeId, full_name: &str) {
        let table = self.table.load();
        let exact = table.exact.get(name).into_iter().flatten();
        for entry in exact
            .chain(&table.patterns)
            .filter(|entry| *entry.name == *name && *entry.group == *group)
        {
            entry.change(|list| {
                list.retain(|endpoint| {
                    endpoint.node.id != *node || *endpoint.service.full_name != *full_name
                });
            });
        }
    }

    /// The entry of a name and group; changes are made one at a time.
    fn entry(&self, name: &Arc<str>, group: &Arc<str>) -> Arc<EventEntry> {
        let table = self.table.load();
        let same = |entry: &&Arc<EventEntry>| entry.name == *name && entry.group == *group;
        let exact = table.exact.get(name).into_iter().flatten();
        if let Some(entry) = exact.chain(&table.patterns).find(same) {
            return entry.clone();
        }
        let entry = Arc::new(EventEntry {
            name: name.clone(),
            group: group.clone(),
            list: ArcSwap::default(),
            next: AtomicUsize::new(0),
        });
        let mut table = Table::clone(&table);
        if is_pattern(name) {
            table.patterns.push(entry.clone());
        } else {
            table.exact.entry(name.clone()).or_default().push(entry.clone());
        }
        self.table.store(Arc::new(table));
        entry
    }
}

impl EventEntry {
    fn choose<'a>(
        &self,
        list: &'a [Arc<EventEndpoint>],
        prefer_local: bool,
    ) -> Option<&'a Arc<EventEndpoint>> {
        let local: Vec<_> = list.iter().filter(|endpoint| endpoint.node.local).collect();
        if !local.is_empty() && (prefer_local || self.name.starts_with('$')) {
            return self.turn(&local).copied();
        }
        self.turn(list)
    }

    /// The next one in turn.
    fn turn<'a, T>(&self, list: &'a [T]) -> Option<&'a T> {
        match list {
            [] => None,
            [only] => Some(only),
            all => Some(&all[self.next.fetch_add(1, Ordering::Relaxed) % all.len()]),
        }
    }

    fn target(&self, endpoint: &Arc<EventEndpoint>) -> Target {
        if endpoint.node.local {
            return Target::Local(endpoint.clone());
        }
        Target::Remote { node: endpoint.node.id.clone(), group: self.group.clone() }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<EventEndpoint>>)) {
        let mut list = Vec::clone(&self.list.load());
        change(&mut list);
        self.list.store(Arc::new(list));
    }
}
