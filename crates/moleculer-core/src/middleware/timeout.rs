//! The built-in timeout: the first user of the middleware chain.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{ActionSite, Chain, Middleware};
use crate::{ActionFn, Context, Error, ErrorKind, context::Deadline, seldom::Seldom};

/// Limits how long a call may take: what the call asks for, else the action,
/// else the broker. When the time is up the handler's future is dropped.
#[derive(Debug)]
pub(crate) struct Timeout {
    /// The broker option `requestTimeout`; zero for none.
    pub(crate) default: Duration,
}

impl Timeout {
    fn wrap(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        let fallback = site.action.timeout.unwrap_or(self.default);
        if site.chain == Chain::Static && fallback.is_zero() {
            return next;
        }
        let told = Arc::new(Seldom::default());
        Arc::new(move |ctx| {
            let limit = ctx.asked_timeout().unwrap_or(fallback);
            if limit.is_zero() {
                return next(ctx);
            }
            let deadline = Deadline { started: Instant::now(), timeout: limit };
            let deadline = *ctx.extra().deadline.get_or_init(|| deadline);
            let (running, told) = (next(ctx.clone()), told.clone());
            Box::pin(async move {
                match timeout_at(deadline.end(), running).await {
                    Ok(result) => result,
                    Err(_) => Err(expired(&ctx, &told)),
                }
            })
        })
    }
}

fn expired(ctx: &Context, told: &Seldom) -> Error {
    if let Some(untold) = told.count() {
        tracing::warn!(action = ctx.action(), untold, "Request '{}' is timed out.", ctx.action());
    }
    Error::about_action(ErrorKind::RequestTimeout, ctx.action(), Some(&ctx.node_id()))
}

impl Middleware for Timeout {
    fn name(&self) -> &'static str {
        "Timeout"
    }

    fn local_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        self.wrap(next, site)
    }

    fn remote_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        self.wrap(next, site)
    }
}
