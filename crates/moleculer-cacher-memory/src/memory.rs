//! The cacher: [`MemoryCacher`].

use std::{task::Poll, time::Duration};

use moleculer_core::{
    Payload, Result,
    cacher::{CacheOptions, Cached, Cacher, CacherCapabilities, KeyLock, KeyLocks},
};

use crate::{config::MemoryBuilder, store::Store};

/// Keeps results in this process, until they expire, are cleaned, or have to
/// make room: with a limit the least recently used go first, which is the
/// reference's MemoryLRU.
///
/// Values are shared, not copied: they never change.
///
/// ```
/// use std::time::Duration;
/// use moleculer_cacher_memory::MemoryCacher;
///
/// let cacher = MemoryCacher::builder().ttl(Duration::from_secs(30)).max(10_000).build();
/// # let _ = cacher;
/// ```
#[derive(Debug)]
pub struct MemoryCacher {
    store: Store,
    locks: KeyLocks,
    options: CacheOptions,
    max: Option<u64>,
}

impl MemoryCacher {
    /// Begins with the defaults: no limit, results are kept until cleaned.
    pub fn builder() -> MemoryBuilder {
        MemoryBuilder::default()
    }

    pub(crate) fn new(options: CacheOptions, max: Option<u64>) -> Self {
        let store = match max {
            Some(max) => Store::least_recently_used(max, options.ttl),
            None => Store::unlimited(),
        };
        Self { store, locks: KeyLocks::default(), options, max }
    }
}

impl Cacher for MemoryCacher {
    fn name(&self) -> &'static str {
        if self.max.is_some() { "MemoryLRU" } else { "Memory" }
    }

    fn capabilities(&self) -> CacherCapabilities {
        let local = CacherCapabilities::local();
        self.max.map_or(local, |max| local.with_max(max))
    }

    fn options(&self) -> &CacheOptions {
        &self.options
    }

    fn get_now(&self, key: &str) -> Poll<Option<Payload>> {
        Poll::Ready(self.store.get(key))
    }

    async fn get(&self, key: &str) -> Result<Option<Payload>> {
        Ok(self.store.get(key))
    }

    async fn get_with_ttl(&self, key: &str) -> Result<Option<Cached>> {
        Ok(self.store.get_with_ttl(key))
    }

    async fn set(&self, key: &str, value: Payload, ttl: Option<Duration>) -> Result<()> {
        self.store.set(key, value, ttl);
        Ok(())
    }

    async fn del(&self, keys: &[&str]) -> Result<()> {
        keys.iter().for_each(|key| self.store.del(key));
        Ok(())
    }

    async fn clean(&self, patterns: &[&str]) -> Result<()> {
        self.store.clean(patterns);
        Ok(())
    }

    async fn keys(&self) -> Result<Vec<String>> {
        Ok(self.store.keys())
    }

    async fn lock(&self, key: &str, _: Duration) -> Result<KeyLock> {
        Ok(self.locks.lock(key).await)
    }

    async fn try_lock(&self, key: &str, _: Duration) -> Result<Option<KeyLock>> {
        Ok(self.locks.try_lock(key))
    }
}
