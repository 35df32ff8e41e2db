//! This node's own services and what it tells of itself.

use std::sync::Arc;

use moleculer_protocol::{ClientInfo, NodeId, NodeInfo, Object, PacketKind, Target, Topic};

use super::{
    ActionEndpoint, Change, EventEndpoint, Lookup, Node, Pace, Registry, ServiceItem,
    told::group_of,
};
use crate::{
    ActionDef, ActionFn, Error, Result, Visibility,
    middleware::Limits,
    service::{Instance, InstanceAction, InstanceEvent},
    system,
};

/// Who this node is; fixed for the broker's life.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) node_id: NodeId,
    pub(crate) instance_id: String,
    pub(crate) metadata: Object,
}

/// This node's info and when it has to be made anew.
pub(crate) struct LocalState {
    identity: Identity,
    seq: u64,
    port: Option<u16>,
    /// Set when services changed since the info was made.
    changed: bool,
    /// Once set, no service is told any more.
    stopping: bool,
    info: Option<Arc<NodeInfo>>,
}

impl LocalState {
    pub(super) const fn new(identity: Identity) -> Self {
        Self { identity, seq: 1, port: None, changed: false, stopping: false, info: None }
    }

    pub(super) fn info(&mut self, services: &[Arc<ServiceItem>], node: &Node) -> Arc<NodeInfo> {
        if self.changed {
            self.seq += 1;
            self.changed = false;
            self.info = None;
        }
        if let Some(info) = &self.info {
            return info.clone();
        }
        let told = services.iter().filter(|service| service.local && !self.stopping);
        let info = Arc::new(NodeInfo {
            services: Arc::new(told.map(|service| service.info.to_value()).collect()),
            ip_list: system::ip_list(),
            hostname: system::hostname().to_owned(),
            client: ClientInfo {
                kind: "rust".into(),
                version: env!("CARGO_PKG_VERSION").into(),
                lang_version: system::RUST_VERSION.into(),
            },
            config: Object::new(),
            instance_id: self.identity.instance_id.clone(),
            metadata: self.identity.metadata.clone(),
            seq: self.seq,
            port: self.port,
        });
        node.state().seq = self.seq;
        self.info = Some(info.clone());
        info
    }

    /// Makes the sequence number at least `seq`.
    pub(crate) fn raise_seq(&mut self, seq: u64) {
        self.seq = self.seq.max(seq);
        self.info = None;
    }

    pub(crate) fn set_port(&mut self, port: u16) {
        self.port = Some(port);
        self.changed = true;
    }

    /// From now on no service is told.
    pub(crate) fn stop(&mut self) {
        self.stopping = true;
        self.changed = true;
    }
}

impl Registry {
    /// Makes a service of this node callable.
    ///
    /// Without the service's name in them, actions of two services may have
    /// one name: then one of the two would never be called.
    pub(crate) fn add_local(&self, instance: &Instance) -> Result<Change> {
        let mut state = self.state();
        let callable =
            || instance.actions.iter().filter(|a| a.def.visibility != Visibility::Private);
        for action in callable() {
            if let Lookup::Found(other) = self.actions.local(&action.def.name) {
                return Err(Error::schema(format!(
                    "action '{}' of service '{}' is offered by service '{}' already",
                    action.def.name, instance.item.full_name, other.service.full_name
                )));
            }
        }
        for action in callable() {
            self.actions.put(&self.wrapped(instance, action));
        }
        for event in &instance.events {
            let handler = self.middlewares.wrap_event(
                &event.handler,
                &event.def,
                &event.group,
                &instance.item.full_name,
            );
            let wrapped = EventEndpoint { handler: Some(handler), ..self.bare(instance, event) };
            self.events.put(&Arc::new(wrapped));
        }
        state.services.push(instance.item.clone());
        state.local.changed = true;
        Ok(Change::ServicesChanged { local: true })
    }

    /// The endpoint by which a service calls its own action.
    pub(crate) fn own_action(
        &self,
        instance: &Instance,
        raw_name: &str,
    ) -> Option<Arc<ActionEndpoint>> {
        let action = instance.actions.iter().find(|action| *action.def.raw_name == *raw_name)?;
        Some(action.own.get_or_init(|| self.wrapped(instance, action)).clone())
    }

