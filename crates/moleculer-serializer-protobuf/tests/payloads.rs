//! What params become, and which packets have no place in the schema.

#[path = "../../moleculer-protocol/tests/support/vectors.rs"]
mod vectors;

use std::collections::BTreeMap;

use bytes::Bytes;
use moleculer_protocol::{
    EncodeError, EventPacket, Object, Packet, PacketBody, PacketId, PacketKind, Payload,
    ProtocolVersion, RequestPacket, Serializer, Value,
};
use moleculer_serializer_protobuf::ProtoBufSerializer;

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
    encode(&ProtoBufSerializer, &packet(request))
}

fn read(bytes: &Bytes) -> RequestPacket {
    let packet = ProtoBufSerializer.decode(PacketKind::Request, bytes);
    match packet.expect("a packet").body {
        PacketBody::Request(request) => *request,
        other => panic!("{other:?}"),
    }
}

/// The members `params` and `paramsType` alone.
fn field(params: Payload) -> String {
    let bytes = bytes_with(params).expect("params");
    let before = b"\x0a\x014\x12\x01n\x1a\x011\x22\x01a".len();
    let after = b"\x3a\x02{}\x48\x01".len();
    bytes[before..bytes.len() - after].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn params_carry_their_type() {
    assert_eq!(field(Payload::nothing()), "3000");
    assert_eq!(field(Payload::new(())), "3000");
    assert_eq!(field(Payload::null()), "3001");
    assert_eq!(field(Payload::new(None::<String>)), "3001");
    assert_eq!(field(Payload::new("null")), "2a06226e756c6c223002");
    assert_eq!(field(Payload::new(5.0)), "2a01353002");
    assert_eq!(field(Payload::new(Bytes::from_static(b"\0\xff"))), "2a0200ff3003");
    assert_eq!(field(Value::from(Bytes::new()).into()), "2a003003");
    // Binary data further in is JSON.
    let nested = BTreeMap::from([("b", Bytes::from_static(b"\x01"))]);
    assert_eq!(
        field(Payload::new(nested)),
        format!("2a22{}3002", hex(br#"{"b":{"type":"Buffer","data":[1]}}"#))
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Another implementation may know a type that we do not; it is JSON then.
#[test]
fn an_unknown_type_is_taken_for_json() {
    let mut bytes = bytes_with(Payload::new(5)).expect("params").to_vec();
    let at = bytes.len() - b"\x3a\x02{}\x48\x01".len() - 1;
    assert_eq!(bytes[at], 2);
    bytes[at] = 9;
    assert_eq!(read(&bytes.into()).params.take::<i64>().expect("5"), 5);
}

/// The recorded events leave some fields out; this one has all that we know.
#[test]
fn an_event_has_all_its_fields() {
    let bytes = Bytes::from_static(
        b"\x0a\x014\x12\x01n\x1a\x011\x22\x01e\x2a\x015\x30\x02\x3a\x01g\x40\x01\x4a\x02{}\
          \x50\x02\x58\x01\x62\x01p\x6a\x01r\x82\x01\x01c",
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
    assert_eq!(encode(&ProtoBufSerializer, &packet).expect("bytes"), bytes);
    assert_eq!(ProtoBufSerializer.decode(PacketKind::Event, &bytes).expect("a packet"), packet);
}

#[test]
fn protocol_5_is_refused() {
    let expected = "REQ: ProtoBuf carries protocol 4 only; \
                    set the protocol to 4 or choose another serializer";
    let mut request_5 = packet(request());
    request_5.version = ProtocolVersion::V5.into();
    let mut with_headers = request();
    with_headers.headers = Some(Object::new());
    for packet in [request_5, packet(with_headers)] {
        let error = encode(&ProtoBufSerializer, &packet).expect_err("refused");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
    let mut large = request();
    large.seq = Some(3_000_000_000);
    let error = encode(&ProtoBufSerializer, &packet(large)).expect_err("refused");
    assert_eq!(error.to_string(), "REQ: seq: 3000000000 does not fit 32 bits");
}

/// What other encoders of proto3 write, who leave out every default: an empty
/// payload, `success` false, no stream.
#[test]
fn defaults_may_be_left_out() {
    let request = read(&Bytes::from_static(b"\x0a\x014\x12\x01n\x1a\x011\x22\x01a\x30\x03"));
    assert_eq!(request.params, Payload::new(Bytes::new()));
    assert_eq!(RequestPacket { params: Payload::nothing(), ..request }, self::request());
    let response = b"\x0a\x014\x12\x01n\x1a\x011";
    let response = ProtoBufSerializer.decode(PacketKind::Response, &Bytes::from_static(response));
    match response.expect("a packet").body {
        PacketBody::Response(response) => assert!(!response.success && response.error.is_none()),
        other => panic!("{other:?}"),
    }
}

/// And what encoders write that leave out nothing.
#[test]
fn explicit_defaults_say_nothing() {
    let defaults = b"\x5a\0\x62\0\x68\0\x70\0\x7a\0";
    let bytes = [b"\x0a\x014\x12\x01n\x1a\x011\x22\x01a".as_slice(), defaults].concat();
    assert_eq!(read(&bytes.into()), request());
    let event = b"\x0a\x014\x12\x01n\x1a\0\x22\x01e\x3a\0\x62\0";
    let event = ProtoBufSerializer.decode(PacketKind::Event, &Bytes::from_static(event));
    match event.expect("a packet").body {
        PacketBody::Event(event) => assert_eq!(event.parent_id, None),
        other => panic!("{other:?}"),
    }
}
