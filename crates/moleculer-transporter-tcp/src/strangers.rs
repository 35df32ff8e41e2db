//! Connections on which no packet came yet: [`Strangers`].

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Most connections on which no packet came yet; above it the one that is
/// silent for longest is closed. Peers begin with a packet.
pub(crate) const MOST_SILENT: usize = 1024;
/// Time in which whoever connects has to send a first packet.
const PATIENCE: Duration = Duration::from_secs(5);
/// Least time between two lines about one kind of trouble.
const PAUSE: Duration = Duration::from_secs(60);

/// Who has connected and said nothing: anybody can do that, so it has to cost
/// little, and to end.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    waiting: Mutex<Waiting>,
    sent_away: Seldom,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Counts all that came.
    count: u64,
    tokens: BTreeMap<u64, CancellationToken>,
}

/// One of the [`Strangers`], until it is dropped.
#[derive(Debug)]
pub(crate) struct Stranger {
    all: Arc<Strangers>,
    number: u64,
    token: CancellationToken,
}

impl Strangers {
    /// Takes one in, at the cost of the one that is silent for longest.
    pub(crate) fn admit(self: &Arc<Self>) -> Stranger {
        let token = CancellationToken::new();
        let mut waiting = self.waiting();
        waiting.count += 1;
        let number = waiting.count;
        waiting.tokens.insert(number, token.clone());
        if waiting.tokens.len() > MOST_SILENT
            && let Some((_, longest)) = waiting.tokens.pop_first()
        {
            longest.cancel();
        }
        drop(waiting);
        Stranger { all: Arc::clone(self), number, token }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stranger {
    /// Waits for its first packet: `None` when that takes too long.
    pub(crate) async fn greets<T>(&self, packet: impl Future<Output = T>) -> Option<T> {
        let told = tokio::select! {
            told = packet => Some(told),
            () = self.token.cancelled() => None,
            () = sleep(PATIENCE) => None,
        };
        if told.is_none()
            && let Some(others) = self.all.sent_away.count()
        {
            tracing::warn!(
                others,
                "connections on which nothing comes are closed: after {} s, or when there are more \
                 than {MOST_SILENT}",
                PATIENCE.as_secs(),
            );
        }
        told
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.all.waiting().tokens.remove(&self.number);
    }
}

/// Counts what is not worth a line each time.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    /// One more. If there should be a line, the number of those before it that
    /// got none.
    pub(crate) fn count(&self) -> Option<u64> {
        let now = Instant::now();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.0.is_some_and(|next| now < next) {
            seen.1 += 1;
            return None;
        }
        seen.0 = Some(now + PAUSE);
        Some(std::mem::take(&mut seen.1))
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_has_to_go() {
        let all = Arc::new(Strangers::default());
        let started = Instant::now();
        assert_eq!(all.admit().greets(ready(7)).await, Some(7));
        assert_eq!(all.admit().greets(pending::<()>()).await, None);
        assert_eq!(started.elapsed(), PATIENCE);
        assert_eq!(all.waiting().tokens.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_came_first_goes_first() {
        let all = Arc::new(Strangers::default());
        let started = Instant::now();
        let mut here: Vec<_> = (0..=MOST_SILENT).map(|_| all.admit()).collect();
        assert_eq!(here[0].greets(pending::<()>()).await, None);
        assert_eq!(started.elapsed(), Duration::ZERO, "at once");
        assert!(here[1..].iter().all(|stranger| !stranger.token.is_cancelled()));
        // Who has greeted makes room.
        here.truncate(2);
        here.push(all.admit());
        assert!(!here[1].token.is_cancelled());
        drop(here);
        assert_eq!(all.waiting().tokens.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn lines_are_few() {
        let seldom = Seldom::default();
        let many = || (0..10_000).filter_map(|_| seldom.count()).collect::<Vec<_>>();
        assert_eq!(many(), [0]);
        tokio::time::advance(PAUSE).await;
        assert_eq!(many(), [9999]);
    }
}
