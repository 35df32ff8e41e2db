//! This node's own services and what it tells of itself.

use std::sync::Arc;

use moleculer_protocol::{ClientInfo, NodeId, NodeInfo, Object};

use super::{ActionEndpoint, Change, EventEndpoint, Node, Pace, Registry, ServiceItem};
use crate::{ActionFn, Body, Service, Visibility, broker::Tasks, system};

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
            services: told.map(|service| service.info.to_value()).collect(),
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
    pub(crate) fn add_local(&self, service: &Service, tasks: &Tasks) -> Change {
        let mut info = service.info();
        let full_name: Arc<str> = info.full_name.as_str().into();
        let plain_names = info.settings.get("$noServiceNamePrefix").is_some_and(|v| v.is_truthy());
        let full = |raw: &str| {
            if plain_names { raw.into() } else { Arc::from(format!("{full_name}.{raw}")) }
        };
        let actions: Vec<_> = service
            .actions
            .iter()
            .map(|(def, handler)| {
                let mut def = def.clone();
                def.name = full(&def.raw_name);
                let handler = if def.detached { detach(handler, tasks) } else { handler.clone() };
                (def, handler)
            })
            .collect();
        let told = actions.iter().filter(|(def, _)| def.visibility != Visibility::Private);
        info.actions = told.map(|(def, _)| (def.name.to_string(), def.to_object())).collect();
        info.events =
            service.events.iter().map(|(def, _)| (def.name.to_string(), def.to_object())).collect();
        info.settings = public_settings(&info.settings);

        let node = &self.local_node;
        let item = Arc::new(ServiceItem { node: node.id.clone(), local: true, full_name, info });
        let mut state = self.state();
        for (def, handler) in actions {
            if def.visibility == Visibility::Private {
                continue;
            }
            let [plain, full] = self.middlewares.wrap_action(&handler, &def, true);
            self.actions.put(&Arc::new(ActionEndpoint {
                name: def.name.clone(),
                node: node.clone(),
                service: item.clone(),
                has_timeout: self.has_timeout(&def),
                pace: Pace::default(),
                def,
                plain,
                full,
                broker: self.broker.clone(),
            }));
        }
        for (def, handler) in &service.events {
            let group = def.group.clone().unwrap_or_else(|| service.name.clone());
            let handler = self.middlewares.wrap_event(handler, def, &group);
            self.events.put(&Arc::new(EventEndpoint {
                node: node.clone(),
                service: item.clone(),
                def: def.clone(),
                group,
                handler: Some(handler),
                broker: self.broker.clone(),
            }));
        }
        state.services.push(item);
        state.local.changed = true;
        Change::ServicesChanged { local: true }
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
        definition.get("group").and_then(|group| group.as_str()).unwrap_or(&self.info.name)
    }
}

/// `$secureSettings` and the settings that it names stay on this node.
fn public_settings(settings: &Object) -> Object {
    let secure =
        settings.get("$secureSettings").and_then(|keys| keys.as_array()).unwrap_or_default();
    let public = settings.iter().filter(|(key, _)| {
        *key != "$secureSettings" && !secure.iter().any(|secret| secret.as_str() == Some(key))
    });
    public.map(|(key, value)| (key, value.clone())).collect()
}

/// Runs the handler in a task of the broker, so that it goes on when its
/// caller timed out or went away.
fn detach(handler: &ActionFn, tasks: &Tasks) -> ActionFn {
    let (handler, tasks) = (handler.clone(), tasks.clone());
    Arc::new(move |ctx| {
        let (done, result) = tokio::sync::oneshot::channel();
        let running = handler(ctx);
        tasks.spawn(async move {
            // Nobody waits any more when this fails, which is the point.
            drop(done.send(running.await));
        });
        Box::pin(async move {
            result
                .await
                .unwrap_or_else(|_| Err::<Body, _>(crate::Error::internal("the broker stopped")))
        })
    })
}
