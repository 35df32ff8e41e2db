//! The built-in context tracker: a stop waits for what still runs.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{ActionSite, Chain, EventSite, Middleware};
use crate::{
    ActionFn, Context, Error, EventFn, Result, ServiceBroker, ServiceHandle, TrackingOptions,
    sync::lock,
};

/// Counts what runs: actions and events of each service, and calls to other
/// nodes.
#[derive(Debug)]
pub(super) struct ContextTracker {
    options: TrackingOptions,
    services: Mutex<HashMap<Arc<str>, Arc<Gauge>>>,
    outgoing: Arc<Gauge>,
}

impl ContextTracker {
    pub(super) fn new(options: TrackingOptions) -> Self {
        Self { options, services: Mutex::default(), outgoing: Arc::default() }
    }

    /// The gauge of a service.
    fn gauge(&self, service: &str) -> Arc<Gauge> {
        let mut services = lock(&self.services);
        services.entry(service.into()).or_default().clone()
    }

    fn wrap(&self, next: ActionFn, chain: Chain, gauge: Arc<Gauge>) -> ActionFn {
        let enabled = self.options.enabled;
        if chain == Chain::Static && !enabled {
            return next;
        }
        Arc::new(move |ctx| {
            if !ctx.tracking().unwrap_or(enabled) {
                return next(ctx);
            }
            let running = gauge.enter();
            let result = next(ctx);
            Box::pin(async move {
                let _running = running;
                result.await
            })
        })
    }
}

impl Middleware for ContextTracker {
    fn name(&self) -> &'static str {
        "ContextTracker"
    }

    fn local_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        self.wrap(next, site.chain, self.gauge(site.service))
    }

    fn remote_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        self.wrap(next, site.chain, self.outgoing.clone())
    }

    fn local_event(&self, next: EventFn, site: &EventSite<'_>) -> EventFn {
        if !self.options.enabled {
            return next;
        }
        let gauge = self.gauge(site.service);
        Arc::new(move |ctx: Context| {
            let running = gauge.enter();
            let result = next(ctx);
            Box::pin(async move {
                let _running = running;
                result.await
            })
        })
    }

    fn service_stopping<'a>(&'a self, service: &'a ServiceHandle) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let name = service.full_name();
            let own = service.instance().service.duration("$shutdownTimeout")?;
            let limit = own.unwrap_or(*self.options.shutdown_timeout);
            let gauge = self.gauge(name);
            lock(&self.services).remove(name);
            if gauge.ends_within(limit, name).await {
                return Ok(());
            }
            Err(Error::graceful_stop(Some((service.name(), service.version()))))
        })
    }

    fn stopping<'a>(&'a self, _: &'a ServiceBroker) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let ended = self.outgoing.ends_within(*self.options.shutdown_timeout, "the broker");
            if ended.await { Ok(()) } else { Err(Error::graceful_stop(None)) }
        })
    }
}

/// How much runs now.
#[derive(Debug, Default)]
struct Gauge {
    running: AtomicUsize,
    /// Notified when nothing runs any more.
    empty: Notify,
}

impl Gauge {
    fn enter(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::AcqRel);
        Running(self.clone())
    }

    /// Waits until nothing runs; false when that takes too long.
    async fn ends_within(&self, limit: Duration, who: &str) -> bool {
        // Too long for the clock is for ever.
        let deadline = Instant::now().checked_add(limit);
        let mut told = false;
        loop {
            // Registered before the look, so that the end is not missed.
            let empty = self.empty.notified();
            let running = self.running.load(Ordering::Acquire);
            if running == 0 {
                return true;
            }
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(running, "'{who}' waits for what still runs");
            }
            match deadline {
                None => empty.await,
                Some(deadline) if timeout_at(deadline, empty).await.is_err() => return false,
                Some(_) => {}
            }
        }
    }
}

/// Something that runs, until it is dropped.
struct Running(Arc<Gauge>);

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.empty.notify_waiters();
        }
    }
}
