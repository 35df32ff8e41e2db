//! The built-in circuit breaker: counts what becomes of calls, and keeps the
//! balancer from endpoints that fail (ADR 0027).

mod circuit;
mod options;

use std::sync::Arc;

use futures_util::future::ready;
use tokio::{runtime::Handle, time::Instant};

use self::circuit::Entry;
pub(crate) use self::circuit::{Circuit, State};
pub use self::options::CircuitBreakerOptions;
use super::{ActionSite, Middleware};
use crate::{ActionFn, Body, Context, Error, ErrorKind, Result};

/// Watches calls whose endpoints have a circuit.
#[derive(Debug)]
pub(super) struct CircuitBreaker {
    pub(super) default: CircuitBreakerOptions,
}

impl CircuitBreaker {
    fn wrap(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        let action = site.action.circuit_breaker.clone().unwrap_or_default();
        if action.or(self.default.clone()).effective().is_none() {
            return next;
        }
        Arc::new(move |ctx| {
            let Some(entry) = circuit(&ctx).map(|circuit| circuit.enter(&ctx)) else {
                return next(ctx);
            };
            let probe = match entry {
                Entry::Refused => return Box::pin(ready(Err(refused(&ctx)))),
                Entry::Call => false,
                Entry::Probe => true,
            };
            let watched = Watched { ctx: Some(ctx.clone()), probe };
            let running = next(ctx);
            Box::pin(async move {
                let watched = watched;
                let result = running.await;
                watched.ended(&result);
                result
            })
        })
    }
}

impl Middleware for CircuitBreaker {
    fn name(&self) -> &'static str {
        "CircuitBreaker"
    }

    fn local_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        self.wrap(next, site)
    }

    fn remote_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        self.wrap(next, site)
    }
}

fn circuit(ctx: &Context) -> Option<&Arc<Circuit>> {
    ctx.action_endpoint()?.limits.circuit.as_ref()
}

/// As if the balancer had seen in time that the circuit is open.
#[cold]
fn refused(ctx: &Context) -> Error {
    Error::about_action(ErrorKind::ServiceNotAvailable, ctx.action(), None)
}

/// A call that goes on, until its end is told.
struct Watched {
    ctx: Option<Context>,
    probe: bool,
}

impl Watched {
    fn ended(mut self, result: &Result<Body>) {
        let Some(ctx) = self.ctx.take() else { return };
        let Some(circuit) = circuit(&ctx) else { return };
        match result {
            Ok(_) => circuit.succeeded(&ctx, self.probe),
            Err(error) if circuit.policy.counts(error) && is_of(error, &ctx) => {
                circuit.failed(&ctx, self.probe);
            }
            Err(_) => {}
        }
    }
}

/// Whether the error comes from the endpoint itself, not from a node further on.
fn is_of(error: &Error, ctx: &Context) -> bool {
    error.node_id().is_none_or(|node| *node == ctx.node_id())
}

/// Nobody waits for the call any more. When its time is up it has failed; who
/// went away earlier says nothing about the endpoint.
impl Drop for Watched {
    fn drop(&mut self) {
        let Some(ctx) = self.ctx.take() else { return };
        let late = ctx.deadline().is_some_and(|deadline| deadline.end() <= Instant::now());
        // Without a runtime nobody is left who calls, and no timer.
        if late
            && Handle::try_current().is_ok()
            && let Some(circuit) = circuit(&ctx)
            && circuit.policy.counts_timeout(ctx.action())
        {
            circuit.failed(&ctx, self.probe);
        }
    }
}
