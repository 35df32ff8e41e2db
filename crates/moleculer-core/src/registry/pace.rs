//! Whether an action's requests may start in the reader's task.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// How long a handler may hold the reader before it counts as slow.
const SLOW: Duration = Duration::from_micros(50);
/// Requests that a slow action gets a task for, before it is tried again.
const SPAWNED: u32 = 1000;

/// Remembers whether an action's handlers give way soon.
///
/// Starting a handler in the task that read its request saves two switches
/// between tasks, which cost more than a small handler does. A handler that
/// computes for long would hold up the requests behind it, so its action's
/// next requests get tasks of their own (ADR 0005).
#[derive(Debug, Default)]
pub(crate) struct Pace(AtomicU32);

impl Pace {
    /// Whether the next request may start in place.
    pub(crate) fn in_place(&self) -> bool {
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
    pub(crate) fn took(&self, time: Duration) {
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
