//! Calling an action: [`Call`].

mod client;
mod request;

use std::{
    borrow::Cow,
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{self, Poll},
    time::Duration,
};

use futures_util::future::{BoxFuture, ready};
use moleculer_protocol::{NodeId, Object, PacketId, Payload, Value};
use serde::Serialize;

use self::request::Seen;
pub use self::{client::ClientCalls, request::CallRequest};
use super::ServiceBroker;
use crate::{
    Body, BodyStream, CallFn, Context, Error, ErrorHook, ErrorInfo, ErrorKind, Fallback, FromBody,
    Result,
    context::Extra,
    registry::{ActionEndpoint, Lookup},
    service::Instance,
    strategy::Selection,
    sync::lock,
};

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

/// A call but for the type of its result.
struct Request<'a> {
    via: Option<Via<'a>>,
    /// A client that was given another name makes it anew for each call.
    action: Cow<'a, str>,
    params: Payload,
    options: Option<Box<CallOptions>>,
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

/// What a call may ask for; the methods of [`Call`] set it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CallOptions {
    /// See [`Call::timeout`].
    pub timeout: Option<Duration>,
    /// See [`Call::retries`].
    pub retries: Option<u32>,
    /// See [`Call::node`].
    pub node: Option<NodeId>,
    /// See [`Call::meta`].
    pub meta: Object,
    /// See [`Call::header`].
    pub headers: Object,
    /// See [`Call::request_id`].
    pub request_id: Option<PacketId>,
    /// See [`Call::caller`].
    pub caller: Option<Arc<str>>,
    /// See [`Call::tracking`].
    pub tracking: Option<bool>,
    /// See [`Call::fallback`].
    pub fallback: Option<Fallback>,
    pub(crate) stream: StreamSlot,
    pub(crate) own: Option<Own>,
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

impl Request<'_> {
    /// Finds the endpoint, makes the context and starts the chain. With
    /// `keep` the context is needed afterwards; `seen` gets it when the call
    /// goes through a middleware.
    fn start(&mut self, keep: bool, seen: Option<&Seen>) -> State {
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

    fn run_within(&mut self, broker: &ServiceBroker, parent: &Context) -> State {
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
    fn run(&mut self, broker: &ServiceBroker, parent: Option<&Context>, keep: bool) -> State {
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
    fn fail<T>(&self, broker: &ServiceBroker, missed: Lookup<T>, node: Option<&NodeId>) -> State {
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

/// A stream goes to the first context that is made for the call; who makes
/// the call again has none.
pub(crate) type StreamSlot = Option<Arc<Mutex<Option<BodyStream>>>>;

fn take_stream(slot: &StreamSlot) -> Option<BodyStream> {
    lock(slot.as_ref()?).take()
}

impl CallOptions {
    /// Whether layers have something to do that do nothing by default.
    const fn need_full_chain(&self) -> bool {
        self.timeout.is_some() || self.tracking.is_some() || self.fallback.is_some()
    }

    /// The metadata, and what the context keeps.
    pub(crate) fn split(self) -> (Object, Box<Extra>) {
        let extra = Extra {
            timeout: self.timeout,
            retries: self.retries,
            node: self.node,
            tracking: self.tracking,
            fallback: self.fallback,
            headers: self.headers,
            request_id: self.request_id,
            caller: self.caller,
            stream: take_stream(&self.stream).map(|stream| Mutex::new(Some(stream))),
            ..Extra::default()
        };
        (self.meta, Box::new(extra))
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

/// A call on its way; dropping it cancels the call.
#[must_use = "a call goes on while its future is polled"]
pub struct CallFuture<R, E = Error> {
    state: State,
    result: PhantomData<fn() -> (R, E)>,
}

enum State {
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
                let error = error.take().unwrap_or_else(super::stopped);
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
    fn into_running(self) -> BoxFuture<'static, Result<Body>> {
        match self {
            Self::Running { running, .. } => running,
            Self::Failed(error) => Box::pin(ready(Err(error.unwrap_or_else(super::stopped)))),
        }
    }
}

impl<R, E> fmt::Debug for CallFuture<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallFuture")
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
