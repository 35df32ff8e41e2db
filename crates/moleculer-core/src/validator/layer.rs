//! The built-in middleware that validates params.

use std::{borrow::Cow, sync::Arc};

use futures_util::future::ready;
use moleculer_protocol::{Object, Payload, Value};

use super::{Check, Validator, wrong_rules};
use crate::{
    ActionFn, ActionSite, Context, Error, ErrorKind, EventFn, EventSite, Middleware, Result,
    Service, ServiceBroker,
};

/// Checks the params of actions and events that have rules.
#[derive(Debug)]
pub(crate) struct Validate(pub(crate) Arc<dyn Validator>);

impl Validate {
    fn compile(&self, rules: &Value, target: &Target, service: &str) -> Result<Arc<dyn Check>> {
        let checked = self.0.compile(rules).map(Arc::from);
        checked.map_err(|error| wrong_rules(target.kind, &target.name, service, &error))
    }
}

impl Middleware for Validate {
    fn name(&self) -> &'static str {
        "Validator"
    }

    fn handles(&self) -> &[&'static str] {
        &["params"]
    }

    fn service_creating(&self, _: &ServiceBroker, service: &mut Service) {
        service.show_rules(|rules| {
            let mut definition = Object::new();
            self.0.publish(rules, &mut definition);
            definition
        });
    }

    fn check_action(&self, site: &ActionSite<'_>) -> Result<()> {
        let Some(rules) = &site.action.params else { return Ok(()) };
        self.compile(rules, &Target::action(site), site.service).map(drop)
    }

    fn check_event(&self, site: &EventSite<'_>) -> Result<()> {
        let Some(rules) = &site.event.params else { return Ok(()) };
        self.compile(rules, &Target::event(site), site.service).map(drop)
    }

    fn local_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        let Some(rules) = &site.action.params else { return next };
        let target = Target::action(site);
        let check = self.compile(rules, &target, site.service);
        Arc::new(move |ctx| match validate(&check, &ctx, &target) {
            Ok(()) => next(ctx),
            Err(error) => Box::pin(ready(Err(error))),
        })
    }

    fn local_event(&self, next: EventFn, site: &EventSite<'_>) -> EventFn {
        let Some(rules) = &site.event.params else { return next };
        let target = Target::event(site);
        let check = self.compile(rules, &target, site.service);
        Arc::new(move |ctx| match validate(&check, &ctx, &target) {
            Ok(()) => next(ctx),
            Err(error) => Box::pin(ready(Err(error))),
        })
    }
}

/// Whose params are checked, as items name it.
struct Target {
    kind: &'static str,
    name: Arc<str>,
}

impl Target {
    fn action(site: &ActionSite<'_>) -> Self {
        Self { kind: "action", name: site.action.name.clone() }
    }

    /// Named by the pattern that was subscribed.
    fn event(site: &EventSite<'_>) -> Self {
        Self { kind: "event", name: site.event.name.clone() }
    }
}

/// Checks the params of a call, and replaces them if they were converted.
/// `check` is an error only for a service that was refused.
fn validate(check: &Result<Arc<dyn Check>>, ctx: &Context, target: &Target) -> Result<()> {
    let check = check.as_ref().map_err(Clone::clone)?;
    let payload = ctx.payload();
    let params = match payload.as_value() {
        Some(value) => Cow::Borrowed(value),
        None => Cow::Owned(payload.to_value().map_err(|error| {
            let item = Object::from([("type", "custom"), ("message", &error.to_string())]);
            invalid(vec![item], ctx, target).with_source(error)
        })?),
    };
    let params = if params.is_nullish() { Cow::Owned(Object::new().into()) } else { params };
    match check.check(params, ctx) {
        Ok(None) => {}
        Ok(Some(converted)) => ctx.set_params(Payload::from(converted)),
        Err(items) => return Err(invalid(items, ctx, target)),
    }
    Ok(())
}

/// The error of the reference, whose items say who asked for what.
fn invalid(mut items: Vec<Object>, ctx: &Context, target: &Target) -> Error {
    let node = ctx.node_id();
    for item in &mut items {
        item.insert("nodeID", node.as_str());
        item.insert(target.kind, &*target.name);
    }
    Error::new(ErrorKind::Validation, "Parameters validation error!").with_data(items)
}
