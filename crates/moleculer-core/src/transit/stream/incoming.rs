//! Streams of other nodes: packets in, in any order; chunks out, in theirs.

use std::{
    collections::{BTreeMap, HashMap},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    task::{self, Poll},
    time::Duration,
};

use bytes::Bytes;
use foldhash::quality::RandomState;
use futures_util::{Stream, StreamExt};
use moleculer_protocol::{NodeId, PacketId, Payload};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::Instant,
};

use crate::{BodyStream, ByteStream, Error, ObjectStream, Result, sync::lock};

/// Most bytes of one stream that wait for their reader. The protocol cannot
/// tell the sender to wait, so a stream above it fails.
const MAX_UNREAD: usize = 16 << 20;

/// Most bytes of all streams that overtook an earlier packet of theirs.
const MAX_EARLY: usize = 16 << 20;

/// Most streams. Above it those are forgotten that never opened or that
/// nobody reads.
const MAX_STREAMS: usize = 10_000;

/// The streams that are coming in.
#[derive(Clone, Default)]
pub(in crate::transit) struct Incoming(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    entries: HashMap<Key, Entry, RandomState>,
    /// Bytes of parts that wait for an earlier one.
    early: usize,
}

/// Which stream: who sends it, the id of its call, and its direction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::transit) struct Key {
    pub(in crate::transit) sender: NodeId,
    pub(in crate::transit) id: PacketId,
    pub(in crate::transit) side: Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::transit) enum Side {
    Request,
    Response,
}

struct Entry {
    /// Number of the packet that comes next.
    next: u64,
    /// Packets that overtook it.
    early: BTreeMap<u64, Packet>,
    reader: Reader,
    /// When it last went on: something was handed to its reader, or came
    /// though nobody reads.
    idle_since: Instant,
}

enum Reader {
    /// The first packet has not come yet.
    Awaited,
    Reads(UnboundedSender<Packet>, Arc<AtomicUsize>),
    /// It went away; the rest of the stream is dropped.
    Gone,
}

/// One packet's share of a stream, and the bytes that it keeps alive.
struct Packet {
    part: Part,
    size: usize,
}

pub(in crate::transit) enum Part {
    Chunk(Payload),
    End(Option<Error>),
}

/// What became of an opening packet.
pub(in crate::transit) enum Opened {
    New(BodyStream),
    /// This stream is known: the packet came twice.
    Twice,
}

impl Incoming {
    /// Number of streams that have not ended.
    pub(in crate::transit) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Takes the first packet of a stream.
    pub(in crate::transit) fn open(&self, key: Key, objects: bool) -> Opened {
        let (parts, rest) = unbounded_channel();
        let unread = Arc::new(AtomicUsize::new(0));
        let mut table = self.lock();
        let entry = table.entry(&key);
        if entry.next > 0 {
            return Opened::Twice;
        }
        entry.next = 1;
        entry.reader = Reader::Reads(parts, unread.clone());
        table.advance(&key);
        drop(table);
        let chunks = Chunks { rest, unread, ended: false, key, table: self.clone() };
        Opened::New(if objects {
            BodyStream::Objects(ObjectStream::new(chunks))
        } else {
            BodyStream::Bytes(ByteStream::new(chunks.map(|chunk| chunk.and_then(into_bytes))))
        })
    }

    /// Whether a packet of this stream has come.
    pub(in crate::transit) fn knows(&self, key: &Key) -> bool {
        self.lock().entries.contains_key(key)
    }

    /// Takes a later packet; `size` is what it keeps in memory.
    pub(in crate::transit) fn push(&self, key: &Key, seq: u64, part: Part, size: usize) {
        let mut table = self.lock();
        let full = table.early.saturating_add(size) > MAX_EARLY;
        let entry = table.entry(key);
        if !matches!(entry.reader, Reader::Reads(..)) {
            entry.idle_since = Instant::now();
        }
        if matches!(entry.reader, Reader::Gone) {
            if matches!(part, Part::End(_)) {
                table.remove(key);
            }
            return;
        }
        if seq < entry.next || entry.early.contains_key(&seq) {
            return; // It came twice.
        }
        if seq > entry.next && full {
            let error = broken(&key.sender, "too many packets came before their turn");
            return table.abandon(key, Some(error));
        }
        entry.early.insert(seq, Packet { part, size });
        table.early += size;
        table.advance(key);
    }

