//! Strategies that know nothing of nodes and calls.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{Endpoint, Selection, Strategy, StrategyHost};
use crate::RandomSource;

/// One endpoint after the other: the default.
#[derive(Debug, Default)]
pub struct RoundRobin {
    next: AtomicUsize,
}

impl Strategy for RoundRobin {
    fn name(&self) -> &str {
        "RoundRobin"
    }

    fn for_list(&self, _: &StrategyHost) -> Arc<dyn Strategy> {
        Arc::new(Self::default())
    }

    fn select(&self, endpoints: &[Endpoint], _: &Selection<'_>) -> Option<usize> {
        self.next.fetch_add(1, Ordering::Relaxed).checked_rem(endpoints.len())
    }
}

/// Any endpoint, all equally likely.
#[derive(Debug, Default)]
pub struct Random {
    random: RandomSource,
}

impl Strategy for Random {
    fn name(&self) -> &str {
        "Random"
    }

    fn for_list(&self, host: &StrategyHost) -> Arc<dyn Strategy> {
        Arc::new(Self { random: host.random() })
    }

    fn select(&self, endpoints: &[Endpoint], _: &Selection<'_>) -> Option<usize> {
        any(&self.random, endpoints)
    }
}

/// A random index.
pub(super) fn any(random: &RandomSource, endpoints: &[Endpoint]) -> Option<usize> {
    (!endpoints.is_empty()).then(|| random.below(endpoints.len()))
}
