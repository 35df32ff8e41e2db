//! The built-in middleware that validates params.

use std::sync::Arc;

use futures_util::future::ready;
use moleculer_protocol::{DecodeError, Object, Payload, Value};

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

/// Checks the params of a call, and changes them if the rules say so. `check`
/// is an error only for a service that was refused.
fn validate(check: &Result<Arc<dyn Check>>, ctx: &Context, target: &Target) -> Result<()> {
    let check = check.as_ref().map_err(Clone::clone)?;
    // Out of the context, since nobody else may hold what is changed in place.
    let mut payload = ctx.handler_payload()?;
    let checked = check_payload(&**check, &mut payload, ctx);
    ctx.give_back_params(payload);
    checked.map_err(|Wrong { items, source }| {
        let error = invalid(items, ctx, target);
        source.into_iter().fold(error, Error::with_source)
    })
}

/// Why params are refused.
struct Wrong {
    items: Vec<Object>,
    source: Option<DecodeError>,
}

fn check_payload(check: &dyn Check, payload: &mut Payload, ctx: &Context) -> Result<(), Wrong> {
    let sanitizes = check.sanitizes();
    match payload.as_value() {
        Some(params) if !sanitizes => return Ok(check.check(params, ctx)?),
        _ => {}
    }
    if sanitizes && let Some(params) = payload.as_value_mut() {
        check.sanitize(params, ctx)?;
        return Ok(());
    }
    let mut params = payload.to_value()?;
    if params.is_nullish() {
        params = Object::new().into();
    }
    if !sanitizes {
        check.check(&params, ctx)?;
    } else if check.sanitize(&mut params, ctx)? {
        *payload = params.into();
    }
    Ok(())
}

impl From<Vec<Object>> for Wrong {
    fn from(items: Vec<Object>) -> Self {
        Self { items, source: None }
    }
}

impl From<DecodeError> for Wrong {
    fn from(error: DecodeError) -> Self {
        let item = Object::from([("type", "custom"), ("message", &error.to_string())]);
        Self { items: vec![item], source: Some(error) }
    }
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
