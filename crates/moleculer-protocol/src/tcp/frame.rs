//! Frames: a checksum, the length of the whole frame, a type, and a packet.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::PacketKind;

/// Bytes in front of each packet: checksum, length, type.
pub const HEADER_LEN: usize = 6;

/// Largest frame that nodes accept unless configured otherwise: 1 MiB,
/// header included.
pub const DEFAULT_MAX_PACKET_SIZE: usize = 1024 * 1024;

/// Appends a frame to `out`.
///
/// # Errors
///
/// When packets of this kind do not travel over TCP, or the frame is longer
/// than its length field can say. The receiver's limit is not checked.
///
/// # Examples
///
/// ```
/// use bytes::BytesMut;
/// use moleculer_protocol::{PacketKind, tcp::{Frame, FrameDecoder, put_frame}};
///
/// let mut wire = BytesMut::new();
/// put_frame(PacketKind::Ping, b"{}", &mut wire)?;
/// assert_eq!(&wire[..], b"\x0c\0\0\0\x08\x04{}");
///
/// let frame = FrameDecoder::default().decode(&mut wire)?;
/// let body = b"{}".as_slice().into();
/// assert_eq!(frame, Some(Frame::Packet { kind: PacketKind::Ping, body }));
/// # Ok::<(), moleculer_protocol::tcp::FrameError>(())
/// ```
pub fn put_frame(kind: PacketKind, body: &[u8], out: &mut BytesMut) -> Result<(), FrameError> {
    let header = frame_header(kind, body.len())?;
    out.reserve(HEADER_LEN + body.len());
    out.put_slice(&header);
    out.put_slice(body);
    Ok(())
}

/// The header of a frame, for a vectored write that leaves the body in place.
///
/// # Errors
///
/// As [`put_frame`].
pub fn frame_header(kind: PacketKind, body_len: usize) -> Result<[u8; HEADER_LEN], FrameError> {
    let id = type_id(kind).ok_or(FrameError::NotOverTcp(kind))?;
    let len = i32::try_from(body_len.saturating_add(HEADER_LEN)).map_err(|_| {
        FrameError::TooLarge { len: body_len.saturating_add(HEADER_LEN), max: i32::MAX as usize }
    })?;
    let [a, b, c, d] = len.to_be_bytes();
    Ok([checksum([a, b, c, d, id]), a, b, c, d, id])
}

/// Cuts the bytes that a connection delivers into frames.
///
/// It has no state but its limit: what is left of a frame stays in the
/// caller's buffer. Nothing is reserved for a length that is only claimed.
#[derive(Clone, Copy, Debug)]
pub struct FrameDecoder {
    max_packet_size: usize,
}

impl FrameDecoder {
    /// A decoder that refuses frames longer than this, header included.
    ///
    /// The reference holds all bytes that it has buffered against its limit;
    /// here each frame counts for itself.
    pub const fn new(max_packet_size: usize) -> Self {
        Self { max_packet_size }
    }

    /// Takes the next frame out of `buf`; its body shares the buffer. `None`
    /// means that bytes are missing: append them and call again.
    ///
    /// # Errors
    ///
    /// When the checksum is wrong or the length is below six or above the
    /// limit; the length is checked as soon as the header is there. Nothing
    /// that follows can be trusted: close the connection.
    pub fn decode(&self, buf: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let Some(&[crc, a, b, c, d, id]) = buf.first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let expected = checksum([a, b, c, d, id]);
        if crc != expected {
            return Err(FrameError::Checksum { expected, found: crc });
        }
        let len = i32::from_be_bytes([a, b, c, d]);
        let len = usize::try_from(len)
            .ok()
            .filter(|&len| len >= HEADER_LEN)
            .ok_or(FrameError::TooShort(len))?;
        if len > self.max_packet_size {
            return Err(FrameError::TooLarge { len, max: self.max_packet_size });
        }
        if buf.len() < len {
            return Ok(None);
        }
        let mut body = buf.split_to(len).freeze();
        body.advance(HEADER_LEN);
        Ok(Some(match kind(id) {
            Some(kind) => Frame::Packet { kind, body },
            None => Frame::Unknown(id),
        }))
    }
}

/// With the limit [`DEFAULT_MAX_PACKET_SIZE`].
impl Default for FrameDecoder {
    fn default() -> Self {
        Self::new(DEFAULT_MAX_PACKET_SIZE)
    }
}

/// What [`FrameDecoder`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A packet, still encoded.
    Packet {
        /// The packet's kind.
        kind: PacketKind,
        /// The encoded packet.
        body: Bytes,
    },
    /// A frame whose type id means nothing to us. It has been skipped.
    Unknown(u8),
}

