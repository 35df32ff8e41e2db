//! Calling an action: [`Call`].

mod client;
mod future;
mod options;
mod request;
mod start;

use std::{
    fmt,
    marker::PhantomData,
    sync::{Arc, Mutex},
    time::Duration,
};

use moleculer_protocol::{NodeId, Object, PacketId, Payload, Value};
use serde::Serialize;

pub use self::{
    client::ClientCalls, future::CallFuture, options::CallOptions, request::CallRequest,
};
use self::{future::State, request::Seen, start::Request};
use super::ServiceBroker;
use crate::{BodyStream, Context, Error, ErrorHook, Fallback, FromBody, Result, service::Instance};

/// A call that is about to be made: `.await` makes it.
///
/// ```no_run
/// # use std::time::Duration;
/// # async fn example(broker: moleculer_core::ServiceBroker) -> moleculer_core::Result<()> {
/// let sum: i64 = broker
///     .call("math.add", serde_json::json!({ "a": 1, "b": 2 }))
///     .timeout(Duration::from_secs(1))
///     .node("node-2")
///     .await?;
/// # Ok(()) }
/// ```
///
/// Of the reference's calling options, `parentCtx` is whose `call` is used (a
/// [`Context`]'s or a broker's), and `ctx` and `paramsCloning` have no meaning:
/// each call makes its context, whose params are shared and never change. Not
/// there yet is `parentSpan`.
#[must_use = "a call is made when it is awaited"]
pub struct Call<'a, R, E = Error> {
    request: Request<'a>,
    result: PhantomData<fn() -> (R, E)>,
}

/// Who makes a call or sends an event.
///
/// What is called with a context is part of the call that the context belongs
/// to: it takes over request id, level, caller, metadata and deadline.
#[derive(Clone, Copy, Debug)]
pub enum Via<'a> {
    /// Begins a chain of calls.
    Broker(&'a ServiceBroker),
    /// Goes on with one.
    Context(&'a Context),
}

/// Whose own action is called, past the registry.
#[derive(Clone)]
pub(crate) enum Own {
    Service(Arc<Instance>),
    /// That of the context in which the call is made.
    OfContext,
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Own")
    }
}

impl<'a, R> Call<'a, R> {
    /// A call that nobody makes yet, for
    /// [`ServiceBroker::mcall`](crate::ServiceBroker::mcall).
    pub fn to(action: &'a str, params: impl Serialize + Send + Sync + 'static) -> Self {
        Self::new(action, Payload::new(params))
    }

    pub(crate) fn new(action: &'a str, params: Payload) -> Self {
        let request = Request { via: None, action: action.into(), params, options: None };
        Self { request, result: PhantomData }
    }
}

