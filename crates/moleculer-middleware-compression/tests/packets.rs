//! Packets: those of Moleculer JS, our own, and hostile ones.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use moleculer_core::{BytesFn, Error, Middleware, Result, protocol::PacketKind, strict};
use moleculer_middleware_compression::{Compression, Method};
use proptest::prelude::*;

const METHODS: [Method; 3] = [Method::Deflate, Method::DeflateRaw, Method::Gzip];

fn same() -> BytesFn {
    Arc::new(|_, bytes| Ok(bytes))
}

fn send(compression: Compression, bytes: impl Into<Bytes>) -> Result<Bytes> {
    compression.transporter_send(same())(PacketKind::Event, bytes.into())
}

fn receive(compression: Compression, bytes: impl Into<Bytes>) -> Result<Bytes> {
    compression.transporter_receive(same())(PacketKind::Event, bytes.into())
}

fn all(method: Method) -> Compression {
    Compression::default().method(method).threshold(0)
}

#[test]
fn packets_of_the_reference() {
    let vectors = include_str!("vectors/packets.json");
    let vectors: Vec<serde_json::Value> = serde_json::from_str(vectors).expect("JSON");
    assert_eq!(vectors.len(), 24);
    for vector in vectors {
        let compression: Compression =
            strict("options", vector["options"].clone()).expect("the reference's options");
        let packet = Bytes::from(vector["packet"].as_str().expect("text").to_owned());
        let sent = STANDARD.decode(vector["sent"].as_str().expect("base64")).expect("base64");
        let ours = send(compression, packet.clone()).expect("sent");
        assert_eq!(ours[0], sent[0], "{vector}");
        assert_eq!(receive(compression, sent).expect("received"), packet, "{vector}");
        assert_eq!(receive(compression, ours).expect("received"), packet, "{vector}");
    }
}

#[test]
fn compressed_from_the_threshold_on() {
    let compression = Compression::default();
    let [below, at] = [1023, 1024].map(|size| send(compression, vec![b'a'; size]).expect("sent"));
    assert_eq!((below[0], below.len()), (0, 1024));
    assert_eq!((at[0], at.len() < 100), (1, true));
}

#[test]
fn bombs_do_not_go_off() {
    for method in METHODS {
        let made = all(method).max_size(8 << 20);
        let bomb = send(made, vec![0; 8 << 20]).expect("sent");
        assert!(bomb.len() < 10_000);
        assert_eq!(receive(made, bomb.clone()).expect("at the limit").len(), 8 << 20);
        let error = receive(made.max_size((8 << 20) - 1), bomb).expect_err("above the limit");
        assert!(
            error.message().contains("larger than `maxSize`; that is 8388607 bytes"),
            "{error}"
        );
    }
}

#[test]
fn what_no_peer_would_take_is_not_sent() {
    let error = send(Compression::default().max_size(2000), vec![0; 2001]).expect_err("too large");
    assert_eq!(error.r#type(), Some("PACKET_TOO_LARGE"));
    assert!(error.message().contains("packet of 2001 bytes is larger than `maxSize`"), "{error}");
}

#[test]
fn invalid_packets_are_told_apart() {
    let check = |compression, bytes: &[u8], expected: &str| {
        let error: Error = receive(compression, bytes.to_vec()).expect_err("invalid");
        assert_eq!(error.name(), "InvalidPacketDataError");
        assert!(error.message().contains(expected), "{error}");
    };
    for method in METHODS {
        let packet = send(all(method), vec![7; 5000]).expect("sent");
        check(all(method), &packet[..packet.len() - 1], "its end is missing");
        check(all(method), &[&packet, &b"x"[..]].concat(), "there is more behind its end");
        check(all(method), &[1], "its end is missing");
        check(all(method), b"\x01{\"ver\":\"5\"}", "cannot be decompressed");
        check(all(method), b"{\"ver\":\"5\"}", "begins with byte 123");
        check(all(method), b"", "an empty packet");
    }
    let gzip = send(all(Method::Gzip), vec![7; 5000]).expect("sent");
    check(all(Method::Deflate), &gzip, "use `Deflate` on all nodes");
}

proptest! {
    #[test]
    fn all_packets_come_back(
        bytes in prop::collection::vec(0_u8..5, 0..5000), method in 0..3_usize, threshold in 0..2000_usize,
    ) {
        let compression = all(METHODS[method]).threshold(threshold);
        let sent = send(compression, bytes.clone()).expect("sent");
        prop_assert_eq!(&receive(compression, sent).expect("received")[..], &bytes[..]);
    }

    #[test]
    fn hostile_packets_stay_small(
        mut bytes in prop::collection::vec(any::<u8>(), 0..500), method in 0..3_usize,
    ) {
        if let Some(marker) = bytes.first_mut() {
            *marker %= 3;
        }
        if let Ok(packet) = receive(all(METHODS[method]).max_size(2000), bytes) {
            prop_assert!(packet.len() <= 2000);
        }
    }

    #[test]
    fn checksums_find_damage(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let text: Vec<u8> = (0..3000_u32).map(|i| (i * i % 7) as u8).collect();
        // The checksum of zlib is too weak for a text with so many repetitions.
        let mut packet = send(all(Method::Gzip), text.clone()).expect("sent").to_vec();
        let at = 1 + at.index(packet.len() - 1);
        packet[at] ^= 1_u8 << bit;
        // There is more than one way to compress the same bytes.
        if let Ok(received) = receive(all(Method::Gzip), packet) {
            prop_assert!(received == text);
        }
    }
}
