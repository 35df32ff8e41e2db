//! Entries by key, each with the end of its time: [`Store`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use moka::{Expiry, policy::EvictionPolicy, sync::Cache};
use moleculer_core::{
    Payload,
    cacher::{Cached, matches},
};
use tokio::time::Instant;

/// Time is tokio's, so that tests can pause it: the end of an entry is checked
/// when it is read. moka's own clock only clears away what nobody reads.
#[derive(Debug)]
pub(crate) struct Store {
    entries: Cache<Arc<str>, Arc<Entry>>,
    /// What the ends of entries are counted from.
    start: Instant,
    /// By how much a read puts off the end.
    sliding: Option<Duration>,
}

#[derive(Debug)]
struct Entry {
    value: Payload,
    ttl: Option<Duration>,
    /// In ms since the start of the store.
    end: AtomicU64,
}

const NEVER: u64 = u64::MAX;

impl Store {
    /// Entries without a limit.
    pub(crate) fn unlimited() -> Self {
        Self {
            entries: Cache::builder().expire_after(Unread).build(),
            start: Instant::now(),
            sliding: None,
        }
    }

    /// As many entries as `max`; the least recently used go. With `sliding` a
    /// read puts off an entry's end by so much.
    pub(crate) fn least_recently_used(max: u64, sliding: Option<Duration>) -> Self {
        let entries =
            Cache::builder().max_capacity(max).eviction_policy(EvictionPolicy::lru()).build();
        Self { entries, start: Instant::now(), sliding }
    }

    pub(crate) fn get(&self, key: &str) -> Option<Payload> {
        let entry = self.entries.get(key)?;
        if let (Some(now), Some(more)) = (self.live(&entry)?, self.sliding) {
            entry.end.store(now.saturating_add(millis(more)), Ordering::Relaxed);
        }
        Some(entry.value.clone())
    }

    pub(crate) fn get_with_ttl(&self, key: &str) -> Option<Cached> {
        let entry = self.entries.get(key)?;
        let now = self.live(&entry)?;
        let left = now.map(|now| entry.end.load(Ordering::Relaxed).saturating_sub(now));
        Some(Cached::new(entry.value.clone(), left.map(Duration::from_millis)))
    }

    pub(crate) fn set(&self, key: &str, value: Payload, ttl: Option<Duration>) {
        let end = ttl.map_or(NEVER, |ttl| self.now().saturating_add(millis(ttl)));
        let entry = Entry { value, ttl, end: AtomicU64::new(end) };
        self.entries.insert(key.into(), Arc::new(entry));
    }

    pub(crate) fn del(&self, key: &str) {
        self.entries.invalidate(key);
    }

    pub(crate) fn clean(&self, patterns: &[&str]) {
        let fitting = self
            .entries
            .iter()
            .filter(|(key, _)| patterns.iter().any(|pattern| matches(key, pattern)));
        let fitting: Vec<_> = fitting.map(|(key, _)| key).collect();
        for key in fitting {
            self.entries.invalidate(&**key);
        }
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        // Makes room where there is too much by now.
        self.entries.run_pending_tasks();
        let live = self.entries.iter().filter(|(_, entry)| self.live(entry).is_some());
        live.map(|(key, _)| key.to_string()).collect()
    }

    /// The time, if the entry can expire at all; `None` when it has. It stays
    /// where it is: taken out now, it might be a later one that goes.
    fn live(&self, entry: &Entry) -> Option<Option<u64>> {
        let end = entry.end.load(Ordering::Relaxed);
        if end == NEVER {
            return Some(None);
        }
        let now = self.now();
        (now < end).then_some(Some(now))
    }

    fn now(&self) -> u64 {
        millis(self.start.elapsed())
    }
}

/// Rounded up: no time is a short time, not none.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(NEVER - 1)
}

/// Clears away what expired and is not read any more.
struct Unread;

#[expect(clippy::disallowed_types, reason = "moka asks for it")]
impl Expiry<Arc<str>, Arc<Entry>> for Unread {
    fn expire_after_create(
        &self,
        _: &Arc<str>,
        entry: &Arc<Entry>,
        _: std::time::Instant,
    ) -> Option<Duration> {
        // The exact end is the store's business.
        entry.ttl.map(|ttl| ttl.saturating_add(Duration::from_secs(1)))
    }

    fn expire_after_update(
        &self,
        key: &Arc<str>,
        entry: &Arc<Entry>,
        now: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, entry, now)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MILLISECOND: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn an_entry_ends_to_the_millisecond() {
        let store = Store::unlimited();
        store.set("a", Payload::new(1), Some(SECOND));
        store.set("b", Payload::new(2), Some(Duration::ZERO));
        assert!(store.get("b").is_none());
        advance(SECOND - MILLISECOND).await;
        assert_eq!(store.get_with_ttl("a").and_then(|cached| cached.ttl), Some(MILLISECOND));
        advance(MILLISECOND).await;
        assert!(store.get("a").is_none());
        assert!(store.keys().is_empty());
    }

    /// As in the reference: in an LRU cache each use counts anew.
    #[tokio::test(start_paused = true)]
    async fn a_use_puts_the_end_off_where_there_is_a_limit() {
        let store = Store::least_recently_used(10, Some(SECOND));
        store.set("used", Payload::new(1), Some(SECOND));
        store.set("idle", Payload::new(1), Some(SECOND));
        for _ in 0..5 {
            advance(SECOND / 2).await;
            assert!(store.get("used").is_some());
        }
        assert!(store.get("idle").is_none());
        advance(SECOND).await;
        assert!(store.get("used").is_none());
    }

    #[test]
    fn a_long_time_is_no_overflow() {
        let store = Store::unlimited();
        store.set("a", Payload::new(1), Some(Duration::MAX));
        assert!(store.get("a").is_some());
    }

    /// A hit hands out the value itself.
    #[test]
    fn values_are_shared() {
        let store = Store::unlimited();
        store.set("a", Payload::new(vec![1, 2]), None);
        let [one, two] = [(); 2].map(|()| store.get("a").and_then(|v| v.share::<Vec<i32>>().ok()));
        assert!(Arc::ptr_eq(&one.unwrap(), &two.unwrap()));
    }
}
