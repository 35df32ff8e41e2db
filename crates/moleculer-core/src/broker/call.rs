//! Calling an action: [`Call`].

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{self, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use moleculer_protocol::{NodeId, Object, PacketId, Payload, Value};

use super::ServiceBroker;
use crate::{
    Body, BodyStream, Context, Error, ErrorKind, FromBody, Result,
    context::Extra,
    registry::{ActionEndpoint, Lookup},
    service::Instance,
    strategy::Selection,
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
#[must_use = "a call is made when it is awaited"]
pub struct Call<'a, R> {
    request: Request<'a>,
    result: PhantomData<fn() -> R>,
}

/// A call but for the type of its result.
struct Request<'a> {
    via: Option<Via<'a>>,
    action: &'a str,
    params: Payload,
    options: Option<Box<CallOptions>>,
}

/// Who makes a call or sends an event.
#[derive(Clone, Copy)]
pub(super) enum Via<'a> {
    Broker(&'a ServiceBroker),
    Context(&'a Context),
}

/// Whose own action is called, past the registry.
pub(crate) enum Own {
    Service(Arc<Instance>),
    /// That of the context in which the call is made.
    OfContext,
}

/// What few calls ask for.
#[derive(Default)]
struct CallOptions {
    own: Option<Own>,
    timeout: Option<Duration>,
    node: Option<NodeId>,
    meta: Object,
    headers: Object,
    request_id: Option<PacketId>,
    stream: Option<BodyStream>,
}

impl<'a, R> Call<'a, R> {
    pub(crate) fn new(action: &'a str, params: Payload) -> Self {
        let request = Request { via: None, action, params, options: None };
        Self { request, result: PhantomData }
    }

    pub(crate) fn on(mut self, broker: &'a ServiceBroker) -> Self {
        self.request.via = Some(Via::Broker(broker));
        self
    }

    pub(crate) fn within(mut self, ctx: &'a Context) -> Self {
        self.request.via = Some(Via::Context(ctx));
        self
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
        self.set(|options| options.stream = Some(stream.into()))
    }

    /// Awaits the metadata and headers as well as the value.
    ///
    /// # Errors
    ///
    /// As the call itself.
    pub async fn with_response(mut self) -> Result<Response<R>>
    where
        R: FromBody,
    {
        let (running, ctx) = match self.request.start(true) {
            State::Running { running, ctx } => (running, ctx),
            State::Failed(error) => return Err(error.unwrap_or_else(super::stopped)),
        };
        let result = running.await;
        if let Some(ctx) = &ctx {
            ctx.merge_into_parent();
        }
        let value = R::from_body(result?)?;
        let (meta, headers) =
            ctx.map(|ctx| (ctx.meta(), ctx.response_headers())).unwrap_or_default();
        Ok(Response { value, meta, headers })
    }
}

impl Request<'_> {
    /// Finds the endpoint, makes the context and starts the chain.
    fn start(&mut self, keep: bool) -> State {
        match self.via {
            Some(Via::Broker(broker)) => self.run(broker, None, keep),
            Some(Via::Context(ctx)) => match self.inherit(ctx) {
                Ok(broker) => self.run(&broker, Some(ctx), true),
                Err(error) => State::Failed(Some(error)),
            },
            None => State::Failed(Some(super::stopped())),
        }
    }

    /// Takes over what a call has from the one that makes it.
    fn inherit(&mut self, parent: &Context) -> Result<ServiceBroker> {
        let broker = parent.broker()?;
        check_level(&broker, parent)?;
        let asked = self.options.as_ref().and_then(|options| options.timeout);
        if let Some(timeout) = parent.child_timeout(self.action, asked)? {
            self.options.get_or_insert_default().timeout = Some(timeout);
        }
        Ok(broker)
    }

    #[inline]
    fn run(&mut self, broker: &ServiceBroker, parent: Option<&Context>, keep: bool) -> State {
        if let Some(own) = self.options.as_mut().and_then(|options| options.own.take()) {
            return self.run_own(own, broker, parent, keep);
        }
        let actions = broker.registry().actions.pin();
        let node = self.options.as_ref().and_then(|options| options.node.clone());
        let found = match &node {
            None => actions.choose(self.action, || {
                let meta = self.options.as_ref().map(|options| &options.meta);
                Selection::of(&self.params, meta, parent)
            }),
            Some(node) => actions.on_node(self.action, node),
        };
        match found {
            Lookup::Found(endpoint) => self.run_on(endpoint, parent, keep),
            Lookup::Unavailable if node.is_none() => {
                self.fail(ErrorKind::ServiceNotAvailable, None)
            }
            Lookup::Invalid(error) => State::Failed(Some(error)),
            _ => self.fail(ErrorKind::ServiceNotFound, node.as_ref()),
        }
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
        match broker.registry().own_action(&instance, self.action) {
            Some(endpoint) => self.run_on(&endpoint, parent, keep),
            None => self.fail(ErrorKind::ServiceNotFound, Some(broker.node_id())),
        }
    }

    #[inline]
    fn run_on(
        &mut self,
        endpoint: &Arc<ActionEndpoint>,
        parent: Option<&Context>,
        keep: bool,
    ) -> State {
        let options = self.options.as_ref();
        let chain = match options.and_then(|options| options.timeout) {
            Some(_) => &endpoint.full,
            None => &endpoint.plain,
        };
        let options = self.options.take().map(|options| options.split());
        let params = std::mem::take(&mut self.params);
        let ctx = Context::for_call(endpoint, params, parent, options);
        let kept = keep.then(|| ctx.clone());
        State::Running { running: chain(ctx), ctx: kept }
    }

    #[cold]
    fn fail(&self, kind: ErrorKind, node: Option<&NodeId>) -> State {
        State::Failed(Some(Error::about_action(kind, self.action, node)))
    }
}

