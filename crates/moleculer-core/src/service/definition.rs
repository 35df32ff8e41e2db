//! What is known of an action or event besides its handler.

use std::{sync::Arc, time::Duration};

use moleculer_protocol::{Object, Value};

use super::{cache::Cache, hooks::HookChain};
use crate::{
    BulkheadOptions, CircuitBreakerOptions, Fallback, RetryPolicy, schemas::ActionSchemas,
    strategy::StrategyChoice,
};

/// An action as it is published to other nodes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ActionDef {
    /// Full name, with the service's.
    pub name: Arc<str>,
    /// Name within the service.
    pub raw_name: Arc<str>,
    /// Who may call it.
    pub visibility: Visibility,
    /// Default timeout of its calls; zero for none, `None` for the broker's.
    pub timeout: Option<Duration>,
    /// How failed calls are made again, where that differs from the broker's.
    pub retry: Option<RetryPolicy>,
    /// When callers stop calling it, where that differs from the broker's.
    pub circuit_breaker: Option<CircuitBreakerOptions>,
    /// How many of its runs go on at once, where that differs from the
    /// broker's.
    pub bulkhead: Option<BulkheadOptions>,
    /// Whether the handler runs on when its caller gave up.
    pub detached: bool,
    /// How callers choose among its nodes; `None` for the broker's strategy.
    pub strategy: Option<StrategyChoice>,
    /// Whether results are cached, for a cacher. Of this node's actions only.
    pub cache: Option<Cache>,
    /// The rules for its params, for a validator. Of this node's actions only.
    pub params: Option<Value>,
    /// Whether calls of it are traced and how, for a tracer. Of this node's
    /// actions only.
    pub tracing: Option<Value>,
    /// Any further member: published as it is, for gateways and tools. Of
    /// another node's action, all members that are not above.
    pub extra: Object,
    /// What answers failed calls; on its own node only.
    pub fallback: Option<Fallback>,
    /// What its types say of it; another node's is in `extra`.
    pub(crate) schemas: ActionSchemas,
    /// On its own node only.
    pub(crate) hooks: HookChain,
    /// What other nodes are told in place of `params`.
    pub(crate) published: Option<Object>,
}

/// Who may call an action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody, through a gateway too.
    #[default]
    Published,
    /// Every node, but no gateway.
    Public,
    /// This node only.
    Protected,
    /// Nobody by name: only the service itself.
    Private,
}

impl Visibility {
    /// The name in definitions.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Public => "public",
            Self::Protected => "protected",
            Self::Private => "private",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Published, Self::Public, Self::Protected, Self::Private]
            .into_iter()
            .find(|visibility| visibility.as_str() == name)
    }
}

impl ActionDef {
    pub(crate) fn new(raw_name: &str) -> Self {
        Self {
            name: raw_name.into(),
            raw_name: raw_name.into(),
            visibility: Visibility::default(),
            timeout: None,
            retry: None,
            circuit_breaker: None,
            bulkhead: None,
            detached: false,
            strategy: None,
            cache: None,
            params: None,
            tracing: None,
            extra: Object::new(),
            fallback: None,
            schemas: ActionSchemas::default(),
            hooks: HookChain::default(),
            published: None,
        }
    }

    /// The members in the order of the reference: `rawName` and `name` last.
    pub(crate) fn to_object(&self) -> Object {
        let mut object = self.extra.clone();
        if let Some(timeout) = self.timeout {
            object.insert("timeout", timeout.as_millis() as u64);
        }
        if let Some(strategy) = &self.strategy {
            strategy.publish(&mut object);
        }
        if let Some(retry) = &self.retry {
            object.insert("retryPolicy", retry.to_object());
        }
        if let Some(breaker) = &self.circuit_breaker {
            object.insert("circuitBreaker", breaker.to_object());
        }
        if let Some(bulkhead) = &self.bulkhead {
            object.insert("bulkhead", bulkhead.to_object());
        }
        if self.visibility != Visibility::Published {
            object.insert("visibility", self.visibility.as_str());
        }
        if let Some(cache) = &self.cache {
            object.insert("cache", cache.to_value());
        }
        publish_rules(&mut object, self.params.as_ref(), self.published.as_ref());
        publish(&mut object, "tracing", self.tracing.as_ref());
        self.schemas.publish(&mut object);
        object.insert("rawName", &*self.raw_name);
        object.insert("name", &*self.name);
        object
    }

