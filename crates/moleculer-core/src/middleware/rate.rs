//! Debounce and throttle: fewer runs of an event's handler.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::{EventSite, Middleware};
use crate::{Context, EventFn, broker::Tasks, sync::lock};

/// Handles the last event once no further one has come for a while.
#[derive(Debug)]
pub(crate) struct Debounce {
    pub(crate) tasks: Tasks,
}

impl Middleware for Debounce {
    fn name(&self) -> &'static str {
        "Debounce"
    }

    fn local_event(&self, next: EventFn, site: &EventSite<'_>) -> EventFn {
        let Some(quiet) = site.event.debounce.filter(|quiet| !quiet.is_zero()) else {
            return next;
        };
        let (tasks, newest) = (self.tasks.clone(), Mutex::new(Weak::<Burst>::new()));
        Arc::new(move |ctx| {
            let event = Last { ctx, at: Instant::now() };
            let mut newest = lock(&newest);
            if let Some(burst) = newest.upgrade()
                && let Some(last) = lock(&burst).as_mut()
            {
                *last = event;
            } else {
                let burst = Arc::new(Mutex::new(Some(event)));
                *newest = Arc::downgrade(&burst);
                tasks.spawn(handle_last(burst, quiet, next.clone()));
            }
            Box::pin(std::future::ready(Ok(())))
        })
    }
}

/// Events without a pause between them. Its task alone keeps it, so that
/// nothing is left when the broker stops; empty once the last event is handled.
type Burst = Mutex<Option<Last>>;

/// The last event that came.
struct Last {
    ctx: Context,
    at: Instant,
}

async fn handle_last(burst: Arc<Burst>, quiet: Duration, next: EventFn) {
    let last = loop {
        let Some(at) = lock(&burst).as_ref().map(|last| last.at) else {
            return;
        };
        sleep_until(at + quiet).await;
        if let Some(last) = lock(&burst).take_if(|last| last.at == at) {
            break last;
        }
    };
    let (event, service) = (last.ctx.event().to_owned(), last.ctx.service_name());
    if let Err(error) = next(last.ctx).await {
        tracing::error!(%event, %service, ?error, "a debounced event handler failed");
    }
}

/// Drops events that come too soon after one that was handled.
#[derive(Debug)]
pub(crate) struct Throttle;

impl Middleware for Throttle {
    fn name(&self) -> &'static str {
        "Throttle"
    }

    fn local_event(&self, next: EventFn, site: &EventSite<'_>) -> EventFn {
        let Some(pause) = site.event.throttle.filter(|pause| !pause.is_zero()) else {
            return next;
        };
        let last = Mutex::new(None::<Instant>);
        Arc::new(move |ctx| {
            let now = Instant::now();
            let mut last = lock(&last);
            if last.is_some_and(|last| now.duration_since(last) < pause) {
                return Box::pin(std::future::ready(Ok(())));
            }
            *last = Some(now);
            drop(last);
            next(ctx)
        })
    }
}
