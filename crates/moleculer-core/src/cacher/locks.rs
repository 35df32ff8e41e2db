//! Locks by key within one process: [`KeyLocks`].

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

use tokio::sync::OwnedMutexGuard;

use crate::sync::lock;

/// The lock of a key, held until it is dropped.
#[must_use = "the lock is given back when this is dropped"]
pub struct KeyLock(Option<Box<dyn FnOnce() + Send>>);

impl KeyLock {
    /// A lock that `release` gives back when it is dropped; it must not block.
    pub fn new(release: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(release)))
    }
}

impl Drop for KeyLock {
    fn drop(&mut self) {
        if let Some(release) = self.0.take() {
            release();
        }
    }
}

impl fmt::Debug for KeyLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyLock")
    }
}

/// Locks by key for all of one process, given in the order in which they were
/// asked for. What is not locked takes no memory.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use moleculer_core::cacher::KeyLocks;
///
/// let locks = KeyLocks::default();
/// let held = locks.lock("posts.get:5").await;
/// assert!(locks.try_lock("posts.get:5").is_none());
/// drop(held);
/// assert!(locks.try_lock("posts.get:5").is_some());
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct KeyLocks(Arc<Mutex<HashMap<Arc<str>, Gate>>>);

type Gate = Arc<tokio::sync::Mutex<()>>;

impl KeyLocks {
    /// Waits until nobody else holds the lock.
    pub async fn lock(&self, key: &str) -> KeyLock {
        let place = Place::new(self, key);
        let guard = place.gate().lock_owned().await;
        place.held(guard)
    }

    /// The lock, unless somebody else holds it.
    pub fn try_lock(&self, key: &str) -> Option<KeyLock> {
        let place = Place::new(self, key);
        let guard = place.gate().try_lock_owned().ok()?;
        Some(place.held(guard))
    }

    /// How many keys are locked or waited for.
    pub fn len(&self) -> usize {
        lock(&self.0).len()
    }

    /// Whether no key is locked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One who waits for a lock or holds it; the last of a key takes it away.
struct Place {
    locks: KeyLocks,
    key: Arc<str>,
    gate: Option<Gate>,
}

impl Place {
    fn new(locks: &KeyLocks, key: &str) -> Self {
        let mut all = lock(&locks.0);
        let (key, gate) = match all.get_key_value(key) {
            Some((key, gate)) => (key.clone(), gate.clone()),
            None => {
                let (key, gate): (Arc<str>, _) = (key.into(), Gate::default());
                all.insert(key.clone(), gate.clone());
                (key, gate)
            }
        };
        Self { locks: locks.clone(), key, gate: Some(gate) }
    }

    fn gate(&self) -> Gate {
        self.gate.clone().unwrap_or_default()
    }

    fn held(self, guard: OwnedMutexGuard<()>) -> KeyLock {
        KeyLock::new(move || {
            drop(guard);
            drop(self);
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = lock(&self.locks.0);
        let gate = self.gate.take();
        // The map's and this one: nobody can get another one meanwhile.
        if gate.is_some_and(|gate| Arc::strong_count(&gate) == 2) {
            all.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, future::join_all};

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_in_order() {
        let (locks, order) = (KeyLocks::default(), Arc::new(Mutex::new(Vec::new())));
        let held = locks.lock("a").await;
        let waiting = (0..10).map(|n| {
            let (locks, order) = (locks.clone(), order.clone());
            tokio::spawn(async move {
                let _held = locks.lock("a").await;
                tokio::task::yield_now().await;
                lock(&order).push(n);
            })
        });
        let waiting: Vec<_> = waiting.collect();
        tokio::task::yield_now().await;
        assert!(lock(&order).is_empty());
        drop(held);
        join_all(waiting).await;
        assert_eq!(*lock(&order), (0..10).collect::<Vec<_>>());
        assert!(locks.is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_leaves_nothing_behind() {
        let locks = KeyLocks::default();
        let held = locks.lock("a").await;
        assert!(locks.lock("a").now_or_never().is_none());
        assert!(locks.try_lock("a").is_none());
        assert!(locks.try_lock("b").is_some());
        assert_eq!(locks.len(), 1);
        drop(held);
        assert!(locks.is_empty());
        assert!(locks.try_lock("a").is_some());
    }
}
