//! One outgoing connection: [`Connection`].

use std::{
    io,
    net::Shutdown,
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use moleculer_core::{Error, Result};
use socket2::SockRef;
use tokio::{
    net::TcpStream,
    sync::{Notify, Semaphore, SemaphorePermit, SetOnce},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    batch::{Batch, Frame, ROOM},
    pace::Pace,
};

/// How long a peer may take to read what is queued when this node closes.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// A socket that this node opened; packets are only written to it.
///
/// A packet that comes alone is written by whoever publishes it. Packets that
/// come while somebody writes, or in quick succession, are queued; the task in
/// [`run`](Self::run) writes all of them at once.
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

impl Connection {
    /// A connection that will be opened by [`run`](Self::run); `hello` is the
    /// first packet on it.
    pub(crate) fn new(address: String, hello: &Frame, closing: CancellationToken) -> Self {
        Self {
            address,
            stream: SetOnce::new(),
            outbox: Mutex::new(Outbox {
                batch: Batch::beginning_with(hello),
                state: State::Open,
                writer: Writer::Task,
                pace: Pace::new(),
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
            return Err(SendError::Full(frame.into_body()));
        };
        let mut outbox = self.lock();
        if !matches!(outbox.state, State::Open) {
            return Err(SendError::Gone(frame));
        }
        if outbox.writer == Writer::Nobody && outbox.pace.is_direct() {
            outbox.writer = Writer::Publisher;
            drop(outbox);
            return self.write_directly(stream, &frame);
        }
        match self.room.try_acquire_many(frame.cost()) {
            Ok(permit) => permit.forget(),
            Err(_) => return Err(SendError::Full(frame.into_body())),
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

    /// Opens the connection with `connect` and serves it to its end; one that
    /// this node closes has ended when the peer has read everything. The
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
        let mut overdue = pin!(self.overdue());
        let end = tokio::select! {
            end = self.write_queue(stream) => end,
            error = watch(stream) => End::Lost(error),
            () = &mut overdue => {
                shut(stream, Shutdown::Both);
                return End::Closed;
            }
        };
        if matches!(end, End::Closed) {
            // The peer closes as well when it has read everything.
            shut(stream, Shutdown::Write);
            tokio::select! {
                _ = watch(stream) => {}
                () = overdue => {}
            }
        }
        shut(stream, Shutdown::Both);
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
        outbox.pace.queued();
        if outbox.writer == Writer::Nobody {
            outbox.writer = Writer::Task;
            drop(outbox);
            self.work.notify_one();
        }
    }

    /// Writes without waiting; the caller has become the writer. What does not
    /// fit into the socket's buffer is left to the task.
    fn write_directly(&self, stream: &TcpStream, frame: &Frame) -> Result<(), SendError> {
        let written = match frame.try_write(stream) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(self.fail(error)),
        };
        let mut outbox = self.lock();
        if frame.is_used() {
            outbox.last_used = Instant::now();
        }
        if written < frame.len() {
            outbox.batch.unwritten(frame, written);
        }
        // Others may have queued packets or closed the connection meanwhile.
        if outbox.batch.is_empty() && matches!(outbox.state, State::Open) {
            outbox.writer = Writer::Nobody;
        } else {
            outbox.writer = Writer::Task;
            drop(outbox);
            self.work.notify_one();
        }
        Ok(())
    }

    fn fail(&self, error: io::Error) -> SendError {
        let mut outbox = self.lock();
        outbox.state = State::Broken(Some(error.kind().into()));
        outbox.writer = Writer::Task;
        drop(outbox);
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
        if outbox.writer == Writer::Publisher {
            // It wakes the task again if there is something to do.
            return Next::Wait;
        }
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
        if outbox.writer == Writer::Task {
            outbox.writer = Writer::Nobody;
            outbox.pace.turn_ended();
        }
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
fn shut(stream: &TcpStream, how: Shutdown) {
    SockRef::from(stream).shutdown(how).ok();
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::BytesMut;
    use moleculer_core::protocol::{
        PacketKind,
        tcp::{Frame as Received, FrameDecoder},
    };
    use tokio::{io::AsyncReadExt, net::TcpListener, task::JoinHandle};

    use super::*;

    fn frame(kind: PacketKind, body: impl Into<Bytes>) -> Frame {
        Frame::new(kind, body.into(), usize::MAX).unwrap()
    }

    fn event(body: impl Into<Bytes>) -> Frame {
        frame(PacketKind::Event, body)
    }

    fn connection() -> Arc<Connection> {
        let hello = frame(PacketKind::GossipHello, "hello");
        Arc::new(Connection::new("there:1".into(), &hello, CancellationToken::new()))
    }

    /// An open connection whose buffers are small, and its other end.
    async fn open() -> (Arc<Connection>, JoinHandle<()>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        SockRef::from(&stream).set_send_buffer_size(4096).unwrap();
        let connection = connection();
        let serve = Arc::clone(&connection);
        let task = tokio::spawn(async move {
            let end = serve.run(std::future::ready(Ok(stream))).await;
            serve.finish(&end);
        });
        let (mut peer, _) = listener.accept().await.unwrap();
        assert_eq!(bodies(&mut peer, 1).await, ["hello"]);
        (connection, task, peer)
    }

    async fn bodies(stream: &mut TcpStream, count: usize) -> Vec<Bytes> {
        let (mut found, mut buffer) = (Vec::new(), BytesMut::new());
        while found.len() < count {
            match FrameDecoder::default().decode(&mut buffer).unwrap() {
                Some(Received::Packet { body, .. }) => found.push(body),
                Some(other) => panic!("{other:?}"),
                None => assert!(stream.read_buf(&mut buffer).await.unwrap() > 0),
            }
        }
        assert!(buffer.is_empty());
        found
    }

    #[tokio::test]
    async fn what_the_socket_does_not_take_is_written_later_and_first() {
        let (connection, _task, mut peer) = open().await;
        // Until the socket takes only a part of one: alone, and with others
        // behind it, that are small, large, and small again.
        for size in [1, 100, 5000, 100_000, 1_000_000] {
            let sent: Vec<Bytes> = (0..5_u8)
                .map(|n| vec![n; if n % 2 == 0 { size } else { size % 1000 }].into())
                .collect();
            for body in &sent {
                connection.try_send(event(body.clone())).unwrap();
            }
            assert_eq!(bodies(&mut peer, sent.len()).await, sent);
        }
    }

    #[tokio::test]
    async fn before_it_is_open_packets_wait_in_their_order() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connection = connection();
        let Err(SendError::Full(body)) = connection.try_send(event("early")) else {
            panic!("nothing is sent before the connection is open");
        };
        assert_eq!(body, "early");
        let sends: Vec<_> = ["1", "2", "3"]
            .map(|body| {
                let connection = Arc::clone(&connection);
                tokio::spawn(async move { connection.send(event(body)).await.is_ok() })
            })
            .into();
        tokio::task::yield_now().await;
        let connect =
            async { Ok(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap()) };
        let check = async {
            for sent in sends {
                assert!(sent.await.unwrap());
            }
            let (mut peer, _) = listener.accept().await.unwrap();
            assert_eq!(bodies(&mut peer, 4).await, ["hello", "1", "2", "3"]);
            connection.close();
            peer
        };
        let (end, _peer) = tokio::join!(connection.run(connect), check);
        assert!(matches!(end, End::Closed), "{end:?}");
    }

    #[tokio::test]
    async fn who_waits_for_a_connection_that_fails_gets_its_error() {
        let connection = connection();
        let end = connection.run(std::future::ready(Err(Error::internal("refused"))));
        let (sent, ()) = tokio::join!(connection.send(event("x")), async {
            let end = end.await;
            connection.finish(&end);
        });
        let Err(SendError::Failed(error)) = sent else { panic!("{sent:?}") };
        assert_eq!(error.message(), "refused");
        let later = connection.send(event("x")).await;
        assert!(matches!(later, Err(SendError::Failed(_))), "{later:?}");
    }

    #[tokio::test]
    async fn a_full_queue_makes_wait_and_its_end_lets_go() {
        let (connection, task, peer) = open().await;
        let large = Bytes::from(vec![0; 100_000]);
        let mut queued = 0;
        while connection.try_send(event(large.clone())).is_ok() {
            queued += 1;
        }
        assert!((ROOM / 98 - 1..60).contains(&queued), "{queued} packets of 98 KiB");
        let (last, waiting) = (Arc::clone(&connection), event("last"));
        let last = tokio::spawn(async move { last.send(waiting).await });
        tokio::task::yield_now().await;
        drop(peer);
        task.await.unwrap();
        let gone = last.await.unwrap();
        assert!(matches!(gone, Err(SendError::Gone(_)) | Ok(())), "{gone:?}");
        let refused = connection.try_send(event("later"));
        assert!(matches!(refused, Err(SendError::Gone(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn gossip_is_no_use_of_a_connection() {
        let (connection, _task, mut peer) = open().await;
        let opened = connection.last_used().unwrap();
        connection.try_send(frame(PacketKind::GossipRequest, "{}")).unwrap();
        bodies(&mut peer, 1).await;
        assert_eq!(connection.last_used().unwrap(), opened);
        connection.try_send(event("{}")).unwrap();
        bodies(&mut peer, 1).await;
        assert!(connection.last_used().unwrap() > opened);
    }
}
