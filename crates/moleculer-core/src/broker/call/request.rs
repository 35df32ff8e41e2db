//! A call that middlewares wrap, or that is made again: [`CallRequest`].

use std::sync::{Arc, OnceLock};

use futures_util::future::{BoxFuture, ready};
use moleculer_protocol::{NodeId, Payload};

use super::{CallOptions, future::State, start::Request};
use crate::{
    Body, Context, Result, ServiceBroker, Visibility,
    registry::{ActionEndpoint, Lookup},
    strategy::Selection,
};

/// A call on its way through the middlewares that wrap the making of calls:
/// see [`Middleware::call`](crate::Middleware::call).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CallRequest {
    /// Full name of the action.
    pub action: Arc<str>,
    /// The params.
    pub params: Payload,
    /// What the call asks for.
    pub options: CallOptions,
    /// The context that makes the call.
    pub parent: Option<Context>,
    /// Set when the call is made again: the attempt before.
    pub(super) failed: Option<Context>,
    pub(super) seen: Seen,
}

impl ServiceBroker {
    /// Makes the call of a failed context once more, through the balancer and
    /// with all layers. What it leaves in the metadata goes to that context.
    pub(crate) fn call_again(
        &self,
        failed: &Context,
        params: Payload,
    ) -> BoxFuture<'static, Result<Body>> {
        let request = CallRequest {
            action: failed.action().into(),
            params,
            options: failed.call_options(),
            parent: failed.parent().cloned(),
            failed: Some(failed.clone()),
            seen: Seen::default(),
        };
        match &self.0.hooks.call {
            None => request.run(self),
            Some(hook) => hook(request),
        }
    }
}

/// Gets the context of a call once there is one.
pub(super) type Seen = Arc<OnceLock<Context>>;

impl CallRequest {
    /// The innermost layer: makes the call.
    pub(in crate::broker) fn run(
        mut self,
        broker: &ServiceBroker,
    ) -> BoxFuture<'static, Result<Body>> {
        if let Some(failed) = self.failed.take() {
            return self.run_again(broker, failed);
        }
        let mut request = Request {
            via: None,
            action: (&*self.action).into(),
            params: self.params,
            options: Some(Box::new(self.options)),
        };
        let started = match &self.parent {
            Some(parent) => request.run_within(broker, parent),
            None => request.run(broker, None, true),
        };
        match started {
            State::Running { running, ctx: Some(ctx) } => {
                // A middleware may make the call again; the first one is seen.
                self.seen.get_or_init(|| ctx.clone());
                Box::pin(async move {
                    let result = running.await;
                    ctx.merge_into_parent();
                    result
                })
            }
            other => other.into_running(),
        }
    }
}

impl CallRequest {
    fn run_again(
        self,
        broker: &ServiceBroker,
        failed: Context,
    ) -> BoxFuture<'static, Result<Body>> {
        let Self { action, params, mut options, parent, .. } = self;
        if let Some(parent) = &parent {
            match parent.child_timeout(&action, options.timeout) {
                Ok(timeout) => options.timeout = timeout,
                Err(error) => return Box::pin(ready(Err(error))),
            }
        }
        let node = options.node.clone();
        let selection = Selection::of(&params, Some(&options.meta), parent.as_ref());
        match find(broker, &action, node.as_ref(), &failed, &selection) {
            Lookup::Found(endpoint) => start_again(&endpoint, failed, params, options),
            missed => {
                let request =
                    Request { via: None, action: (&*action).into(), params, options: None };
                request.fail(broker, missed, node.as_ref()).into_running()
            }
        }
    }
}

fn start_again(
    endpoint: &Arc<ActionEndpoint>,
    failed: Context,
    params: Payload,
    options: CallOptions,
) -> BoxFuture<'static, Result<Body>> {
    let chain = if options.need_full_chain() { &endpoint.full } else { &endpoint.plain };
    let ctx = failed.again(endpoint, params, options);
    let running = chain(ctx.clone());
    Box::pin(async move {
        let result = running.await;
        failed.take_over(&ctx);
        result
    })
}

/// The endpoint for another attempt.
fn find(
    broker: &ServiceBroker,
    action: &str,
    node: Option<&NodeId>,
    failed: &Context,
    selection: &Selection<'_>,
) -> Lookup<Arc<ActionEndpoint>> {
    // A private action is in no list.
    let own = failed.action_endpoint();
    if let Some(own) = own.filter(|own| own.def.visibility == Visibility::Private) {
        return Lookup::Found(own.clone());
    }
    let actions = broker.registry().actions.pin();
    let found = match node {
        None if broker.options().disable_balancer => {
            actions.any(action, |one| broker.any_node(one))
        }
        None => actions.choose(action, || *selection),
        Some(node) => actions.on_node(action, node),
    };
    match found {
        Lookup::Found(endpoint) => Lookup::Found(endpoint.clone()),
        Lookup::Unavailable => Lookup::Unavailable,
        Lookup::Unknown => Lookup::Unknown,
        Lookup::Invalid(error) => Lookup::Invalid(error),
    }
}
