//! Sending an event: [`Emit`].

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
};

use futures_util::future::{BoxFuture, join_all};
use moleculer_protocol::{
    EventPacket, NodeId, Object, PacketId, Payload, Target as PacketTarget, Value,
};

use super::{ServiceBroker, Tasks, call::Via, lifecycle::Phase};
use crate::{
    Context, Error, EventKind, Result,
    context::{ContextInit, Extra, SentAs},
    registry::{EventEndpoint, Target},
    strategy::Selection,
};

/// An event that is about to be sent: `.await` sends it.
#[must_use = "an event is sent when it is awaited"]
pub struct Emit<'a> {
    via: Option<Via<'a>>,
    event: &'a str,
    data: Payload,
    kind: EventKind,
    groups: Option<Vec<Arc<str>>>,
    meta: Object,
    headers: Object,
    throw_error: bool,
}

impl<'a> Emit<'a> {
    pub(crate) fn new(event: &'a str, data: Payload, kind: EventKind) -> Self {
        let data = if data.is_nothing() { Payload::null() } else { data };
        Self {
            via: None,
            event,
            data,
            kind,
            groups: None,
            meta: Object::new(),
            headers: Object::new(),
            throw_error: false,
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

    /// Sends it to these groups only. Default, and if none is named: all.
    pub fn groups<G: Into<Arc<str>>>(mut self, groups: impl IntoIterator<Item = G>) -> Self {
        let groups: Vec<_> = groups.into_iter().map(Into::into).collect();
        self.groups = Some(groups).filter(|groups| !groups.is_empty());
        self
    }

    /// Adds members to the metadata.
    pub fn meta(mut self, meta: impl Into<Object>) -> Self {
        self.meta.merge(meta.into());
        self
    }

    /// Adds a header. Protocol 5.
    pub fn header(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.headers.insert(key, value);
        self
    }

    /// Makes the future fail when the event cannot be sent to a node, or when
    /// a listener of a broadcast on this node fails. All others still get it.
    /// Listeners of `emit` never make it fail.
    pub fn throw_error(mut self) -> Self {
        self.throw_error = true;
        self
    }

    fn send(self) -> Result<EmitFuture> {
        let (broker, parent) = self.via.ok_or_else(super::stopped)?.resolve()?;
        let request = EmitRequest {
            event: self.event.into(),
            data: self.data,
            kind: self.kind,
            groups: self.groups,
            meta: self.meta,
            headers: self.headers,
            throw_error: self.throw_error,
            parent,
        };
        match &broker.inner().hooks.emit {
            None => request.run(&broker),
            Some(hook) => {
                let tasks = broker.inner().tasks.clone();
                Ok(EmitFuture {
                    running: vec![Route::Away(hook(request))],
                    tasks,
                    throw_error: true,
                    error: None,
                })
            }
        }
    }
}

/// An event on its way through the middlewares that wrap its sending: see
/// [`Middleware::emit`](crate::Middleware::emit).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EmitRequest {
    /// Name of the event.
    pub event: Arc<str>,
    /// The data.
    pub data: Payload,
    /// How it is sent.
    pub kind: EventKind,
    /// The groups that may get it; `None` for all.
    pub groups: Option<Vec<Arc<str>>>,
    /// Members added to the metadata.
    pub meta: Object,
    /// The headers.
    pub headers: Object,
    /// See [`Emit::throw_error`].
    pub throw_error: bool,
    /// The context that sends it.
    pub parent: Option<Context>,
}

impl EmitRequest {
    /// The innermost layer: sends the event.
    pub(super) fn run(self, broker: &ServiceBroker) -> Result<EmitFuture> {
        if broker.inner().phase() >= Phase::Stopped {
            return Err(super::stopped());
        }
        let mut meta = self.parent.as_ref().map(Context::meta).unwrap_or_default();
        meta.merge(self.meta);
        let sent = Sent {
            event: self.event,
            data: self.data,
            kind: self.kind,
            groups: self.groups.map(Arc::from),
            meta,
            headers: self.headers,
            origin: Origin::Here(self.parent),
        };
        broker.inner().bus.publish(&sent.event, &sent.data);
        let running = sent.start(broker)?;
        let tasks = broker.inner().tasks.clone();
        Ok(EmitFuture { running, tasks, throw_error: self.throw_error, error: None })
    }
}

/// An event with everything that its deliveries share.
pub(crate) struct Sent {
    pub(crate) event: Arc<str>,
    pub(crate) data: Payload,
    pub(crate) kind: EventKind,
    pub(crate) groups: Option<Arc<[Arc<str>]>>,
    pub(crate) meta: Object,
    pub(crate) headers: Object,
    pub(crate) origin: Origin,
}

/// Where an event comes from.
pub(crate) enum Origin {
    /// This node, maybe within a call.
    Here(Option<Context>),
    /// Another node's packet.
    Packet(Box<PacketOrigin>),
}

/// Members of a packet that its contexts inherit.
#[derive(Clone)]
pub(crate) struct PacketOrigin {
    pub(crate) sender: NodeId,
    pub(crate) level: u32,
    pub(crate) request_id: Option<PacketId>,
    pub(crate) parent_id: Option<PacketId>,
    pub(crate) caller: Option<Arc<str>>,
    pub(crate) tracing: Option<bool>,
}

type Deliveries = Vec<Route>;

/// One way that an event goes.
pub(crate) enum Route {
    /// To a handler of this node; its failure is logged.
    Handler {
        running: BoxFuture<'static, Result<()>>,
        endpoint: Arc<EventEndpoint>,
        sent: Arc<SentAs>,
    },
    /// Through middlewares or to another node, where failures are logged already.
    Away(BoxFuture<'static, Result<()>>),
}

impl Route {
    /// Polls a handler of this node once in the task that read the event's
    /// packet, unless it was slow before.
    pub(crate) fn poll_in_place(&mut self) -> Poll<Result<()>> {
        let Self::Handler { running, endpoint, sent } = self else { return Poll::Pending };
        endpoint.pace.poll(running).map(|result| handled(result, endpoint, sent))
    }
}

impl Future for Route {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Result<()>> {
        match &mut *self {
            Self::Away(running) => running.as_mut().poll(cx),
            Self::Handler { running, endpoint, sent } => {
                running.as_mut().poll(cx).map(|result| handled(result, endpoint, sent))
            }
        }
    }
}

/// What a handler's result means to the sender.
fn handled(result: Result<()>, endpoint: &EventEndpoint, sent: &SentAs) -> Result<()> {
    if let Err(error) = &result {
        let (event, service) = (&sent.name, &endpoint.service.full_name);
        tracing::error!(%event, %service, ?error, "an event handler failed");
    }
    if sent.kind == EventKind::Emit { Ok(()) } else { result }
}

impl Sent {
    /// Starts the handlers of this node and the packets to others.
    fn start(&self, broker: &ServiceBroker) -> Result<Deliveries> {
        let events = &broker.registry().events;
        let groups = self.groups.as_deref();
        let mut running = Deliveries::new();
        match self.kind {
            EventKind::Emit if broker.options().disable_balancer => {
                let (shared, own) = events.shared_groups(&self.event, groups);
                if !own.is_empty() {
                    let chosen = events.choose_local(&self.event, Some(&own), &self.selection())?;
                    running.extend(self.deliver_to(chosen, self.kind));
                }
                let id = broker.new_id();
                let packets = shared.into_iter().map(|group| {
                    let target =
                        PacketTarget::Event { group: group.clone(), event: self.event.clone() };
                    (target, Some(vec![group]), id.clone())
                });
                running.extend(self.publish(broker, Some(&id), packets));
            }
            EventKind::Emit => {
                let sent = self.sent_as(self.kind);
                let mut remote: Vec<(NodeId, Vec<Arc<str>>)> = Vec::new();
                let targets = events.choose(&self.event, groups, &self.selection())?;
                running.reserve(targets.len());
                for target in targets {
                    match target {
                        Target::Local(endpoint) => running.extend(self.deliver(endpoint, &sent)),
                        Target::Remote { node, group } => {
                            match remote.iter_mut().find(|(other, _)| *other == node) {
                                Some((_, groups)) => groups.push(group),
                                None => remote.push((node, vec![group])),
                            }
                        }
                    }
                }
                let packets = remote.into_iter().map(|(node, groups)| {
                    (PacketTarget::Node(node), Some(groups), broker.new_id())
                });
                running.extend(self.publish(broker, None, packets));
            }
            EventKind::Broadcast => {
                let nodes = events.remote_nodes(&self.event, groups);
                let groups = self.groups.as_ref().map(|groups| groups.to_vec());
                let packets = nodes
                    .into_iter()
                    .map(|node| (PacketTarget::Node(node), groups.clone(), broker.new_id()));
                running.extend(self.publish(broker, None, packets));
                running.extend(self.deliver_all(broker, EventKind::BroadcastLocal));
            }
            EventKind::BroadcastLocal => running.extend(self.deliver_all(broker, self.kind)),
        }
        Ok(running)
    }