    /// Ends streams that have not gone on for `age` and never will.
    ///
    /// Those that nobody reads are forgotten: their first or their last packet
    /// was lost. Those with a reader break off if a later packet has come, so
    /// that one was lost, or if nobody knows their sender any more.
    pub(in crate::transit) fn sweep(&self, age: Duration, is_there: impl Fn(&NodeId) -> bool) {
        let mut table = self.lock();
        let silent = |(_, entry): &(&Key, &Entry)| entry.idle_since.elapsed() > age;
        let verdict = |(key, entry): (&Key, &Entry)| {
            let why = match entry.reader {
                Reader::Awaited | Reader::Gone => None,
                Reader::Reads(..) if !entry.early.is_empty() => Some("a packet of it was lost"),
                Reader::Reads(..) if !is_there(&key.sender) => Some("the node is not there"),
                Reader::Reads(..) => return None,
            };
            Some((key.clone(), why))
        };
        let ended: Vec<_> = table.entries.iter().filter(silent).filter_map(verdict).collect();
        for (key, why) in ended {
            match why {
                None => table.remove(&key),
                Some(why) => table.abandon(&key, Some(broken(&key.sender, why))),
            }
        }
    }

    /// Ends the streams of a node that is gone, or of all.
    pub(in crate::transit) fn node_gone(&self, node: Option<&NodeId>) {
        let mut table = self.lock();
        let gone = |key: &&Key| node.is_none_or(|node| key.sender == *node);
        let keys: Vec<Key> = table.entries.keys().filter(gone).cloned().collect();
        for key in keys {
            table.abandon(&key, Some(broken(&key.sender, "the node is gone")));
            table.remove(&key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        lock(&self.0)
    }
}

impl Default for Entry {
    fn default() -> Self {
        let (early, reader) = (BTreeMap::new(), Reader::Awaited);
        Self { next: 0, early, reader, idle_since: Instant::now() }
    }
}

impl Table {
    /// Hands on what is now in its turn.
    fn advance(&mut self, key: &Key) {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.next > 0) else {
            return;
        };
        while let Some(packet) = entry.early.remove(&entry.next) {
            self.early -= packet.size;
            entry.next += 1;
            entry.idle_since = Instant::now();
            let ended = matches!(packet.part, Part::End(_));
            let taken = entry.reader.take(packet);
            if ended {
                self.remove(key);
                return;
            }
            if !taken {
                return self.abandon(key, Some(broken(&key.sender, "its reader is too slow")));
            }
        }
    }

    /// Tells the reader why nothing more comes. The entry stays, so that the
    /// rest of the stream is known for what it is.
    fn abandon(&mut self, key: &Key, error: Option<Error>) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        entry.idle_since = Instant::now();
        let mut reader = std::mem::replace(&mut entry.reader, Reader::Gone);
        if let Some(error) = error {
            reader.take(Packet { part: Part::End(Some(error)), size: 0 });
        }
        let early = std::mem::take(&mut entry.early);
        self.early -= early.values().map(|packet| packet.size).sum::<usize>();
    }

    fn remove(&mut self, key: &Key) {
        self.abandon(key, None);
        self.entries.remove(key);
    }

    fn entry(&mut self, key: &Key) -> &mut Entry {
        if self.entries.len() >= MAX_STREAMS && !self.entries.contains_key(key) {
            self.make_room();
        }
        self.entries.entry(key.clone()).or_default()
    }

    fn make_room(&mut self) {
        tracing::warn!("{MAX_STREAMS} streams are open: those that nobody reads are forgotten");
        let unread = |(key, entry): (&Key, &Entry)| {
            (!matches!(entry.reader, Reader::Reads(..))).then(|| key.clone())
        };
        let unread: Vec<Key> = self.entries.iter().filter_map(unread).collect();
        for key in unread {
            self.remove(&key);
        }
    }
}

impl Reader {
    /// False when the reader has too much to read already.
    fn take(&mut self, packet: Packet) -> bool {
        let Self::Reads(parts, unread) = self else {
            return true;
        };
        let before = unread.fetch_add(packet.size, Ordering::AcqRel);
        if before + packet.size > MAX_UNREAD && matches!(packet.part, Part::Chunk(_)) {
            return false;
        }
        // A reader that has just gone away takes nothing more.
        drop(parts.send(packet));
        true
    }
}

/// The chunks of one stream, for its reader.
struct Chunks {
    rest: UnboundedReceiver<Packet>,
    unread: Arc<AtomicUsize>,
    ended: bool,
    key: Key,
    table: Incoming,
}

