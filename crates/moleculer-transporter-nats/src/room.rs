//! How many bytes may wait: [`Room`].

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use tokio::sync::{Mutex, MutexGuard, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// How many times as much as in the queue may wait for room in it.
const CROWD: usize = 8;

/// The bytes in the queue of what is to be written, and those that wait for
/// room in it.
///
/// What is in the queue holds its share of the room until it is dropped, so
/// that nothing has to be told when it is written, or lost with a connection.
#[derive(Debug)]
pub(crate) struct Room {
    queue: Arc<Semaphore>,
    crowd: Semaphore,
    limit: usize,
    turn: Mutex<()>,
    /// Those who have the turn or wait for it.
    in_turn: AtomicUsize,
}

/// The right to be the next one in the queue; nobody else enters it meanwhile.
pub(crate) struct Turn<'a> {
    _order: MutexGuard<'a, ()>,
    _counted: Counted<'a>,
}

struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Room {
    pub(crate) fn new(limit: usize) -> Self {
        // What one packet takes is counted in 32 bits.
        let most = Semaphore::MAX_PERMITS.min(u32::MAX as usize) / CROWD;
        let limit = limit.clamp(1, most);
        let crowd = Semaphore::new(limit * CROWD);
        let (queue, turn) = (Arc::new(Semaphore::new(limit)), Mutex::default());
        Self { queue, crowd, limit, turn, in_turn: AtomicUsize::new(0) }
    }

    /// Takes a share of the queue, if there is one now and nobody waits.
    pub(crate) fn try_enter(&self, bytes: &Bytes) -> Option<Bytes> {
        if self.in_turn.load(Ordering::Acquire) > 0 {
            return None;
        }
        let cost = self.cost(bytes, self.limit);
        let share = Arc::clone(&self.queue).try_acquire_many_owned(cost).ok()?;
        Some(held(bytes.clone(), share))
    }

    /// Waits for those who came before.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        self.in_turn.fetch_add(1, Ordering::AcqRel);
        let counted = Counted(&self.in_turn);
        Turn { _order: self.turn.lock().await, _counted: counted }
    }

    /// Waits for a share of the queue; for those whose turn it is.
    pub(crate) async fn enter(&self, _: &Turn<'_>, bytes: &Bytes) -> Option<Bytes> {
        let cost = self.cost(bytes, self.limit);
        let share = Arc::clone(&self.queue).acquire_many_owned(cost).await.ok()?;
        Some(held(bytes.clone(), share))
    }

    /// A place among those that wait, if there is one.
    pub(crate) fn line_up(&self, bytes: &Bytes) -> Option<SemaphorePermit<'_>> {
        self.crowd.try_acquire_many(self.cost(bytes, self.limit * CROWD)).ok()
    }

    /// Bytes that wait, in the queue and for it.
    pub(crate) fn taken(&self) -> usize {
        (self.limit - self.queue.available_permits())
            + (self.limit * CROWD - self.crowd.available_permits())
    }

    /// Bytes that may wait, in the queue and for it.
    pub(crate) const fn most(&self) -> usize {
        self.limit * (CROWD + 1)
    }

    /// A packet that is larger than all the room takes all of it.
    fn cost(&self, bytes: &Bytes, most: usize) -> u32 {
        bytes.len().min(most) as u32
    }
}

/// Bytes that give their share of the room back when the last one who has them
/// is done.
fn held(bytes: Bytes, share: OwnedSemaphorePermit) -> Bytes {
    struct Held {
        bytes: Bytes,
        _share: OwnedSemaphorePermit,
    }
    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }
    Bytes::from_owner(Held { bytes, _share: share })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn packet(size: usize) -> Bytes {
        Bytes::from(vec![b'x'; size])
    }

    #[test]
    fn the_queue_has_room_again_when_packets_are_dropped() {
        let room = Room::new(100);
        let first = room.try_enter(&packet(60)).unwrap();
        let second = room.try_enter(&packet(40)).unwrap();
        assert!(room.try_enter(&packet(1)).is_none());
        assert_eq!((first.len(), room.taken()), (60, 100));

        let next = packet(50);
        let turn = room.turn().now_or_never().unwrap();
        let mut waits = Box::pin(room.enter(&turn, &next));
        assert!((&mut waits).now_or_never().is_none());
        let part = second.slice(..1);
        drop(second);
        assert!((&mut waits).now_or_never().is_none(), "a part of it is still there");
        drop((part, first));
        let third = waits.now_or_never().unwrap().unwrap();
        assert_eq!((third.len(), room.taken()), (50, 50));
        assert!(room.try_enter(&packet(1)).is_none(), "somebody has the turn");
        assert!(room.turn().now_or_never().is_none());
        drop(turn);
        drop(room.try_enter(&packet(1)).unwrap());
        drop(third);
        assert_eq!(room.taken(), 0);
    }

    #[test]
    fn those_who_wait_are_counted_too() {
        let room = Room::new(100);
        let places: Vec<_> = (0..CROWD).map(|_| room.line_up(&packet(100)).unwrap()).collect();
        assert!(room.line_up(&packet(1)).is_none());
        assert_eq!((room.taken(), room.most()), (800, 900));
        drop(places);
        assert!(room.line_up(&packet(1)).is_some());
    }

    #[test]
    fn a_packet_larger_than_the_room_takes_all_of_it() {
        let room = Room::new(10);
        let place = room.line_up(&packet(1000)).unwrap();
        let large = room.try_enter(&packet(1000)).unwrap();
        assert!(room.try_enter(&packet(1)).is_none() && room.line_up(&packet(1)).is_none());
        assert_eq!(large.len(), 1000);
        drop((large, place));
        assert!(room.try_enter(&packet(1)).is_some());
    }
}
