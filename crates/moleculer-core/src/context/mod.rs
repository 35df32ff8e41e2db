//! What a handler knows of its call: [`Context`].

mod again;
mod json;
mod params;
mod parts;
mod send;

use std::{
    any::TypeId,
    fmt,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use moleculer_protocol::{NodeId, Object, PacketId, Payload, Value};

pub(crate) use self::parts::{ContextInit, Deadline, Extra};
use crate::{
    Error, ErrorKind, Result,
    body::BodyStream,
    broker::ServiceBroker,
    middleware::Fallback,
    registry::{ActionEndpoint, EventEndpoint},
    service::ServiceHandle,
    sync::lock,
};

/// One call of an action or one delivery of an event. A cheap clone.
///
/// Calls and events made through it inherit request id, level, caller, meta
/// and deadline.
///
/// Of the reference's context these have no counterpart: `copy` and
/// `paramsCloning`, since params are shared and never change; `needAck` and
/// `ackID`, which nothing reads; `startHrTime`, by which it keeps the time that
/// the runtime keeps here. Not there yet are `span`, `startSpan` and
/// `finishSpan`.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

/// Kept small: it is allocated for every call. What few calls need is in `Extra`.
struct Inner {
    target: Target,
    /// None once they were moved into an argument of the handler.
    params: Mutex<Option<Payload>>,
    meta: Mutex<Object>,
    parent: Option<Context>,
    extra: OnceLock<Box<Extra>>,
    level: u32,
    /// Whether the result came from the cacher.
    cached: AtomicBool,
}

enum Target {
    Action(Arc<ActionEndpoint>),
    Event(Arc<EventEndpoint>, Arc<SentAs>),
}

/// What all contexts of one event share.
pub(crate) struct SentAs {
    pub(crate) name: Arc<str>,
    pub(crate) kind: EventKind,
    pub(crate) groups: Option<Arc<[Arc<str>]>>,
}

/// How an event was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// To one listener of each group.
    Emit,
    /// To every listener.
    Broadcast,
    /// To every listener of this node.
    BroadcastLocal,
}

impl EventKind {
    /// The name in the reference: `emit`, `broadcast`, `broadcastLocal`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Emit => "emit",
            Self::Broadcast => "broadcast",
            Self::BroadcastLocal => "broadcastLocal",
        }
    }
}

impl Context {
    /// The context of a call that this node makes.
    #[inline]
    pub(crate) fn for_call(
        endpoint: &Arc<ActionEndpoint>,
        params: Payload,
        parent: Option<&Self>,
        options: Option<(Object, Box<Extra>)>,
    ) -> Self {
        let (meta, level, parent) = match parent {
            Some(parent) => (parent.meta(), parent.level() + 1, Some(parent.clone())),
            None => (Object::new(), 1, None),
        };
        let ctx = Self(Arc::new(Inner {
            target: Target::Action(endpoint.clone()),
            params: Mutex::new(Some(params)),
            meta: Mutex::new(meta),
            parent,
            extra: OnceLock::new(),
            level,
            cached: AtomicBool::new(false),
        }));
        if let Some((meta, extra)) = options {
            ctx.merge_meta(meta);
            ctx.0.extra.get_or_init(|| extra);
        }
        ctx
    }

    pub(crate) fn for_action(endpoint: Arc<ActionEndpoint>, init: ContextInit) -> Self {
        Self::new(Target::Action(endpoint), init)
    }

    pub(crate) fn for_event(
        endpoint: Arc<EventEndpoint>,
        sent: Arc<SentAs>,
        init: ContextInit,
    ) -> Self {
        Self::new(Target::Event(endpoint, sent), init)
    }

    /// The context of a handler that is run without an event.
    pub(crate) fn for_own_event(endpoint: Arc<EventEndpoint>, data: Payload) -> Self {
        let sent = SentAs {
            name: endpoint.def.name.clone(),
            kind: EventKind::Emit,
            groups: Some(Arc::from([endpoint.group.clone()])),
        };
        let init = ContextInit { params: data, ..ContextInit::default() };
        Self::for_event(endpoint, sent.into(), init)
    }

