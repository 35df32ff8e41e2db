//! What is written to a connection: [`Frame`] and [`Batch`].

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
};

use bytes::{Buf, Bytes, BytesMut};
use moleculer_core::protocol::{
    PacketKind,
    tcp::{FrameError, HEADER_LEN, frame_header},
};
use tokio::net::TcpStream;

/// What may wait in a queue, in packets and in KiB together.
pub(super) const ROOM: usize = 4096;
/// Bodies from this size on are not copied into the common buffer.
const COPY_BELOW: usize = 16 * 1024;
/// A larger buffer is given back when its burst is over.
const KEEP_BUFFER: usize = 256 * 1024;
/// Slices of one vectored write.
const SLICES: usize = 16;

/// A packet with the header of its frame.
#[derive(Debug)]
pub(crate) struct Frame {
    kind: PacketKind,
    header: [u8; HEADER_LEN],
    body: Bytes,
}

/// Bytes to write: first the parts, then the tail.
#[derive(Debug, Default)]
pub(super) struct Batch {
    parts: VecDeque<Bytes>,
    tail: BytesMut,
    /// Room that it takes in the queue.
    pub(super) cost: usize,
    /// Holds more than gossip.
    pub(super) used: bool,
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
            return Err(FrameError::TooLarge { len: frame.len(), max });
        }
        Ok(frame)
    }

    /// Writes what the socket takes now; tells how many bytes.
    pub(super) fn try_write(&self, stream: &TcpStream) -> io::Result<usize> {
        stream.try_write_vectored(&[IoSlice::new(&self.header), IoSlice::new(&self.body)])
    }

    pub(crate) fn into_body(self) -> Bytes {
        self.body
    }

    pub(super) fn len(&self) -> usize {
        HEADER_LEN + self.body.len()
    }

    /// Packets and KiB, at most all the room there is.
    pub(super) fn cost(&self) -> u32 {
        (1 + self.body.len() / 1024).min(ROOM) as u32
    }

    /// Gossip does not keep a connection from being the least recently used.
    pub(super) const fn is_used(&self) -> bool {
        !matches!(
            self.kind,
            PacketKind::GossipHello | PacketKind::GossipRequest | PacketKind::GossipResponse
        )
    }
}

impl Batch {
    /// A batch with a packet that takes no room.
    pub(super) fn beginning_with(hello: &Frame) -> Self {
        let mut batch = Self::default();
        batch.push(hello);
        Self { cost: 0, ..batch }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.tail.is_empty()
    }

    pub(super) fn push(&mut self, frame: &Frame) {
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
    pub(super) fn unwritten(&mut self, frame: &Frame, written: usize) {
        let body = written.saturating_sub(HEADER_LEN);
        self.parts.push_front(frame.body.slice(body..));
        if let Some(header) = frame.header.get(written..) {
            self.parts.push_front(Bytes::copy_from_slice(header));
        }
    }

    /// Writes everything, waiting for the socket where it must.
    pub(super) async fn write(&mut self, stream: &TcpStream) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_frame_is_taken_up_where_it_ended() {
        let event = |body| Frame::new(PacketKind::Event, body, usize::MAX).unwrap();
        let sent = event("body".into());
        let mut whole = Batch::default();
        whole.push(&sent);
        let whole = whole.tail.freeze();
        for written in 0..whole.len() {
            let mut batch = Batch::default();
            batch.push(&event(vec![b'x'; COPY_BELOW].into()));
            batch.push(&event("last".into()));
            batch.unwritten(&sent, written);
            let mut left = BytesMut::new();
            batch.parts.iter().for_each(|part| left.extend_from_slice(part));
            assert!(left.starts_with(&whole[written..]), "{written} bytes written");
            assert!(left.ends_with(b"x") && batch.tail.ends_with(b"last"));
        }
    }
}
