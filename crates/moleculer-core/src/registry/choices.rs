//! Endpoints among which a strategy chooses.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use super::{ActionEndpoint, EventEndpoint, Node};
use crate::{
    Result,
    strategy::{Endpoint, Selection, Strategy, invalid_endpoint},
};

/// A list that never changes: a change makes a new one.
///
/// A thousand nodes that come one after the other would copy a list a thousand
/// times. So one more is kept apart from the others, which both lists share,
/// until somebody looks at the list as a whole or there are too many apart.
pub(super) struct Choices<E> {
    first: Arc<[Arc<E>]>,
    more: Vec<Arc<E>>,
    whole: OnceLock<Whole<E>>,
    version: u64,
}

/// How many are kept apart.
const MOST_APART: usize = 32;

struct Whole<E> {
    list: Arc<[Arc<E>]>,
    /// The list as the strategy sees it; empty when there is nothing to choose.
    endpoints: Box<[Endpoint]>,
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

impl<E: OnNode> Default for Choices<E> {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl<E: OnNode> Choices<E> {
    pub(super) fn new(list: Vec<Arc<E>>) -> Self {
        Self::of(list.into(), Vec::new())
    }

    fn of(first: Arc<[Arc<E>]>, more: Vec<Arc<E>>) -> Self {
        static VERSIONS: AtomicU64 = AtomicU64::new(1);
        let version = VERSIONS.fetch_add(1, Ordering::Relaxed);
        Self { first, more, whole: OnceLock::new(), version }
    }

    /// The same list with one more.
    pub(super) fn with(&self, one: Arc<E>) -> Self {
        let (first, more) = match self.whole.get() {
            Some(whole) => (&whole.list, &[][..]),
            None => (&self.first, self.more.as_slice()),
        };
        if more.len() < MOST_APART {
            let more = more.iter().cloned().chain([one]).collect();
            return Self::of(first.clone(), more);
        }
        Self::of(first.iter().chain(more).cloned().chain([one]).collect(), Vec::new())
    }

    pub(super) fn list(&self) -> &[Arc<E>] {
        &self.whole().list
    }

    pub(super) fn len(&self) -> usize {
        self.first.len() + self.more.len()
    }

    /// The one that came last.
    pub(super) fn last(&self) -> Option<&Arc<E>> {
        self.more.last().or_else(|| self.first.last())
    }

    #[inline]
    fn whole(&self) -> &Whole<E> {
        self.whole.get_or_init(|| {
            let list = match self.more.as_slice() {
                [] => self.first.clone(),
                more => self.first.iter().chain(more).cloned().collect(),
            };
            let endpoints = match &*list {
                [] | [_] => Box::default(),
                several => several.iter().map(|one| Endpoint(one.node().clone())).collect(),
            };
            Whole { list, endpoints }
        })
    }

    /// Asks the strategy, unless there is at most one.
    #[inline]
    pub(super) fn choose(
        &self,
        strategy: &dyn Strategy,
        call: &Selection<'_>,
    ) -> Result<Option<&Arc<E>>> {
        let Whole { list, endpoints } = self.whole();
        match &**list {
            [] => Ok(None),
            [only] => Ok(Some(only)),
            several => {
                let call = call.with_version(self.version);
                let chosen = strategy.select(endpoints, &call);
                match chosen.and_then(|at| several.get(at)) {
                    Some(endpoint) => Ok(Some(endpoint)),
                    None => Err(invalid_endpoint(strategy)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One(Arc<Node>);

    impl OnNode for One {
        fn node(&self) -> &Arc<Node> {
            &self.0
        }
    }

    /// However often somebody looks in between.
    #[test]
    fn one_more_comes_last() {
        for looked in [1, 7, 1000] {
            let mut expected = Vec::new();
            let mut choices = Choices::default();
            for n in 0..3 * MOST_APART {
                let id = format!("node-{n}");
                let one = Arc::new(One(Arc::new(Node::new(id.as_str().into(), false))));
                let before = choices;
                choices = before.with(one.clone());
                expected.push(one);
                assert_eq!((before.len(), choices.len()), (n, n + 1));
                assert!(choices.last().is_some_and(|last| Arc::ptr_eq(last, &expected[n])));
                if n % looked == 0 {
                    let same = choices.list().iter().zip(&expected);
                    assert!(same.into_iter().all(|(one, expected)| Arc::ptr_eq(one, expected)));
                    assert_eq!(choices.list().len(), n + 1);
                    assert_ne!(before.version, choices.version);
                }
            }
            let whole = choices.whole();
            assert_eq!((whole.list.len(), whole.endpoints.len()), (expected.len(), expected.len()));
        }
    }
}