    fn selection(&self) -> Selection<'_> {
        Selection::of(&self.data, Some(&self.meta), None)
    }

    /// Starts the handlers of this node for another node's packet.
    pub(crate) fn start_local(&self, broker: &ServiceBroker) -> Deliveries {
        let groups = self.groups.as_deref();
        match self.kind {
            EventKind::Emit => {
                let events = &broker.registry().events;
                match events.choose_local(&self.event, groups, &self.selection()) {
                    Ok(chosen) => self.deliver_to(chosen, self.kind),
                    Err(error) => {
                        tracing::error!(event = %self.event, %error, "an event is dropped");
                        Deliveries::new()
                    }
                }
            }
            kind => self.deliver_all(broker, kind),
        }
    }

    fn deliver_all(&self, broker: &ServiceBroker, kind: EventKind) -> Deliveries {
        let all = broker.registry().events.all_local(&self.event, self.groups.as_deref());
        self.deliver_to(all, kind)
    }

    fn deliver_to(&self, endpoints: Vec<Arc<EventEndpoint>>, kind: EventKind) -> Deliveries {
        let sent = self.sent_as(kind);
        let mut running = Deliveries::with_capacity(endpoints.len());
        running.extend(endpoints.into_iter().filter_map(|endpoint| self.deliver(endpoint, &sent)));
        running
    }

