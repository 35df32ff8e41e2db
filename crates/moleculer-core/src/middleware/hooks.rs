//! The broker's own functions with what middlewares wrap around them.

use std::sync::Arc;

use super::{BytesFn, CallFn, EmitFn, MessageFn, Middleware, Middlewares, PublishFn};
use crate::{Result, Service, ServiceBroker, ServiceHandle};

/// What middlewares wrap around the broker's functions. `None` where none
/// does: callers then take the direct way.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) call: Option<CallFn>,
    pub(crate) emit: Option<EmitFn>,
}

/// The same for a transit.
pub(crate) struct TransitHooks {
    pub(crate) publish: Option<PublishFn>,
    pub(crate) message: Option<MessageFn>,
    pub(crate) send: Option<BytesFn>,
    pub(crate) receive: Option<BytesFn>,
}

/// Wraps `base`; `None` when every middleware returned it unchanged.
fn wrap<'a, F: ?Sized>(
    middlewares: impl Iterator<Item = &'a Arc<dyn Middleware>>,
    base: &Arc<F>,
    hook: impl Fn(&dyn Middleware, Arc<F>) -> Arc<F>,
) -> Option<Arc<F>> {
    let wrapped = middlewares.fold(base.clone(), |next, middleware| hook(&**middleware, next));
    (!Arc::ptr_eq(&wrapped, base)).then_some(wrapped)
}

impl Middlewares {
    pub(crate) fn hooks(&self, call: &CallFn, emit: &EmitFn) -> Hooks {
        Hooks {
            call: wrap(self.0.iter(), call, |middleware, next| middleware.call(next)),
            emit: wrap(self.0.iter(), emit, |middleware, next| middleware.emit(next)),
        }
    }

    pub(crate) fn transit_hooks(&self, message: &MessageFn) -> TransitHooks {
        let publish: PublishFn = Arc::new(|_, packet| Ok(packet));
        let bytes: BytesFn = Arc::new(|_, bytes| Ok(bytes));
        let all = || self.0.iter();
        TransitHooks {
            publish: wrap(all(), &publish, |middleware, next| middleware.transit_publish(next)),
            message: wrap(all(), message, |middleware, next| {
                middleware.transit_message_handler(next)
            }),
            send: wrap(all(), &bytes, |middleware, next| middleware.transporter_send(next)),
            receive: wrap(all().rev(), &bytes, |middleware, next| {
                middleware.transporter_receive(next)
            }),
        }
    }

    pub(crate) fn service_creating(&self, broker: &ServiceBroker, service: &mut Service) {
        self.0.iter().for_each(|middleware| middleware.service_creating(broker, service));
    }

    pub(crate) fn service_created(&self, service: &ServiceHandle) {
        self.0.iter().for_each(|middleware| middleware.service_created(service));
    }

    pub(crate) async fn service_starting(&self, service: &ServiceHandle) -> Result<()> {
        for middleware in &self.0 {
            middleware.service_starting(service).await?;
        }
        Ok(())
    }

    pub(crate) async fn service_started(&self, service: &ServiceHandle) -> Result<()> {
        for middleware in &self.0 {
            middleware.service_started(service).await?;
        }
        Ok(())
    }

    pub(crate) async fn service_stopping(&self, service: &ServiceHandle) {
        for middleware in self.0.iter().rev() {
            let result = middleware.service_stopping(service).await;
            log(&**middleware, "service_stopping", result);
        }
    }

    pub(crate) async fn service_stopped(&self, service: &ServiceHandle) {
        for middleware in self.0.iter().rev() {
            let result = middleware.service_stopped(service).await;
            log(&**middleware, "service_stopped", result);
        }
    }

    pub(crate) fn created(&self, broker: &ServiceBroker) {
        self.0.iter().for_each(|middleware| middleware.created(broker));
    }

    pub(crate) async fn starting(&self, broker: &ServiceBroker) -> Result<()> {
        for middleware in &self.0 {
            middleware.starting(broker).await?;
        }
        Ok(())
    }

    pub(crate) async fn started(&self, broker: &ServiceBroker) -> Result<()> {
        for middleware in &self.0 {
            middleware.started(broker).await?;
        }
        Ok(())
    }

    pub(crate) async fn stopping(&self, broker: &ServiceBroker) {
        for middleware in self.0.iter().rev() {
            log(&**middleware, "stopping", middleware.stopping(broker).await);
        }
    }

    pub(crate) async fn stopped(&self, broker: &ServiceBroker) {
        for middleware in self.0.iter().rev() {
            log(&**middleware, "stopped", middleware.stopped(broker).await);
        }
    }
}

/// A stop goes on, whatever fails.
fn log(middleware: &dyn Middleware, hook: &str, result: Result<()>) {
    if let Err(error) = result {
        tracing::error!(middleware = middleware.name(), hook, %error, "a middleware failed");
    }
}
