//! From what is asked for to a chain that runs: [`Request`].

use std::{borrow::Cow, sync::Arc};

use futures_util::future::ready;
use moleculer_protocol::{NodeId, Payload, Value};

use super::{
    CallOptions, Own, Via,
    future::State,
    request::{CallRequest, Seen},
};
use crate::{
    CallFn, Context, Error, ErrorInfo, ErrorKind, Result, ServiceBroker,
    registry::{ActionEndpoint, Lookup},
    strategy::Selection,
};

/// A call but for the type of its result.
pub(super) struct Request<'a> {
    pub(super) via: Option<Via<'a>>,
    /// A client that was given another name makes it anew for each call.
    pub(super) action: Cow<'a, str>,
    pub(super) params: Payload,
    pub(super) options: Option<Box<CallOptions>>,
}

impl Request<'_> {
    /// Finds the endpoint, makes the context and starts the chain. With
    /// `keep` the context is needed afterwards; `seen` gets it when the call
    /// goes through a middleware.
    pub(super) fn start(&mut self, keep: bool, seen: Option<&Seen>) -> State {
        match self.via {
            Some(Via::Broker(broker)) => match self.hook(broker) {
                None => self.run(broker, None, keep),
                Some(hook) => self.run_hooked(hook, None, seen),
            },
            Some(Via::Context(ctx)) => match ctx.broker() {
                Ok(broker) => match self.hook(&broker) {
                    None => self.run_within(&broker, ctx),
                    Some(hook) => self.run_hooked(hook, Some(ctx), seen),
                },
                Err(error) => State::Failed(Some(error)),
            },
            None => State::Failed(Some(Error::internal(format!(
                "nobody makes the call of '{}'; give it to `mcall`, or use `broker.call`",
                self.action
            )))),
        }
    }

    /// What middlewares wrap around the making of calls; a service's own
    /// action is called past them.
    #[inline]
    fn hook<'b>(&self, broker: &'b ServiceBroker) -> Option<&'b CallFn> {
        let hook = broker.inner().hooks.call.as_ref()?;
        let own = self.options.as_ref().is_some_and(|options| options.own.is_some());
        (!own).then_some(hook)
    }

    /// Hands the call over to the middlewares that wrap the making of calls.
    #[cold]
    fn run_hooked(
        &mut self,
        hook: &CallFn,
        parent: Option<&Context>,
        seen: Option<&Seen>,
    ) -> State {
        let request = CallRequest {
            action: (*self.action).into(),
            params: std::mem::take(&mut self.params),
            options: self.options.take().map(|options| *options).unwrap_or_default(),
            parent: parent.cloned(),
            failed: None,
            seen: seen.cloned().unwrap_or_default(),
        };
        State::Running { running: hook(request), ctx: None }
    }

    pub(super) fn run_within(&mut self, broker: &ServiceBroker, parent: &Context) -> State {
        match self.inherit(broker, parent) {
            Ok(()) => self.run(broker, Some(parent), true),
            Err(error) => State::Failed(Some(error)),
        }
    }

    /// Takes over what a call has from the one that makes it.
    fn inherit(&mut self, broker: &ServiceBroker, parent: &Context) -> Result<()> {
        check_level(broker, parent)?;
        let asked = self.options.as_ref().and_then(|options| options.timeout);
        if let Some(timeout) = parent.child_timeout(&self.action, asked)? {
            self.options.get_or_insert_default().timeout = Some(timeout);
        }
        Ok(())
    }

    #[inline]
    pub(super) fn run(
        &mut self,
        broker: &ServiceBroker,
        parent: Option<&Context>,
        keep: bool,
    ) -> State {
        if let Some(own) = self.options.as_mut().and_then(|options| options.own.take()) {
            return self.run_own(own, broker, parent, keep);
        }
        let actions = broker.registry().actions.pin();
        let node = self.options.as_ref().and_then(|options| options.node.clone());
        let found = match &node {
            None if broker.options().disable_balancer && !self.has_stream() => {
                actions.any(&self.action, |one| broker.any_node(one))
            }
            None => actions.choose(&self.action, || {
                let meta = self.options.as_ref().map(|options| &options.meta);
                Selection::of(&self.params, meta, parent)
            }),
            Some(node) => actions.on_node(&self.action, node),
        };
        match found {
            Lookup::Found(endpoint) => self.run_on(endpoint, parent, keep),
            missed => self.fail(broker, missed, node.as_ref()),
        }
    }

    /// The packets of a stream have to reach one node, so this one chooses it.
    fn has_stream(&self) -> bool {
        self.options.as_ref().is_some_and(|options| options.stream.is_some())
    }

    fn run_own(
        &mut self,
        own: Own,
        broker: &ServiceBroker,
        parent: Option<&Context>,
        keep: bool,
    ) -> State {
        let instance = match (own, parent) {
            (Own::Service(instance), _) => instance,
            (Own::OfContext, Some(ctx)) => match ctx.service() {
                Ok(service) => service.instance().clone(),
                Err(error) => return State::Failed(Some(error)),
            },
            (Own::OfContext, None) => return State::Failed(None),
        };
        match broker.registry().own_action(&instance, &self.action) {
            Some(endpoint) => self.run_on(&endpoint, parent, keep),
            None => self.fail::<()>(broker, Lookup::Unknown, Some(broker.node_id())),
        }
    }

    #[inline]
    fn run_on(
        &mut self,
        endpoint: &Arc<ActionEndpoint>,
        parent: Option<&Context>,
        keep: bool,
    ) -> State {
        let chain = match &self.options {
            Some(options) if options.need_full_chain() => &endpoint.full,
            _ => &endpoint.plain,
        };
        let options = self.options.take().map(|options| options.split());
        let params = std::mem::take(&mut self.params);
        let ctx = Context::for_call(endpoint, params, parent, options);
        let kept = keep.then(|| ctx.clone());
        State::Running { running: chain(ctx), ctx: kept }
    }

    /// The call has no endpoint: the error handler has the last word.
    #[cold]
    pub(super) fn fail<T>(
        &self,
        broker: &ServiceBroker,
        missed: Lookup<T>,
        node: Option<&NodeId>,
    ) -> State {
        let error = match missed {
            Lookup::Invalid(error) => error,
            Lookup::Unavailable if node.is_none() => {
                Error::about_action(ErrorKind::ServiceNotAvailable, &self.action, None)
            }
            _ => Error::about_action(ErrorKind::ServiceNotFound, &self.action, node),
        };
        let Some(handler) = &broker.inner().error_handler else {
            return State::Failed(Some(error));
        };
        let info = ErrorInfo::Resolution { action: &self.action, params: &self.params, node };
        State::Running { running: Box::pin(ready(handler.handle(error, &info))), ctx: None }
    }
}

/// Deepest nesting of calls where the options set no limit. A nested call is
/// polled within the one above it, and a stack that overflows ends the process.
const DEEPEST: u32 = 256;

fn check_level(broker: &ServiceBroker, parent: &Context) -> Result<()> {
    let limit = match broker.options().max_call_level {
        0 => DEEPEST,
        limit => limit,
    };
    if parent.level() >= limit {
        let data =
            [("nodeID", Value::from(broker.node_id().as_str())), ("level", parent.level().into())];
        return Err(Error::from_data(ErrorKind::MaxCallLevel, data.into()));
    }
    Ok(())
}
