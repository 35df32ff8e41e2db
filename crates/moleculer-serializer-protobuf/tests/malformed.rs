//! Hostile and broken input.

#[path = "../../moleculer-protocol/tests/support/vectors.rs"]
mod vectors;

use bytes::Bytes;
use moleculer_protocol::{Packet, PacketKind, Serializer};
use moleculer_serializer_protobuf::ProtoBufSerializer;

use self::vectors::load;

fn decode(kind: PacketKind, bytes: impl Into<Bytes>) -> Result<Packet, String> {
    ProtoBufSerializer.decode(kind, &bytes.into()).map_err(|error| error.to_string())
}

/// A message has no end: cut between two fields it lacks those that follow,
/// cut within one it is refused.
#[test]
fn a_truncated_packet_is_refused_or_lacks_fields() {
    for vector in load("0.14/protobuf.json") {
        let Some(bytes) = vector.bytes else { continue };
        let ends = ends(&bytes);
        assert_eq!(ends.last(), Some(&bytes.len()), "{}", vector.name);
        for len in 0..bytes.len() {
            let cut = decode(vector.kind, bytes.slice(..len));
            let whole_fields = len == 0 || ends.contains(&len);
            match cut {
                Ok(_) => assert!(whole_fields, "{} cut to {len} bytes", vector.name),
                Err(error) => {
                    assert!(error.starts_with(vector.kind.as_str()), "{error}");
                    assert_eq!(error.contains("missing field"), whole_fields, "{error}");
                }
            }
        }
    }
}

/// Where the fields end.
fn ends(bytes: &[u8]) -> Vec<usize> {
    let mut at = 0;
    let mut ends = Vec::new();
    let varint = |at: &mut usize| {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[*at];
            *at += 1;
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    };
    while at < bytes.len() {
        match varint(&mut at) & 7 {
            0 => drop(varint(&mut at)),
            1 => at += 8,
            2 => at += varint(&mut at),
            other => panic!("wire type {other}"),
        }
        ends.push(at);
    }
    ends
}

/// `ver` and `sender`.
const HEAD: &[u8] = b"\x0a\x014\x12\x01n";

#[test]
fn errors_name_packet_and_field() {
    let check = |kind, fields: &[u8], message: &str| {
        assert_eq!(decode(kind, [HEAD, fields].concat()).unwrap_err(), message);
    };
    use PacketKind::{Event, GossipHello, GossipRequest, Info, Ping, Request, Response};
    check(
        Request,
        b"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        "REQ: failed to decode Protobuf message: Request.id: buffer underflow",
    );
    check(
        Request,
        b"\x1a\x05abc",
        "REQ: failed to decode Protobuf message: Request.id: buffer underflow",
    );
    check(
        Request,
        b"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        "REQ: failed to decode Protobuf message: Request.id: invalid varint",
    );
    check(
        Request,
        b"\x18\x01",
        "REQ: failed to decode Protobuf message: Request.id: invalid wire type: Varint (expected LengthDelimited)",
    );
    check(Request, b"\0\x01", "REQ: failed to decode Protobuf message: invalid tag value: 0");
    check(Request, b"\x1f", "REQ: failed to decode Protobuf message: invalid wire type value: 7");
    check(Request, b"", "REQ: missing field `id`");
    check(Request, b"\x1a\x01\xff", "REQ: id: invalid utf-8 sequence of 1 bytes from index 0");
    check(Request, b"\x1a\x011\x22\x01a\x3a\x03[1]", "REQ: meta: expected an object, found [1]");
    check(Response, b"\x1a\x011\x3a\x015", "RES: error: expected an object, found 5");
    check(Ping, b"", "PING: missing field `time`");
    check(
        GossipHello,
        b"\x1a\x01h\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        "GOSSIP_HELLO: port: -1 is out of range",
    );
    check(GossipRequest, b"\x1a\x07{\"x\":5}", "GOSSIP_REQ: online.x: malformed row");
    check(
        Event,
        b"\x1a\x011\x22\x01e\x3a\x01\xff",
        "EVENT: groups: invalid utf-8 sequence of 1 bytes from index 0",
    );
    check(
        Event,
        b"\x1a\x011\x22\x01e\x3a\x7f",
        "EVENT: failed to decode Protobuf message: Event.groups: buffer underflow",
    );
    check(
        Info,
        b"\x3a\x03\x0a\x7fx",
        "INFO: failed to decode Protobuf message: Client.kind: Info.client: buffer underflow",
    );
}

/// Other implementations may know more fields, of any type.
#[test]
fn unknown_fields_are_skipped() {
    let fields = b"\xa0\x06\x01\xa1\x06\0\0\0\0\0\0\0\0\xa2\x06\x01x\xa3\x06\x08\x01\xa4\x06\xa5\x06\0\0\0\0";
    let packet = decode(PacketKind::Discover, [HEAD, fields].concat()).unwrap();
    assert_eq!(packet.sender, "n");
}

#[test]
fn deep_nesting_is_refused() {
    let groups = [HEAD, &b"\xa3\x06".repeat(100_000)].concat();
    let error = decode(PacketKind::Discover, groups).unwrap_err();
    assert_eq!(error, "DISCOVER: failed to decode Protobuf message: recursion limit reached");
    let meta = [b"\x1a\x011\x22\x01a\x3a\xa0\x8d\x06".as_slice(), &b"[".repeat(100_000)].concat();
    let error = decode(PacketKind::Request, [HEAD, &meta].concat()).unwrap_err();
    assert!(error.starts_with("REQ: meta: recursion limit exceeded"), "{error}");
}
