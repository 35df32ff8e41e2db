//! Hostile and broken input.

use bytes::Bytes;
use moleculer_protocol::{Packet, PacketKind, Serializer};
use moleculer_serializer_thrift::ThriftSerializer;

fn decode(kind: PacketKind, bytes: impl Into<Bytes>) -> Result<Packet, String> {
    ThriftSerializer.decode(kind, &bytes.into()).map_err(|error| error.to_string())
}

/// `ver` and `sender`.
const HEAD: &[u8] = b"\x0b\0\x01\0\0\0\x014\x0b\0\x02\0\0\0\x01n";

#[test]
fn errors_name_packet_and_field() {
    let check = |kind, fields: &[u8], message: &str| {
        assert_eq!(decode(kind, [HEAD, fields].concat()).unwrap_err(), message);
    };
    use PacketKind::{Event, GossipHello, GossipRequest, Info, Ping, Request, Response};
    check(
        Request,
        b"\x0b\0\x03\x7f\xff\xff\xff",
        "REQ: field 3: the input ends early: 2147483647 announced, 0 bytes left",
    );
    check(Request, b"\x0b\0\x03\xff\xff\xff\xff", "REQ: field 3: -1 is no length");
    check(Request, b"\x01\0\x03", "REQ: field 3: there is no type 1");
    check(Request, b"\0", "REQ: missing field `id`");
    check(
        Request,
        b"\x0b\0\x03\0\0\0\x01\xff\0",
        "REQ: id: invalid utf-8 sequence of 1 bytes from index 0",
    );
    check(Request, b"\x08\0\x03\0\0\0\x01\0", "REQ: id: expected a value of type 11, found 8");
    let request = b"\x0b\0\x03\0\0\0\x011\x0b\0\x04\0\0\0\x01a";
    let meta = [request, b"\x0b\0\x07\0\0\0\x03[1]\0".as_slice()].concat();
    check(Request, &meta, "REQ: meta: expected an object, found [1]");
    check(
        Response,
        b"\x0b\0\x03\0\0\0\x011\x0b\0\x07\0\0\0\x015\0",
        "RES: error: expected an object, found 5",
    );
    check(Ping, b"\0", "PING: missing field `time`");
    check(
        GossipHello,
        b"\x0b\0\x03\0\0\0\x01h\x08\0\x04\xff\xff\xff\xff\0",
        "GOSSIP_HELLO: port: -1 is out of range",
    );
    check(GossipRequest, b"\x0b\0\x03\0\0\0\x07{\"x\":5}\0", "GOSSIP_REQ: online.x: malformed row");
    let event = b"\x0b\0\x03\0\0\0\x011\x0b\0\x04\0\0\0\x01e";
    let groups = [event, b"\x0f\0\x07\x0b\x7f\xff\xff\xff\0\0\0\0\0".as_slice()].concat();
    check(Event, &groups, "EVENT: field 7: the input ends early: 4 announced, 1 bytes left");
    let groups = [event, b"\x0f\0\x07\x02\0\0\0\x01\x01\0".as_slice()].concat();
    check(Event, &groups, "EVENT: groups: expected a list of texts, found type 2");
    check(
        Info,
        b"\x0c\0\x07\x08\0\x01\0\0\0\x01\0\0",
        "INFO: client: expected a value of type 11, found 8",
    );
}

/// Other implementations may know more fields, of any type.
#[test]
fn unknown_fields_are_skipped() {
    let mut bytes = HEAD.to_vec();
    bytes.extend(b"\x02\0\x63\x01\x03\0\x63\x01\x04\0\x63\0\0\0\0\0\0\0\0\x06\0\x63\0\x01");
    bytes.extend(b"\x0d\0\x63\x0b\x08\0\0\0\x01\0\0\0\x01k\0\0\0\x01\x0d\0\x63\0\0\0\0\0\0");
    bytes.extend(b"\x0e\0\x63\x02\0\0\0\x02\0\x01\x0f\x80\0\x0c\0\0\0\x02\0\x02\0\x01\0\0");
    bytes.extend(b"\x0a\xff\xff\0\0\0\0\0\0\0\0\0");
    let packet = decode(PacketKind::Discover, bytes).unwrap();
    assert_eq!(packet.sender, "n");
}

#[test]
fn deep_nesting_is_refused() {
    let check = |outer: &[u8], inner: &[u8]| {
        let bytes = [HEAD, outer, &inner.repeat(100_000)].concat();
        let error = decode(PacketKind::Discover, bytes).unwrap_err();
        assert_eq!(error, "DISCOVER: field 99: nested too deep");
    };
    check(b"", b"\x0c\0\x63");
    check(b"\x0f\0\x63", b"\x0f\0\0\0\x01");
    check(b"\x0e\0\x63", b"\x0e\0\0\0\x01");
    check(b"\x0d\0\x63", b"\x0b\x0d\0\0\0\x01\0\0\0\0");
    let meta = "[".repeat(100_000);
    let len = (meta.len() as u32).to_be_bytes();
    let fields = b"\x0b\0\x03\0\0\0\x011\x0b\0\x04\0\0\0\x01a\x0b\0\x07";
    let bytes = [HEAD, fields, &len, meta.as_bytes(), b"\0"].concat();
    let error = decode(PacketKind::Request, bytes).unwrap_err();
    assert!(error.starts_with("REQ: meta: recursion limit exceeded"), "{error}");
}
