//! One outgoing connection: [`Connection`].

mod batch;
mod outbox;
mod pace;
#[cfg(test)]
mod tests;

use std::{io, net::Shutdown, pin::pin, time::Duration};

use bytes::Bytes;
use moleculer_core::{Error, Result};
use socket2::SockRef;
use tokio::{
    net::TcpStream,
    sync::SetOnce,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

pub(crate) use self::batch::Frame;
use self::outbox::{Outbox, Refused};

/// How long a peer may take to read what is queued when this node closes.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// A socket that this node opened; packets are only written to it.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Where it leads, as `host:port`.
    pub(crate) address: String,
    stream: SetOnce<Result<TcpStream>>,
    outbox: Outbox,
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

impl Connection {
    /// A connection that will be opened by [`run`](Self::run); `hello` is the
    /// first packet on it.
    pub(crate) fn new(address: String, hello: &Frame, closing: CancellationToken) -> Self {
        let (stream, outbox) = (SetOnce::new(), Outbox::beginning_with(hello));
        Self { address, stream, outbox, closing }
    }

    /// Sends a packet if that is possible without waiting.
    pub(crate) fn try_send(&self, frame: Frame) -> Result<(), SendError> {
        let Some(Ok(stream)) = self.stream.get() else {
            return Err(SendError::Full(frame.into_body()));
        };
        self.outbox.send(stream, frame).map_err(SendError::from)
    }

    /// Queues a packet if that is possible without waiting, even if it is not
    /// known yet whether the connection will ever be open.
    pub(crate) fn try_queue(&self, frame: Frame) -> Result<(), SendError> {
        self.outbox.try_queue(frame).map_err(SendError::from)
    }

    /// Sends a packet, waiting for room in the queue and for the connection
    /// to be open.
    pub(crate) async fn send(&self, frame: Frame) -> Result<(), SendError> {
        if let Err(frame) = self.outbox.queue(frame).await {
            return Err(match self.stream.get() {
                Some(Err(error)) => SendError::Failed(error.clone()),
                _ => SendError::Gone(frame),
            });
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
        open.then(|| self.outbox.last_used())
    }

    /// Ends the connection when everything is written; at once if it is not
    /// open yet.
    pub(crate) fn close(&self) {
        self.outbox.close();
        self.closing.cancel();
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
            written = self.outbox.write_all(stream) => written.map_or_else(End::Broken, |()| End::Closed),
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
        if self.stream.get().is_none() {
            let error = match end {
                End::Unreachable(error) => error.clone(),
                _ => Error::internal("the connection was closed before it was open"),
            };
            // Only this task sets it.
            self.stream.set(Err(error)).ok();
        }
        self.outbox.finish();
    }

    /// Ends when a peer did not take the last packets in time.
    async fn overdue(&self) {
        self.closing.cancelled().await;
        sleep(FLUSH_TIMEOUT).await;
    }
}

impl From<Refused> for SendError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full(frame) => Self::Full(frame.into_body()),
            Refused::Gone(frame) => Self::Gone(frame),
            Refused::Broken(error) => Self::Broken(error),
        }
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
fn shut(stream: &TcpStream, how: Shutdown) {
    SockRef::from(stream).shutdown(how).ok();
}
