//! What is wrapped around handlers: [`Middleware`].

mod breaker;
mod budget;
mod builtin;
mod bulkhead;
mod cacher;
mod error_handler;
mod fallback;
mod hook;
mod hooks;
mod limits;
mod logger;
mod published;
mod rate;
mod retry;
mod timeout;
mod tracker;

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use moleculer_protocol::{Packet, PacketKind, Topic};

pub use self::{
    breaker::CircuitBreakerOptions, bulkhead::BulkheadOptions, error_handler::ErrorInfo,
    fallback::Fallback, retry::RetryPolicy,
};
pub(crate) use self::{
    breaker::State,
    builtin::builtin,
    error_handler::ErrorHandler,
    hooks::{Hooks, TransitHooks},
    limits::{DefaultLimits, LimitedSite, Limits},
    logger::LOGGERS,
};
use crate::{
    ActionDef, ActionFn, Body, CallRequest, Delivery, EmitRequest, EventDef, EventFn, Result,
    Service, ServiceBroker, ServiceHandle,
    service::{Instance, InstanceAction, InstanceEvent},
};

/// `call`, with what is wrapped around it.
pub type CallFn = Arc<dyn Fn(CallRequest) -> BoxFuture<'static, Result<Body>> + Send + Sync>;

/// `emit`, `broadcast` and `broadcast_local`, with what is wrapped around them.
pub type EmitFn = Arc<dyn Fn(EmitRequest) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// What happens to a packet before it is encoded.
pub type PublishFn = Arc<dyn Fn(&Topic, Packet) -> Result<Packet> + Send + Sync>;

/// Handles a received packet.
pub type MessageFn = Arc<dyn Fn(Packet, &Delivery) + Send + Sync>;

/// What happens to the bytes of a packet on their way out or in.
pub type BytesFn = Arc<dyn Fn(PacketKind, Bytes) -> Result<Bytes> + Send + Sync>;

/// Wraps handlers when they are registered, and the broker's own functions
/// when it is made: the only way in which features hook into calls and events.
///
/// # Order
///
/// The last middleware registered is the outermost. Users' middlewares come
/// before the built-in ones, so they stand directly around the handler: a
/// call goes through the built-in layers, then through the users' from the
/// last to the first, then to the handler. [`transporter_receive`] alone is
/// nested the other way round, so that it undoes what [`transporter_send`]
/// did. Of the hooks that are told of something, those for beginnings run in
/// the order of registration and those for ends in reverse.
///
/// # Cost
///
/// A wrapping hook that has nothing to do returns `next` unchanged and then
/// costs nothing: no call and no packet passes through it.
///
/// # What the reference has besides
///
/// | Hook of the reference | Here |
/// | --- | --- |
/// | `mcall` | each call of an `mcall` passes [`call`] |
/// | `broadcast`, `broadcastLocal` | [`emit`] with the request's `kind` |
/// | `createService`, `destroyService`, `registerLocalService` | the hooks `service_*`, which see every service, however it came |
/// | `localMethod` | methods are plain functions: call what you like around them |
/// | `newLogEntry` | a layer of `tracing_subscriber` |
///
/// [`call`]: Self::call
/// [`emit`]: Self::emit
/// [`transporter_send`]: Self::transporter_send
/// [`transporter_receive`]: Self::transporter_receive
///
/// A middleware that keeps the broker keeps it [weakly](crate::WeakBroker).
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
/// use moleculer_core::{ActionFn, ActionSite, Middleware};
///
/// #[derive(Debug, Default)]
/// struct Count(Arc<AtomicU64>);
///
/// impl Middleware for Count {
///     fn local_action(&self, next: ActionFn, _: &ActionSite<'_>) -> ActionFn {
///         let calls = self.0.clone();
///         Arc::new(move |ctx| {
///             calls.fetch_add(1, Ordering::Relaxed);
///             next(ctx)
///         })
///     }
/// }
/// ```
pub trait Middleware: fmt::Debug + Send + Sync + 'static {
    /// The name in logs. Default: the type's name.
    fn name(&self) -> &str {
        std::any::type_name::<Self>()
    }

    /// The options of actions and events that it handles, of those that a
    /// broker carries for plug-ins: `cache`, `params`, `tracing`. A service with
    /// one that nobody handles is refused. Default: none.
    fn handles(&self) -> &[&'static str] {
        &[]
    }

    /// Looks at an action of a service that is about to be added to this node.
    ///
    /// # Errors
    ///
    /// The service is refused.
    fn check_action(&self, site: &ActionSite<'_>) -> Result<()> {
        let _ = site;
        Ok(())
    }

    /// Looks at an event listener of such a service.
    ///
    /// # Errors
    ///
    /// The service is refused.
    fn check_event(&self, site: &EventSite<'_>) -> Result<()> {
        let _ = site;
        Ok(())
    }

    /// Wraps an action of this node.
    fn local_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        let _ = site;
        next
    }

    /// Wraps the way to an action of another node.
    fn remote_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        let _ = site;
        next
    }

    /// Wraps an event listener of this node.
    fn local_event(&self, next: EventFn, site: &EventSite<'_>) -> EventFn {
        let _ = site;
        next
    }

    /// Wraps the making of calls, those within a context included. It runs
    /// before the action is looked up.
    fn call(&self, next: CallFn) -> CallFn {
        next
    }

    /// Wraps the sending of events of every kind.
    fn emit(&self, next: EmitFn) -> EmitFn {
        next
    }

    /// Wraps what happens to each packet before it is encoded; an error keeps
    /// it from leaving.
    fn transit_publish(&self, next: PublishFn) -> PublishFn {
        next
    }

    /// Wraps the handling of each received packet; who does not call `next`
    /// drops it.
    fn transit_message_handler(&self, next: MessageFn) -> MessageFn {
        next
    }

    /// Wraps what happens to the bytes of each packet before they leave.
    fn transporter_send(&self, next: BytesFn) -> BytesFn {
        next
    }

    /// Wraps what happens to the bytes of each received packet; an error is
    /// logged and the packet dropped. The first middleware registered is the
    /// outermost.
    fn transporter_receive(&self, next: BytesFn) -> BytesFn {
        next
    }

    /// A service is added to this node; its declaration may be changed.
    fn service_creating(&self, broker: &ServiceBroker, service: &mut Service) {
        let _ = (broker, service);
    }

    /// A service of this node is made; it is not started yet.
    fn service_created(&self, service: &ServiceHandle) {
        let _ = service;
    }

    /// A service of this node is about to start, before it waits for its
    /// dependencies.
    ///
    /// # Errors
    ///
    /// The service does not start.
    fn service_starting<'a>(&'a self, service: &'a ServiceHandle) -> BoxFuture<'a, Result<()>> {
        let _ = service;
        Box::pin(ready(Ok(())))
    }

    /// A service of this node has started and can be called.
    ///
    /// # Errors
    ///
    /// The service counts as not started.
    fn service_started<'a>(&'a self, service: &'a ServiceHandle) -> BoxFuture<'a, Result<()>> {
        let _ = service;
        Box::pin(ready(Ok(())))
    }

    /// A service of this node is about to stop.
    ///
    /// # Errors
    ///
    /// Logged; the stop goes on.
    fn service_stopping<'a>(&'a self, service: &'a ServiceHandle) -> BoxFuture<'a, Result<()>> {
        let _ = service;
        Box::pin(ready(Ok(())))
    }

    /// A service of this node has stopped.
    ///
    /// # Errors
    ///
    /// Logged; the stop goes on.
    fn service_stopped<'a>(&'a self, service: &'a ServiceHandle) -> BoxFuture<'a, Result<()>> {
        let _ = service;
        Box::pin(ready(Ok(())))
    }

    /// The broker is made; its services are known but not started.
    fn created(&self, broker: &ServiceBroker) {
        let _ = broker;
    }

    /// The broker is about to start.
    ///
    /// # Errors
    ///
    /// The broker does not start.
    fn starting<'a>(&'a self, broker: &'a ServiceBroker) -> BoxFuture<'a, Result<()>> {
        let _ = broker;
        Box::pin(ready(Ok(())))
    }

    /// The broker and all its services have started.
    ///
    /// # Errors
    ///
    /// The broker is stopped again.
    fn started<'a>(&'a self, broker: &'a ServiceBroker) -> BoxFuture<'a, Result<()>> {
        let _ = broker;
        Box::pin(ready(Ok(())))
    }

    /// Other nodes know that this one goes; its services still run.
    ///
    /// # Errors
    ///
    /// Logged; the stop goes on.
    fn stopping<'a>(&'a self, broker: &'a ServiceBroker) -> BoxFuture<'a, Result<()>> {
        let _ = broker;
        Box::pin(ready(Ok(())))
    }

    /// The services have stopped and the transporter is disconnected.
    ///
    /// # Errors
    ///
    /// Logged; the stop goes on.
    fn stopped<'a>(&'a self, broker: &'a ServiceBroker) -> BoxFuture<'a, Result<()>> {
        let _ = broker;
        Box::pin(ready(Ok(())))
    }
}