impl Stream for Chunks {
    type Item = Result<Payload>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let packet = task::ready!(self.rest.poll_recv(cx));
        let part = packet.map(|packet| {
            self.unread.fetch_sub(packet.size, Ordering::AcqRel);
            packet.part
        });
        Poll::Ready(match part {
            Some(Part::Chunk(chunk)) => Some(Ok(chunk)),
            Some(Part::End(error)) => {
                self.ended = true;
                error.map(Err)
            }
            None => {
                self.ended = true;
                Some(Err(broken(&self.key.sender, "this node stops")))
            }
        })
    }
}

/// What still comes of an abandoned stream is dropped, up to its end.
impl Drop for Chunks {
    fn drop(&mut self) {
        if !self.ended {
            self.table.lock().abandon(&self.key, None);
        }
    }
}

/// A chunk of a byte stream. JavaScript sends text for streams with an encoding.
fn into_bytes(chunk: Payload) -> Result<Bytes> {
    match chunk.clone().take::<Bytes>() {
        Ok(bytes) => Ok(bytes),
        Err(error) => match chunk.take::<String>() {
            Ok(text) => Ok(text.into()),
            Err(_) => Err(error.within("a chunk of a byte stream").into()),
        },
    }
}

#[cold]
fn broken(sender: &NodeId, why: &str) -> Error {
    Error::internal(format!("a stream from node '{sender}' broke off: {why}"))
        .with_type("STREAM_BROKEN")
        .with_retryable(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn key(sender: &str) -> Key {
        Key { sender: sender.into(), id: "1".into(), side: Side::Request }
    }

    fn open(incoming: &Incoming) -> ObjectStream<Payload> {
        match incoming.open(key("a"), true) {
            Opened::New(BodyStream::Objects(stream)) => stream,
            _ => panic!("not a new stream of objects"),
        }
    }

    fn chunk(n: u64) -> Part {
        Part::Chunk(Payload::new(n))
    }

    async fn numbers(stream: ObjectStream<Payload>) -> Vec<Result<u64, String>> {
        let number = |item: Result<Payload>| match item {
            Ok(payload) => Ok(payload.take().expect("a number")),
            Err(error) => Err(error.message().to_owned()),
        };
        stream.map(number).collect().await
    }

    #[tokio::test]
    async fn any_order_and_repetition_give_the_same_stream() {
        let packets = [(3, 3), (1, 1), (1, 1), (4, 4), (0, 0), (3, 3), (2, 2), (1, 1)];
        for opened_at in 0..=packets.len() {
            let incoming = Incoming::default();
            let mut stream = None;
            for (at, (seq, n)) in packets.into_iter().enumerate() {
                if at == opened_at {
                    stream = Some(open(&incoming));
                    assert!(matches!(incoming.open(key("a"), true), Opened::Twice));
                }
                if seq > 0 {
                    incoming.push(&key("a"), seq, chunk(n), 10);
                }
            }
            let stream = stream.unwrap_or_else(|| open(&incoming));
            incoming.push(&key("a"), 5, Part::End(None), 10);
            assert_eq!(numbers(stream).await, [Ok(1), Ok(2), Ok(3), Ok(4)]);
            assert_eq!((incoming.len(), incoming.lock().early), (0, 0));
        }
    }

    #[tokio::test]
    async fn an_error_comes_after_the_chunks_before_it() {
        let incoming = Incoming::default();
        let stream = open(&incoming);
        incoming.push(&key("a"), 2, Part::End(Some(Error::internal("late"))), 10);
        incoming.push(&key("a"), 1, chunk(1), 10);
        assert_eq!(numbers(stream).await, [Ok(1), Err("late".into())]);
    }

    #[tokio::test]
    async fn what_nobody_reads_is_dropped_up_to_its_end() {
        let incoming = Incoming::default();
        let stream = open(&incoming);
        incoming.push(&key("a"), 2, chunk(2), 10);
        assert_eq!(incoming.lock().early, 10);
        drop(stream);
        assert_eq!((incoming.len(), incoming.lock().early), (1, 0));
        incoming.push(&key("a"), 1, chunk(1), 10);
        incoming.push(&key("a"), 3, Part::End(None), 10);
        assert_eq!(incoming.len(), 0);
    }

    #[tokio::test]
    async fn a_reader_that_is_too_slow_loses_the_stream() {
        let incoming = Incoming::default();
        let stream = open(&incoming);
        for seq in 1..=20 {
            incoming.push(&key("a"), seq, chunk(seq), 1 << 20);
        }
        let items = numbers(stream).await;
        assert_eq!(items[..16], (1..=16).map(Ok).collect::<Vec<_>>());
        assert_eq!(items.len(), 17);
        assert!(items[16].as_ref().is_err_and(|message| message.contains("too slow")));
        incoming.push(&key("a"), 21, Part::End(None), 10);
        assert_eq!(incoming.len(), 0);
    }

    #[tokio::test]
    async fn what_overtakes_is_bounded() {
        let incoming = Incoming::default();
        let stream = open(&incoming);
        for seq in 2..=100 {
            incoming.push(&key("a"), seq, chunk(seq), 1 << 20);
            assert!(incoming.lock().early <= MAX_EARLY);
        }
        let items = numbers(stream).await;
        assert!(items.len() == 1 && items[0].is_err(), "{items:?}");
        for peer in 0..MAX_STREAMS + 10 {
            incoming.push(&key(&peer.to_string()), 1, chunk(1), 10);
        }
        assert!(incoming.len() <= MAX_STREAMS);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_reads_is_forgotten_when_its_end_is_lost() {
        let incoming = Incoming::default();
        let (read, abandoned) = (open(&incoming), key("b"));
        drop(incoming.open(abandoned, true));
        // The first packet of this one is lost.
        incoming.push(&key("c"), 1, chunk(1), 10);
        tokio::time::sleep(Duration::from_secs(40)).await;
        incoming.push(&key("b"), 1, chunk(1), 10);
        tokio::time::sleep(Duration::from_secs(40)).await;
        incoming.sweep(Duration::from_secs(60), |_| true);
        assert_eq!((incoming.len(), incoming.lock().early), (2, 0), "the last one is gone");
        tokio::time::sleep(Duration::from_secs(40)).await;
        incoming.sweep(Duration::from_secs(60), |_| true);
        assert!(incoming.knows(&key("a")) && incoming.len() == 1, "only one has a reader");
        drop(read);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_cannot_go_on_breaks_off() {
        let minute = Duration::from_secs(60);
        for (sender_is_there, gap, why) in [
            (true, true, Some("a packet of it was lost")),
            (false, false, Some("the node is not there")),
            (true, false, None),
        ] {
            let incoming = Incoming::default();
            let mut stream = open(&incoming);
            tokio::time::sleep(minute / 2).await;
            incoming.push(&key("a"), 1, chunk(1), 10);
            if gap {
                incoming.push(&key("a"), 3, chunk(3), 10);
            }
            tokio::time::sleep(minute / 2).await;
            // What comes out of turn is no progress.
            incoming.push(&key("a"), if gap { 4 } else { 1 }, chunk(4), 10);
            incoming.sweep(minute, |_| sender_is_there);
            assert!(stream.next().await.expect("a chunk").is_ok(), "half a minute is not enough");
            tokio::time::sleep(minute / 2 + Duration::from_millis(1)).await;
            incoming.sweep(minute, |_| sender_is_there);
            let Some(why) = why else {
                incoming.push(&key("a"), 2, chunk(2), 10);
                assert!(stream.next().await.expect("a chunk").is_ok(), "it goes on");
                continue;
            };
            let error = stream.next().await.expect("an item").expect_err("it broke off");
            assert!(error.message().contains(why) && error.retryable(), "{error}");
            tokio::time::sleep(minute * 2).await;
            incoming.sweep(minute, |_| true);
            assert_eq!((incoming.len(), incoming.lock().early), (0, 0));
        }
    }

    #[tokio::test]
    async fn a_node_that_goes_ends_its_streams() {
        let incoming = Incoming::default();
        let mut stream = open(&incoming);
        incoming.push(&key("b"), 2, chunk(2), 10);
        incoming.node_gone(Some(&"a".into()));
        assert_eq!(incoming.len(), 1);
        let error = stream.next().await.expect("an item").expect_err("it broke off");
        assert_eq!((error.kind(), error.r#type()), (&ErrorKind::Moleculer, Some("STREAM_BROKEN")));
        assert!(error.retryable() && stream.next().await.is_none());
        incoming.node_gone(None);
        assert_eq!((incoming.len(), incoming.lock().early), (0, 0));
    }
}
