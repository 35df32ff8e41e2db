//! Endpoints among which a strategy chooses.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{ActionEndpoint, EventEndpoint, Node};
use crate::{
    Result,
    strategy::{Endpoint, Selection, Strategy, invalid_endpoint},
};

/// A list that never changes: a change makes a new one.
pub(super) struct Choices<E> {
    list: Vec<Arc<E>>,
    /// The list as the strategy sees it; empty when there is nothing to choose.
    endpoints: Box<[Endpoint]>,
    version: u64,
}

pub(super) trait OnNode {
    fn node(&self) -> &Arc<Node>;
}

impl OnNode for ActionEndpoint {
    fn node(&self) -> &Arc<Node> {
        &self.node
    }
}

impl OnNode for EventEndpoint {
    fn node(&self) -> &Arc<Node> {
        &self.node
    }
}

impl<E> Default for Choices<E> {
    fn default() -> Self {
        Self { list: Vec::new(), endpoints: Box::default(), version: 0 }
    }
}

impl<E: OnNode> Choices<E> {
    pub(super) fn new(list: Vec<Arc<E>>) -> Self {
        static VERSIONS: AtomicU64 = AtomicU64::new(1);
        let endpoints = match list.as_slice() {
            [] | [_] => Box::default(),
            several => several.iter().map(|one| Endpoint(one.node().clone())).collect(),
        };
        Self { list, endpoints, version: VERSIONS.fetch_add(1, Ordering::Relaxed) }
    }

    pub(super) fn list(&self) -> &[Arc<E>] {
        &self.list
    }

    /// Asks the strategy, unless there is at most one.
    #[inline]
    pub(super) fn choose(
        &self,
        strategy: &dyn Strategy,
        call: &Selection<'_>,
    ) -> Result<Option<&Arc<E>>> {
        match self.list.as_slice() {
            [] => Ok(None),
            [only] => Ok(Some(only)),
            several => {
                let call = call.with_version(self.version);
                let chosen = strategy.select(&self.endpoints, &call);
                match chosen.and_then(|at| several.get(at)) {
                    Some(endpoint) => Ok(Some(endpoint)),
                    None => Err(invalid_endpoint(strategy)),
                }
            }
        }
    }
}
