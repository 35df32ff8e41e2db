//! What this node knows: nodes, services, actions and events.

mod actions;
mod events;
mod local;
mod node;
mod pace;
mod pattern;
mod remote;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use moleculer_protocol::{NodeId, NodeInfo, ServiceInfo};

pub(crate) use self::{
    actions::{ActionEndpoint, Actions, Lookup},
    events::{EventEndpoint, Events, Target},
    local::{Identity, LocalState},
    node::Node,
    pace::Pace,
    pattern::matches,
};
use crate::{
    ActionDef, BrokerOptions,
    broker::WeakBroker,
    host::{NodeView, PeerAddress},
    middleware::Middlewares,
    service::Instance,
};

/// The registry. Lookups take no lock; changes are made one at a time.
pub(crate) struct Registry {
    pub(crate) actions: Actions,
    pub(crate) events: Events,
    middlewares: Middlewares,
    broker: WeakBroker,
    default_timeout: Duration,
    local_node: Arc<Node>,
    state: Mutex<State>,
}

/// What only changes and listings need.
struct State {
    nodes: Vec<Arc<Node>>,
    services: Vec<Arc<ServiceItem>>,
    local: LocalState,
}

/// A service of some node.
pub(crate) struct ServiceItem {
    pub(crate) node: NodeId,
    pub(crate) local: bool,
    pub(crate) full_name: Arc<str>,
    pub(crate) info: ServiceInfo,
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
        broker: WeakBroker,
    ) -> Self {
        let prefer_local = options.registry.prefer_local;
        let local_node = Arc::new(Node::new(identity.node_id.clone(), true));
        Self {
            actions: Actions::new(prefer_local),
            events: Events::new(prefer_local),
            middlewares,
            broker,
            default_timeout: *options.request_timeout,
            state: Mutex::new(State {
                nodes: vec![local_node.clone()],
                services: Vec::new(),
                local: LocalState::new(identity),
            }),
            local_node,
        }
    }

    pub(crate) fn local_node(&self) -> &Arc<Node> {
        &self.local_node
    }

    pub(crate) fn node(&self, id: &str) -> Option<Arc<Node>> {
        self.state().node(id).cloned()
    }

    pub(crate) fn nodes(&self) -> Vec<Arc<Node>> {
        self.state().nodes.clone()
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
        node.view(info)
    }

    /// Remembers where a node can be reached; an unknown one is added as offline.
    pub(crate) fn peer_seen(&self, id: &NodeId, address: PeerAddress) {
        if *id != self.local_node.id {
            self.state().node_or_new(id).set_address(address);
        }
    }

    /// Forgets nodes that are offline for longer than `age`.
    pub(crate) fn forget_offline(&self, age: Duration) {
        self.state().nodes.retain(|node| !node.offline_for(age));
    }

    /// This node's info, regenerated if something changed.
    pub(crate) fn local_info(&self) -> Arc<NodeInfo> {
        let mut state = self.state();
        let State { services, local, .. } = &mut *state;
        local.info(services, &self.local_node)
    }

    /// Whether calls of this action are limited in time by default.
    fn has_timeout(&self, def: &ActionDef) -> bool {
        !def.timeout.unwrap_or(self.default_timeout).is_zero()
    }

    pub(crate) fn change_local<R>(&self, change: impl FnOnce(&mut LocalState) -> R) -> R {
        change(&mut self.state().local)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn node(&self, id: &str) -> Option<&Arc<Node>> {
        self.nodes.iter().find(|node| node.id == *id)
    }

    fn node_or_new(&mut self, id: &NodeId) -> Arc<Node> {
        if let Some(node) = self.node(id) {
            return node.clone();
        }
        let node = Arc::new(Node::new(id.clone(), false));
        self.nodes.push(node.clone());
        node
    }
}
