//! Bytes that no well-behaved node sends: decoding fails with a clear error
//! or yields something that can be written again, and never panics.

#[path = "support/vectors.rs"]
mod vectors;

use bytes::{Bytes, BytesMut};
use moleculer_protocol::{
    JsonSerializer, Packet, PacketBody, PacketKind, Payload, Serializer,
    tcp::{Announcement, Frame, FrameDecoder, FrameError, HEADER_LEN, put_frame},
};
use proptest::prelude::*;

use self::vectors::{Vector, encode, load};

fn vectors() -> impl Iterator<Item = (Vector, Bytes)> {
    ["0.14/json.json", "0.15/json.json"]
        .into_iter()
        .flat_map(load)
        .filter_map(|vector| vector.bytes.clone().map(|bytes| (vector, bytes)))
}

/// Fails unless the bytes are refused with a message that names the kind, or
/// read as a packet that is written and read alike; returns the message.
fn check(kind: PacketKind, bytes: &Bytes) -> Option<String> {
    match JsonSerializer.decode(kind, bytes) {
        Ok(packet) => {
            check_packet(&packet, bytes);
            None
        }
        Err(error) => {
            let message = error.to_string();
            let named = message.starts_with(&format!("{kind}: "));
            assert!(named, "{message:?} does not name {kind}");
            Some(message)
        }
    }
}

fn check_packet(packet: &Packet, bytes: &Bytes) {
    // A payload is found but not read, so it may turn out to be bad later.
    if let Some(payload) = payload(packet) {
        let value = payload.to_value();
        let part = payload.get("a.0");
        assert!(value.is_err() || part.is_ok(), "{bytes:?}: {part:?}");
    }
    let written = encode(&JsonSerializer, packet).expect("a packet that was read");
    let again = JsonSerializer.decode(packet.kind(), &written);
    let again = encode(&JsonSerializer, &again.expect("our own bytes"));
    assert_eq!(again, Ok(written), "{bytes:?}");
}

const fn payload(packet: &Packet) -> Option<&Payload> {
    match &packet.body {
        PacketBody::Request(request) => Some(&request.params),
        PacketBody::Response(response) => Some(&response.data),
        PacketBody::Event(event) => Some(&event.data),
        _ => None,
    }
}

#[test]
fn what_is_no_packet_is_refused() {
    let texts = [
        "",
        " ",
        "null",
        "5",
        "\"x\"",
        "[]",
        "[{}]",
        "{}",
        "{}{}",
        "{,}",
        "{\"ver\":}",
        "\u{feff}{}",
    ];
    for kind in PacketKind::ALL {
        for text in texts {
            let bytes = Bytes::copy_from_slice(text.as_bytes());
            assert!(check(kind, &bytes).is_some(), "{kind}: {text}");
        }
        for bytes in [&b"\xff\xfe"[..], b"{\"ver\":\"\xff\",\"sender\":\"a\"}", &[0; 64]] {
            assert!(check(kind, &Bytes::from_static(bytes)).is_some(), "{kind}: {bytes:?}");
        }
    }
    for (vector, bytes) in vectors() {
        let glued = Bytes::from([&bytes[..], b"{}"].concat());
        assert!(check(vector.kind, &glued).is_some(), "{}", vector.name);
    }
}

/// Text that looks like JSON more often than chance would have it.
fn json_like() -> impl Strategy<Value = Vec<u8>> {
    let tokens = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "null",
        "true",
        "-",
        "1e999",
        "0",
        "5",
        "\\u",
        "\\ud800",
        "\"ver\":\"5\"",
        "\"sender\":\"a\"",
        "\"id\":",
        "\"action\":\"b\"",
        "\"event\":\"c\"",
        "\"params\":",
        "\"data\":",
        "\"meta\":",
        "\"online\":{\"a\":[1,2,3]}",
        "\"offline\":{\"a\":1}",
        "\"time\":1",
        "\"arrived\":1",
        "\"host\":\"h\"",
        "\"port\":1",
        "\u{0}",
        "é",
    ]);
    prop::collection::vec(tokens, 0..24).prop_map(|tokens| tokens.concat().into_bytes())
}

fn kinds() -> impl Strategy<Value = PacketKind> {
    prop::sample::select(PacketKind::ALL.to_vec())
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_harmless(
        kind in kinds(),
        bytes in prop_oneof![json_like(), prop::collection::vec(any::<u8>(), 0..64)],
    ) {
        check(kind, &bytes.into());
    }
}

/// Frames with bodies of these lengths.
fn frames(lens: &[usize]) -> (Vec<Frame>, BytesMut) {
    let kinds = [PacketKind::Event, PacketKind::Ping, PacketKind::GossipHello];
    let mut wire = BytesMut::new();
    let frame = |(&len, &kind)| {
        let body = Bytes::from(vec![len as u8; len]);
        put_frame(kind, &body, &mut wire).expect("a kind with an id");
        Frame::Packet { kind, body }
    };
    let frames = lens.iter().zip(kinds.iter().cycle()).map(frame).collect();
    (frames, wire)
}

