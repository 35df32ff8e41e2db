//! Hostile and broken input.

#[path = "../../moleculer-protocol/tests/support/vectors.rs"]
mod vectors;

use bytes::Bytes;
use moleculer_protocol::{Packet, PacketBody, PacketKind, Payload, Serializer, Value};
use moleculer_serializer_msgpack::MsgPackSerializer;

use self::vectors::hex;

const DIALECTS: [MsgPackSerializer; 2] = [MsgPackSerializer::new(), MsgPackSerializer::notepack()];

fn decode(kind: PacketKind, bytes: impl Into<Bytes>) -> Result<Packet, String> {
    decode_in(MsgPackSerializer::new(), kind, bytes)
}

fn decode_in(
    serializer: MsgPackSerializer,
    kind: PacketKind,
    bytes: impl Into<Bytes>,
) -> Result<Packet, String> {
    serializer.decode(kind, &bytes.into()).map_err(|error| error.to_string())
}

fn payload(packet: &Packet) -> Payload {
    match &packet.body {
        PacketBody::Request(request) => request.params.clone(),
        PacketBody::Response(response) => response.data.clone(),
        PacketBody::Event(event) => event.data.clone(),
        _ => Payload::nothing(),
    }
}

/// A request with `params` given in MessagePack.
fn request(params: &[u8]) -> Bytes {
    let mut bytes = hex("84a26964a131a6616374696f6ea161a673656e646572a16ea6706172616d73").to_vec();
    bytes.extend_from_slice(params);
    bytes.into()
}

fn nested(levels: usize) -> Vec<u8> {
    let mut bytes = vec![0x91; levels];
    bytes.push(0xc0);
    bytes
}

#[test]
fn errors_name_packet_and_member() {
    let check = |bytes: &str, message: &str| {
        assert_eq!(decode(PacketKind::Request, hex(bytes)).unwrap_err(), message);
    };
    check("a161", "REQ: invalid type: string \"a\", expected an object as REQ packet");
    check("81a46d6574619101", "REQ: meta: expected an object, found [1]");
    check("81a26964c1", "REQ: id: byte 0xc1 begins no value");
    check(
        "81a26964dbffffffff",
        "REQ: id: the input ends early: 4294967295 announced, 0 bytes left",
    );
    check("81a26964a2ff61", "REQ: id: text: invalid utf-8 sequence of 1 bytes from index 0");
    check("8190c0", "REQ: a map key is not text");
}

#[test]
fn nesting_is_limited_where_values_are_built() {
    let take = |levels| {
        let packet = decode(PacketKind::Request, request(&nested(levels))).unwrap();
        payload(&packet).take::<Value>()
    };
    assert!(take(128).is_ok());
    for levels in [129, 1_000_000] {
        let error = take(levels).unwrap_err().to_string();
        assert_eq!(error, "nested deeper than 128 levels");
    }
    // Not a payload: built with the packet.
    let mut deep = hex("81a46d657461").to_vec();
    deep.extend(nested(1000));
    assert!(decode(PacketKind::Request, deep).unwrap_err().contains("nested deeper"));
}

#[test]
fn unknown_members_are_skipped_however_deep() {
    let mut bytes = hex("84a26964a131a6616374696f6ea161a673656e646572a16ea178").to_vec();
    bytes.extend(nested(1_000_000));
    assert_eq!(decode(PacketKind::Request, bytes).unwrap().sender, "n");
}

#[test]
fn many_lists_side_by_side_are_not_deep() {
    let mut params = vec![0xdc, 0, 200];
    params.extend([0x90; 200]);
    let packet = decode(PacketKind::Request, request(&params)).unwrap();
    let lists: Vec<Vec<u8>> = payload(&packet).take().unwrap();
    assert_eq!(lists.len(), 200);
}

/// A list that announces more than there is must not be believed.
#[test]
fn lying_lengths_are_refused_at_once() {
    let check = |params: &str, announced: u32| {
        let error = decode(PacketKind::Request, request(&hex(params))).unwrap_err();
        let message = format!("REQ: params: the input ends early: {announced} announced");
        assert!(error.starts_with(&message), "{error}");
        for serializer in DIALECTS {
            assert!(serializer.format().decode::<Vec<u64>>(&hex(params)).is_err());
        }
    };
    check("ddffffffff", u32::MAX);
    check("dfffffffff00", u32::MAX);
    check("c6ffffffff", u32::MAX);
    check("dd0000000301", 3);
    check("81a161ddffffffff", u32::MAX);
}

#[test]
fn values_end_where_their_bytes_end() {
    let format = MsgPackSerializer::new().format();
    let error = format.decode::<u8>(&[1, 2, 3]).unwrap_err();
    assert_eq!(error.to_string(), "2 bytes after the end");
}

#[test]
fn unknown_extensions_are_refused_where_they_are_looked_at() {
    let packet = decode(PacketKind::Request, request(&hex("d40500"))).unwrap();
    let error = payload(&packet).take::<Value>().unwrap_err().to_string();
    assert_eq!(error, "unknown extension type 5 of 1 bytes");
}
