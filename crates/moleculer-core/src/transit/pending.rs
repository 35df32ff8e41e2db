//! Requests that wait for a response.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use foldhash::quality::RandomState;
use moleculer_protocol::{NodeId, Object, PacketId};
use tokio::sync::oneshot;

use crate::{Body, Error, ErrorKind, Result, sync::lock};

/// The waiting requests. Every entry is owned by a [`Guard`], so none can
/// stay behind.
pub(super) struct Pending {
    shards: Arc<[Shard; SHARDS]>,
    hasher: RandomState,
    count: Arc<AtomicUsize>,
    limit: usize,
}

/// Few enough to walk, many enough that two workers rarely meet.
const SHARDS: usize = 16;

type Shard = Mutex<HashMap<PacketId, Entry, RandomState>>;

struct Entry {
    action: Arc<str>,
    node: NodeId,
    waiting: oneshot::Sender<Reply>,
}

/// A response as far as the caller needs it.
pub(super) type Reply = std::result::Result<Answer, Answer<Error>>;

/// The result, or the error, and what came along.
pub(super) struct Answer<T = Body> {
    pub(super) value: T,
    pub(super) meta: Object,
    pub(super) headers: Object,
}

impl Pending {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            shards: Arc::new(std::array::from_fn(|_| Shard::default())),
            hasher: RandomState::default(),
            count: Arc::default(),
            limit,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Registers a request; dropping the guard takes it out again.
    ///
    /// # Errors
    ///
    /// `QueueIsFullError` when too many requests wait.
    pub(super) fn insert(
        &self,
        id: PacketId,
        action: Arc<str>,
        node: NodeId,
        local: &NodeId,
    ) -> Result<Guard> {
        let size = self.count.fetch_add(1, Ordering::AcqRel);
        if self.limit > 0 && size >= self.limit {
            self.count.fetch_sub(1, Ordering::AcqRel);
            return Err(queue_full(&action, local, size, self.limit));
        }
        let (waiting, reply) = oneshot::channel();
        let shard = self.shard_of(&id);
        let old = self.lock(shard).insert(id.clone(), Entry { action, node, waiting });
        if old.is_some() {
            // An id generator that repeats itself; the older call is cancelled.
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
        Ok(Guard { shards: self.shards.clone(), count: self.count.clone(), shard, id, reply })
    }

    /// Whether somebody waits for the response to this request.
    pub(super) fn contains(&self, id: &PacketId) -> bool {
        self.lock(self.shard_of(id)).contains_key(id)
    }

    /// Takes the request out; `None` for a response that nobody waits for.
    pub(super) fn complete(&self, id: &PacketId, reply: impl FnOnce() -> Reply) -> Option<()> {
        let entry = self.lock(self.shard_of(id)).remove(id)?;
        self.count.fetch_sub(1, Ordering::AcqRel);
        // A caller that has just gone away wants no reply.
        drop(entry.waiting.send(reply()));
        Some(())
    }

    /// Rejects what waits for a node.
    pub(super) fn reject_node(&self, node: &NodeId) {
        self.reject(|entry| entry.node == *node);
    }

    pub(super) fn reject_all(&self) {
        self.reject(|_| true);
    }

    fn reject(&self, gone: impl Fn(&Entry) -> bool) {
        for shard in 0..SHARDS {
            let rejected: Vec<_> = self.lock(shard).extract_if(|_, entry| gone(entry)).collect();
            for (_, entry) in rejected {
                self.count.fetch_sub(1, Ordering::AcqRel);
                let kind = ErrorKind::RequestRejected;
                let error = Error::about_action(kind, &entry.action, Some(&entry.node));
                let answer = Answer { value: error, meta: Object::new(), headers: Object::new() };
                drop(entry.waiting.send(Err(answer)));
            }
        }
    }

    fn shard_of(&self, id: &PacketId) -> usize {
        self.hasher.hash_one(id) as usize % SHARDS
    }

    fn lock(&self, shard: usize) -> MutexGuard<'_, HashMap<PacketId, Entry, RandomState>> {
        lock(&self.shards[shard])
    }
}

fn queue_full(action: &str, node: &NodeId, size: usize, limit: usize) -> Error {
    let mut data = Object::from([("action", action), ("nodeID", node)]);
    data.insert("size", size);
    data.insert("limit", limit);
    Error::from_data(ErrorKind::QueueIsFull, data)
}

/// Owns an entry and receives its reply.
pub(super) struct Guard {
    shards: Arc<[Shard; SHARDS]>,
    count: Arc<AtomicUsize>,
    shard: usize,
    id: PacketId,
    reply: oneshot::Receiver<Reply>,
}

impl Guard {
    pub(super) async fn reply(&mut self) -> Option<Reply> {
        (&mut self.reply).await.ok()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // After a reply the entry is gone already.
        if self.reply.is_terminated() {
            return;
        }
        if lock(&self.shards[self.shard]).remove(&self.id).is_some() {
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(pending: &Pending, id: &str, node: &str) -> Result<Guard> {
        pending.insert(id.into(), "a.b".into(), node.into(), &"me".into())
    }

    fn ok() -> Reply {
        Ok(Answer { value: Body::Empty, meta: Object::new(), headers: Object::new() })
    }

    #[tokio::test]
    async fn every_way_out_leaves_nothing_behind() {
        let pending = Pending::new(0);
        let mut answered = insert(&pending, "1", "a").unwrap();
        let dropped = insert(&pending, "2", "a").unwrap();
        let mut rejected = insert(&pending, "3", "b").unwrap();
        let mut left = insert(&pending, "4", "a").unwrap();
        assert_eq!(pending.len(), 4);

        assert!(pending.complete(&"1".into(), ok).is_some());
        assert!(answered.reply().await.unwrap().is_ok());
        drop(answered);
        drop(dropped);
        assert!(pending.complete(&"2".into(), ok).is_none());
        pending.reject_node(&"b".into());
        let error = rejected.reply().await.unwrap().err().unwrap().value;
        assert_eq!(error.kind(), &ErrorKind::RequestRejected);
        assert_eq!(pending.len(), 1);
        pending.reject_all();
        assert!(left.reply().await.unwrap().is_err());
        assert_eq!(pending.len(), 0);
    }

    #[test]
    fn the_queue_has_an_end() {
        let pending = Pending::new(2);
        let _one = insert(&pending, "1", "a").unwrap();
        let two = insert(&pending, "2", "a").unwrap();
        let error = insert(&pending, "3", "a").err().unwrap();
        assert_eq!(error.kind(), &ErrorKind::QueueIsFull);
        assert_eq!(error.data().unwrap().pointer("limit"), Some(&2.into()));
        drop(two);
        insert(&pending, "3", "a").unwrap();
    }
}
