//! Packets that do no good, in the log: [`Dropped`].

use std::{sync::Mutex, time::Duration};

use tokio::time::Instant;

use crate::sync::lock;

/// Least time between two lines. A peer with a wrong key sends thousands of
/// invalid packets, and each says the same.
const PAUSE: Duration = Duration::from_secs(1);

/// Counts packets of one kind of trouble, so that the log tells of them now and then.
#[derive(Default)]
pub(super) struct Dropped(Mutex<Tally>);

#[derive(Default)]
struct Tally {
    /// When the next one may be told of.
    next: Option<Instant>,
    untold: u64,
}

impl Dropped {
    /// One more. If it is to be told of, the number of those before it that
    /// were not.
    pub(super) fn count(&self) -> Option<u64> {
        let now = Instant::now();
        let mut tally = lock(&self.0);
        if tally.next.is_some_and(|next| now < next) {
            tally.untold += 1;
            return None;
        }
        tally.next = Some(now + PAUSE);
        Some(std::mem::take(&mut tally.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_a_second() {
        let dropped = Dropped::default();
        let three = || [0; 3].map(|_| dropped.count());
        assert_eq!(three(), [Some(0), None, None]);
        tokio::time::advance(PAUSE - Duration::from_millis(1)).await;
        assert_eq!(three(), [None; 3]);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(three(), [Some(5), None, None]);
    }
}