/// The action that is being wrapped.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ActionSite<'a> {
    /// The action.
    pub action: &'a ActionDef,
    /// Full name of its service.
    pub service: &'a str,
    /// Which of its chains is built.
    pub chain: Chain,
}

/// The event listener that is being wrapped.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct EventSite<'a> {
    /// The listener.
    pub event: &'a EventDef,
    /// Its group.
    pub group: &'a str,
    /// Full name of its service.
    pub service: &'a str,
}

/// Each action has two chains, so that unused features cost nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// For calls that bring no options: wrap only if the action's or the
    /// broker's options ask for it.
    Static,
    /// For calls that bring options, such as a timeout: wrap if the call may.
    Full,
}

/// The middlewares of a broker, in registration order.
#[derive(Clone, Default)]
pub(crate) struct Middlewares(pub(crate) Vec<Arc<dyn Middleware>>);

impl Middlewares {
    /// Refuses a service that a middleware cannot work with.
    pub(crate) fn check(&self, instance: &Instance) -> Result<()> {
        let service = &*instance.item.full_name;
        for middleware in &self.0 {
            for InstanceAction { def: action, .. } in &instance.actions {
                middleware.check_action(&ActionSite { action, service, chain: Chain::Full })?;
            }
            for InstanceEvent { def: event, group, .. } in &instance.events {
                middleware.check_event(&EventSite { event, group, service })?;
            }
        }
        Ok(())
    }

    /// The static and the full chain around an action's handler.
    pub(crate) fn wrap_action(
        &self,
        handler: &ActionFn,
        action: &ActionDef,
        service: &str,
        local: bool,
    ) -> [ActionFn; 2] {
        [Chain::Static, Chain::Full].map(|chain| {
            let site = ActionSite { action, service, chain };
            self.0.iter().fold(handler.clone(), |next, middleware| {
                if local {
                    middleware.local_action(next, &site)
                } else {
                    middleware.remote_action(next, &site)
                }
            })
        })
    }

    pub(crate) fn wrap_event(
        &self,
        handler: &EventFn,
        event: &EventDef,
        group: &str,
        service: &str,
    ) -> EventFn {
        let site = EventSite { event, group, service };
        self.0.iter().fold(handler.clone(), |next, middleware| middleware.local_event(next, &site))
    }
}
