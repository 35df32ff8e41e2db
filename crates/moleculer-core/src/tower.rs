//! `tower` layers as middlewares, actions as `tower` services; feature `tower`.

use std::{
    error::Error as StdError,
    fmt,
    future::poll_fn,
    marker::PhantomData,
    sync::{Arc, Mutex},
    task::{self, Poll},
};

use futures_util::future::BoxFuture;
use serde::Serialize;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    ActionFn, ActionSite, Body, CallFuture, Chain, Context, Error, ErrorKind, FromBody, Middleware,
    Result, ServiceBroker, sync::lock,
};

/// A [`tower::Layer`](Layer) as a middleware around actions.
///
/// The layer makes one service for each action, which all its calls share. An
/// error of the layer's own becomes a `MoleculerError` with that error as its
/// source.
///
/// ```
/// use moleculer_core::{BrokerBuilder, Plugins, TowerLayer};
/// use tower::limit::ConcurrencyLimitLayer;
///
/// let broker = BrokerBuilder::new(Plugins::core())
///     .middleware(TowerLayer::local(ConcurrencyLimitLayer::new(10)));
/// ```
pub struct TowerLayer<L: Layer<ActionService>> {
    layer: L,
    local: bool,
    /// The service of the static chain, for the full chain of the same action.
    made: Mutex<Option<(Arc<str>, L::Service)>>,
}

/// A call of an action as a `tower` request.
#[derive(Clone)]
pub struct ActionCall {
    /// The context of the call.
    pub context: Context,
    next: ActionFn,
}

/// The innermost `tower` service: runs the action.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ActionService;

impl<L: Layer<ActionService>> TowerLayer<L> {
    /// Around the actions of this node.
    pub const fn local(layer: L) -> Self {
        Self { layer, local: true, made: Mutex::new(None) }
    }

    /// Around calls to the actions of other nodes.
    pub const fn remote(layer: L) -> Self {
        Self { layer, local: false, made: Mutex::new(None) }
    }

    /// The service of an action. The static chain is built first, the full
    /// one right after it.
    fn service(&self, site: &ActionSite<'_>) -> L::Service
    where
        L::Service: Clone,
    {
        let mut made = lock(&self.made);
        let shared =
            made.take().filter(|(name, _)| site.chain == Chain::Full && *name == site.action.name);
        let service = shared.map_or_else(|| self.layer.layer(ActionService), |(_, made)| made);
        if site.chain == Chain::Static {
            *made = Some((site.action.name.clone(), service.clone()));
        }
        service
    }

    fn wrap(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn
    where
        L::Service: Service<ActionCall, Response = Body> + Clone + Send + 'static,
        <L::Service as Service<ActionCall>>::Error: Into<BoxError>,
        <L::Service as Service<ActionCall>>::Future: Send,
    {
        // Cloned for each call; not every service can be shared by threads.
        let service = Mutex::new(self.service(site));
        Arc::new(move |context| {
            let mut service = lock(&service).clone();
            let call = ActionCall { context, next: next.clone() };
            Box::pin(async move {
                poll_fn(|cx| service.poll_ready(cx))
                    .await
                    .map_err(|error| restore(error.into()))?;
                service.call(call).await.map_err(|error| restore(error.into()))
            })
        })
    }
}

impl<L> Middleware for TowerLayer<L>
where
    L: Layer<ActionService> + Send + Sync + 'static,
    L::Service: Service<ActionCall, Response = Body> + Clone + Send + 'static,
    <L::Service as Service<ActionCall>>::Error: Into<BoxError>,
    <L::Service as Service<ActionCall>>::Future: Send,
{
    fn name(&self) -> &'static str {
        "Tower"
    }

    fn local_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        if self.local { self.wrap(next, site) } else { next }
    }

    fn remote_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        if self.local { next } else { self.wrap(next, site) }
    }
}

impl<L: Layer<ActionService>> fmt::Debug for TowerLayer<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerLayer").field("local", &self.local).finish_non_exhaustive()
    }
}

impl fmt::Debug for ActionCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ActionCall").field(&self.context).finish()
    }
}

type BoxError = Box<dyn StdError + Send + Sync>;

/// Our own error as it was; another one as the source of one of ours.
fn restore(error: BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(other) => Error::new(ErrorKind::Moleculer, other.to_string()).caused_by(other.into()),
    }
}

impl Service<ActionCall> for ActionService {
    type Response = Body;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Body>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: ActionCall) -> Self::Future {
        (call.next)(call.context)
    }
}

/// An action as a `tower` service, from [`ServiceBroker::tower_service`].
/// It is always ready.
pub struct ActionClient<P, R> {
    broker: ServiceBroker,
    action: Arc<str>,
    types: PhantomData<fn(P) -> R>,
}

impl ServiceBroker {
    /// An action as a `tower` service: the request is its params, the response
    /// its result.
    ///
    /// ```
    /// # use moleculer_core::{Result, ServiceBroker};
    /// use tower::ServiceExt;
    ///
    /// # async fn example(broker: ServiceBroker) -> Result<()> {
    /// let double = broker.tower_service::<i64, i64>("math.double");
    /// assert_eq!(double.oneshot(4).await?, 8);
    /// # Ok(()) }
    /// ```
    pub fn tower_service<P, R>(&self, action: impl Into<Arc<str>>) -> ActionClient<P, R> {
        ActionClient { broker: self.clone(), action: action.into(), types: PhantomData }
    }
}

impl<P, R> Service<P> for ActionClient<P, R>
where
    P: Serialize + Send + Sync + 'static,
    R: FromBody,
{
    type Response = R;
    type Error = Error;
    type Future = CallFuture<R>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, params: P) -> CallFuture<R> {
        self.broker.call(&self.action, params).into_future()
    }
}

impl<P, R> Clone for ActionClient<P, R> {
    fn clone(&self) -> Self {
        self.broker.tower_service(self.action.clone())
    }
}

impl<P, R> fmt::Debug for ActionClient<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ActionClient").field(&self.action).finish()
    }
}
