//! A call on its way: [`CallFuture`].

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{self, Poll},
};

use futures_util::future::{BoxFuture, ready};

use crate::{Body, Context, Error, FromBody, Result, broker::stopped};

/// A call on its way; dropping it cancels the call.
#[must_use = "a call goes on while its future is polled"]
pub struct CallFuture<R, E = Error> {
    pub(super) state: State,
    pub(super) result: PhantomData<fn() -> (R, E)>,
}

pub(super) enum State {
    Running {
        running: BoxFuture<'static, Result<Body>>,
        /// Kept if somebody needs it afterwards.
        ctx: Option<Context>,
    },
    Failed(Option<Error>),
}

impl<R: FromBody, E: From<Error>> Future for CallFuture<R, E> {
    type Output = Result<R, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let (running, ctx) = match &mut self.state {
            State::Running { running, ctx } => (running, ctx),
            State::Failed(error) => {
                let error = error.take().unwrap_or_else(stopped);
                return Poll::Ready(Err(error.into()));
            }
        };
        let polled = running.as_mut().poll(cx);
        if let (Poll::Ready(_), Some(ctx)) = (&polled, ctx) {
            ctx.merge_into_parent();
        }
        match polled {
            Poll::Ready(Ok(body)) => Poll::Ready(R::from_body(body).map_err(E::from)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl State {
    /// Without what is needed afterwards.
    pub(super) fn into_running(self) -> BoxFuture<'static, Result<Body>> {
        match self {
            Self::Running { running, .. } => running,
            Self::Failed(error) => Box::pin(ready(Err(error.unwrap_or_else(stopped)))),
        }
    }
}

impl<R, E> fmt::Debug for CallFuture<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallFuture")
    }
}
