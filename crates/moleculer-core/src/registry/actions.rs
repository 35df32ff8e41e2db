//! Finding who offers an action.

use std::{
    iter,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread::available_parallelism,
};

use foldhash::quality::RandomState;
use moleculer_protocol::NodeId;
use papaya::{HashMap, HashMapRef, LocalGuard};

use super::{Node, Pace, ServiceItem, choices::Choices};
use crate::{
    ActionDef, ActionFn, Error,
    broker::WeakBroker,
    middleware::{Limits, State},
    strategy::{Selection, Strategies, Strategy, StrategyChoice},
};

/// All actions that were ever known, by full name.
///
/// An action stays when nobody offers it any more: it is then not available,
/// which is another error than not found.
///
/// An entry never changes: a change puts a new one in its place. So a lookup
/// takes one step, takes no lock, and sees a list as a whole.
pub(crate) struct Actions {
    entries: HashMap<Arc<str>, ActionEntry, RandomState>,
    strategies: Arc<Strategies>,
    prefer_local: bool,
    /// How many copies there are of an endpoint on this node: a power of two.
    copies: usize,
}

/// The actions, held still for one lookup.
pub(crate) struct Pinned<'a>(HashMapRef<'a, Arc<str>, ActionEntry, RandomState, LocalGuard<'a>>);

/// One action of one node.
pub(crate) struct ActionEndpoint {
    pub(crate) name: Arc<str>,
    pub(crate) node: Arc<Node>,
    pub(crate) service: Arc<ServiceItem>,
    pub(crate) def: Arc<ActionDef>,
    /// For calls that bring no options.
    pub(crate) plain: ActionFn,
    /// For calls that bring options.
    pub(crate) full: ActionFn,
    /// Whether the static chain limits the time of a call.
    pub(crate) has_timeout: bool,
    /// Its circuit and its bulkhead.
    pub(crate) limits: Limits,
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
            limits: self.limits.clone(),
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
    /// The strategy chose nothing.
    Invalid(Error),
}

/// One action, for listings.
pub(crate) struct ActionRow {
    pub(crate) name: Arc<str>,
    /// With their state.
    pub(crate) endpoints: Vec<(Arc<ActionEndpoint>, bool)>,
}

/// Who offers an action.
struct ActionEntry {
    /// Copies of the endpoint on this node, if it is available.
    local: Option<Copies>,
    /// Whether that one is taken without asking the strategy.
    takes_local: bool,
    /// Those that are available.
    up: Choices<ActionEndpoint>,
    /// Those whose circuit is open.
    down: Vec<Arc<ActionEndpoint>>,
    /// An internal action whose circuit is open here is not taken elsewhere.
    closed: bool,
    /// Outlives changes.
    strategy: Arc<dyn Strategy>,
    /// Made when the medium is first asked to choose.
    any: OnceLock<Arc<ActionEndpoint>>,
}

impl Actions {
    pub(super) fn new(prefer_local: bool, strategies: Arc<Strategies>) -> Self {
        Self {
            entries: HashMap::with_hasher(RandomState::default()),
            strategies,
            prefer_local,
            copies: available_parallelism()
                .map_or(1, |threads| threads.get().min(16).next_power_of_two()),
        }
    }

