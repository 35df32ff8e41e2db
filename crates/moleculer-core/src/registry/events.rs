//! Finding who listens to an event.

use std::{collections::HashSet, sync::Arc};

use arc_swap::ArcSwap;
use foldhash::quality::RandomState;
use moleculer_protocol::NodeId;
use papaya::HashMap;

use super::{Node, Pace, ServiceItem, choices::Choices, pattern::is_pattern, trie::Trie};
use crate::{
    EventDef, EventFn, Result,
    broker::WeakBroker,
    strategy::{Selection, Strategies, Strategy},
};

/// All listeners, by name or pattern, and group.
///
/// A lookup takes no lock and touches only entries that fit.
pub(crate) struct Events {
    /// By name or pattern, the entries of its groups.
    entries: HashMap<Arc<str>, Entries, RandomState>,
    patterns: ArcSwap<Trie<Arc<EventEntry>>>,
    strategies: Arc<Strategies>,
    prefer_local: bool,
}

type Entries = Vec<Arc<EventEntry>>;

/// The listeners of one group to one name or pattern.
struct EventEntry {
    name: Arc<str>,
    group: Arc<str>,
    lists: ArcSwap<Lists>,
    strategy: Arc<dyn Strategy>,
}

/// Never changes: a change makes new ones.
#[derive(Default)]
struct Lists {
    all: Choices<EventEndpoint>,
    /// Those of this node.
    local: Arc<Choices<EventEndpoint>>,
}

/// One listener of one node.
pub(crate) struct EventEndpoint {
    pub(crate) node: Arc<Node>,
    pub(crate) service: Arc<ServiceItem>,
    pub(crate) def: Arc<EventDef>,
    pub(crate) group: Arc<str>,
    /// The wrapped handler; listeners of other nodes have none here.
    pub(crate) handler: Option<EventFn>,
    /// Whether events of other nodes start in the reader's task.
    pub(crate) pace: Pace,
    pub(crate) broker: WeakBroker,
}

/// Who gets an event.
pub(crate) enum Target {
    Local(Arc<EventEndpoint>),
    Remote { node: NodeId, group: Arc<str> },
}

/// One name or pattern and group, for listings.
pub(crate) struct EventRow {
    pub(crate) name: Arc<str>,
    pub(crate) group: Arc<str>,
    pub(crate) endpoints: Vec<Arc<EventEndpoint>>,
}

impl Events {
    pub(super) fn new(prefer_local: bool, strategies: Arc<Strategies>) -> Self {
        Self {
            entries: HashMap::with_hasher(RandomState::default()),
            patterns: ArcSwap::default(),
            strategies,
            prefer_local,
        }
    }

    /// For each group, and each name or pattern that fits, one listener.
    pub(crate) fn choose(
        &self,
        event: &str,
        groups: Option<&[Arc<str>]>,
        call: &Selection<'_>,
    ) -> Result<Vec<Target>> {
        let mut targets = Vec::new();
        let mut failed = None;
        self.each(event, groups, |entry| {
            match entry.choose(&entry.lists.load(), self.prefer_local, call) {
                Ok(chosen) => targets.extend(chosen.map(|endpoint| entry.target(endpoint))),
                Err(error) => failed = Some(error),
            }
        });
        failed.map_or(Ok(targets), Err)
    }

    /// For each group one listener of this node, for events from others.
    pub(crate) fn choose_local(
        &self,
        event: &str,
        groups: Option<&[Arc<str>]>,
        call: &Selection<'_>,
    ) -> Result<Vec<Arc<EventEndpoint>>> {
        let mut targets = Vec::new();
        let mut failed = None;
        self.each(event, groups, |entry| {
            match entry.lists.load().local.choose(&*entry.strategy, call) {
                Ok(chosen) => targets.extend(chosen.cloned()),
                Err(error) => failed = Some(error),
            }
        });
        failed.map_or(Ok(targets), Err)
    }

    /// Every listener of this node.
    pub(crate) fn all_local(
        &self,
        event: &str,
        groups: Option<&[Arc<str>]>,
    ) -> Vec<Arc<EventEndpoint>> {
        let mut targets = Vec::new();
        self.each(event, groups, |entry| {
            targets.extend_from_slice(entry.lists.load().local.list());
        });
        targets
    }

    /// Every other node with a listener, once.
    pub(crate) fn remote_nodes(&self, event: &str, groups: Option<&[Arc<str>]>) -> Vec<NodeId> {
        let mut nodes = Vec::new();
        let mut seen = HashSet::with_hasher(RandomState::default());
        self.each(event, groups, |entry| {
            let lists = entry.lists.load();
            let remote = lists.all.list().iter().filter(|endpoint| !endpoint.node.local);
            for endpoint in remote {
                if seen.insert(endpoint.node.id.clone()) {
                    nodes.push(endpoint.node.id.clone());
                }
            }
        });
        nodes
    }

    /// Whether anybody listens.
    pub(crate) fn has_listener(&self, event: &str) -> bool {
        let mut found = false;
        self.each(event, None, |entry| found |= entry.lists.load().all.len() > 0);
        found
    }

    /// The groups in which somebody listens, each once.
    pub(crate) fn groups(&self, event: &str) -> Vec<Arc<str>> {
        let mut groups = Vec::new();
        self.each(event, None, |entry| {
            if entry.lists.load().all.len() > 0 && !groups.contains(&entry.group) {
                groups.push(entry.group.clone());
            }
        });
        groups
    }

