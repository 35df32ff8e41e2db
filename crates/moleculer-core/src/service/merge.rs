//! How a declaration takes over what its mixins declare.

use std::mem;

use moleculer_protocol::{Object, Value};

use super::{
    Service,
    cache::Cache,
    definition::{ActionDef, EventDef},
    schema::{DeclaredAction, DeclaredEvent},
};
use crate::{BulkheadOptions, CircuitBreakerOptions, RetryPolicy, schemas::ActionSchemas};

/// The last mixin is the base; the ones before it come over it, then `service`.
pub(super) fn merge_all(service: Service, mixins: Vec<Service>) -> Service {
    let base = mixins.into_iter().rev().reduce(|lower, upper| merge(upper, lower));
    match base {
        Some(base) => merge(service, base),
        None => service,
    }
}

/// Fills `upper` with what only `lower` declares.
fn merge(mut upper: Service, mut lower: Service) -> Service {
    lower.actions.retain(|action| !upper.without.contains(&action.def.raw_name));
    upper.without.append(&mut lower.without);
    if upper.name.is_empty() {
        upper.name = lower.name;
    }
    upper.version = upper.version.or(lower.version);
    let secure = union(secured(&upper.settings), secured(&lower.settings));
    fill(&mut upper.settings, lower.settings);
    if !secure.is_empty() {
        upper.settings.insert("$secureSettings", secure);
    }
    fill(&mut upper.metadata, lower.metadata);
    upper.dependencies = union(upper.dependencies, lower.dependencies);
    for action in mem::replace(&mut upper.actions, lower.actions) {
        add_action(&mut upper.actions, action);
    }
    upper.events = merge_events(upper.events, lower.events);
    upper.hooks.merge_below(lower.hooks);
    prepend(&mut upper.merged, lower.merged);
    prepend(&mut upper.created, lower.created);
    prepend(&mut upper.started, lower.started);
    prepend(&mut upper.stopped, lower.stopped);
    upper.flaw = upper.flaw.or(lower.flaw);
    upper
}

/// Lays an action over the one of the same name, if there is one.
fn add_action(actions: &mut Vec<DeclaredAction>, upper: DeclaredAction) {
    let same = |lower: &&mut DeclaredAction| lower.def.raw_name == upper.def.raw_name;
    match actions.iter_mut().find(same) {
        Some(lower) => {
            if upper.handler.is_some() {
                // They are about the handler that goes.
                lower.def.schemas = ActionSchemas::default();
            }
            lower.handler = upper.handler.or(lower.handler.take());
            lower.hooks.merge_above(upper.hooks);
            lower.visibility = upper.visibility.or(lower.visibility);
            let below = mem::replace(&mut lower.def, upper.def);
            fill_action(&mut lower.def, below);
            lower.def.visibility = lower.visibility.unwrap_or_default();
        }
        None => actions.push(upper),
    }
}

/// Options that `upper` does not set come from `lower`. Every member is named,
/// so that a new one cannot be forgotten.
fn fill_action(upper: &mut ActionDef, lower: ActionDef) {
    let ActionDef {
        // The same in both.
        name: _,
        raw_name: _,
        // Merged as they are declared, by `add_action`.
        visibility: _,
        hooks: _,
        // Made when the service is added.
        published: _,
        timeout,
        retry,
        circuit_breaker,
        bulkhead,
        detached,
        strategy,
        cache,
        params,
        tracing,
        extra,
        fallback,
        schemas,
    } = lower;
    upper.schemas.fill(schemas);
    upper.timeout = upper.timeout.or(timeout);
    overlay(&mut upper.retry, retry, RetryPolicy::or);
    overlay(&mut upper.circuit_breaker, circuit_breaker, CircuitBreakerOptions::or);
    overlay(&mut upper.bulkhead, bulkhead, BulkheadOptions::or);
    upper.detached |= detached;
    upper.strategy = upper.strategy.take().or(strategy);
    upper.fallback = upper.fallback.take().or(fallback);
    overlay(&mut upper.cache, cache, Cache::or);
    fill_option(&mut upper.params, params);
    fill_option(&mut upper.tracing, tracing);
    fill(&mut upper.extra, extra);
}

