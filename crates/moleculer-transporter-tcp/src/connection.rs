//! One outgoing connection: [`Connection`].

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    net::Shutdown,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use moleculer_core::{
    Error, Result,
    protocol::{
        PacketKind,
        tcp::{FrameError, HEADER_LEN, frame_header},
    },
};
use socket2::SockRef;
use tokio::{
    net::TcpStream,
    sync::{Notify, Semaphore, SemaphorePermit, SetOnce},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// What may wait in a queue, in packets and in KiB together.
const ROOM: usize = 4096;
/// Bodies from this size on are not copied into the common buffer.
const COPY_BELOW: usize = 16 * 1024;
/// A larger buffer is given back when its burst is over.
const KEEP_BUFFER: usize = 256 * 1024;
/// How long a peer may take to accept what is queued when this node closes.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// Slices of one vectored write.
const SLICES: usize = 16;

/// A socket that this node opened; packets are only written to it.
///
/// Whoever finds it idle writes directly, without waking a task. Packets that
/// come while somebody writes are queued; the task in [`run`](Self::run)
/// writes all of them at once.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Where it leads, as `host:port`.
    pub(crate) address: String,
    stream: SetOnce<Result<TcpStream>>,
    outbox: Mutex<Outbox>,
    room: Semaphore,
    work: Notify,
    closing: CancellationToken,
}

/// A packet with the header of its frame.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: PacketKind,
    header: [u8; HEADER_LEN],
    body: Bytes,
}

/// Why a packet was not sent.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The connection is not open yet, or its queue is full.
    Full(Bytes),
    /// The connection has ended; another one may do.
    Gone(Frame),
    /// The connection could not be opened.
    Failed(Error),
    /// Writing failed.
    Broken(io::Error),
}

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// This node closed it.
    Closed,
    /// It was never open.
    Unreachable(Error),
    /// The peer closed it or died.
    Lost(io::Error),
    /// Writing failed.
    Broken(io::Error),
}

#[derive(Debug)]
struct Outbox {
    batch: Batch,
    state: State,
    /// Somebody is writing, or the task is about to.
    busy: bool,
    /// Packets since it was idle.
    turn: usize,
    /// The last turn had one packet, so there is nothing to gain from
    /// collecting.
    calm: bool,
    last_used: Instant,
}

#[derive(Debug)]
enum State {
    Open,
    /// Ends when everything is written.
    Closing,
    /// Somebody else than the task failed to write.
    Broken(Option<io::Error>),
    Gone,
}

/// Bytes to write: first the parts, then the tail.
#[derive(Debug, Default)]
struct Batch {
    parts: VecDeque<Bytes>,
    tail: BytesMut,
    cost: usize,
    /// Holds more than gossip.
    used: bool,
}

impl Connection {
    /// A connection that will be opened by [`run`](Self::run); `hello` is the
    /// first packet on it.
    pub(crate) fn new(address: String, hello: &Frame, closing: CancellationToken) -> Self {
        let mut batch = Batch::default();
        batch.push(hello);
        Self {
            address,
            stream: SetOnce::new(),
            outbox: Mutex::new(Outbox {
                batch,
                state: State::Open,
                busy: true,
                turn: 0,
                calm: true,
                last_used: Instant::now(),
            }),
            room: Semaphore::new(ROOM),
            work: Notify::new(),
            closing,
        }
    }

    /// Sends a packet if that is possible without waiting.
    pub(crate) fn try_send(&self, frame: Frame) -> Result<(), SendError> {
        let Some(Ok(stream)) = self.stream.get() else {
            return Err(SendError::Full(frame.body));
        };
        let mut outbox = self.lock();
        if !matches!(outbox.state, State::Open) {
            return Err(SendError::Gone(frame));
        }
        if !outbox.busy && outbox.calm {
            (outbox.busy, outbox.turn) = (true, 1);
            drop(outbox);
            return self.write_directly(stream, &frame);
        }
        match self.room.try_acquire_many(frame.cost()) {
            Ok(permit) => permit.forget(),
            Err(_) => return Err(SendError::Full(frame.body)),
        }
        self.enqueue(outbox, &frame);
        Ok(())
    }

    /// Sends a packet, waiting for room in the queue and for the connection
    /// to be open. Its place in the queue is taken when there is room.
    pub(crate) async fn send(&self, frame: Frame) -> Result<(), SendError> {
        match self.room.acquire_many(frame.cost()).await {
            Ok(room) => self.accept(room, frame)?,
            Err(_) => return Err(self.refusal(frame)),
        }
        match self.stream.wait().await {
            Ok(_) => Ok(()),
            Err(error) => Err(SendError::Failed(error.clone())),
        }
    }

