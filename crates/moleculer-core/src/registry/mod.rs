//! What this node knows: nodes, services, actions and events.

mod actions;
mod choices;
mod events;
mod local;
mod node;
mod pace;
mod pattern;
mod remote;
mod told;
mod trie;

use std::{
    sync::{Arc, Mutex, MutexGuard, Weak},
    time::Duration,
};

use indexmap::IndexMap;
use moleculer_protocol::{NodeId, NodeInfo, ServiceInfo};
use tokio::time::Instant;

use self::told::{Told, ToldByNodes};
pub(crate) use self::{
    actions::{ActionEndpoint, Actions, Lookup},
    events::{EventEndpoint, Events, Target},
    local::{Identity, LocalState},
    node::Node,
    pace::Pace,
    pattern::matches,
};
use crate::{
    ActionDef, BrokerOptions, Result,
    broker::WeakBroker,
    host::{NodeView, PeerAddress},
    middleware::{DefaultLimits, LimitedSite, Limits, Middlewares, State as Circuit},
    service::Instance,
    strategy::Strategies,
    sync::lock,
};

/// Most nodes that were met but never told of themselves: datagrams and
/// greetings cost those who send them nothing.
const MOST_MET: usize = 1000;

/// Most nodes altogether: each info that somebody makes up adds one, and a
/// medium without heartbeats would keep it for ever.
const MOST_NODES: usize = 10_000;

/// Most nodes that are gone and still known: whoever invents ids does not fill
/// the memory.
const MOST_OFFLINE: usize = 1000;

/// The registry. Lookups take no lock; changes are made one at a time.
pub(crate) struct Registry {
    pub(crate) actions: Actions,
    pub(crate) events: Events,
    middlewares: Middlewares,
    strategies: Arc<Strategies>,
    broker: WeakBroker,
    default_timeout: Duration,
    default_limits: DefaultLimits,
    local_node: Arc<Node>,
    started: Instant,
    state: Mutex<State>,
}

/// What only changes and listings need.
struct State {
    nodes: IndexMap<NodeId, Arc<Node>>,
    services: Vec<Arc<ServiceItem>>,
    told: ToldByNodes,
    local: LocalState,
    /// Whether it was told that there is no room for another node.
    told_full: bool,
}

/// A service of some node.
pub(crate) struct ServiceItem {
    pub(crate) node: NodeId,
    pub(crate) local: bool,
    pub(crate) full_name: Arc<str>,
    pub(crate) info: Arc<ServiceInfo>,
    /// What runs it, if it is on this node.
    pub(crate) instance: Weak<Instance>,
}

/// What a change means for the rest of the node, in the order in which it is told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    ServicesChanged { local: bool },
    NodeConnected { node: NodeId, reconnected: bool },
    NodeUpdated { node: NodeId },
    NodeDisconnected { node: NodeId, unexpected: bool },
}

impl Registry {
    pub(crate) fn new(
        identity: Identity,
        options: &BrokerOptions,
        middlewares: Middlewares,
        strategies: Strategies,
        broker: WeakBroker,
    ) -> Self {
        let prefer_local = options.registry.prefer_local;
        let strategies = Arc::new(strategies.with_broker(broker.clone()));
        let local_node = Arc::new(Node::new(identity.node_id.clone(), true));
        Self {
            actions: Actions::new(prefer_local, strategies.clone()),
            events: Events::new(prefer_local, strategies.clone()),
            strategies,
            middlewares,
            broker,
            default_timeout: *options.request_timeout,
            default_limits: DefaultLimits::new(options),
            state: Mutex::new(State {
                nodes: IndexMap::from([(local_node.id.clone(), local_node.clone())]),
                services: Vec::new(),
                told: ToldByNodes::default(),
                local: LocalState::new(identity),
                told_full: false,
            }),
            local_node,
            started: Instant::now(),
        }
    }

    pub(crate) fn local_node(&self) -> &Arc<Node> {
        &self.local_node
    }