impl<'a, R, E> Call<'a, R, E> {
    /// Awaits errors of a type of its own, for example an enum that derives
    /// `ActionError`.
    ///
    /// ```
    /// # use moleculer_core::{Error, ServiceBroker};
    /// #[derive(Debug)]
    /// enum PostError {
    ///     NotFound,
    ///     Other(Error),
    /// }
    ///
    /// impl From<Error> for PostError {
    ///     fn from(error: Error) -> Self {
    ///         match error.r#type() {
    ///             Some("POST_NOT_FOUND") => Self::NotFound,
    ///             _ => Self::Other(error),
    ///         }
    ///     }
    /// }
    ///
    /// # async fn example(broker: ServiceBroker) -> Result<(), PostError> {
    /// let call = broker.call("posts.title", 5).typed_error::<PostError>();
    /// let title = match call.await {
    ///     Err(PostError::NotFound) => String::from("untitled"),
    ///     other => other?,
    /// };
    /// # Ok(()) }
    /// ```
    pub fn typed_error<F: From<Error>>(self) -> Call<'a, R, F> {
        Call { request: self.request, result: PhantomData }
    }

    pub(crate) fn on(mut self, broker: &'a ServiceBroker) -> Self {
        self.request.via = Some(Via::Broker(broker));
        self
    }

    pub(crate) fn within(mut self, ctx: &'a Context) -> Self {
        self.request.via = Some(Via::Context(ctx));
        self
    }

    pub(super) fn via(mut self, via: Via<'a>) -> Self {
        self.request.via.get_or_insert(via);
        self
    }

    pub(super) fn action(&self) -> &str {
        &self.request.action
    }

    /// Takes options over, unless it has some.
    pub(super) fn default_options(self, options: &CallOptions) -> Self {
        if self.request.options.is_some() { self } else { self.options(options.clone()) }
    }

    fn set(mut self, set: impl FnOnce(&mut CallOptions)) -> Self {
        set(self.request.options.get_or_insert_default());
        self
    }

    pub(crate) fn own(self, own: Own) -> Self {
        self.set(|options| options.own = Some(own))
    }

    /// Limits how long the call may take; zero for no limit. Default: the
    /// action's timeout, else the broker's.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.set(|options| options.timeout = Some(timeout))
    }

    /// Limits how often the call is made again when it fails; zero for never.
    /// It counts only where calls are retried at all: see
    /// [`RetryPolicy`](crate::RetryPolicy).
    pub fn retries(self, retries: u32) -> Self {
        self.set(|options| options.retries = Some(retries))
    }

    /// Calls the action of this node, whatever the balance says.
    pub fn node(self, node: impl Into<NodeId>) -> Self {
        self.set(|options| options.node = Some(node.into()))
    }

    /// Adds members to the metadata of the call.
    pub fn meta(self, meta: impl Into<Object>) -> Self {
        self.set(|options| options.meta.merge(meta.into()))
    }

    /// Adds a header; it reaches the callee only. Protocol 5.
    pub fn header(self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.set(|options| {
            options.headers.insert(key, value);
        })
    }

    /// Sets the id of the whole chain of calls. Default: the id of the root call.
    pub fn request_id(self, id: impl Into<PacketId>) -> Self {
        self.set(|options| options.request_id = Some(id.into()))
    }

    /// Sends a stream along with the params: a
    /// [`ByteStream`](crate::ByteStream) or an
    /// [`ObjectStream`](crate::ObjectStream). The handler pulls it; it is
    /// dropped with the call.
    pub fn stream(self, stream: impl Into<BodyStream>) -> Self {
        let stream = stream.into();
        self.set(|options| options.stream = Some(Arc::new(Mutex::new(Some(stream)))))
    }

    /// Sets who makes the call, instead of the service of the calling
    /// context.
    pub fn caller(self, caller: impl Into<Arc<str>>) -> Self {
        self.set(|options| options.caller = Some(caller.into()))
    }

    /// Sets whether a stop waits for this call. Default: the broker option
    /// `tracking`.
    pub fn tracking(self, tracked: bool) -> Self {
        self.set(|options| options.tracking = Some(tracked))
    }

    /// Sets what answers the call when it fails: an async function that gets
    /// the error as its last argument, after what it takes from the context
    /// of the call. It is asked once, when the call is not retried any more,
    /// and not when nobody offers the action.
    ///
    /// ```no_run
    /// # use moleculer_core::{Error, Result};
    /// # async fn example(broker: moleculer_core::ServiceBroker) -> Result<()> {
    /// let stars: u32 = broker
    ///     .call("ratings.of", "alice")
    ///     .fallback(|error: Error| async move {
    ///         if error.retryable() { Ok(0) } else { Err(error) }
    ///     })
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn fallback<Args: 'static>(self, handler: impl ErrorHook<Args, ()>) -> Self {
        self.set(|options| options.fallback = Some(Fallback::new(handler)))
    }

    /// Answers the call with a value when it fails: see
    /// [`fallback`](Self::fallback).
    pub fn fallback_response(self, value: impl Serialize + Send + Sync + 'static) -> Self {
        self.set(|options| options.fallback = Some(Fallback::response(value)))
    }

    /// Sets all options at once, but not the stream.
    pub fn options(self, all: CallOptions) -> Self {
        self.set(|options| {
            let (stream, own) = (options.stream.take(), options.own.take());
            *options = CallOptions { stream, own, ..all };
        })
    }

    /// Awaits the metadata and headers as well as the value.
    ///
    /// # Errors
    ///
    /// As the call itself.
    pub async fn with_response(self) -> Result<Response<R>, E>
    where
        R: FromBody,
        E: From<Error>,
    {
        self.respond().await.map_err(E::from)
    }

    async fn respond(mut self) -> Result<Response<R>>
    where
        R: FromBody,
    {
        let seen = Seen::default();
        let (running, ctx) = match self.request.start(true, Some(&seen)) {
            State::Running { running, ctx } => (running, ctx),
            State::Failed(error) => return Err(error.unwrap_or_else(super::stopped)),
        };
        let result = running.await;
        if let Some(ctx) = &ctx {
            ctx.merge_into_parent();
        }
        let value = R::from_body(result?)?;
        let (meta, headers) = ctx
            .as_ref()
            .or_else(|| seen.get())
            .map(|ctx| (ctx.meta(), ctx.response_headers()))
            .unwrap_or_default();
        Ok(Response { value, meta, headers })
    }
}

impl<R: FromBody, E: From<Error>> IntoFuture for Call<'_, R, E> {
    type Output = Result<R, E>;
    type IntoFuture = CallFuture<R, E>;

    fn into_future(mut self) -> CallFuture<R, E> {
        CallFuture { state: self.request.start(false, None), result: PhantomData }
    }
}

impl<R, E> fmt::Debug for Call<'_, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("action", &self.request.action)
            .field("params", &self.request.params)
            .finish_non_exhaustive()
    }
}

/// A result with what came along: see [`Call::with_response`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Response<R> {
    /// The result.
    pub value: R,
    /// The metadata, as the callee left it.
    pub meta: Object,
    /// The headers of the response.
    pub headers: Object,
}

impl Via<'_> {
    /// The broker and the context that a child inherits from.
    pub(super) fn resolve(self) -> Result<(ServiceBroker, Option<Context>)> {
        match self {
            Self::Broker(broker) => Ok((broker.clone(), None)),
            Self::Context(ctx) => Ok((ctx.broker()?, Some(ctx.clone()))),
        }
    }
}