impl CallOptions {
    /// The metadata, and what the context keeps.
    fn split(self) -> (Object, Box<Extra>) {
        let extra = Extra {
            timeout: self.timeout,
            headers: self.headers,
            request_id: self.request_id,
            stream: self.stream.map(|stream| Mutex::new(Some(stream))),
            ..Extra::default()
        };
        (self.meta, Box::new(extra))
    }
}

fn check_level(broker: &ServiceBroker, parent: &Context) -> Result<()> {
    let limit = broker.options().max_call_level;
    if limit > 0 && parent.level() >= limit {
        let data =
            [("nodeID", Value::from(broker.node_id().as_str())), ("level", parent.level().into())];
        return Err(Error::from_data(ErrorKind::MaxCallLevel, data.into()));
    }
    Ok(())
}

impl<R: FromBody> IntoFuture for Call<'_, R> {
    type Output = Result<R>;
    type IntoFuture = CallFuture<R>;

    fn into_future(mut self) -> CallFuture<R> {
        CallFuture { state: self.request.start(false), result: PhantomData }
    }
}

impl<R> fmt::Debug for Call<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("action", &self.request.action)
            .field("params", &self.request.params)
            .finish_non_exhaustive()
    }
}

/// A call on its way; dropping it cancels the call.
#[must_use = "a call goes on while its future is polled"]
pub struct CallFuture<R> {
    state: State,
    result: PhantomData<fn() -> R>,
}

enum State {
    Running {
        running: BoxFuture<'static, Result<Body>>,
        /// Kept if somebody needs it afterwards.
        ctx: Option<Context>,
    },
    Failed(Option<Error>),
}

impl<R: FromBody> Future for CallFuture<R> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Result<R>> {
        let (running, ctx) = match &mut self.state {
            State::Running { running, ctx } => (running, ctx),
            State::Failed(error) => {
                return Poll::Ready(Err(error.take().unwrap_or_else(super::stopped)));
            }
        };
        let polled = running.as_mut().poll(cx);
        if let (Poll::Ready(_), Some(ctx)) = (&polled, ctx) {
            ctx.merge_into_parent();
        }
        match polled {
            Poll::Ready(Ok(body)) => Poll::Ready(R::from_body(body)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<R> fmt::Debug for CallFuture<R> {
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