    pub(crate) fn node(&self, id: &str) -> Option<Arc<Node>> {
        self.state().node(id).cloned()
    }

    pub(crate) fn nodes(&self) -> Vec<Arc<Node>> {
        self.state().nodes.values().cloned().collect()
    }

    pub(crate) fn services(&self) -> Vec<Arc<ServiceItem>> {
        self.state().services.clone()
    }

    /// Whether any node offers a service of this full name.
    pub(crate) fn has_service(&self, full_name: &str) -> bool {
        self.state().services.iter().any(|service| *service.full_name == *full_name)
    }

    pub(crate) fn view(&self, node: &Node) -> NodeView {
        let info = node.local.then(|| self.local_info());
        node.view(info, self.started)
    }

    /// Remembers where a node can be reached; an unknown one is added as
    /// offline. When too many of those never told of themselves, the one that
    /// was met first gives way; nodes that a list names stay.
    pub(crate) fn peer_seen(&self, id: &NodeId, address: PeerAddress) {
        if *id == self.local_node.id {
            return;
        }
        let mut state = self.state();
        let (new, met) = (state.node(id).is_none(), address.seen_at.is_some());
        if new && met {
            state.make_room();
        }
        let node = state.node_or_new(id);
        node.seen_at(address);
        node.state().listed |= new && !met;
    }

    /// Forgets nodes that are offline for longer than `age`, unless a list names them.
    pub(crate) fn forget_offline(&self, age: Duration) {
        self.state().nodes.retain(|_, node| !node.offline_for(age));
    }

    /// This node's info, regenerated if something changed.
    pub(crate) fn local_info(&self) -> Arc<NodeInfo> {
        let mut state = self.state();
        let State { services, local, .. } = &mut *state;
        local.info(services, &self.local_node)
    }

    /// Checks the strategies that a service asks for.
    pub(crate) fn check(&self, instance: &Instance) -> Result<()> {
        self.strategies.check(instance)
    }

    /// Whether calls of this action are limited in time by default.
    fn has_timeout(&self, def: &ActionDef) -> bool {
        !def.timeout.unwrap_or(self.default_timeout).is_zero()
    }

    /// The limits of an endpoint that is about to be made: its circuit stays
    /// as it was, unless the endpoint is `new`.
    fn limits(&self, def: &ActionDef, node: &Node, item: &ServiceItem, new: bool) -> Limits {
        let site = LimitedSite {
            action: def,
            node: &node.id,
            service: &item.full_name,
            local: node.local,
        };
        let before = if new { None } else { self.actions.limits(&def.name, &node.id) };
        self.default_limits.of(&site, before.as_ref())
    }

    /// The balancer takes or leaves the endpoint of a circuit.
    pub(crate) fn circuit_changed(&self, circuit: &Arc<Circuit>) {
        let _one_at_a_time = self.state();
        self.actions.circuit_changed(circuit);
    }