/// All frames at hand, and the error that ended them.
fn drain(decoder: FrameDecoder, wire: &mut BytesMut) -> (Vec<Frame>, Option<FrameError>) {
    let mut frames = Vec::new();
    loop {
        let before = wire.len();
        match decoder.decode(wire) {
            Ok(Some(frame)) => {
                assert!(wire.len() + HEADER_LEN <= before, "{frame:?} took nothing");
                frames.push(frame);
            }
            end => {
                assert_eq!(wire.len(), before, "what is not taken stays");
                return (frames, end.err());
            }
        }
    }
}

#[test]
fn a_truncated_frame_waits_for_more() {
    let (frames, wire) = frames(&[0, 1, 300]);
    for len in 0..wire.len() {
        let mut part = BytesMut::from(&wire[..len]);
        let (found, error) = drain(FrameDecoder::default(), &mut part);
        assert_eq!(error, None, "cut to {len} bytes");
        assert_eq!(found, frames[..found.len()]);
        assert!(found.len() < frames.len());
        part.extend_from_slice(&wire[len..]);
        let (rest, error) = drain(FrameDecoder::default(), &mut part);
        assert_eq!(error, None, "cut to {len} bytes");
        assert_eq!([found, rest].concat(), frames);
    }
}

#[test]
fn a_flipped_byte_of_a_header_is_found() {
    let (_, wire) = frames(&[5]);
    for at in 0..HEADER_LEN {
        for mask in 1..=255 {
            let mut wire = wire.clone();
            wire[at] ^= mask;
            let (frames, error) = drain(FrameDecoder::default(), &mut wire);
            assert!(matches!(error, Some(FrameError::Checksum { .. })), "{error:?}");
            assert_eq!(frames, []);
        }
    }
}

proptest! {
    #[test]
    fn frames_do_not_depend_on_chunks(
        lens in prop::collection::vec(0..600_usize, 0..20),
        chunks in prop::collection::vec(1..700_usize, 1..20),
    ) {
        let (frames, mut wire) = frames(&lens);
        let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
        for len in chunks.iter().cycle() {
            buffer.extend_from_slice(&wire.split_to(wire.len().min(*len)));
            let (more, error) = drain(FrameDecoder::new(606), &mut buffer);
            prop_assert_eq!(error, None);
            found.extend(more);
            if wire.is_empty() {
                break;
            }
        }
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(found, frames);
    }

    #[test]
    fn any_bytes_end_as_frames_or_an_error(
        mut bytes in prop::collection::vec(any::<u8>(), 0..64),
        limit in 0..64_usize,
        mend: bool,
    ) {
        if mend && bytes.len() > HEADER_LEN {
            // A right checksum and a short length lead further.
            bytes[1..4].fill(0);
            bytes[0] = bytes[4] ^ bytes[5];
        }
        let whole = bytes.len();
        let mut wire = BytesMut::from(&bytes[..]);
        let (frames, error) = drain(FrameDecoder::new(limit), &mut wire);
        let bodies = frames.iter().map(|frame| match frame {
            Frame::Packet { body, .. } => HEADER_LEN + body.len(),
            Frame::Unknown(_) => HEADER_LEN,
        });
        prop_assert!(bodies.clone().all(|len| len <= limit));
        prop_assert!(bodies.sum::<usize>() + wire.len() <= whole);
        // Left over is a part of a frame, or what the error is about.
        prop_assert!(error.is_some() || wire.len() < limit.max(HEADER_LEN));
    }

    #[test]
    fn any_datagram_is_refused_or_an_announcement(
        datagram in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "[a-z|+0-9-]{0,20}".prop_map(String::into_bytes),
            "[a-z]{0,3}\\|[a-z]{0,3}\\|[0-9]{0,6}".prop_map(String::into_bytes),
        ],
    ) {
        if let Ok(announcement) = Announcement::parse(&datagram) {
            let text = announcement.encode().expect("what was read can be written");
            prop_assert_eq!(Announcement::parse(text.as_bytes()), Ok(announcement));
        }
    }

    #[test]
    fn any_announcement_is_refused_or_read_again(
        namespace in ".{0,8}",
        node_id in ".{0,8}",
        port: u16,
    ) {
        let bad = namespace.contains('|') || node_id.contains('|') || node_id.is_empty();
        let announcement = Announcement { namespace, node_id: node_id.into(), port };
        let text = announcement.encode();
        prop_assert_eq!(text.is_err(), bad);
        if let Ok(text) = text {
            prop_assert_eq!(Announcement::parse(text.as_bytes()), Ok(announcement));
        }
    }
}

#[test]
fn a_truncated_datagram_is_refused_or_shorter() {
    let text = b"dev|node-1|43123";
    for len in 0..text.len() {
        let found = Announcement::parse(&text[..len]);
        // Only digits of the port can go missing unseen.
        assert_eq!(found.is_ok(), len > 11, "{:?}", &text[..len]);
    }
}
