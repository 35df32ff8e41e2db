//! How many retries a node may make: [`Budget`].

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::sync::lock;

/// The time over which calls and retries are compared.
const WINDOW: Duration = Duration::from_secs(10);

/// Counts calls and retries. When most calls fail, retries beyond a share of
/// the calls are refused: they would only add to the load that makes calls
/// fail.
#[derive(Debug)]
pub(super) struct Budget {
    /// First attempts since the window began.
    calls: AtomicU64,
    /// Retries that are always allowed in a window.
    reserve: f64,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    /// Retries since then.
    retries: f64,
    /// Calls and retries of the window before.
    before: (f64, f64),
}

impl Budget {
    pub(super) fn new(reserve: f64) -> Self {
        let window = Window { began: Instant::now(), retries: 0.0, before: (0.0, 0.0) };
        Self { calls: AtomicU64::new(0), reserve, window: Mutex::new(window) }
    }

    /// Counts a first attempt.
    pub(super) fn count(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Asks for one retry, when `share` retries a call are allowed.
    pub(super) fn withdraw(&self, share: f64) -> bool {
        let mut window = lock(&self.window);
        let elapsed = window.began.elapsed();
        if elapsed >= WINDOW {
            // Nobody looks at the clock while nothing fails, so this may be
            // long ago: what counts is the rate.
            let scale = WINDOW.as_secs_f64() / elapsed.as_secs_f64();
            let calls = self.calls.swap(0, Ordering::Relaxed) as f64;
            window.before = (calls * scale, window.retries * scale);
            window.retries = 0.0;
            window.began = Instant::now();
        }
        // The part of the window before that still counts.
        let part = 1.0 - window.began.elapsed().as_secs_f64() / WINDOW.as_secs_f64();
        let calls = window.before.0 * part + self.calls.load(Ordering::Relaxed) as f64;
        let retries = window.before.1 * part + window.retries;
        let allowed = retries + 1.0 <= calls * share + self.reserve;
        if allowed {
            window.retries += 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn withdraw_all(budget: &Budget, share: f64) -> u32 {
        (0..).find(|_| !budget.withdraw(share)).expect("a budget ends")
    }

    #[tokio::test(start_paused = true)]
    async fn retries_are_a_share_of_the_calls_and_a_reserve() {
        let budget = Budget::new(100.0);
        assert_eq!(withdraw_all(&budget, 0.1), 100);
        (0..1000).for_each(|_| budget.count());
        assert_eq!(withdraw_all(&budget, 0.1), 100);
        // A more generous action goes on where the others stopped.
        assert_eq!(withdraw_all(&budget, 0.2), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn the_past_is_forgotten_bit_by_bit() {
        let budget = Budget::new(100.0);
        (0..1000).for_each(|_| budget.count());
        assert_eq!(withdraw_all(&budget, 0.1), 200);
        tokio::time::advance(WINDOW).await;
        assert!(!budget.withdraw(0.1));
        tokio::time::advance(WINDOW / 2).await;
        assert_eq!(withdraw_all(&budget, 0.1), 50);
        tokio::time::advance(2 * WINDOW).await;
        let left = withdraw_all(&budget, 0.1);
        assert!((75..=100).contains(&left), "{left}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_good_time_saves_nothing_up() {
        let budget = Budget::new(100.0);
        (0..100_000).for_each(|_| budget.count());
        tokio::time::advance(100 * WINDOW).await;
        assert_eq!(withdraw_all(&budget, 0.1), 200);
    }
}
