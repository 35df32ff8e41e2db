//! Whether an action's requests, or a listener's events, may start in the reader's task.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::{Result, service::panic_error};

/// How long a handler may hold the reader before it counts as slow.
const SLOW: Duration = Duration::from_micros(50);
/// Requests that a slow action gets a task for, before it is tried again.
const SPAWNED: u32 = 1000;

/// Remembers whether an action's or a listener's handlers give way soon.
///
/// Starting a handler in the task that read its packet saves two switches
/// between tasks, which cost more than a small handler does. A handler that
/// computes for long would hold up the requests behind it, so its action's
/// next requests get tasks of their own (ADR 0005).
#[derive(Debug, Default)]
pub(crate) struct Pace(AtomicU32);

impl Pace {
    /// Polls a handler once, unless the last ones were slow. Nobody is woken
    /// for it: who finds it pending polls it again.
    pub(crate) fn poll<T>(&self, running: &mut BoxFuture<'static, Result<T>>) -> Poll<Result<T>> {
        if !self.in_place() {
            return Poll::Pending;
        }
        let started = Instant::now();
        let mut nobody = Context::from_waker(Waker::noop());
        // A middleware may panic, and this is not its own task.
        let polled = catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(&mut nobody)));
        self.took(started.elapsed());
        polled.unwrap_or_else(|panic| Poll::Ready(Err(panic_error(&*panic))))
    }

    /// Whether the next one may start in place.
    fn in_place(&self) -> bool {
        // Lost updates only shift when it is tried again.
        match self.0.load(Ordering::Relaxed) {
            0 => true,
            left => {
                self.0.store(left - 1, Ordering::Relaxed);
                false
            }
        }
    }

    /// Tells how long the handler held the reader.
    fn took(&self, time: Duration) {
        if time > SLOW {
            self.0.store(SPAWNED, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_action_is_tried_again_later() {
        let pace = Pace::default();
        assert!(pace.in_place());
        pace.took(Duration::from_micros(49));
        assert!(pace.in_place());
        pace.took(Duration::from_millis(1));
        let spawned = (0..).take_while(|_| !pace.in_place()).count();
        assert_eq!(spawned, 1000);
    }
}