    fn new(target: Target, init: ContextInit) -> Self {
        let meta = match &init.parent {
            Some(parent) => {
                let mut meta = parent.meta();
                meta.merge(init.meta);
                meta
            }
            None => init.meta,
        };
        let level = init.level.unwrap_or_else(|| init.parent.as_ref().map_or(1, |p| p.level() + 1));
        Self(Arc::new(Inner {
            target,
            params: Mutex::new(Some(init.params)),
            meta: Mutex::new(meta),
            parent: init.parent,
            extra: init.extra.map_or_else(OnceLock::new, OnceLock::from),
            level,
            cached: AtomicBool::new(false),
        }))
    }

    /// Id of this call; the same on the callee's node.
    pub fn id(&self) -> PacketId {
        self.extra().id.get_or_init(|| self.new_id()).clone()
    }

    /// Id of the root call of this chain of calls.
    pub fn request_id(&self) -> PacketId {
        let extra = self.0.extra.get();
        match extra.and_then(|extra| extra.request_id.clone()) {
            Some(id) => id,
            None => self.0.parent.as_ref().map_or_else(|| self.id(), Self::request_id),
        }
    }

    /// Id of the context that made this call.
    pub fn parent_id(&self) -> Option<PacketId> {
        let extra = self.0.extra.get();
        extra
            .and_then(|extra| extra.parent_id.clone())
            .or_else(|| self.0.parent.as_ref().map(Self::id))
    }

    /// Depth of the call: 1 for a root call.
    pub fn level(&self) -> u32 {
        self.0.level
    }

    /// Full name of the service that made this call.
    pub fn caller(&self) -> Option<Arc<str>> {
        let extra = self.0.extra.get();
        extra
            .and_then(|extra| extra.caller.clone())
            .or_else(|| self.0.parent.as_ref().map(Self::service_name))
    }

    /// The node on the other side: in a handler the node that sent the
    /// request or event, this node itself for a local one.
    pub fn node_id(&self) -> NodeId {
        let peer = self.0.extra.get().and_then(|extra| extra.peer.get());
        peer.unwrap_or_else(|| self.endpoint_node()).clone()
    }

    /// Full name of the called action; empty in an event.
    pub fn action(&self) -> &str {
        match &self.0.target {
            Target::Action(endpoint) => &endpoint.name,
            Target::Event(..) => "",
        }
    }

    /// Name of the event as it was emitted; empty in an action.
    pub fn event(&self) -> &str {
        match &self.0.target {
            Target::Action(_) => "",
            Target::Event(_, sent) => &sent.name,
        }
    }

    /// How the event was sent; `None` in an action.
    pub fn event_kind(&self) -> Option<EventKind> {
        match &self.0.target {
            Target::Action(_) => None,
            Target::Event(_, sent) => Some(sent.kind),
        }
    }

    /// The groups that the emitter asked for; empty for all.
    pub fn event_groups(&self) -> &[Arc<str>] {
        match &self.0.target {
            Target::Action(_) => &[],
            Target::Event(_, sent) => sent.groups.as_deref().unwrap_or_default(),
        }
    }

    /// Group of the listener that handles the event; empty in an action.
    pub fn listener_group(&self) -> &str {
        match &self.0.target {
            Target::Action(_) => "",
            Target::Event(endpoint, _) => &endpoint.group,
        }
    }

    /// Full name of the service whose handler runs.
    pub fn service_name(&self) -> Arc<str> {
        match &self.0.target {
            Target::Action(endpoint) => endpoint.service.full_name.clone(),
            Target::Event(endpoint, _) => endpoint.service.full_name.clone(),
        }
    }

    /// Whether the result came from the cacher, so that no handler ran: for
    /// middlewares around it.
    pub fn cached_result(&self) -> bool {
        self.0.cached.load(Ordering::Relaxed)
    }

    pub(crate) fn set_cached_result(&self) {
        self.0.cached.store(true, Ordering::Relaxed);
    }

    /// Whether the call came with a stream, taken or not. Such a call cannot be
    /// made again.
    pub fn has_stream(&self) -> bool {
        self.0.extra.get().is_some_and(|extra| extra.stream.is_some())
    }