/// Options that are filled member by member.
fn overlay<T>(upper: &mut Option<T>, lower: Option<T>, or: fn(T, T) -> T) {
    *upper = match (upper.take(), lower) {
        (Some(upper), Some(lower)) => Some(or(upper, lower)),
        (upper, lower) => upper.or(lower),
    };
}

fn fill_option(upper: &mut Option<Value>, lower: Option<Value>) {
    match (upper, lower) {
        (Some(above), Some(below)) => fill_value(above, below),
        (upper, lower) => *upper = upper.take().or(lower),
    }
}

/// Adds a listener of the service itself: handlers of one name and group add up.
pub(super) fn add_event(events: &mut Vec<DeclaredEvent>, event: DeclaredEvent) {
    let (name, group) = (&event.def.name, &event.def.group);
    match events.iter_mut().find(|other| other.def.name == *name && other.def.group == *group) {
        Some(other) => lay_event(other, event),
        None => events.push(event),
    }
}

/// Lays each listener over the mixin's of the same name: that of the same
/// group if there is one, else one where only one of the two has a group.
fn merge_events(upper: Vec<DeclaredEvent>, lower: Vec<DeclaredEvent>) -> Vec<DeclaredEvent> {
    let mut free = vec![true; lower.len()];
    let mut events = lower;
    let mut lay = |event: DeclaredEvent, fits: fn(&EventDef, &EventDef) -> bool| {
        let mut all = events.iter().zip(&free);
        let at = all.position(|(other, free)| {
            *free && other.def.name == event.def.name && fits(&other.def, &event.def)
        });
        let Some(at) = at else { return Some(event) };
        free[at] = false;
        lay_event(&mut events[at], event);
        None
    };
    let same_group = |a: &EventDef, b: &EventDef| a.group == b.group;
    let inherits = |a: &EventDef, b: &EventDef| a.group.is_none() || b.group.is_none();
    let rest: Vec<_> = upper.into_iter().filter_map(|event| lay(event, same_group)).collect();
    let rest: Vec<_> = rest.into_iter().filter_map(|event| lay(event, inherits)).collect();
    events.extend(rest);
    events
}

fn lay_event(lower: &mut DeclaredEvent, upper: DeclaredEvent) {
    lower.handlers.extend(upper.handlers);
    let below = mem::replace(&mut lower.def, upper.def);
    fill_event(&mut lower.def, below);
}

fn fill_event(upper: &mut EventDef, lower: EventDef) {
    let EventDef {
        name: _,
        group,
        debounce,
        throttle,
        bulkhead,
        strategy,
        params,
        tracing,
        extra,
        published: _,
    } = lower;
    upper.group = upper.group.take().or(group);
    upper.debounce = upper.debounce.or(debounce);
    upper.throttle = upper.throttle.or(throttle);
    overlay(&mut upper.bulkhead, bulkhead, BulkheadOptions::or);
    upper.strategy = upper.strategy.take().or(strategy);
    fill_option(&mut upper.params, params);
    fill_option(&mut upper.tracing, tracing);
    fill(&mut upper.extra, extra);
}

fn secured(settings: &Object) -> Vec<Value> {
    let secured = settings.get("$secureSettings").and_then(Value::as_array);
    secured.unwrap_or_default().to_vec()
}

fn prepend<T>(upper: &mut Vec<T>, lower: Vec<T>) {
    let own = mem::replace(upper, lower);
    upper.extend(own);
}

fn union<T: PartialEq>(upper: Vec<T>, lower: Vec<T>) -> Vec<T> {
    let mut all = Vec::new();
    for item in upper.into_iter().chain(lower) {
        if !all.contains(&item) {
            all.push(item);
        }
    }
    all
}

/// Adds what is missing, at any depth; null is not missing.
fn fill(upper: &mut Object, lower: Object) {
    for (key, below) in lower {
        match upper.get_mut(&key) {
            Some(above) => fill_value(above, below),
            None => {
                upper.insert(key, below);
            }
        }
    }
}

