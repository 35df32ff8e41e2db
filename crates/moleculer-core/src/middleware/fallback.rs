//! The built-in fallback: [`Fallback`].

use std::{fmt, sync::Arc};

use futures_util::future::{BoxFuture, ready};
use moleculer_protocol::Payload;
use serde::Serialize;

use super::{ActionSite, Chain, Middleware};
use crate::{ActionFn, Body, Context, Error, ErrorHook, Result};

/// What answers a call in place of an error.
///
/// Of a call it is set with [`Call::fallback`](crate::Call::fallback) and
/// [`Call::fallback_response`](crate::Call::fallback_response), of an action
/// with [`Action::fallback`](crate::Action::fallback); that of the call goes
/// before that of the action.
#[derive(Clone)]
pub struct Fallback(Arc<Answer>);

type Answer = dyn Fn(Context, Error) -> BoxFuture<'static, Result<Body>> + Send + Sync;

impl Fallback {
    /// An async function that gets the error as its last argument, after what
    /// it takes from the context of the call.
    pub fn new<Args: 'static>(handler: impl ErrorHook<Args, ()>) -> Self {
        Self::from_fn(move |ctx, error| handler.call(ctx, error, &()))
    }

    /// Always the same value.
    pub fn response(value: impl Serialize + Send + Sync + 'static) -> Self {
        let value = Payload::new(value);
        Self::from_fn(move |_, _| Box::pin(ready(Ok(Body::Payload(value.clone())))))
    }

    pub(crate) fn from_fn(
        answer: impl Fn(Context, Error) -> BoxFuture<'static, Result<Body>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(answer))
    }
}

impl fmt::Debug for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fallback")
    }
}

/// The same function, not an equal one: functions cannot be compared.
impl PartialEq for Fallback {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Answers failed calls. The fallback of an action counts on its own node
/// alone, that of a call where the call is made.
#[derive(Debug)]
pub(super) struct FallBack;

impl FallBack {
    fn wrap(next: ActionFn, chain: Chain, of_action: Option<&Fallback>) -> ActionFn {
        if chain == Chain::Static && of_action.is_none() {
            return next;
        }
        let of_action = of_action.cloned();
        Arc::new(move |ctx| {
            let Some(fallback) = ctx.fallback().or(of_action.as_ref()).cloned() else {
                return next(ctx);
            };
            let params = ctx.payload();
            let running = next(ctx.clone());
            Box::pin(async move {
                match running.await {
                    // Another attempt of the same call may have asked already.
                    Err(error) if !ctx.fallback_result() => {
                        ctx.set_fallback_result();
                        ctx.give_back_params(params);
                        (fallback.0)(ctx, error).await
                    }
                    done => done,
                }
            })
        })
    }
}

impl Middleware for FallBack {
    fn name(&self) -> &'static str {
        "Fallback"
    }

    fn local_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        Self::wrap(next, site.chain, site.action.fallback.as_ref())
    }

    fn remote_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        Self::wrap(next, site.chain, None)
    }
}