    pub(crate) fn has_object_stream(&self) -> bool {
        let stream = self.0.extra.get().and_then(|extra| extra.stream.as_ref());
        stream.is_some_and(|stream| matches!(&*lock(stream), Some(BodyStream::Objects(_))))
    }

    /// The stream that came with the call, for the first one who takes it.
    pub fn take_stream(&self) -> Option<BodyStream> {
        let stream = self.0.extra.get()?.stream.as_ref()?;
        lock(stream).take()
    }

    /// A copy of the metadata.
    pub fn meta(&self) -> Object {
        self.lock_meta().clone()
    }

    /// Reads the metadata in place.
    pub(crate) fn with_meta<R>(&self, read: impl FnOnce(&Object) -> R) -> R {
        read(&self.lock_meta())
    }

    /// Sets a member of the metadata; the caller gets it with the result.
    pub fn set_meta(&self, key: impl Into<String>, value: impl Into<Value>) {
        self.lock_meta().insert(key, value);
    }

    /// Sets every member of `other` in the metadata.
    pub fn merge_meta(&self, other: Object) {
        if !other.is_empty() {
            self.lock_meta().merge(other);
        }
    }

    /// Gives the metadata to the call that made this one.
    pub(crate) fn merge_into_parent(&self) {
        if let Some(parent) = &self.0.parent {
            parent.merge_meta(self.meta());
        }
    }

    /// The headers of this call; they go to the callee only. Protocol 5.
    pub fn headers(&self) -> Object {
        self.0.extra.get().map(|extra| extra.headers.clone()).unwrap_or_default()
    }

    /// Headers of the response, as far as they are set.
    pub fn response_headers(&self) -> Object {
        let extra = self.0.extra.get();
        extra.map(|extra| lock(&extra.response_headers).clone()).unwrap_or_default()
    }

    /// Sets a header of the response. Protocol 5.
    pub fn set_response_header(&self, key: impl Into<String>, value: impl Into<Value>) {
        lock(&self.extra().response_headers).insert(key, value);
    }

