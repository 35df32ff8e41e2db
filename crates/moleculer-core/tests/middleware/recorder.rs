//! A middleware with every hook there is.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use moleculer_core::{
    ActionFn, ActionSite, BytesFn, CallFn, EmitFn, Error, EventFn, EventSite, MessageFn,
    Middleware, PublishFn, Result, Service, ServiceBroker, ServiceHandle, protocol::PacketKind,
};

use crate::Log;

/// Notes what passes through it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) name: &'static str,
    pub(crate) log: Log,
    /// Whether it wraps calls, events, packets and bytes too.
    pub(crate) outer: bool,
}

impl Recorder {
    fn hook<T: ?Sized>(&self, next: Arc<T>, wrap: impl FnOnce(Self, Arc<T>) -> Arc<T>) -> Arc<T> {
        if self.outer { wrap(self.clone(), next) } else { next }
    }

    fn note(&self, hook: &str, what: &str) {
        self.log.note(format!("{hook} {} {what}", self.name));
    }

    fn later<'a>(&'a self, hook: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.note(hook, "");
            Ok(())
        })
    }
}

fn is_busy(kind: PacketKind) -> bool {
    matches!(kind, PacketKind::Request | PacketKind::Response | PacketKind::Event)
}

impl Middleware for Recorder {
    fn name(&self) -> &str {
        self.name
    }

    fn local_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        let (this, service) = (self.clone(), site.service.to_owned());
        Arc::new(move |ctx| {
            this.note("local", &format!("{}@{service}", ctx.action()));
            next(ctx)
        })
    }

    fn remote_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        let (this, service) = (self.clone(), site.service.to_owned());
        Arc::new(move |ctx| {
            this.note("remote", &format!("{}@{service}", ctx.action()));
            next(ctx)
        })
    }

    fn local_event(&self, next: EventFn, site: &EventSite<'_>) -> EventFn {
        let (this, service) = (self.clone(), site.service.to_owned());
        Arc::new(move |ctx| {
            this.note("event", &format!("{}@{service}", ctx.event()));
            next(ctx)
        })
    }

    fn call(&self, next: CallFn) -> CallFn {
        self.hook(next, |this, next| {
            Arc::new(move |request| {
                this.note("call", &request.action);
                next(request)
            })
        })
    }

    fn emit(&self, next: EmitFn) -> EmitFn {
        self.hook(next, |this, next| {
            Arc::new(move |request| {
                this.note(request.kind.as_str(), &request.event);
                next(request)
            })
        })
    }

    fn transit_publish(&self, next: PublishFn) -> PublishFn {
        self.hook(next, |this, next| {
            Arc::new(move |topic, packet| {
                if is_busy(packet.kind()) {
                    this.note("publish", &topic.name(""));
                }
                next(topic, packet)
            })
        })
    }

    fn transit_message_handler(&self, next: MessageFn) -> MessageFn {
        self.hook(next, |this, next| {
            Arc::new(move |packet, delivery| {
                if is_busy(packet.kind()) {
                    this.note("message", &format!("{} {}", packet.kind(), packet.sender));
                }
                next(packet, delivery);
            })
        })
    }

    fn transporter_send(&self, next: BytesFn) -> BytesFn {
        self.hook(next, |this, next| {
            Arc::new(move |kind, bytes| {
                if is_busy(kind) {
                    this.note("send", kind.as_str());
                }
                // Each layer adds a byte, so that the other side must undo it in order.
                let marked = [this.name.as_bytes(), &bytes].concat();
                next(kind, marked.into())
            })
        })
    }

    fn transporter_receive(&self, next: BytesFn) -> BytesFn {
        self.hook(next, |this, next| {
            Arc::new(move |kind, bytes| {
                if is_busy(kind) {
                    this.note("receive", kind.as_str());
                }
                match bytes.strip_prefix(this.name.as_bytes()) {
                    Some(rest) => next(kind, bytes.slice_ref(rest)),
                    None => Err(Error::internal("not marked")),
                }
            })
        })
    }

    fn created(&self, broker: &ServiceBroker) {
        self.note("created", broker.node_id());
    }

    fn service_creating(&self, _: &ServiceBroker, service: &mut Service) {
        service.metadata_mut().insert("by", self.name);
        self.note("service creating", service.name());
    }

    fn service_created(&self, service: &ServiceHandle) {
        self.note("service created", service.full_name());
    }

    fn service_starting<'a>(&'a self, _: &'a ServiceHandle) -> BoxFuture<'a, Result<()>> {
        self.later("service starting")
    }

    fn service_started<'a>(&'a self, _: &'a ServiceHandle) -> BoxFuture<'a, Result<()>> {
        self.later("service started")
    }

    fn service_stopping<'a>(&'a self, _: &'a ServiceHandle) -> BoxFuture<'a, Result<()>> {
        self.later("service stopping")
    }

    fn service_stopped<'a>(&'a self, _: &'a ServiceHandle) -> BoxFuture<'a, Result<()>> {
        self.later("service stopped")
    }

    fn starting<'a>(&'a self, _: &'a ServiceBroker) -> BoxFuture<'a, Result<()>> {
        self.later("starting")
    }

    fn started<'a>(&'a self, _: &'a ServiceBroker) -> BoxFuture<'a, Result<()>> {
        self.later("started")
    }

    fn stopping<'a>(&'a self, _: &'a ServiceBroker) -> BoxFuture<'a, Result<()>> {
        self.later("stopping")
    }

    fn stopped<'a>(&'a self, _: &'a ServiceBroker) -> BoxFuture<'a, Result<()>> {
        self.later("stopped")
    }
}