    pub(crate) fn change_local<R>(&self, change: impl FnOnce(&mut LocalState) -> R) -> R {
        change(&mut self.state().local)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn node(&self, id: &str) -> Option<&Arc<Node>> {
        self.nodes.get(id)
    }

    /// Whether there is no room for another node, which is logged once.
    fn is_full(&mut self) -> bool {
        let full = self.nodes.len() >= MOST_NODES;
        if full && !std::mem::replace(&mut self.told_full, true) {
            tracing::error!(nodes = MOST_NODES, "too many nodes: further ones are ignored");
        }
        full
    }

    /// Forgets the first of too many nodes that were met but never told of themselves.
    fn make_room(&mut self) {
        let mut met = self.nodes.values().enumerate().filter(|(_, node)| node.was_only_met());
        let first = met.next().map(|(at, _)| at);
        if let Some(first) = first.filter(|_| met.count() + 1 >= MOST_MET)
            && let Some((id, _)) = self.nodes.shift_remove_index(first)
        {
            tracing::debug!(node_id = %id, "forgotten: it never told of itself");
        }
    }

    /// Forgets the one of too many nodes that has been gone for longest.
    fn forget_oldest(&mut self) {
        let gone = self.nodes.values().enumerate();
        let gone: Vec<_> = gone.filter_map(|(at, node)| Some((node.gone_since()?, at))).collect();
        if gone.len() > MOST_OFFLINE
            && let Some((_, oldest)) = gone.iter().min()
        {
            self.nodes.shift_remove_index(*oldest);
        }
    }

    fn node_or_new(&mut self, id: &NodeId) -> Arc<Node> {
        if let Some(node) = self.node(id) {
            return node.clone();
        }
        let node = Arc::new(Node::new(id.clone(), false));
        self.nodes.insert(id.clone(), node.clone());
        node
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BrokerBuilder, Plugins};

    #[tokio::test(start_paused = true)]
    async fn nodes_that_are_gone_are_bounded() {
        let broker = BrokerBuilder::new(Plugins::core()).build().unwrap();
        let registry = broker.registry();
        let request: crate::ActionFn = Arc::new(|_| Box::pin(async { Ok(crate::Body::Empty) }));
        let come = |id: &str| registry.node_info(&id.into(), &Arc::default(), &request);
        registry.peer_seen(&"listed".into(), PeerAddress::default());
        come("listed");
        come("here");
        registry.node_offline(&"listed".into(), true);
        for n in 0..MOST_OFFLINE + 5 {
            let id = format!("invented-{n}");
            come(&id);
            tokio::time::advance(Duration::from_millis(1)).await;
            registry.node_offline(&id.as_str().into(), true);
        }
        // With this node, the one that is here, and the one of a list.
        assert_eq!(registry.nodes().len(), MOST_OFFLINE + 3);
        for (id, known) in [("invented-4", false), ("invented-5", true), ("listed", true)] {
            assert_eq!(registry.node(id).is_some(), known, "{id}");
        }
    }

    #[tokio::test]
    async fn nodes_are_bounded() {
        let broker = BrokerBuilder::new(Plugins::core()).build().unwrap();
        let registry = broker.registry();
        let request: crate::ActionFn = Arc::new(|_| Box::pin(async { Ok(crate::Body::Empty) }));
        let come = |id: &str| registry.node_info(&id.into(), &Arc::default(), &request);
        for n in 0..MOST_NODES {
            come(&n.to_string());
        }
        assert_eq!(registry.nodes().len(), MOST_NODES);
        assert_eq!(come("one more"), []);
        assert!(registry.node("one more").is_none());
        // Those that are known go on.
        assert_eq!(come("7"), [Change::NodeUpdated { node: "7".into() }]);
        registry.node_offline(&"7".into(), true);
        assert!(!come("7").is_empty());
    }

    #[tokio::test]
    async fn an_info_that_is_older_than_the_goodbye_is_ignored() {
        let broker = BrokerBuilder::new(Plugins::core()).build().unwrap();
        let registry = broker.registry();
        let request: crate::ActionFn = Arc::new(|_| Box::pin(async { Ok(crate::Body::Empty) }));
        let come = |instance: &str, seq| {
            let info = NodeInfo { instance_id: instance.into(), seq, ..NodeInfo::default() };
            registry.node_info(&"n".into(), &Arc::new(info), &request);
            registry.node("n").unwrap().available()
        };
        let go = |unexpected| registry.node_offline(&"n".into(), unexpected);
        assert!(come("one", 5));
        go(false);
        // The one of its stop may come last.
        for (instance, seq, back) in
            [("one", 4, false), ("one", 6, false), ("two", 1, true), ("two", 1, true)]
        {
            assert_eq!(come(instance, seq), back, "{instance} {seq}");
        }
        go(false);
        assert!(come("two", 3), "it has started again, as a JavaScript broker can");
        go(false);
        registry.node("n").unwrap().alive(None, None);
        assert!(come("two", 3), "it shows life");
        go(true);
        assert!(come("two", 3), "it only was silent");
    }

    /// A node is told once of what it offers twice, from its first info on.
    #[tokio::test]
    async fn a_new_node_offers_an_action_once() {
        let broker = BrokerBuilder::new(Plugins::core()).build().unwrap();
        let registry = broker.registry();
        let request: crate::ActionFn = Arc::new(|_| Box::pin(async { Ok(crate::Body::Empty) }));
        let service = serde_json::json!({
            "name": "same", "actions": {"same.action": {}}, "events": {"same.event": {}},
        });
        let service = moleculer_protocol::Value::from(service);
        let services = vec![service.clone(), service].into();
        let info = Arc::new(NodeInfo { services, ..NodeInfo::default() });
        for id in ["one", "two", "one"] {
            registry.node_info(&id.into(), &info, &request);
        }
        registry.node_offline(&"two".into(), true);
        registry.node_info(&"two".into(), &info, &request);
        let nodes = || -> Vec<_> {
            let rows = registry.actions.snapshot();
            let row = rows.iter().find(|row| *row.name == *"same.action").unwrap();
            row.endpoints.iter().map(|(endpoint, _)| endpoint.node.id.to_string()).collect()
        };
        assert_eq!(nodes(), ["one", "two"]);
        let rows = registry.events.snapshot();
        let row = rows.iter().find(|row| *row.name == *"same.event").unwrap();
        assert_eq!(row.endpoints.len(), 2);
        registry.node_offline(&"one".into(), true);
        assert_eq!(nodes(), ["two"]);
    }

    #[tokio::test]
    async fn a_node_moves_when_it_is_gone_unless_it_told_where_it_is() {
        let broker = BrokerBuilder::new(Plugins::core()).build().unwrap();
        let registry = broker.registry();
        let request: crate::ActionFn = Arc::new(|_| Box::pin(async { Ok(crate::Body::Empty) }));
        let id = NodeId::from("n");
        let tells = |port| {
            let info = NodeInfo { port: Some(port), ..NodeInfo::default() };
            registry.node_info(&id, &Arc::new(info), &request);
        };
        let greets = |port| {
            registry.peer_seen(&id, PeerAddress { port: Some(port), ..PeerAddress::default() });
        };
        let port = || registry.node("n").unwrap().state().address.port;
        tells(1);
        greets(2);
        assert_eq!(port(), Some(1), "it is there");
        registry.node_offline(&id, false);
        assert_eq!(port(), Some(2), "it was seen there last");
        tells(3);
        greets(4);
        tells(3);
        registry.node_offline(&id, false);
        assert_eq!(port(), Some(3), "it told so since");
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_that_were_only_met_are_bounded() {
        let broker = BrokerBuilder::new(Plugins::core()).build().unwrap();
        let registry = broker.registry();
        let request: crate::ActionFn = Arc::new(|_| Box::pin(async { Ok(crate::Body::Empty) }));
        let met = || PeerAddress { seen_at: Some([192, 0, 2, 1].into()), ..PeerAddress::default() };
        registry.peer_seen(&"listed".into(), PeerAddress::default());
        registry.peer_seen(&"known".into(), met());
        registry.node_info(&"known".into(), &Arc::default(), &request);
        for n in 0..3 * MOST_MET {
            registry.peer_seen(&format!("met-{n}").into(), met());
        }
        // With this node.
        assert_eq!(registry.nodes().len(), MOST_MET + 3);
        for kept in ["listed", "known", "met-2999", "met-2000"] {
            assert!(registry.node(kept).is_some(), "{kept}");
        }
        assert!(registry.node("met-1999").is_none());
        // What is offline for long is forgotten, but not what a list names.
        registry.node_info(&"listed".into(), &Arc::default(), &request);
        for node in ["listed", "known"] {
            registry.node_offline(&node.into(), true);
        }
        tokio::time::sleep(Duration::from_secs(601)).await;
        registry.forget_offline(Duration::from_secs(600));
        assert!(registry.node("listed").is_some() && registry.node("known").is_none());
        // One that is known already takes no place.
        registry.peer_seen(&"met-2000".into(), met());
        assert!(registry.node("met-2000").is_some());
    }
}
