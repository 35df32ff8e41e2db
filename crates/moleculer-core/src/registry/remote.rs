//! What other nodes tell of themselves.

use std::sync::{Arc, Weak};

use moleculer_protocol::{NodeId, NodeInfo, ServiceInfo};
use tokio::time::Instant;

use super::{ActionEndpoint, Change, EventEndpoint, Node, Pace, Registry, ServiceItem, State};
use crate::{ActionDef, ActionFn, EventDef, host::PeerAddress};

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
        if Self::update(&node, info, was_available) {
            self.replace_services(&mut state, &node, info, request);
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
    fn update(node: &Node, info: &Arc<NodeInfo>, was_available: bool) -> bool {
        node.set_address(PeerAddress {
            seen_at: None,
            hostname: Some(info.hostname.clone()).filter(|host| !host.is_empty()),
            ip_list: info.ip_list.clone(),
            port: info.port,
        });
        let mut state = node.state();
        let seq = info.seq.max(1);
        let news = !was_available || seq > state.seq || state.instance_id != info.instance_id;
        state.info = Some(info.clone());
        if news {
            state.seq = seq;
            state.instance_id.clone_from(&info.instance_id);
        }
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
        info: &NodeInfo,
        request: &ActionFn,
    ) {
        let items: Vec<Arc<ServiceItem>> = info
            .services
            .iter()
            .filter_map(|service| match ServiceInfo::parse(service) {
                Ok(info) => Some(Arc::new(ServiceItem {
                    node: node.id.clone(),
                    local: false,
                    full_name: info.full_name.as_str().into(),
                    info,
                    instance: Weak::new(),
                })),
                Err(error) => {
                    tracing::warn!(node_id = %node.id, %error, "a service of this node is left out");
                    None
                }
            })
            .collect();
        // Of a node that is not available nothing is known: see `node_offline`.
        let new = !node.available();
        // New ones first, so that what stays is never missing for a moment.
        for item in &items {
            self.put_service(node, item, request, new);
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
        item: &Arc<ServiceItem>,
        request: &ActionFn,
        new: bool,
    ) {
        for (name, definition) in &item.info.actions {
            let Some(def) = ActionDef::from_object(name, definition.clone()) else {
                continue;
            };
            let [plain, full] = self.middlewares.wrap_action(request, &def, &item.full_name, false);
            let endpoint = Arc::new(ActionEndpoint {
                name: def.name.clone(),
                node: node.clone(),
                service: item.clone(),
                has_timeout: self.has_timeout(&def),
                limits: self.limits(&def, node, item, new),
                pace: Pace::default(),
                def,
                plain,
                full,
                broker: self.broker.clone(),
            });
            if new { self.actions.add(&endpoint) } else { self.actions.put(&endpoint) }
        }
        for (name, definition) in &item.info.events {
            let def = EventDef::from_object(name, definition.clone());
            let endpoint = Arc::new(EventEndpoint {
                node: node.clone(),
                service: item.clone(),
                group: item.group_of(definition).into(),
                def,
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