    /// An endpoint whose middlewares and limits are its own.
    fn wrapped(&self, instance: &Instance, action: &InstanceAction) -> Arc<ActionEndpoint> {
        let def = action.def.clone();
        let [plain, full] =
            self.middlewares.wrap_action(&action.handler, &def, &instance.item.full_name, true);
        Arc::new(ActionEndpoint {
            name: def.name.clone(),
            node: self.local_node.clone(),
            service: instance.item.clone(),
            has_timeout: self.has_timeout(&def),
            limits: self.limits(&def, &self.local_node, &instance.item, false),
            pace: Pace::default(),
            def,
            plain,
            full,
            broker: self.broker.clone(),
        })
    }

    /// The endpoint for calls whose node the medium chooses, made of another
    /// node's one. A circuit of its own would be that of all nodes together.
    pub(crate) fn any_node(&self, one: &ActionEndpoint, request: &ActionFn) -> ActionEndpoint {
        let [plain, full] =
            self.middlewares.wrap_action(request, &one.def, &one.service.full_name, false);
        ActionEndpoint {
            name: one.name.clone(),
            node: Arc::new(Node::any()),
            service: one.service.clone(),
            has_timeout: one.has_timeout,
            limits: Limits::default(),
            pace: Pace::default(),
            def: one.def.clone(),
            plain,
            full,
            broker: self.broker.clone(),
        }
    }

    /// The topics of what this node takes a share of when the medium chooses.
    pub(crate) fn balanced_topics(&self) -> Vec<Topic> {
        let state = self.state();
        let told = state.services.iter().filter(|item| item.local);
        let mut topics = Vec::new();
        for item in told {
            topics.extend(item.info.actions.iter().filter_map(|(name, definition)| {
                let def = ActionDef::from_object(name, definition.clone())?;
                Some(Topic { kind: PacketKind::Request, target: Target::Action(def.name) })
            }));
            for (event, definition) in &item.info.events {
                let (group, event) = (item.group_of(definition).into(), event.as_str().into());
                let target = Target::Event { group, event };
                let topic = Topic { kind: PacketKind::Event, target };
                if !topics.contains(&topic) {
                    topics.push(topic);
                }
            }
        }
        topics
    }

    /// A listener without handler, for a context outside of any delivery.
    pub(crate) fn bare(&self, instance: &Instance, event: &InstanceEvent) -> EventEndpoint {
        EventEndpoint {
            node: self.local_node.clone(),
            service: instance.item.clone(),
            def: event.def.clone(),
            group: event.group.clone(),
            handler: None,
            pace: Pace::default(),
            broker: self.broker.clone(),
        }
    }

    /// Takes a service of this node out again.
    pub(crate) fn remove_local(&self, full_name: &str) -> Option<Change> {
        let mut state = self.state();
        let at = state
            .services
            .iter()
            .position(|service| service.local && *service.full_name == *full_name)?;
        let item = state.services.remove(at);
        self.forget(&item, &[]);
        state.local.changed = true;
        Some(Change::ServicesChanged { local: true })
    }

    /// Removes the endpoints of a service, but those that `still` offers.
    pub(super) fn forget(&self, item: &ServiceItem, still: &[Arc<ServiceItem>]) {
        for (action, _) in &item.info.actions {
            if !still.iter().any(|other| other.has_action(action)) {
                self.actions.remove(action, &item.node);
            }
        }
        for (event, definition) in &item.info.events {
            let group = item.group_of(definition);
            let same = |other: &&Arc<ServiceItem>| {
                other.full_name == item.full_name && other.has_listener(event, group)
            };
            if !still.iter().any(|other| same(&other)) {
                self.events.remove(event, group, &item.node, &item.full_name);
            }
        }
    }
}

impl ServiceItem {
    fn has_action(&self, name: &str) -> bool {
        self.info.actions.iter().any(|(other, _)| other == name)
    }

    fn has_listener(&self, event: &str, group: &str) -> bool {
        let mut events = self.info.events.iter();
        events.any(|(other, definition)| other == event && self.group_of(definition) == group)
    }

    /// The group of a listener: its own, or the service's name.
    pub(super) fn group_of<'a>(&'a self, definition: &'a Object) -> &'a str {
        group_of(&self.info, definition)
    }
}
