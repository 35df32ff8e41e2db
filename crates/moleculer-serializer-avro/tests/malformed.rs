//! Hostile and broken input.

#[path = "../../moleculer-protocol/tests/support/vectors.rs"]
mod vectors;

use bytes::Bytes;
use moleculer_protocol::{Packet, PacketBody, PacketKind, Payload, Serializer};
use moleculer_serializer_avro::AvroSerializer;
use proptest::prelude::*;

use self::vectors::{difference, encode, load, packet_to_value};

fn decode(kind: PacketKind, bytes: impl Into<Bytes>) -> Result<Packet, String> {
    AvroSerializer.decode(kind, &bytes.into()).map_err(|error| error.to_string())
}

#[test]
fn every_truncated_packet_is_refused() {
    for vector in load("0.14/avro.json") {
        let Some(bytes) = vector.bytes else { continue };
        for len in 0..bytes.len() {
            let error = decode(vector.kind, bytes.slice(..len)).unwrap_err();
            assert!(error.starts_with(vector.kind.as_str()), "{error}");
            assert!(error.ends_with("bytes left"), "{error}");
        }
    }
}

#[test]
fn bytes_after_the_end_are_refused() {
    for vector in load("0.14/avro.json") {
        let Some(bytes) = vector.bytes else { continue };
        let longer = [&bytes[..], b"\0"].concat();
        let error = decode(vector.kind, longer).unwrap_err();
        assert_eq!(error, format!("{}: 1 bytes after the end", vector.kind));
    }
}

#[test]
fn errors_name_packet_and_member() {
    let check = |kind, bytes: &'static [u8], message: &str| {
        assert_eq!(decode(kind, bytes).unwrap_err(), message);
    };
    use PacketKind::{Event, GossipHello, GossipRequest, Ping, Request, Response};
    check(
        Request,
        b"\x024\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        "REQ: sender: the input ends early: 9223372036854775807 announced, 0 bytes left",
    );
    check(Request, b"\x024\x01", "REQ: sender: the input ends early: -1 announced, 0 bytes left");
    check(
        Request,
        b"\x024\x02n\x02\xff",
        "REQ: id: invalid utf-8 sequence of 1 bytes from index 0",
    );
    check(Request, b"\x024\x02n\x021\x02a\x04", "REQ: params: a union has no branch 2");
    check(Request, b"\x024\x02n\x021\x02a\0\0\x06[1]", "REQ: meta: expected an object, found [1]");
    check(Response, b"\x024\x02n\x021\x05", "RES: success: 5 is no boolean");
    check(
        Ping,
        b"\x024\x02n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        "PING: time: an integer does not fit 64 bits",
    );
    check(GossipHello, b"\x024\x02n\x02h\x01", "GOSSIP_HELLO: port: -1 is out of range");
    check(GossipRequest, b"\x024\x02n\x02\x0e{\"x\":5}\0", "GOSSIP_REQ: online.x: malformed row");
    // A list of 2^62 groups.
    check(
        Event,
        b"\x024\x02n\x021\x02e\0\0\x02\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
        "EVENT: groups: the input ends early: 1 announced, 0 bytes left",
    );
}

fn payload(packet: &Packet) -> Payload {
    match &packet.body {
        PacketBody::Request(request) => request.params.clone(),
        PacketBody::Response(response) => response.data.clone(),
        PacketBody::Event(event) => event.data.clone(),
        _ => Payload::nothing(),
    }
}

proptest! {
    #[test]
    fn damaged_packets_are_read_or_refused(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let vectors = load("0.14/avro.json");
        let vector = which.get(&vectors);
        if let Some(bytes) = &vector.bytes {
            let mut bytes = bytes.to_vec();
            for (at, byte) in damage {
                *at.get_mut(&mut bytes) = byte;
            }
            let Ok(packet) = decode(vector.kind, bytes) else { return Ok(()) };
            let Ok(again) = encode(&AvroSerializer, &packet) else { return Ok(()) };
            let again = decode(vector.kind, again).unwrap();
            if payload(&packet).to_value().is_ok() {
                let [packet, again] = [&packet, &again].map(packet_to_value);
                prop_assert_eq!(difference(&packet, &again), None);
            }
        }
    }
}
