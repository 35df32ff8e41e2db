//! Calling an action: [`Call`].

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use moleculer_protocol::{NodeId, Object, PacketId, Payload, Value};

use super::ServiceBroker;
use crate::{
    Body, Context, Error, ErrorKind, FromBody, Result,
    context::Extra,
    registry::{ActionEndpoint, Lookup},
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
    via: Option<Via<'a>>,
    action: &'a str,
    params: Payload,
    options: Option<Box<CallOptions>>,
    result: PhantomData<fn() -> R>,
}

/// Who makes a call or sends an event.
#[derive(Clone, Copy)]
pub(super) enum Via<'a> {
    Broker(&'a ServiceBroker),
    Context(&'a Context),
}

/// What few calls ask for.
#[derive(Default)]
struct CallOptions {
    timeout: Option<Duration>,
    node: Option<NodeId>,
    meta: Object,
    headers: Object,
    request_id: Option<PacketId>,
}

impl<'a, R> Call<'a, R> {
    pub(crate) fn new(action: &'a str, params: Payload) -> Self {
        Self {
            via: None,
            action,
            params,
            options: None,
            result: PhantomData,
        }
    }

    pub(super) fn on(mut self, broker: &'a ServiceBroker) -> Self {
        self.via = Some(Via::Broker(broker));
        self
    }

    pub(crate) fn within(mut self, ctx: &'a Context) -> Self {
        self.via = Some(Via::Context(ctx));
        self
    }

    fn set(mut self, set: impl FnOnce(&mut CallOptions)) -> Self {
        set(self.options.get_or_insert_default());
        self
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

    /// Awaits the metadata and headers as well as the value.
    ///
    /// # Errors
    ///
    /// As the call itself.
    pub async fn with_response(self) -> Result<Response<R>>
    where
        R: FromBody,
    {
        let Prepared {
            ctx,
            running,
            parent,
        } = self.prepare(true)?;
        let result = running.await;
        if let (Some(parent), Some(ctx)) = (&parent, &ctx) {
            parent.merge_meta(ctx.meta());
        }
        let value = R::from_body(result?)?;
        let (meta, headers) = ctx
            .map(|ctx| (ctx.meta(), ctx.response_headers()))
            .unwrap_or_default();
        Ok(Response {
            value,
            meta,
            headers,
        })
    }

    /// Finds the endpoint, makes the context and starts the chain.
    fn prepare(self, keep_context: bool) -> Result<Prepared> {
        match self.via {
            Some(Via::Broker(broker)) => self.start(broker, None, keep_context),
            Some(Via::Context(ctx)) => self.start(&ctx.broker()?, Some(ctx), true),
            None => Err(super::stopped()),
        }
    }

    fn start(
        mut self,
        broker: &ServiceBroker,
        parent: Option<&Context>,
        keep: bool,
    ) -> Result<Prepared> {
        if let Some(parent) = parent {
            check_level(broker, parent)?;
            let asked = self.options.as_ref().and_then(|options| options.timeout);
            if let Some(timeout) = parent.child_timeout(self.action, asked)? {
                self.options.get_or_insert_default().timeout = Some(timeout);
            }
        }
        let node = self
            .options
            .as_mut()
            .and_then(|options| options.node.take());
        let (action, params, options) = (self.action, self.params, self.options);
        let run = |endpoint: &Arc<ActionEndpoint>| {
            let full = options
                .as_ref()
                .is_some_and(|options| options.timeout.is_some());
            let options = options.map(|options| options.split());
            let ctx = Context::for_call(endpoint, params, parent, options);
            let kept = keep.then(|| ctx.clone());
            let chain = if full {
                &endpoint.full
            } else {
                &endpoint.plain
            };
            Prepared {
                running: chain(ctx),
                ctx: kept,
                parent: parent.cloned(),
            }
        };
        let actions = &broker.registry().actions;
        let found = match &node {
            None => actions.choose(action, run),
            Some(node) => actions.on_node(action, node, run),
        };
        let kind = match found {
            Lookup::Found(prepared) => return Ok(prepared),
            Lookup::Unavailable if node.is_none() => ErrorKind::ServiceNotAvailable,
            Lookup::Unavailable | Lookup::Unknown => ErrorKind::ServiceNotFound,
        };
        Err(Error::about_action(kind, action, node.as_ref()))
    }
}

impl CallOptions {
    /// The metadata, and what the context keeps.
    fn split(self) -> (Object, Box<Extra>) {
        let extra = Extra {
            timeout: self.timeout,
            headers: self.headers,
            request_id: self.request_id,
            ..Extra::default()
        };
        (self.meta, Box::new(extra))
    }
}

/// A call on its way.
struct Prepared {
    running: BoxFuture<'static, Result<Body>>,
    ctx: Option<Context>,
    parent: Option<Context>,
}

fn check_level(broker: &ServiceBroker, parent: &Context) -> Result<()> {
    let limit = broker.options().max_call_level;
    if limit > 0 && parent.level() >= limit {
        let data = [
            ("nodeID", Value::from(broker.node_id().as_str())),
            ("level", parent.level().into()),
        ];
        return Err(Error::from_data(ErrorKind::MaxCallLevel, data.into()));
    }
    Ok(())
}

impl<R: FromBody> IntoFuture for Call<'_, R> {
    type Output = Result<R>;
    type IntoFuture = CallFuture<R>;

    fn into_future(self) -> CallFuture<R> {
        let state = match self.prepare(false) {
            Ok(prepared) => State::Running(prepared),
            Err(error) => State::Failed(Some(error)),
        };
        CallFuture {
            state,
            result: PhantomData,
        }
    }
}

impl<R> fmt::Debug for Call<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("action", &self.action)
            .field("params", &self.params)
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
    Failed(Option<Error>),
    Running(Prepared),
}

impl<R: FromBody> Future for CallFuture<R> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Result<R>> {
        let prepared = match &mut self.state {
            State::Failed(error) => {
                return Poll::Ready(Err(error.take().unwrap_or_else(super::stopped)));
            }
            State::Running(prepared) => prepared,
        };
        let Poll::Ready(result) = prepared.running.as_mut().poll(cx) else {
            return Poll::Pending;
        };
        if let (Some(parent), Some(ctx)) = (&prepared.parent, &prepared.ctx) {
            parent.merge_meta(ctx.meta());
        }
        Poll::Ready(result.and_then(R::from_body))
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