    /// When something else than gossip was last sent; `None` while it is not
    /// open.
    pub(crate) fn last_used(&self) -> Option<Instant> {
        let open = matches!(self.stream.get(), Some(Ok(_)));
        open.then(|| self.lock().last_used)
    }

    /// Ends the connection when everything is written; at once if it is not
    /// open yet.
    pub(crate) fn close(&self) {
        let mut outbox = self.lock();
        if matches!(outbox.state, State::Open) {
            outbox.state = State::Closing;
        }
        drop(outbox);
        self.closing.cancel();
        self.work.notify_one();
    }

    /// Opens the connection with `connect` and serves it to its end. The
    /// caller then forgets it and calls [`finish`](Self::finish).
    pub(crate) async fn run(&self, connect: impl Future<Output = Result<TcpStream>>) -> End {
        let opened = tokio::select! {
            () = self.closing.cancelled() => return End::Closed,
            opened = connect => opened,
        };
        let stream = match opened {
            Ok(stream) => stream,
            Err(error) => return End::Unreachable(error),
        };
        // Nobody else sets it, so it is empty.
        self.stream.set(Ok(stream)).ok();
        let Some(Ok(stream)) = self.stream.get() else {
            return End::Closed;
        };
        let end = tokio::select! {
            end = self.write_queue(stream) => end,
            error = watch(stream) => End::Lost(error),
            () = self.overdue() => End::Closed,
        };
        shut(stream);
        end
    }

    /// Refuses all further packets, and those that wait for the connection to
    /// open.
    pub(crate) fn finish(&self, end: &End) {
        let mut outbox = self.lock();
        outbox.state = State::Gone;
        outbox.batch = Batch::default();
        drop(outbox);
        if self.stream.get().is_none() {
            let error = match end {
                End::Unreachable(error) => error.clone(),
                _ => Error::internal("the connection was closed before it was open"),
            };
            // Only this task sets it.
            self.stream.set(Err(error)).ok();
        }
        self.room.close();
    }

    /// Ends when a peer did not take the last packets in time.
    async fn overdue(&self) {
        self.closing.cancelled().await;
        tokio::time::sleep(FLUSH_TIMEOUT).await;
    }

    fn refusal(&self, frame: Frame) -> SendError {
        match self.stream.get() {
            Some(Err(error)) => SendError::Failed(error.clone()),
            _ => SendError::Gone(frame),
        }
    }

    fn accept(&self, room: SemaphorePermit<'_>, frame: Frame) -> Result<(), SendError> {
        let outbox = self.lock();
        if !matches!(outbox.state, State::Open) {
            drop(outbox);
            return Err(self.refusal(frame));
        }
        room.forget();
        self.enqueue(outbox, &frame);
        Ok(())
    }

    fn enqueue(&self, mut outbox: MutexGuard<'_, Outbox>, frame: &Frame) {
        outbox.batch.push(frame);
        outbox.turn += 1;
        let was_busy = std::mem::replace(&mut outbox.busy, true);
        drop(outbox);
        if !was_busy {
            self.work.notify_one();
        }
    }

