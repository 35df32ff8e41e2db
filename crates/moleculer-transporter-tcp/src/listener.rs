//! Where other nodes connect to: accepts and reads, never writes.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use moleculer_core::{
    Delivery, Error, Flow, Result,
    protocol::tcp::{Frame, FrameDecoder},
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
};

use crate::{
    session::Session,
    socket,
    strangers::{Seldom, Stranger, Strangers},
};

/// Connections that the system holds until they are accepted.
const BACKLOG: i32 = 1024;
/// Bytes asked for with each read. Packets share the buffer until they are
/// decoded, so a larger one would live longer.
const READ_BUFFER: usize = 64 * 1024;
/// The same before the first packet, which is small.
const FIRST_BUFFER: usize = 512;
/// Most bytes of the first packet.
const FIRST_PACKET: usize = 64 * 1024;
/// Pause after the system refused to accept, mostly for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens on all addresses of the machine; without a port on a free one.
///
/// # Errors
///
/// When the port is in use or may not be used.
pub(crate) fn bind(port: Option<u16>) -> Result<TcpListener> {
    let port = port.unwrap_or(0);
    let all_v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let all_v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    listen(all_v6)
        .or_else(|error| match error.kind() {
            io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
            // The machine has no IPv6.
            _ => listen(all_v4),
        })
        .map_err(|error| bind_error(port, error))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Elsewhere than on Unix this would let two nodes share the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn bind_error(port: u16, error: io::Error) -> Error {
    let message = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("port {port} is already in use: choose another `port`, or none for a free one")
        }
        _ => format!("cannot listen on port {port}: {error}"),
    };
    Error::internal(message).with_type("TCP_LISTEN_FAILED").with_source(error)
}

pub(crate) fn unusable(error: io::Error) -> Error {
    Error::internal(format!("the listening socket is of no use: {error}")).with_source(error)
}

/// Serves all who connect, until the session ends.
pub(crate) fn serve(listener: TcpListener, session: &Arc<Session>) {
    let (token, session_) = (session.token.child_token(), Arc::clone(session));
    session.spawn(async move {
        token.run_until_cancelled(accept(listener, &session_)).await;
    });
}

async fn accept(listener: TcpListener, session: &Arc<Session>) {
    let (strangers, troubles) = (Arc::new(Strangers::default()), Arc::new(Troubles::default()));
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // A peer that is gone already ends the reader.
                socket::prepare(&stream).ok();
                let (token, session_) = (session.token.child_token(), Arc::clone(session));
                let (stranger, troubles) = (strangers.admit(), Arc::clone(&troubles));
                session.spawn(async move {
                    let served = serve_peer(stream, peer, &session_, stranger, &troubles);
                    token.run_until_cancelled(served).await;
                });
            }
            Err(error) => {
                if let Some(others) = troubles.refused.count() {
                    tracing::warn!(%error, others, "cannot accept a connection");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What anybody can cause, as often as he likes.
#[derive(Debug, Default)]
struct Troubles {
    refused: Seldom,
    garbage: Seldom,
}

async fn serve_peer(
    stream: TcpStream,
    peer: SocketAddr,
    session: &Session,
    stranger: Stranger,
    troubles: &Troubles,
) {
    match read(stream, peer.ip().to_canonical(), session, stranger).await {
        Ok(()) => tracing::trace!(%peer, "connection closed"),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            if let Some(others) = troubles.garbage.count() {
                tracing::warn!(%peer, %error, others, "connection closed: the peer sends no proper frames");
            }
        }
        Err(error) => tracing::debug!(%peer, %error, "connection lost"),
    }
}

async fn read(
    stream: TcpStream,
    from: IpAddr,
    session: &Session,
    stranger: Stranger,
) -> io::Result<()> {
    let mut reader = Reader::new(stream, session.config.max_packet_size);
    let Some(mut next) = stranger.greets(reader.next()).await else { return Ok(()) };
    drop(stranger);
    reader.greeted(session.config.max_packet_size);
    while let Some(frame) = next? {
        deliver(session, frame, from);
        next = reader.next().await;
    }
    Ok(())
}

/// Frames out of a socket.
struct Reader {
    stream: TcpStream,
    decoder: FrameDecoder,
    buffer: BytesMut,
    /// Bytes to ask for.
    chunk: usize,
}

impl Reader {
    /// Until something comes it holds no buffer.
    fn new(stream: TcpStream, max_packet_size: usize) -> Self {
        let decoder = FrameDecoder::new(max_packet_size.min(FIRST_PACKET));
        Self { stream, decoder, buffer: BytesMut::new(), chunk: FIRST_BUFFER }
    }

    const fn greeted(&mut self, max_packet_size: usize) {
        self.decoder = FrameDecoder::new(max_packet_size);
        self.chunk = READ_BUFFER;
    }

    /// The next frame; `None` at the end.
    async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.decoder.decode(&mut self.buffer).map_err(invalid)? {
                return Ok(Some(frame));
            }
            // Less is not worth a read.
            if self.buffer.capacity() - self.buffer.len() < self.chunk / 8 {
                self.stream.readable().await?;
                // A large packet doubles the buffer as its bytes come in.
                self.buffer.reserve(self.chunk.max(self.buffer.len()));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// Reading goes on whatever the flow: responses that running handlers wait
/// for come over the same socket, so a pause might never end. The broker
/// refuses the requests that are too many.
fn deliver(session: &Session, frame: Frame, from: IpAddr) {
    match frame {
        Frame::Packet { kind, body } => {
            let delivery = Delivery::new(kind, body).from_address(from);
            let (Flow::Go | Flow::Pause) = session.host.deliver(delivery);
        }
        Frame::Unknown(id) => {
            tracing::debug!(%from, id, "a frame of an unknown type is skipped");
        }
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