/// A frame could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Packets of this kind have no type id.
    #[error("{0} packets do not travel over TCP")]
    NotOverTcp(PacketKind),
    /// The frame is longer than allowed.
    #[error("a frame of {len} bytes is larger than the limit of {max}")]
    TooLarge {
        /// Length of the frame, header included.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// The length does not even cover the header.
    #[error("a frame length of {0} is below the {HEADER_LEN} bytes of the header")]
    TooShort(i32),
    /// The header is damaged, or this is no frame at all.
    #[error("wrong frame checksum: expected {expected}, found {found}")]
    Checksum {
        /// Of the header's other bytes.
        expected: u8,
        /// In the header.
        found: u8,
    },
}

fn checksum(header: [u8; HEADER_LEN - 1]) -> u8 {
    header.into_iter().fold(0, |crc, byte| crc ^ byte)
}

/// The kinds that travel over TCP; the place, counted from 1, is the type id.
const KINDS: [PacketKind; 8] = [
    PacketKind::Event,
    PacketKind::Request,
    PacketKind::Response,
    PacketKind::Ping,
    PacketKind::Pong,
    PacketKind::GossipRequest,
    PacketKind::GossipResponse,
    PacketKind::GossipHello,
];

fn type_id(kind: PacketKind) -> Option<u8> {
    (1..).zip(KINDS).find_map(|(id, k)| (k == kind).then_some(id))
}

fn kind(id: u8) -> Option<PacketKind> {
    KINDS.get(usize::from(id).checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(decoder: FrameDecoder, bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
        decoder.decode(&mut bytes.into())
    }

    #[test]
    fn only_kinds_with_an_id_are_framed() {
        for kind in PacketKind::ALL {
            let mut out = BytesMut::new();
            let framed = put_frame(kind, b"", &mut out);
            assert_eq!(framed.is_ok(), KINDS.contains(&kind), "{kind}");
            assert_eq!(out.is_empty(), framed.is_err(), "{kind}");
        }
        let error = frame_header(PacketKind::Info, 0).unwrap_err();
        assert_eq!(error.to_string(), "INFO packets do not travel over TCP");
    }

    #[test]
    fn the_length_field_is_not_overrun() {
        let most = i32::MAX as usize - HEADER_LEN;
        assert!(frame_header(PacketKind::Event, most).is_ok());
        for len in [most + 1, usize::MAX] {
            let error = frame_header(PacketKind::Event, len).unwrap_err();
            assert!(matches!(error, FrameError::TooLarge { .. }), "{error}");
        }
    }

    #[test]
    fn a_bad_length_is_refused_before_the_body_arrives() {
        let header = |len: i32| {
            let [a, b, c, d] = len.to_be_bytes();
            [checksum([a, b, c, d, 4]), a, b, c, d, 4]
        };
        for len in [i32::MIN, -1, 0, 5] {
            let found = decode(FrameDecoder::default(), &header(len));
            assert_eq!(found, Err(FrameError::TooShort(len)));
        }
        let max = DEFAULT_MAX_PACKET_SIZE;
        assert_eq!(decode(FrameDecoder::default(), &header(1_048_576)), Ok(None));
        for len in [1_048_577, i32::MAX] {
            let found = decode(FrameDecoder::default(), &header(len));
            let len = len as usize;
            assert_eq!(found, Err(FrameError::TooLarge { len, max }));
        }
    }

    #[test]
    fn nothing_is_reserved_for_a_claimed_length() {
        let mut wire = BytesMut::new();
        wire.put_slice(&frame_header(PacketKind::Event, 1_000_000).unwrap());
        let capacity = wire.capacity();
        assert_eq!(FrameDecoder::default().decode(&mut wire), Ok(None));
        assert_eq!(wire.capacity(), capacity);
    }

    #[test]
    fn an_unknown_type_is_skipped_with_its_body() {
        for id in [0, 9, 255] {
            let mut wire = BytesMut::new();
            wire.put_slice(&[checksum([0, 0, 0, 8, id]), 0, 0, 0, 8, id]);
            wire.put_slice(b"{}");
            put_frame(PacketKind::Pong, b"x", &mut wire).unwrap();
            let decoder = FrameDecoder::default();
            assert_eq!(decoder.decode(&mut wire), Ok(Some(Frame::Unknown(id))));
            let (kind, body) = (PacketKind::Pong, Bytes::from_static(b"x"));
            let next = decoder.decode(&mut wire);
            assert_eq!(next, Ok(Some(Frame::Packet { kind, body })));
        }
    }

    #[test]
    fn the_body_shares_the_buffer() {
        let mut wire = BytesMut::new();
        put_frame(PacketKind::Ping, b"body", &mut wire).unwrap();
        let address = wire.as_ptr().wrapping_add(HEADER_LEN);
        let frame = FrameDecoder::default().decode(&mut wire).unwrap();
        let Some(Frame::Packet { body, .. }) = frame else { panic!("{frame:?}") };
        assert_eq!(body.as_ptr(), address);
    }
}