    /// Starts one handler.
    fn deliver(&self, endpoint: Arc<EventEndpoint>, sent: &Arc<SentAs>) -> Option<Route> {
        let handler = endpoint.handler.as_ref()?;
        let ctx = Context::for_event(endpoint.clone(), sent.clone(), self.context());
        let running = handler(ctx);
        Some(Route::Handler { running, endpoint, sent: sent.clone() })
    }

    fn sent_as(&self, kind: EventKind) -> Arc<SentAs> {
        let (name, groups) = (self.event.clone(), self.groups.clone());
        Arc::new(SentAs { name, kind, groups })
    }

    fn context(&self) -> ContextInit {
        let mut init = ContextInit {
            params: self.data.clone(),
            meta: self.meta.clone(),
            ..ContextInit::default()
        };
        match &self.origin {
            Origin::Here(parent) => {
                init.parent.clone_from(parent);
                init.extra = (!self.headers.is_empty()).then(|| Box::new(self.extra()));
            }
            Origin::Packet(packet) => {
                init.level = Some(packet.level);
                init.extra = Some(Box::new(Extra {
                    request_id: packet.request_id.clone(),
                    parent_id: packet.parent_id.clone(),
                    caller: packet.caller.clone(),
                    tracing: packet.tracing,
                    peer: packet.sender.clone().into(),
                    ..self.extra()
                }));
            }
        }
        init
    }

    /// What only some contexts have.
    fn extra(&self) -> Extra {
        Extra { headers: self.headers.clone(), ..Extra::default() }
    }

    /// Sends packets, each with its groups and its id; `root` is the request's
    /// id if no context sends them, and new by default.
    fn publish(
        &self,
        broker: &ServiceBroker,
        root: Option<&PacketId>,
        packets: impl ExactSizeIterator<Item = (PacketTarget, Option<Vec<Arc<str>>>, PacketId)>,
    ) -> Deliveries {
        if packets.len() == 0 {
            return Vec::new();
        }
        let Some(transit) = broker.transit() else {
            return Vec::new();
        };
        let Origin::Here(parent) = &self.origin else {
            return Vec::new();
        };
        let request_id = match (parent, root) {
            (Some(parent), _) => parent.request_id(),
            (None, Some(root)) => root.clone(),
            (None, None) => broker.new_id(),
        };
        let packets = packets.map(|(target, groups, id)| {
            let packet = EventPacket {
                id: Some(id),
                event: self.event.clone(),
                data: self.data.clone(),
                groups,
                broadcast: self.kind == EventKind::Broadcast,
                meta: self.meta.clone(),
                headers: transit.has_headers().then(|| self.headers.clone()),
                level: parent.as_ref().map_or(1, |parent| parent.level() + 1),
                tracing: parent.as_ref().and_then(Context::tracing),
                parent_id: parent.as_ref().map(Context::id),
                request_id: Some(request_id.clone()),
                caller: parent.as_ref().map(Context::service_name),
            };
            Route::Away(transit.clone().send_event(target, packet))
        });
        packets.collect()
    }
}

impl IntoFuture for Emit<'_> {
    type Output = Result<()>;
    type IntoFuture = EmitFuture;

    fn into_future(self) -> EmitFuture {
        self.send().unwrap_or_else(EmitFuture::failed)
    }
}

impl fmt::Debug for Emit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emit")
            .field("event", &self.event)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// An event on its way. Dropping it leaves the delivery to the broker.
#[must_use = "await it to know that this node's listeners are done"]
pub struct EmitFuture {
    running: Deliveries,
    tasks: Tasks,
    /// Whether the first error is the result.
    throw_error: bool,
    error: Option<Error>,
}

impl EmitFuture {
    fn failed(error: Error) -> Self {
        let (running, tasks) = (Vec::new(), Tasks::default());
        Self { running, tasks, throw_error: true, error: Some(error) }
    }
}

impl Future for EmitFuture {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Result<()>> {
        let Self { running, error, .. } = &mut *self;
        running.retain_mut(|delivery| match Pin::new(delivery).poll(cx) {
            Poll::Pending => true,
            Poll::Ready(result) => {
                if let Err(failed) = result {
                    error.get_or_insert(failed);
                }
                false
            }
        });
        if !self.running.is_empty() {
            return Poll::Pending;
        }
        match self.error.take().filter(|_| self.throw_error) {
            Some(error) => Poll::Ready(Err(error)),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl Drop for EmitFuture {
    fn drop(&mut self) {
        if !self.running.is_empty() && tokio::runtime::Handle::try_current().is_ok() {
            let rest = std::mem::take(&mut self.running);
            self.tasks.spawn(async move {
                join_all(rest).await;
            });
        }
    }
}

impl fmt::Debug for EmitFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmitFuture({} deliveries)", self.running.len())
    }
}
