//! What may happen thousands of times in a row, in the log: [`Seldom`].

use std::{sync::Mutex, time::Duration};

use tokio::time::Instant;

use crate::sync::lock;

/// Least time between the first two lines of a row.
const SHORTEST: Duration = Duration::from_secs(1);
/// Most time between two lines of a long row.
const LONGEST: Duration = Duration::from_secs(60);

/// Counts what happens, so that the log tells of it now and then: at once,
/// after a second, and then with pauses that double while it goes on.
///
/// A peer with a wrong key sends thousands of invalid packets, and a lost
/// server fails thousands of calls; each says the same.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<Row>);

#[derive(Debug, Default)]
struct Row {
    /// When the next one may be told of.
    next: Option<Instant>,
    pause: Duration,
    untold: u64,
}

impl Seldom {
    /// One more. If it is to be told of, the number of those before it that
    /// were not.
    pub(crate) fn count(&self) -> Option<u64> {
        let now = Instant::now();
        let mut row = lock(&self.0);
        if row.next.is_some_and(|next| now < next) {
            row.untold += 1;
            return None;
        }
        let goes_on = row.next.is_some_and(|next| now < next + row.pause);
        row.pause = if goes_on { (row.pause * 2).min(LONGEST) } else { SHORTEST };
        row.next = Some(now + row.pause);
        Some(std::mem::take(&mut row.untold))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_row_is_told_of_in_longer_and_longer_pauses() {
        let seldom = Seldom::default();
        let three = || [0; 3].map(|_| seldom.count());
        assert_eq!(three(), [Some(0), None, None]);
        advance(SHORTEST - Duration::from_millis(1)).await;
        assert_eq!(three(), [None; 3]);
        advance(Duration::from_millis(1)).await;
        assert_eq!(three(), [Some(5), None, None]);
        advance(SHORTEST).await;
        assert_eq!(three(), [None; 3]);
        advance(SHORTEST).await;
        assert_eq!(three(), [Some(5), None, None]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_that_never_ends_is_told_of_once_a_minute_and_a_new_one_at_once() {
        let seldom = Seldom::default();
        let mut told = Vec::new();
        for second in 0..400 {
            told.extend(seldom.count().map(|_| second));
            advance(Duration::from_secs(1)).await;
        }
        assert_eq!(told, [0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363]);
        advance(2 * LONGEST).await;
        assert_eq!(seldom.count(), Some(36));
        advance(SHORTEST).await;
        assert_eq!(seldom.count(), Some(0));
    }
}
