//! Hostile and broken input.

use bytes::Bytes;
use moleculer_protocol::{Packet, PacketKind, Serializer};
use moleculer_serializer_avro::AvroSerializer;

fn decode(kind: PacketKind, bytes: impl Into<Bytes>) -> Result<Packet, String> {
    AvroSerializer.decode(kind, &bytes.into()).map_err(|error| error.to_string())
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
