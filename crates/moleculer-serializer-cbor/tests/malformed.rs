//! Hostile and broken input.

#[path = "../../moleculer-protocol/tests/support/vectors.rs"]
mod vectors;

use bytes::Bytes;
use moleculer_protocol::{Packet, PacketBody, PacketKind, Payload, Serializer, Value};
use moleculer_serializer_cbor::CborSerializer;

use self::vectors::hex;

fn decode(kind: PacketKind, bytes: impl Into<Bytes>) -> Result<Packet, String> {
    CborSerializer::new().decode(kind, &bytes.into()).map_err(|error| error.to_string())
}

fn payload(packet: &Packet) -> Payload {
    match &packet.body {
        PacketBody::Request(request) => request.params.clone(),
        PacketBody::Response(response) => response.data.clone(),
        PacketBody::Event(event) => event.data.clone(),
        _ => Payload::nothing(),
    }
}

/// A request with `params` given in CBOR.
fn request(params: &[u8]) -> Bytes {
    let mut bytes = hex("a4626964613166616374696f6e61616673656e646572616e66706172616d73").to_vec();
    bytes.extend_from_slice(params);
    bytes.into()
}

fn nested(levels: usize) -> Vec<u8> {
    let mut bytes = vec![0x81; levels];
    bytes.push(0xf6);
    bytes
}

#[test]
fn errors_name_packet_and_member() {
    let check = |bytes: &str, message: &str| {
        assert_eq!(decode(PacketKind::Request, hex(bytes)).unwrap_err(), message);
    };
    check("6161", "REQ: invalid type: string \"a\", expected an object as REQ packet");
    check("a1646d6574618101", "REQ: meta: expected an object, found [1]");
    check("a16269641c", "REQ: id: byte 0x1c begins no value");
    check("a1626964f820", "REQ: id: byte 0xf8 begins no value");
    check("a1626964ff", "REQ: id: a list or map ends where a value should stand");
    check(
        "a16269647affffffff",
        "REQ: id: the input ends early: 4294967295 announced, 0 bytes left",
    );
    check("a162696462ff61", "REQ: id: text: invalid utf-8 sequence of 1 bytes from index 0");
    check("a180f6", "REQ: a map key is not text");
    check("a16269647f616162ff", "REQ: id: text and binary data must announce their length");
    check(
        "a166706172616d735f4100ff",
        "REQ: params: text and binary data must announce their length",
    );
    check("a1646d657461d90102a0", "REQ: meta: tag 258 stands in front of what is not a list");
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
    let mut deep = hex("a1646d657461").to_vec();
    deep.extend(nested(1000));
    assert!(decode(PacketKind::Request, deep).unwrap_err().contains("nested deeper"));
}

#[test]
fn unknown_members_are_skipped_however_deep() {
    let mut bytes = hex("a4626964613166616374696f6e61616673656e646572616e6178").to_vec();
    bytes.extend(nested(1_000_000));
    assert_eq!(decode(PacketKind::Request, bytes).unwrap().sender, "n");
}

#[test]
fn many_lists_side_by_side_are_not_deep() {
    let mut params = vec![0x98, 200];
    params.extend([0x80; 200]);
    let packet = decode(PacketKind::Request, request(&params)).unwrap();
    let lists: Vec<Vec<u8>> = payload(&packet).take().unwrap();
    assert_eq!(lists.len(), 200);
}

/// A list that announces more than there is must not be believed.
#[test]
fn lying_lengths_are_refused_at_once() {
    let check = |params: &str, announced: u64| {
        let error = decode(PacketKind::Request, request(&hex(params))).unwrap_err();
        let message = format!("REQ: params: the input ends early: {announced} announced");
        assert!(error.starts_with(&message), "{error}");
        let format = CborSerializer::new().format();
        assert!(format.decode::<Vec<u64>>(&hex(params)).is_err());
    };
    check("9affffffff", u32::MAX.into());
    check("bbffffffffffffffff00", u64::MAX);
    check("5b8000000000000000", 1 << 63);
    check("8301", 3);
    check("a161619affffffff", u32::MAX.into());
    check("9f9f9affffffffffff", u32::MAX.into());
}

#[test]
fn values_end_where_their_bytes_end() {
    let format = CborSerializer::new().format();
    let error = format.decode::<u8>(&[1, 2, 3]).unwrap_err();
    assert_eq!(error.to_string(), "2 bytes after the end");
}

/// Tags of cbor-x that only options bring name the option.
#[test]
fn unknown_tags_are_refused_where_they_are_looked_at() {
    let check = |params: &str, message: &str| {
        let packet = decode(PacketKind::Request, request(&hex(params))).unwrap();
        let error = payload(&packet).take::<Value>().unwrap_err().to_string();
        assert_eq!(error, message);
    };
    let sent_with = |tag, option| {
        format!("unknown tag {tag}; is `{option}` set in the serializer's options at the sender?")
    };
    check("c500", "unknown tag 5");
    check("dbffffffffffffffff00", "unknown tag 18446744073709551615");
    check("d9dfff8319e000816161f6", &sent_with(0xdfff, "useRecords"));
    check("d9e0008101", &sent_with(0xe000, "useRecords"));
    check("d9dff98200f6", &sent_with(0xdff9, "bundleStrings"));
    check("d81c80", &sent_with(28, "structuredClone"));
    check("d8338480808001", &sent_with(51, "pack"));
}

#[test]
fn tags_in_front_of_the_wrong_thing_are_refused() {
    let check = |value: &str, message: &str| {
        let format = CborSerializer::new().format();
        let error = format.decode::<Value>(&hex(value)).unwrap_err().to_string();
        assert_eq!(error, message);
    };
    check("c16161", "\"a\" is no date of RFC 3339");
    check("c1f6", "a date is neither a number nor text");
    check("c1c100", "a date is neither a number nor text");
    check("c201", "tag 2 stands in front of what is not binary data");
    check("d8406161", "tag 64 stands in front of what is not binary data");
    check("d84c40", "unknown tag 76");
    check("d8454101", "a typed array of 1 bytes with elements of 2 bytes");
    check("d90103f6", "tag 259 stands in front of what is not a map");
    let class = "tag 27 stands in front of what is not a list of a class's name and its arguments";
    check("d81b80", class);
    check("d81b9f6161ff", class);
    check("d81b82616101", class);
    check("d81b83616161626163", "unknown class \"a\" behind tag 27");
}

/// The longest way to write a tag that says nothing.
#[test]
fn a_row_of_tags_takes_no_stack() {
    let mut bytes = [0xda, 0, 0, 0xd9, 0xf7].repeat(200_000);
    bytes.push(5);
    assert_eq!(CborSerializer::new().format().decode::<u8>(&bytes).unwrap(), 5);
    let dates = [vec![0xc1; 1_000_000], vec![5]].concat();
    assert!(CborSerializer::new().format().decode::<Value>(&dates).is_err());
}

/// The time would grow with the square of the length.
#[test]
fn big_integers_have_a_limit() {
    let number = |bytes: usize| {
        let mut value = vec![0xc2, 0x5a];
        value.extend((bytes as u32).to_be_bytes());
        value.extend(vec![0xff; bytes]);
        CborSerializer::new().format().decode::<Value>(&value)
    };
    assert!(number(1024).is_ok());
    let error = number(10_000_000).unwrap_err().to_string();
    assert_eq!(error, "a big integer is longer than 1024 bytes; send it as binary data");
}