    /// Keeps a value with this call, in place of one of the same type. It goes
    /// to no other call and no other node: middlewares leave handlers
    /// something with it.
    ///
    /// ```
    /// # fn example(ctx: &moleculer_core::Context) {
    /// #[derive(Clone, PartialEq, Debug)]
    /// struct Tenant(u32);
    ///
    /// ctx.set_local(Tenant(5));
    /// assert_eq!(ctx.local::<Tenant>(), Some(Tenant(5)));
    /// # }
    /// ```
    pub fn set_local<T: Clone + Send + Sync + 'static>(&self, value: T) {
        let locals = self.extra().locals.get_or_init(Arc::default);
        lock(locals).insert(TypeId::of::<T>(), Box::new(value));
    }

    /// A clone of the value of this type that the call has.
    pub fn local<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        let locals = self.0.extra.get()?.locals.get()?;
        lock(locals).get(&TypeId::of::<T>())?.downcast_ref().cloned()
    }

    /// How long the call may take in all: what it, its action or the broker
    /// asks for. `None` for no limit.
    pub fn timeout(&self) -> Option<Duration> {
        let effective = self.deadline().map(|deadline| deadline.timeout);
        effective.or_else(|| self.asked_timeout()).filter(|timeout| !timeout.is_zero())
    }

    /// How often the call may be made again, if it asks for that itself.
    pub fn retries(&self) -> Option<u32> {
        self.0.extra.get().and_then(|extra| extra.retries)
    }

    /// How often the call was made before, because it failed.
    pub fn attempt(&self) -> u32 {
        self.0.extra.get().map_or(0, |extra| extra.attempt)
    }

    /// Whether the result comes from a [fallback](crate::Fallback).
    pub fn fallback_result(&self) -> bool {
        let extra = self.0.extra.get();
        extra.is_some_and(|extra| extra.fallback_result.load(Ordering::Relaxed))
    }

    /// The service whose handler runs.
    ///
    /// # Errors
    ///
    /// When it runs on another node, or was destroyed.
    pub fn service(&self) -> Result<ServiceHandle> {
        let service = match &self.0.target {
            Target::Action(endpoint) => &endpoint.service,
            Target::Event(endpoint, _) => &endpoint.service,
        };
        let instance = service.instance.upgrade().ok_or_else(|| {
            Error::internal(format!("the service '{}' is not on this node", service.full_name))
        })?;
        Ok(ServiceHandle::new(self.broker()?, instance))
    }

    /// The broker that runs this handler.
    ///
    /// # Errors
    ///
    /// When the broker is gone.
    pub fn broker(&self) -> Result<ServiceBroker> {
        let broker = match &self.0.target {
            Target::Action(endpoint) => &endpoint.broker,
            Target::Event(endpoint, _) => &endpoint.broker,
        };
        broker.upgrade().ok_or_else(|| Error::internal("the broker of this context is gone"))
    }

    pub(crate) fn extra(&self) -> &Extra {
        self.0.extra.get_or_init(Box::default)
    }

    /// The fallback of the call.
    pub(crate) fn fallback(&self) -> Option<&Fallback> {
        self.0.extra.get().and_then(|extra| extra.fallback.as_ref())
    }

    pub(crate) fn set_fallback_result(&self) {
        self.extra().fallback_result.store(true, Ordering::Relaxed);
    }

    pub(crate) fn tracking(&self) -> Option<bool> {
        self.0.extra.get().and_then(|extra| extra.tracking)
    }

    pub(crate) fn parent(&self) -> Option<&Self> {
        self.0.parent.as_ref()
    }

    /// Whether a caller above makes its call again.
    pub(crate) fn within_retry(&self) -> bool {
        self.0.extra.get().is_some_and(|extra| extra.within_retry)
            || self.0.parent.as_ref().is_some_and(|p| p.attempt() > 0 || p.within_retry())
    }

    /// Whether another node made the request.
    pub(crate) fn is_foreign(&self) -> bool {
        let peer = self.0.extra.get().and_then(|extra| extra.peer.get());
        peer.is_some_and(|peer| peer != self.endpoint_node())
    }

    /// What the call or the packet asked for.
    pub(crate) fn asked_timeout(&self) -> Option<Duration> {
        self.0.extra.get().and_then(|extra| extra.timeout)
    }

    pub(crate) fn deadline(&self) -> Option<Deadline> {
        self.0.extra.get().and_then(|extra| extra.deadline.get().copied())
    }

    pub(crate) fn tracing(&self) -> Option<bool> {
        let extra = self.0.extra.get();
        extra
            .and_then(|extra| extra.tracing)
            .or_else(|| self.0.parent.as_ref().and_then(Self::tracing))
    }

    /// The timeout for a call that this one makes: what is left of our own
    /// time, or less if `asked` is less.
    pub(crate) fn child_timeout(
        &self,
        action: &str,
        asked: Option<Duration>,
    ) -> Result<Option<Duration>> {
        let Some(deadline) = self.deadline() else {
            return Ok(asked);
        };
        let left = deadline.timeout.saturating_sub(deadline.started.elapsed());
        if left.is_zero() {
            let local = self.broker()?.node_id().clone();
            return Err(Error::about_action(ErrorKind::RequestSkipped, action, Some(&local)));
        }
        Ok(Some(asked.filter(|asked| !asked.is_zero()).map_or(left, |asked| asked.min(left))))
    }

    /// The action's endpoint; `None` in an event.
    pub(crate) fn action_endpoint(&self) -> Option<&Arc<ActionEndpoint>> {
        match &self.0.target {
            Target::Action(endpoint) => Some(endpoint),
            Target::Event(..) => None,
        }
    }

    fn endpoint_node(&self) -> &NodeId {
        match &self.0.target {
            Target::Action(endpoint) => &endpoint.node.id,
            Target::Event(endpoint, _) => &endpoint.node.id,
        }
    }

    fn new_id(&self) -> PacketId {
        self.broker().map_or_else(|_| PacketId::from(""), |broker| broker.new_id())
    }

    fn lock_params(&self) -> std::sync::MutexGuard<'_, Option<Payload>> {
        lock(&self.0.params)
    }

    fn lock_meta(&self) -> std::sync::MutexGuard<'_, Object> {
        lock(&self.0.meta)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("action", &self.action())
            .field("event", &self.event())
            .field("level", &self.level())
            .finish_non_exhaustive()
    }
}
