//! What params become, and which packets have no place in the schema.

#[path = "../../moleculer-protocol/tests/support/vectors.rs"]
mod vectors;

use std::collections::BTreeMap;

use bytes::Bytes;
use moleculer_protocol::{
    EncodeError, EventPacket, Object, Packet, PacketBody, PacketId, PacketKind, Payload,
    ProtocolVersion, RequestPacket, Serializer, Value,
};
use moleculer_serializer_avro::AvroSerializer;

use self::vectors::encode;

fn packet(request: RequestPacket) -> Packet {
    Packet {
        version: ProtocolVersion::V4.into(),
        sender: "n".into(),
        body: PacketBody::Request(Box::new(request)),
    }
}

fn request() -> RequestPacket {
    RequestPacket::new(PacketId::from("1"), "a")
}

fn bytes_with(params: Payload) -> Result<Bytes, EncodeError> {
    let mut request = request();
    request.params = params;
    encode(&AvroSerializer, &packet(request))
}

fn read(bytes: &Bytes) -> RequestPacket {
    let packet = AvroSerializer.decode(PacketKind::Request, bytes);
    match packet.expect("a packet").body {
        PacketBody::Request(request) => *request,
        other => panic!("{other:?}"),
    }
}

/// The members `params` and `paramsType` alone.
fn field(params: Payload) -> String {
    let bytes = bytes_with(params).expect("params");
    let before = b"\x024\x02n\x021\x02a".len();
    let after = b"\x04{}\0\x02\0\0\0\0\0\0".len();
    bytes[before..bytes.len() - after].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn params_carry_their_type() {
    assert_eq!(field(Payload::nothing()), "0000");
    assert_eq!(field(Payload::new(())), "0000");
    assert_eq!(field(Payload::null()), "0002");
    assert_eq!(field(Payload::new(None::<String>)), "0002");
    assert_eq!(field(Payload::new("null")), "020c226e756c6c2204");
    assert_eq!(field(Payload::new(5.0)), "02023504");
    assert_eq!(field(Payload::new(Bytes::from_static(b"\0\xff"))), "020400ff06");
    assert_eq!(field(Value::from(Bytes::new()).into()), "020006");
    // Binary data further in is JSON.
    let nested = BTreeMap::from([("b", Bytes::from_static(b"\x01"))]);
    assert_eq!(
        field(Payload::new(nested)),
        format!("0244{}04", hex(br#"{"b":{"type":"Buffer","data":[1]}}"#))
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Another implementation may know a type that we do not; it is JSON then.
#[test]
fn an_unknown_type_is_taken_for_json() {
    let mut bytes = bytes_with(Payload::new(5)).expect("params").to_vec();
    let at = bytes.len() - b"\x04\x04{}\0\x02\0\0\0\0\0\0".len();
    assert_eq!(bytes[at], 4);
    bytes[at] = 18;
    assert_eq!(read(&bytes.into()).params.take::<i64>().expect("5"), 5);
}

/// The recorded events leave some fields out; this one has all that we know.
#[test]
fn an_event_has_all_its_fields() {
    let bytes = Bytes::from_static(
        b"\x024\x02n\x021\x02e\x02\x025\x04\x02\x02\x02g\0\x01\x04{}\x04\x02\x01\x02\x02p\x02\x02r\0\0\x02\x02c\0",
    );
    let event = EventPacket {
        id: Some("1".into()),
        event: "e".into(),
        data: Payload::new(5),
        groups: Some(vec!["g".into()]),
        broadcast: true,
        meta: Object::new(),
        headers: None,
        level: 2,
        tracing: Some(true),
        parent_id: Some("p".into()),
        request_id: Some("r".into()),
        caller: Some("c".into()),
    };
    let packet = Packet {
        version: ProtocolVersion::V4.into(),
        sender: "n".into(),
        body: PacketBody::Event(Box::new(event)),
    };
    assert_eq!(encode(&AvroSerializer, &packet).expect("bytes"), bytes);
    assert_eq!(AvroSerializer.decode(PacketKind::Event, &bytes).expect("a packet"), packet);
}

#[test]
fn protocol_5_is_refused() {
    let expected = "REQ: Avro carries protocol 4 only; \
                    set the protocol to 4 or choose another serializer";
    let mut request_5 = packet(request());
    request_5.version = ProtocolVersion::V5.into();
    let mut with_headers = request();
    with_headers.headers = Some(Object::new());
    for packet in [request_5, packet(with_headers)] {
        let error = encode(&AvroSerializer, &packet).expect_err("refused");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
    let mut large = request();
    large.seq = Some(3_000_000_000);
    let error = encode(&AvroSerializer, &packet(large)).expect_err("refused");
    assert_eq!(error.to_string(), "REQ: seq: 3000000000 does not fit 32 bits");
}

/// The reference wraps the metadata of a response stream once more with each
/// of its packets.
#[test]
fn metadata_wrapped_into_text_is_read() {
    let bytes = bytes_with(Payload::null()).expect("params");
    let with_meta = |json: &str| {
        let at = bytes.windows(3).position(|part| part == b"\x04{}").expect("the metadata");
        let length = u8::try_from(2 * json.len()).expect("short");
        Bytes::from([&bytes[..at], &[length], json.as_bytes(), &bytes[at + 3..]].concat())
    };
    for wrapped in [r#""{}""#, r#""\"{}\"""#] {
        assert!(read(&with_meta(wrapped)).meta.is_empty());
    }
    assert_eq!(read(&with_meta(r#""{\"a\":1}""#)).meta, Object::from([("a", 1)]));
    let error = AvroSerializer.decode(PacketKind::Request, &with_meta(r#""5""#));
    let message = error.expect_err("no object").to_string();
    assert_eq!(message, "REQ: meta: expected an object, found 5");
}