    /// The groups in which somebody listens: those in which other nodes do,
    /// and those of this node alone.
    pub(crate) fn shared_groups(
        &self,
        event: &str,
        groups: Option<&[Arc<str>]>,
    ) -> (Vec<Arc<str>>, Vec<Arc<str>>) {
        let (mut shared, mut own) = (Vec::new(), Vec::new());
        self.each(event, groups, |entry| {
            let lists = entry.lists.load();
            let (all, local) = (lists.all.len(), lists.local.len());
            let found = if all > local { &mut shared } else { &mut own };
            if all > 0 && !found.contains(&entry.group) {
                found.push(entry.group.clone());
            }
        });
        own.retain(|group| !shared.contains(group));
        (shared, own)
    }

    /// All names and patterns with their listeners, for listings.
    pub(crate) fn snapshot(&self) -> Vec<EventRow> {
        let entries = self.entries.pin();
        let row = |entry: &Arc<EventEntry>| EventRow {
            name: entry.name.clone(),
            group: entry.group.clone(),
            endpoints: entry.lists.load().all.list().to_vec(),
        };
        let mut rows: Vec<_> = entries.values().flatten().map(row).collect();
        rows.sort_by(|a, b| (&a.name, &a.group).cmp(&(&b.name, &b.group)));
        rows
    }

    /// Visits the entries that fit: those of the name first, then patterns.
    fn each(&self, event: &str, groups: Option<&[Arc<str>]>, mut visit: impl FnMut(&EventEntry)) {
        let groups = groups.filter(|groups| !groups.is_empty());
        let mut visit = |entry: &Arc<EventEntry>| {
            if groups.is_none_or(|groups| groups.contains(&entry.group)) {
                visit(entry);
            }
        };
        if !is_pattern(event) {
            self.entries.pin().get(event).into_iter().flatten().for_each(&mut visit);
        }
        self.patterns.load().each(event, &mut visit);
    }

    /// Adds a listener, in place of the same service's earlier one.
    pub(super) fn put(&self, endpoint: &Arc<EventEndpoint>) {
        self.entry(endpoint).change(|list| {
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

    /// Adds a listener of another node that has had none so far: none of its
    /// own has to be looked for among those of a thousand nodes.
    pub(super) fn add(&self, endpoint: &Arc<EventEndpoint>) {
        let entry = self.entry(endpoint);
        let lists = entry.lists.load();
        // Its services may listen twice.
        let again = |last: &Arc<EventEndpoint>| Arc::ptr_eq(&last.node, &endpoint.node);
        if lists.all.last().is_some_and(again) {
            return self.put(endpoint);
        }
        let all = lists.all.with(endpoint.clone());
        entry.lists.store(Arc::new(Lists { all, local: lists.local.clone() }));
    }

    /// Removes the listener of one service of one node.
    pub(super) fn remove(&self, name: &str, group: &str, node: &NodeId, full_name: &str) {
        let entries = self.entries.pin();
        let same = entries.get(name).into_iter().flatten().filter(|entry| *entry.group == *group);
        for entry in same {
            entry.change(|list| {
                list.retain(|endpoint| {
                    endpoint.node.id != *node || *endpoint.service.full_name != *full_name
                });
            });
        }
    }

    /// The entry of a name and group; changes are made one at a time.
    fn entry(&self, endpoint: &EventEndpoint) -> Arc<EventEntry> {
        let (name, group) = (&endpoint.def.name, &endpoint.group);
        let all = self.entries.pin();
        let old = all.get(name);
        if let Some(entry) = old.into_iter().flatten().find(|entry| entry.group == *group) {
            return entry.clone();
        }
        let entry = Arc::new(EventEntry {
            name: name.clone(),
            group: group.clone(),
            lists: ArcSwap::default(),
            strategy: self.strategies.for_list(endpoint.def.strategy.as_ref(), name),
        });
        if is_pattern(name) {
            let mut patterns = Trie::clone(&self.patterns.load());
            patterns.insert(name, &entry);
            self.patterns.store(Arc::new(patterns));
        }
        let mut entries = old.cloned().unwrap_or_default();
        entries.push(entry.clone());
        all.insert(name.clone(), entries);
        entry
    }
}

impl EventEntry {
    fn choose<'a>(
        &self,
        lists: &'a Lists,
        prefer_local: bool,
        call: &Selection<'_>,
    ) -> Result<Option<&'a Arc<EventEndpoint>>> {
        let local = prefer_local || self.name.starts_with('$');
        let choices = match lists.local.list() {
            [_, ..] if local => &lists.local,
            _ => &lists.all,
        };
        choices.choose(&*self.strategy, call)
    }

    fn target(&self, endpoint: &Arc<EventEndpoint>) -> Target {
        if endpoint.node.local {
            return Target::Local(endpoint.clone());
        }
        Target::Remote { node: endpoint.node.id.clone(), group: self.group.clone() }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<EventEndpoint>>)) {
        let mut all = self.lists.load().all.list().to_vec();
        change(&mut all);
        let local = all.iter().filter(|endpoint| endpoint.node.local).cloned().collect();
        let lists = Lists { local: Choices::new(local).into(), all: Choices::new(all) };
        self.lists.store(Arc::new(lists));
    }
}