    /// Writes without waiting; the caller has marked the outbox busy. What
    /// does not fit into the socket's buffer is left to the task.
    fn write_directly(&self, stream: &TcpStream, frame: &Frame) -> Result<(), SendError> {
        let slices = [IoSlice::new(&frame.header), IoSlice::new(&frame.body)];
        let written = match stream.try_write_vectored(&slices) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(self.fail(error)),
        };
        let mut outbox = self.lock();
        outbox.batch.used |= frame.is_used();
        if written < frame.len() {
            outbox.batch.unwritten(frame, written);
        }
        drop(outbox);
        // The task runs when all that is ready now has run; what they publish
        // meanwhile is queued and leaves in one write.
        self.work.notify_one();
        Ok(())
    }

    fn fail(&self, error: io::Error) -> SendError {
        self.lock().state = State::Broken(Some(error.kind().into()));
        self.work.notify_one();
        SendError::Broken(error)
    }

    async fn write_queue(&self, stream: &TcpStream) -> End {
        let mut batch = Batch::default();
        loop {
            match self.next_batch(&mut batch) {
                Next::Write => {
                    if let Err(error) = batch.write(stream).await {
                        return End::Broken(error);
                    }
                    self.room.add_permits(std::mem::take(&mut batch.cost));
                    tokio::task::coop::consume_budget().await;
                }
                Next::Wait => self.work.notified().await,
                Next::End(end) => return end,
            }
        }
    }

    fn next_batch(&self, batch: &mut Batch) -> Next {
        let mut outbox = self.lock();
        if std::mem::take(&mut outbox.batch.used) {
            outbox.last_used = Instant::now();
        }
        if let State::Broken(error) = &mut outbox.state {
            let error = error.take().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into());
            return Next::End(End::Broken(error));
        }
        if !outbox.batch.is_empty() {
            std::mem::swap(&mut outbox.batch, batch);
            return Next::Write;
        }
        if !matches!(outbox.state, State::Open) {
            return Next::End(End::Closed);
        }
        outbox.busy = false;
        outbox.calm = std::mem::take(&mut outbox.turn) <= 1;
        Next::Wait
    }

    /// A panic while the lock is held leaves a whole value behind.
    fn lock(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the task does next.
enum Next {
    Write,
    Wait,
    End(End),
}

impl Frame {
    /// # Errors
    ///
    /// When packets of this kind do not travel over TCP, or the frame is
    /// longer than `max`.
    pub(crate) fn new(kind: PacketKind, body: Bytes, max: usize) -> Result<Self, FrameError> {
        let header = frame_header(kind, body.len())?;
        let frame = Self { kind, header, body };
        if frame.len() > max {
            return Err(FrameError::TooLarge {
                len: frame.len(),
                max,
            });
        }
        Ok(frame)
    }

    pub(crate) fn into_body(self) -> Bytes {
        self.body
    }

    fn len(&self) -> usize {
        HEADER_LEN + self.body.len()
    }

    /// Packets and KiB, at most all the room there is.
    fn cost(&self) -> u32 {
        (1 + self.body.len() / 1024).min(ROOM) as u32
    }

    /// Gossip does not keep a connection from being the least recently used.
    const fn is_used(&self) -> bool {
        !matches!(
            self.kind,
            PacketKind::GossipHello | PacketKind::GossipRequest | PacketKind::GossipResponse
        )
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.tail.is_empty()
    }

    fn push(&mut self, frame: &Frame) {
        self.cost += frame.cost() as usize;
        self.used |= frame.is_used();
        self.tail.extend_from_slice(&frame.header);
        if frame.body.len() < COPY_BELOW {
            self.tail.extend_from_slice(&frame.body);
        } else {
            self.parts.push_back(self.tail.split().freeze());
            self.parts.push_back(frame.body.clone());
        }
    }

    /// Puts what is left of a frame in front of all others.
    fn unwritten(&mut self, frame: &Frame, written: usize) {
        let body = written.saturating_sub(HEADER_LEN);
        self.parts.push_front(frame.body.slice(body..));
        if let Some(header) = frame.header.get(written..) {
            self.parts.push_front(Bytes::copy_from_slice(header));
        }
    }

    async fn write(&mut self, stream: &TcpStream) -> io::Result<()> {
        while !self.is_empty() {
            match self.try_write(stream) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    stream.writable().await?;
                }
                Err(error) => return Err(error),
            }
        }
        if self.tail.capacity() > KEEP_BUFFER {
            self.tail = BytesMut::new();
        }
        Ok(())
    }

    fn try_write(&self, stream: &TcpStream) -> io::Result<usize> {
        if self.parts.is_empty() {
            return stream.try_write(&self.tail);
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut used = 0;
        let parts = self.parts.iter().map(|part| &part[..]);
        for (slice, part) in slices.iter_mut().zip(parts.chain([&self.tail[..]])) {
            *slice = IoSlice::new(part);
            used += 1;
        }
        stream.try_write_vectored(&slices[..used])
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(part) = self.parts.front_mut() {
            if written < part.len() {
                part.advance(written);
                return;
            }
            written -= part.len();
            self.parts.pop_front();
        }
        self.tail.advance(written);
    }
}

/// Ends when the peer closes the connection or dies. Peers do not write here;
/// what comes nevertheless is dropped, or the end would not be noticed.
async fn watch(stream: &TcpStream) -> io::Error {
    loop {
        if let Err(error) = stream.readable().await {
            return error;
        }
        match discard(stream) {
            Ok(0) => return io::ErrorKind::ConnectionReset.into(),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return error,
        }
    }
}

fn discard(stream: &TcpStream) -> io::Result<usize> {
    stream.try_read(&mut [0; 1024])
}

/// Says goodbye; bytes already written still arrive. An error means that the
/// connection is gone anyway.
fn shut(stream: &TcpStream) {
    SockRef::from(stream).shutdown(Shutdown::Both).ok();
}
