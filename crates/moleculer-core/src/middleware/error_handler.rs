//! The global error handler.

use std::{fmt, sync::Arc};

use futures_util::{FutureExt, TryFutureExt};
use moleculer_protocol::{NodeId, Payload};

use super::{ActionSite, EventSite, Middleware};
use crate::{ActionFn, Body, Context, Error, EventFn, Result};

/// What [`BrokerBuilder::error_handler`](crate::BrokerBuilder::error_handler) sets.
#[derive(Clone)]
pub(crate) struct ErrorHandler(Arc<Handle>);

type Handle = dyn Fn(Error, &ErrorInfo<'_>) -> Result<Body> + Send + Sync;

/// Where an error comes from.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ErrorInfo<'a> {
    /// An action failed, here or on another node.
    Action(&'a Context),
    /// An event's handler of this node failed.
    Event(&'a Context),
    /// Nobody offers the action, or the strategy chose none of those who do.
    Resolution {
        /// The action that was called.
        action: &'a str,
        /// The params of the call.
        params: &'a Payload,
        /// The node that was asked for.
        node: Option<&'a NodeId>,
    },
}

impl ErrorHandler {
    pub(crate) fn new(
        handler: impl Fn(Error, &ErrorInfo<'_>) -> Result<Body> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(handler))
    }

    pub(crate) fn handle(&self, error: Error, info: &ErrorInfo<'_>) -> Result<Body> {
        (self.0)(error, info)
    }
}

impl fmt::Debug for ErrorHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErrorHandler")
    }
}

/// Runs the global error handler; without one it wraps nothing.
#[derive(Debug)]
pub(super) struct HandleErrors(pub(super) Option<ErrorHandler>);

impl HandleErrors {
    fn wrap(&self, next: ActionFn) -> ActionFn {
        let Some(handler) = self.0.clone() else {
            return next;
        };
        Arc::new(move |ctx| {
            let handler = handler.clone();
            let running = next(ctx.clone());
            running
                .map(move |result| {
                    result.or_else(|error| handler.handle(error, &ErrorInfo::Action(&ctx)))
                })
                .boxed()
        })
    }
}

impl Middleware for HandleErrors {
    fn name(&self) -> &'static str {
        "ErrorHandler"
    }

    fn local_action(&self, next: ActionFn, _: &ActionSite<'_>) -> ActionFn {
        self.wrap(next)
    }

    fn remote_action(&self, next: ActionFn, _: &ActionSite<'_>) -> ActionFn {
        self.wrap(next)
    }

    fn local_event(&self, next: EventFn, _: &EventSite<'_>) -> EventFn {
        let Some(handler) = self.0.clone() else {
            return next;
        };
        Arc::new(move |ctx| {
            let handler = handler.clone();
            next(ctx.clone())
                .or_else(move |error| async move {
                    handler.handle(error, &ErrorInfo::Event(&ctx)).map(drop)
                })
                .boxed()
        })
    }
}