    /// Reads another node's definition; `None` when its visibility keeps it
    /// from being called from here.
    pub(crate) fn from_object(name: &str, mut object: Object) -> Option<Self> {
        let visibility = match object.remove("visibility") {
            None | Some(Value::Null | Value::Undefined) => Visibility::Published,
            Some(value) => Visibility::parse(value.as_str()?)?,
        };
        if matches!(visibility, Visibility::Protected | Visibility::Private) {
            return None;
        }
        let timeout = object.remove("timeout").as_ref().and_then(millis);
        let retry = object.remove("retryPolicy");
        let breaker = object.remove("circuitBreaker");
        let bulkhead = object.remove("bulkhead");
        let raw_name = object.remove("rawName");
        object.remove("name");
        Some(Self {
            name: name.into(),
            raw_name: raw_name.as_ref().and_then(Value::as_str).unwrap_or(name).into(),
            visibility,
            timeout,
            retry: policy(retry.as_ref(), RetryPolicy::from_object),
            circuit_breaker: policy(breaker.as_ref(), CircuitBreakerOptions::from_object),
            bulkhead: policy(bulkhead.as_ref(), BulkheadOptions::from_object),
            detached: false,
            strategy: StrategyChoice::take_from(&mut object),
            cache: None,
            params: None,
            tracing: None,
            extra: object,
            fallback: None,
            schemas: ActionSchemas::default(),
            hooks: HookChain::default(),
            published: None,
        })
    }
}

/// What is no object counts as none.
fn policy<T>(value: Option<&Value>, read: fn(&Object) -> T) -> Option<T> {
    value.and_then(Value::as_object).map(read)
}

/// Rules as a validator shows them, or as they are.
fn publish_rules(object: &mut Object, rules: Option<&Value>, published: Option<&Object>) {
    match published {
        Some(published) => object.merge(published.clone()),
        None => publish(object, "params", rules),
    }
}

fn publish(object: &mut Object, key: &str, value: Option<&Value>) {
    if let Some(value) = value {
        object.insert(key, value.clone());
    }
}

/// What is no duration counts as none.
fn millis(value: &Value) -> Option<Duration> {
    value.as_f64().and_then(|ms| Duration::try_from_secs_f64(ms / 1e3).ok())
}

/// An event listener as it is published to other nodes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EventDef {
    /// Name or pattern.
    pub name: Arc<str>,
    /// Group that shares each event; the service's name by default.
    pub group: Option<Arc<str>>,
    /// How long it must be quiet before the last event is handled.
    pub debounce: Option<Duration>,
    /// How long events are dropped after one was handled.
    pub throttle: Option<Duration>,
    /// How many of its runs go on at once, where that differs from the
    /// broker's.
    pub bulkhead: Option<BulkheadOptions>,
    /// How emitters choose within the group; `None` for the broker's strategy.
    pub strategy: Option<StrategyChoice>,
    /// The rules for its params, for a validator. Of this node's listeners only.
    pub params: Option<Value>,
    /// Whether it is traced and how, for a tracer. Of this node's listeners only.
    pub tracing: Option<Value>,
    /// Any further member.
    pub extra: Object,
    /// What other nodes are told in place of `params`.
    pub(crate) published: Option<Object>,
}

impl EventDef {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            group: None,
            debounce: None,
            throttle: None,
            bulkhead: None,
            strategy: None,
            params: None,
            tracing: None,
            extra: Object::new(),
            published: None,
        }
    }

    pub(crate) fn to_object(&self) -> Object {
        let mut object = self.extra.clone();
        if let Some(strategy) = &self.strategy {
            strategy.publish(&mut object);
        }
        if let Some(group) = &self.group {
            object.insert("group", &**group);
        }
        for (key, time) in [("debounce", self.debounce), ("throttle", self.throttle)] {
            if let Some(time) = time {
                object.insert(key, time.as_millis() as u64);
            }
        }
        if let Some(bulkhead) = &self.bulkhead {
            object.insert("bulkhead", bulkhead.to_object());
        }
        publish_rules(&mut object, self.params.as_ref(), self.published.as_ref());
        publish(&mut object, "tracing", self.tracing.as_ref());
        object.insert("name", &*self.name);
        object
    }

    pub(crate) fn from_object(name: &str, mut object: Object) -> Self {
        let group = object.remove("group");
        let debounce = object.remove("debounce").as_ref().and_then(millis);
        let throttle = object.remove("throttle").as_ref().and_then(millis);
        let bulkhead = object.remove("bulkhead");
        object.remove("name");
        Self {
            name: name.into(),
            group: group.as_ref().and_then(Value::as_str).map(Arc::from),
            debounce,
            throttle,
            bulkhead: policy(bulkhead.as_ref(), BulkheadOptions::from_object),
            strategy: StrategyChoice::take_from(&mut object),
            params: None,
            tracing: None,
            extra: object,
            published: None,
        }
    }
}
