//! What other nodes tell of themselves.

use std::sync::{Arc, Weak};

use moleculer_protocol::{NodeId, NodeInfo};
use tokio::time::Instant;

use super::{
    ActionEndpoint, Change, EventEndpoint, Node, Pace, Registry, ServiceItem, State, Told,
    told::ToldService,
};
use crate::{ActionFn, host::PeerAddress};

impl Registry {
    /// Takes a node's info in. `request` is the way to any action of it.
    pub(crate) fn node_info(
        &self,
        id: &NodeId,
        info: &Arc<NodeInfo>,
        request: &ActionFn,
    ) -> Vec<Change> {
        let mut state = self.state();
        if state.node(id).is_none() && state.is_full() {
            return Vec::new();
        }
        let node = state.node_or_new(id);
        if node.sent_before_its_goodbye(info) {
            tracing::debug!(node_id = %id, "an info that came after the goodbye is ignored");
            return Vec::new();
        }
        let mut changes = Vec::new();
        let was_available = node.available();
        let seen_before = node.state().info.is_some();
        let told = state.told.read(id, &info.services);
        if Self::update(&node, told.share(info), was_available) {
            node.state().told = Some(told.clone());
            self.replace_services(&mut state, &node, &told, request);
            changes.push(Change::ServicesChanged { local: false });
        }
        node.set_available(true);
        changes.push(if was_available {
            Change::NodeUpdated { node: id.clone() }
        } else {
            Change::NodeConnected { node: id.clone(), reconnected: seen_before }
        });
        changes
    }

    /// Stores the info; tells whether the services have to be read.
    fn update(node: &Node, info: Arc<NodeInfo>, was_available: bool) -> bool {
        node.set_address(PeerAddress {
            seen_at: None,
            hostname: Some(info.hostname.clone()).filter(|host| !host.is_empty()),
            ip_list: info.ip_list.clone(),
            port: info.port,
        });
        let mut state = node.state();
        let seq = info.seq.max(1);
        let news = !was_available || seq > state.seq || state.instance_id != info.instance_id;
        state.moved = None;
        if news {
            state.seq = seq;
            state.instance_id.clone_from(&info.instance_id);
        }
        state.info = Some(info);
        state.moved = None;
        if !was_available {
            state.last_heartbeat = Instant::now();
            state.offline_since = None;
            state.left = false;
        }
        news
    }

    fn replace_services(
        &self,
        state: &mut State,
        node: &Arc<Node>,
        told: &Told,
        request: &ActionFn,
    ) {
        let item = |service: &ToldService| {
            Arc::new(ServiceItem {
                node: node.id.clone(),
                local: false,
                full_name: service.full_name.clone(),
                info: service.info.clone(),
                instance: Weak::new(),
            })
        };
        let items: Vec<_> = told.services.iter().map(item).collect();
        // Of a node that is not available nothing is known: see `node_offline`.
        let new = !node.available();
        // New ones first, so that what stays is never missing for a moment.
        for (service, item) in told.services.iter().zip(&items) {
            self.put_service(node, service, item, request, new);
        }
        if !new {
            let gone: Vec<_> =
                state.services.extract_if(.., |service| service.node == node.id).collect();
            for item in gone {
                self.forget(&item, &items);
            }
        }
        state.services.extend(items);
    }

    /// Makes another node's service callable; `new` is a node without any so far.
    fn put_service(
        &self,
        node: &Arc<Node>,
        service: &ToldService,
        item: &Arc<ServiceItem>,
        request: &ActionFn,
        new: bool,
    ) {
        for def in &service.actions {
            let [plain, full] = self.middlewares.wrap_action(request, def, &item.full_name, false);
            let endpoint = Arc::new(ActionEndpoint {
                name: def.name.clone(),
                node: node.clone(),
                service: item.clone(),
                has_timeout: self.has_timeout(def),
                limits: self.limits(def, node, item, new),
                pace: Pace::default(),
                def: def.clone(),
                plain,
                full,
                broker: self.broker.clone(),
            });
            if new { self.actions.add(&endpoint) } else { self.actions.put(&endpoint) }
        }
        for (def, group) in &service.events {
            let endpoint = Arc::new(EventEndpoint {
                node: node.clone(),
                service: item.clone(),
                group: group.clone(),
                def: def.clone(),
                handler: None,
                pace: Pace::default(),
                broker: self.broker.clone(),
            });
            if new { self.events.add(&endpoint) } else { self.events.put(&endpoint) }
        }
    }

    /// A node is gone. Nothing when it was not there.
    pub(crate) fn node_offline(&self, id: &NodeId, unexpected: bool) -> Vec<Change> {
        let mut state = self.state();
        let Some(node) = state.node(id).filter(|node| !node.local).cloned() else {
            return Vec::new();
        };
        // From here on no new call registers as waiting for it.
        if !node.set_available(false) {
            return Vec::new();
        }
        {
            let mut node = node.state();
            node.seq = node.seq.saturating_add(1);
            node.offline_since = Some(Instant::now());
            node.left = !unexpected;
            node.told = None;
        }
        let moved = node.state().moved.take();
        if let Some(address) = moved {
            node.set_address(address);
        }
        self.forget_node(&mut state, id);
        state.forget_oldest();
        vec![
            Change::NodeDisconnected { node: id.clone(), unexpected },
            Change::ServicesChanged { local: false },
        ]
    }

    pub(crate) fn set_node_seq(&self, id: &NodeId, seq: u64) {
        if let Some(node) = self.node(id) {
            node.state().seq = seq;
        }
    }

    fn forget_node(&self, state: &mut State, id: &NodeId) {
        for item in state.services.extract_if(.., |service| service.node == *id) {
            self.forget(&item, &[]);
        }
    }
}