/// Arrays are filled index by index.
fn fill_value(above: &mut Value, below: Value) {
    match (above, below) {
        (Value::Object(above), Value::Object(below)) => fill(above, below),
        (Value::Array(above), Value::Array(below)) => {
            for (index, below) in below.into_iter().enumerate() {
                match above.get_mut(index) {
                    Some(above) => fill_value(above, below),
                    None => above.push(below),
                }
            }
        }
        (above @ Value::Undefined, below) => *above = below,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{Fallback, Visibility};

    fn check(upper: serde_json::Value, lower: serde_json::Value, expected: serde_json::Value) {
        let (mut filled, lower) = (Value::from(upper), Value::from(lower));
        fill_value(&mut filled, lower);
        assert_eq!(filled, expected.into());
    }

    #[test]
    fn filling_is_deep_and_by_index() {
        check(json!({"a": 1}), json!({"a": 2, "b": 3}), json!({"a": 1, "b": 3}));
        check(json!({"a": {"p": 1}}), json!({"a": {"q": 2}}), json!({"a": {"p": 1, "q": 2}}));
        check(json!(["s"]), json!(["x", "y"]), json!(["s", "y"]));
        check(json!(["s", "t"]), json!(["x"]), json!(["s", "t"]));
        check(json!([{"a": 1}]), json!([{"b": 2}, 3]), json!([{"a": 1, "b": 2}, 3]));
        check(json!({"a": null}), json!({"a": 2}), json!({"a": null}));
        check(json!({"a": [1]}), json!({"a": {"b": 1}}), json!({"a": [1]}));
        check(json!({"a": false}), json!({"a": {"b": 1}}), json!({"a": false}));
    }

    /// A new member does not compile here until it has a value, and then it
    /// has to be inherited.
    #[test]
    fn every_option_is_inherited() {
        let action = ActionDef {
            name: "a".into(),
            raw_name: "a".into(),
            visibility: Visibility::default(),
            timeout: Some(Duration::from_secs(1)),
            retry: Some(RetryPolicy::new().retries(2)),
            circuit_breaker: Some(CircuitBreakerOptions::new().threshold(0.2)),
            bulkhead: Some(BulkheadOptions::new().concurrency(3)),
            detached: true,
            strategy: Some("Random".into()),
            cache: Some(Cache::keys(["id"])),
            params: Some("string".into()),
            tracing: Some(true.into()),
            extra: Object::from([("rest", "GET /")]),
            fallback: Some(Fallback::response(5)),
            schemas: ActionSchemas { result: Some(Arc::new(1.into())), ..Default::default() },
            hooks: Default::default(),
            published: None,
        };
        let mut inherited = ActionDef::new("a");
        fill_action(&mut inherited, action.clone());
        assert_eq!(inherited, action);

        let event = EventDef {
            name: "e".into(),
            group: Some("g".into()),
            debounce: Some(Duration::from_secs(1)),
            throttle: Some(Duration::from_secs(2)),
            bulkhead: Some(BulkheadOptions::off()),
            strategy: Some("Random".into()),
            params: Some("string".into()),
            tracing: Some(true.into()),
            extra: Object::from([("tag", 1)]),
            published: None,
        };
        let mut inherited = EventDef::new("e");
        fill_event(&mut inherited, event.clone());
        assert_eq!(inherited, event);
    }

    #[test]
    fn own_options_win_and_retry_policies_are_filled() {
        let mut upper = ActionDef::new("a");
        upper.timeout = Some(Duration::ZERO);
        upper.retry = Some(RetryPolicy::default().retries(1));
        upper.circuit_breaker = Some(CircuitBreakerOptions::default().threshold(0.1));
        upper.bulkhead = Some(BulkheadOptions::default().max_queue_size(1));
        upper.strategy = Some("Shard".into());
        let mut lower = ActionDef::new("a");
        lower.timeout = Some(Duration::from_secs(1));
        lower.retry = Some(RetryPolicy::new().retries(2).factor(3.0));
        lower.circuit_breaker = Some(CircuitBreakerOptions::new().min_request_count(2));
        lower.bulkhead = Some(BulkheadOptions::new().max_queue_size(2));
        lower.strategy = Some("Random".into());
        fill_action(&mut upper, lower);
        assert_eq!(upper.timeout, Some(Duration::ZERO));
        assert_eq!(upper.retry, Some(RetryPolicy::new().retries(1).factor(3.0)));
        let breaker = CircuitBreakerOptions::new().threshold(0.1).min_request_count(2);
        assert_eq!(upper.circuit_breaker, Some(breaker));
        assert_eq!(upper.bulkhead, Some(BulkheadOptions::new().max_queue_size(1)));
        assert_eq!(upper.strategy, Some("Shard".into()));
    }
}
