//! What waits to be written, and who writes it: [`Outbox`].

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::{
    net::TcpStream,
    sync::{Notify, Semaphore},
    task::{coop::consume_budget, yield_now},
    time::Instant,
};

use super::{
    batch::{Batch, Frame, ROOM},
    pace::Pace,
};

/// The packets of one connection on their way into its socket.
///
/// A packet that comes alone is written by whoever publishes it. Packets that
/// come while somebody writes, or in quick succession, are queued; the task in
/// [`write_all`](Self::write_all) writes all of them at once.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    room: Semaphore,
    work: Notify,
}

/// Why a packet was not taken.
#[derive(Debug)]
pub(super) enum Refused {
    /// There is no room.
    Full(Frame),
    /// The connection ends.
    Gone(Frame),
    /// Writing failed.
    Broken(io::Error),
}

#[derive(Debug)]
struct Queue {
    batch: Batch,
    state: State,
    writer: Writer,
    pace: Pace,
    last_used: Instant,
}

/// Who may write; only one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    Nobody,
    /// It writes a single packet directly.
    Publisher,
    /// It writes what is queued, or is about to.
    Task,
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

impl Outbox {
    /// Holds a first packet, which takes no room.
    pub(super) fn beginning_with(hello: &Frame) -> Self {
        Self {
            queue: Mutex::new(Queue {
                batch: Batch::beginning_with(hello),
                state: State::Open,
                writer: Writer::Task,
                pace: Pace::new(),
                last_used: Instant::now(),
            }),
            room: Semaphore::new(ROOM),
            work: Notify::new(),
        }
    }

    /// Writes a packet, or queues it where that is better.
    pub(super) fn send(&self, stream: &TcpStream, frame: Frame) -> Result<(), Refused> {
        let mut queue = self.lock();
        if matches!(queue.state, State::Open)
            && queue.writer == Writer::Nobody
            && queue.pace.is_direct()
        {
            queue.writer = Writer::Publisher;
            drop(queue);
            return self.write_directly(stream, &frame);
        }
        self.add(queue, frame)
    }

    /// Queues a packet if there is room.
    pub(super) fn try_queue(&self, frame: Frame) -> Result<(), Refused> {
        self.add(self.lock(), frame)
    }

    /// Queues a packet as soon as there is room; that is when it gets its
    /// place. Gives it back when the connection ends.
    pub(super) async fn queue(&self, frame: Frame) -> Result<(), Frame> {
        let Ok(room) = self.room.acquire_many(frame.cost()).await else { return Err(frame) };
        let queue = self.lock();
        if !matches!(queue.state, State::Open) {
            return Err(frame);
        }
        room.forget();
        self.push(queue, &frame);
        Ok(())
    }

    /// When something else than gossip was last sent.
    pub(super) fn last_used(&self) -> Instant {
        self.lock().last_used
    }

    /// Takes nothing more; what is queued is still written.
    pub(super) fn close(&self) {
        let mut queue = self.lock();
        if matches!(queue.state, State::Open) {
            queue.state = State::Closing;
        }
        drop(queue);
        self.work.notify_one();
    }

    /// Drops what is queued and refuses all that wait for room.
    pub(super) fn finish(&self) {
        let mut queue = self.lock();
        queue.state = State::Gone;
        queue.batch = Batch::default();
        drop(queue);
        self.room.close();
    }

    /// Writes what is queued until it is closed and empty.
    ///
    /// # Errors
    ///
    /// When the task or somebody else failed to write.
    pub(super) async fn write_all(&self, stream: &TcpStream) -> io::Result<()> {
        let mut batch = Batch::default();
        loop {
            match self.next(&mut batch) {
                Next::Write => {
                    batch.write(stream).await?;
                    self.room.add_permits(std::mem::take(&mut batch.cost));
                    consume_budget().await;
                }
                Next::Wait => {
                    self.work.notified().await;
                    // Woken by the first packet, this task would run before
                    // those that are about to send the others of the turn.
                    yield_now().await;
                }
                Next::End(end) => return end,
            }
        }
    }

    fn add(&self, queue: MutexGuard<'_, Queue>, frame: Frame) -> Result<(), Refused> {
        if !matches!(queue.state, State::Open) {
            return Err(Refused::Gone(frame));
        }
        match self.room.try_acquire_many(frame.cost()) {
            Ok(room) => room.forget(),
            Err(_) => return Err(Refused::Full(frame)),
        }
        self.push(queue, &frame);
        Ok(())
    }

    fn push(&self, mut queue: MutexGuard<'_, Queue>, frame: &Frame) {
        queue.batch.push(frame);
        queue.pace.queued();
        if queue.writer == Writer::Nobody {
            self.wake(queue);
        }
    }

    /// Leaves the writing to the task.
    fn wake(&self, mut queue: MutexGuard<'_, Queue>) {
        queue.writer = Writer::Task;
        drop(queue);
        self.work.notify_one();
    }

    /// Writes without waiting; the caller has become the writer. What does not
    /// fit into the socket's buffer is left to the task.
    fn write_directly(&self, stream: &TcpStream, frame: &Frame) -> Result<(), Refused> {
        let written = match frame.try_write(stream) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(self.fail(error)),
        };
        let mut queue = self.lock();
        if frame.is_used() {
            queue.last_used = Instant::now();
        }
        if written < frame.len() {
            queue.batch.unwritten(frame, written);
        }
        // Others may have queued packets or closed the connection meanwhile.
        if queue.batch.is_empty() && matches!(queue.state, State::Open) {
            queue.writer = Writer::Nobody;
        } else {
            self.wake(queue);
        }
        Ok(())
    }

    fn fail(&self, error: io::Error) -> Refused {
        let mut queue = self.lock();
        queue.state = State::Broken(Some(error.kind().into()));
        self.wake(queue);
        Refused::Broken(error)
    }

    fn next(&self, batch: &mut Batch) -> Next {
        let mut queue = self.lock();
        if queue.writer == Writer::Publisher {
            // It wakes the task again if there is something to do.
            return Next::Wait;
        }
        if std::mem::take(&mut queue.batch.used) {
            queue.last_used = Instant::now();
        }
        if let State::Broken(error) = &mut queue.state {
            let error = error.take().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into());
            return Next::End(Err(error));
        }
        if !queue.batch.is_empty() {
            std::mem::swap(&mut queue.batch, batch);
            return Next::Write;
        }
        if !matches!(queue.state, State::Open) {
            return Next::End(Ok(()));
        }
        if queue.writer == Writer::Task {
            queue.writer = Writer::Nobody;
            queue.pace.turn_ended();
        }
        Next::Wait
    }

    /// A panic while the lock is held leaves a whole value behind.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the task does next.
enum Next {
    Write,
    Wait,
    End(io::Result<()>),
}