    /// Begins a lookup; nothing is locked.
    #[inline]
    pub(crate) fn pin(&self) -> Pinned<'_> {
        Pinned(self.entries.pin())
    }

    /// The endpoint on this node, for requests from others.
    pub(crate) fn local(&self, name: &str) -> Lookup<Arc<ActionEndpoint>> {
        let entries = self.entries.pin();
        match entries.get(name).map(|entry| (&entry.local, &entry.down)) {
            Some((Some(local), _)) => Lookup::Found(local.first().clone()),
            Some((None, down)) if down.iter().any(|endpoint| endpoint.node.local) => {
                Lookup::Unavailable
            }
            _ => Lookup::Unknown,
        }
    }

    /// Adds an endpoint, in place of the same node's earlier one.
    pub(super) fn put(&self, endpoint: &Arc<ActionEndpoint>) {
        self.change(&endpoint.name, endpoint.def.strategy.as_ref(), |up, down| {
            let same = |other: &Arc<ActionEndpoint>| other.node.id == endpoint.node.id;
            // A new definition may have no circuit any more.
            let (list, other) = if endpoint.limits.is_open() { (down, up) } else { (up, down) };
            other.retain(|other| !same(other));
            match list.iter_mut().find(|other| same(other)) {
                Some(other) => *other = endpoint.clone(),
                None => list.push(endpoint.clone()),
            }
        });
    }

    /// Adds an endpoint of another node that has offered nothing so far: none
    /// of its own has to be looked for among those of a thousand nodes.
    pub(super) fn add(&self, endpoint: &Arc<ActionEndpoint>) {
        let entries = self.entries.pin();
        let old = entries.get(&*endpoint.name).filter(|old| {
            // Its services may offer an action twice.
            let again = |last: &Arc<ActionEndpoint>| Arc::ptr_eq(&last.node, &endpoint.node);
            !old.up.last().is_some_and(again) && !endpoint.limits.is_open()
        });
        let Some(old) = old else { return self.put(endpoint) };
        let up = old.up.with(endpoint.clone());
        let entry = ActionEntry {
            local: old.local.clone(),
            takes_local: self.takes_local(&endpoint.name, &up),
            up,
            down: old.down.clone(),
            closed: old.closed,
            strategy: old.strategy.clone(),
            any: OnceLock::new(),
        };
        entries.insert(endpoint.name.clone(), entry);
    }

    fn takes_local(&self, name: &str, up: &Choices<ActionEndpoint>) -> bool {
        self.prefer_local || name.starts_with('$') || up.len() == 1
    }

    /// Removes a node's endpoint.
    pub(super) fn remove(&self, name: &str, node: &NodeId) {
        self.change(&name.into(), None, |up, down| {
            up.retain(|endpoint| endpoint.node.id != *node);
            down.retain(|endpoint| endpoint.node.id != *node);
        });
    }

    /// Lets an endpoint take calls or not, as its circuit says; nothing
    /// when the circuit is no endpoint's any more.
    pub(super) fn circuit_changed(&self, circuit: &Arc<State>) {
        let entries = self.entries.pin();
        let Some(entry) = entries.get(&*circuit.action) else { return };
        let open = circuit.is_open();
        let from = if open { entry.up.list() } else { &entry.down };
        if !from.iter().any(|endpoint| endpoint.limits.has_circuit(circuit)) {
            return;
        }
        self.change(&circuit.action, None, |up, down| {
            let (from, to) = if open { (up, down) } else { (down, up) };
            to.extend(from.extract_if(.., |endpoint| endpoint.limits.has_circuit(circuit)));
        });
    }

    /// The limits that a node's endpoint has now.
    pub(super) fn limits(&self, name: &str, node: &NodeId) -> Option<Limits> {
        let entries = self.entries.pin();
        let entry = entries.get(name)?;
        let mut all = entry.up.list().iter().chain(&entry.down);
        all.find(|endpoint| endpoint.node.id == *node).map(|endpoint| endpoint.limits.clone())
    }

    /// Changes are made under the registry's lock, one at a time.
    fn change(
        &self,
        name: &Arc<str>,
        strategy: Option<&StrategyChoice>,
        change: impl FnOnce(&mut Vec<Arc<ActionEndpoint>>, &mut Vec<Arc<ActionEndpoint>>),
    ) {
        let entries = self.entries.pin();
        let old = entries.get(name);
        let (mut up, mut down) =
            old.map(|entry| (entry.up.list().to_vec(), entry.down.clone())).unwrap_or_default();
        change(&mut up, &mut down);
        let local = up.iter().find(|endpoint| endpoint.node.local);
        let local = local.map(|endpoint| Copies::new(endpoint, self.copies));
        let strategy = old.map_or_else(
            || self.strategies.for_list(strategy, name),
            |entry| entry.strategy.clone(),
        );
        let up = Choices::new(up);
        let entry = ActionEntry {
            takes_local: self.takes_local(name, &up),
            local,
            closed: name.starts_with('$') && down.iter().any(|endpoint| endpoint.node.local),
            up,
            down,
            strategy,
            any: OnceLock::new(),
        };
        entries.insert(name.clone(), entry);
    }

    /// All actions with their endpoints, for listings.
    pub(crate) fn snapshot(&self) -> Vec<ActionRow> {
        let entries = self.entries.pin();
        let row = |(name, entry): (&Arc<str>, &ActionEntry)| {
            let up = entry.up.list().iter().map(|endpoint| (endpoint.clone(), true));
            let down = entry.down.iter().map(|endpoint| (endpoint.clone(), false));
            ActionRow { name: name.clone(), endpoints: up.chain(down).collect() }
        };
        let mut rows: Vec<_> = entries.iter().map(row).collect();
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        rows
    }
}

