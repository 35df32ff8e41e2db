//! What nodes tell of their services, stored once: [`ToldByNodes`].

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use foldhash::quality::RandomState;
use moleculer_protocol::{NodeId, NodeInfo, Object, ServiceInfo, Value};

use crate::{ActionDef, EventDef};

/// What the nodes that are there tell, by the names of their services.
///
/// Most nodes of a cluster run what others run too.
#[derive(Default)]
pub(super) struct ToldByNodes {
    by_names: HashMap<Box<str>, Weak<Told>, RandomState>,
    /// When so many are held, those that no node tells any more are removed.
    most: usize,
}

/// The services of a node. Nodes that tell the same share it.
#[derive(Debug, Default)]
pub(crate) struct Told {
    values: Arc<Vec<Value>>,
    pub(super) services: Vec<ToldService>,
}

/// A service as far as it is understood.
#[derive(Debug)]
pub(super) struct ToldService {
    pub(super) full_name: Arc<str>,
    pub(super) info: Arc<ServiceInfo>,
    /// Those that may be called from here.
    pub(super) actions: Vec<Arc<ActionDef>>,
    /// With their groups.
    pub(super) events: Vec<(Arc<EventDef>, Arc<str>)>,
}

impl ToldByNodes {
    /// Reads what a node tells, unless another one tells the same.
    pub(super) fn read(&mut self, node: &NodeId, values: &Arc<Vec<Value>>) -> Arc<Told> {
        let names = names(values);
        let known = self.by_names.get(&*names).and_then(Weak::upgrade);
        if let Some(same) = known.filter(|known| *known.values == **values) {
            return same;
        }
        let told = Arc::new(Told::read(node, values));
        if self.by_names.len() >= self.most {
            self.by_names.retain(|_, told| told.strong_count() > 0);
            self.most = (2 * self.by_names.len()).max(16);
        }
        self.by_names.insert(names, Arc::downgrade(&told));
        told
    }
}

impl Told {
    fn read(node: &NodeId, values: &Arc<Vec<Value>>) -> Self {
        let parsed = values.iter().filter_map(|value| match ServiceInfo::parse(value) {
            Ok(info) => Some(ToldService::new(info)),
            Err(error) => {
                tracing::warn!(node_id = %node, %error, "a service of this node is left out");
                None
            }
        });
        Self { services: parsed.collect(), values: values.clone() }
    }

    /// The same info, with services that are shared.
    pub(super) fn share(&self, info: &Arc<NodeInfo>) -> Arc<NodeInfo> {
        if Arc::ptr_eq(&info.services, &self.values) {
            return info.clone();
        }
        Arc::new(NodeInfo { services: self.values.clone(), ..NodeInfo::clone(info) })
    }
}

impl ToldService {
    fn new(info: ServiceInfo) -> Self {
        let actions = info.actions.iter().filter_map(|(name, definition)| {
            ActionDef::from_object(name, definition.clone()).map(Arc::new)
        });
        let events = info.events.iter().map(|(name, definition)| {
            let group = group_of(&info, definition).into();
            (Arc::new(EventDef::from_object(name, definition.clone())), group)
        });
        Self {
            full_name: info.full_name.as_str().into(),
            actions: actions.collect(),
            events: events.collect(),
            info: Arc::new(info),
        }
    }
}

/// The group of a listener: its own, or the service's name.
pub(super) fn group_of<'a>(service: &'a ServiceInfo, definition: &'a Object) -> &'a str {
    definition.get("group").and_then(Value::as_str).unwrap_or(&service.name)
}

/// The names of services, in one text.
fn names(values: &[Value]) -> Box<str> {
    let mut names = String::new();
    for value in values {
        let name = value.as_object().and_then(|it| it.get("fullName").or_else(|| it.get("name")));
        names.push_str(name.and_then(Value::as_str).unwrap_or_default());
        names.push(',');
    }
    names.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn services(settings: u32) -> Arc<Vec<Value>> {
        let service = json!({
            "name": "posts", "settings": {"limit": settings},
            "actions": {"posts.get": {}, "posts.hidden": {"visibility": "private"}},
            "events": {"user.created": {}, "user.removed": {"group": "audit"}},
        });
        vec![service.into(), Value::from(5)].into()
    }

    #[test]
    fn equal_services_are_stored_once() {
        let mut told = ToldByNodes::default();
        let mut read = |limit| told.read(&"node-1".into(), &services(limit));
        let (one, same, other) = (read(1), read(1), read(2));
        assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &other));
        let [posts] = &*one.services else { panic!("{one:?}") };
        let actions: Vec<_> = posts.actions.iter().map(|action| &*action.name).collect();
        let groups: Vec<_> = posts.events.iter().map(|(_, group)| &**group).collect();
        assert_eq!((actions, groups), (vec!["posts.get"], vec!["posts", "audit"]));
        let info = Arc::new(NodeInfo { services: services(1), seq: 5, ..NodeInfo::default() });
        let shared = one.share(&info);
        assert_eq!(shared, info);
        assert!(Arc::ptr_eq(&shared.services, &one.values));
    }

    #[test]
    fn what_nobody_tells_is_forgotten() {
        let mut told = ToldByNodes::default();
        for n in 0..1000 {
            let service = json!({"name": format!("service-{n}")});
            told.read(&"node-1".into(), &vec![service.into()].into());
        }
        assert!(told.by_names.len() <= 16, "{}", told.by_names.len());
    }
}