impl Pinned<'_> {
    /// Chooses an endpoint; nothing shared is written unless there is a choice to make.
    #[inline]
    pub(crate) fn choose<'s>(
        &self,
        name: &str,
        call: impl FnOnce() -> Selection<'s>,
    ) -> Lookup<&Arc<ActionEndpoint>> {
        match self.0.get(name) {
            None => Lookup::Unknown,
            Some(entry) => match &entry.local {
                Some(local) if entry.takes_local => Lookup::Found(local.mine()),
                _ => entry.choose(&call()),
            },
        }
    }

    /// The endpoint that stands for whichever node the medium chooses, which
    /// `make` makes of one of them; this node's own if no other offers the action,
    /// or if the action is about the node itself.
    pub(crate) fn any(
        &self,
        name: &str,
        make: impl FnOnce(&ActionEndpoint) -> ActionEndpoint,
    ) -> Lookup<&Arc<ActionEndpoint>> {
        let Some(entry) = self.0.get(name) else { return Lookup::Unknown };
        if let Some(local) = entry.local.as_ref().filter(|_| name.starts_with('$')) {
            return Lookup::Found(local.mine());
        }
        // An open circuit says nothing about the node that is chosen.
        let mut all = entry.up.list().iter().chain(&entry.down);
        match all.clone().find(|endpoint| !endpoint.node.local) {
            Some(other) => Lookup::Found(entry.any.get_or_init(|| Arc::new(make(other)))),
            None => all.next().map_or(Lookup::Unavailable, Lookup::Found),
        }
    }

    /// The endpoint on one node.
    pub(crate) fn on_node(&self, name: &str, node: &NodeId) -> Lookup<&Arc<ActionEndpoint>> {
        let Some(entry) = self.0.get(name) else { return Lookup::Unknown };
        let mut up = entry.up.list().iter();
        up.find(|endpoint| endpoint.node.id == *node).map_or(Lookup::Unavailable, Lookup::Found)
    }
}

impl ActionEntry {
    fn choose(&self, call: &Selection<'_>) -> Lookup<&Arc<ActionEndpoint>> {
        if self.closed {
            return Lookup::Unavailable;
        }
        match self.up.choose(&*self.strategy, call) {
            Ok(Some(endpoint)) => Lookup::Found(endpoint),
            Ok(None) => Lookup::Unavailable,
            Err(error) => Lookup::Invalid(error),
        }
    }
}

/// An endpoint several times. Each call counts a reference to its endpoint;
/// two threads that count on the same one are slower than one thread alone.
#[derive(Clone)]
struct Copies(Arc<[Arc<ActionEndpoint>]>);

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
    use crate::{Action, BrokerBuilder, Payload, Plugins, Service};

    static PARAMS: Payload = Payload::nothing();

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
            let call = || Selection::of(&PARAMS, None, None);
            let choose = || matches!(actions.pin().choose("ping.pong", call), Lookup::Found(_));
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
