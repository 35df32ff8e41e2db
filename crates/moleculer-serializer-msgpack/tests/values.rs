//! Values of every kind there and back, and as JavaScript peers send them.

#[path = "../../moleculer-protocol/tests/support/vectors.rs"]
mod vectors;

use std::{collections::BTreeMap, net::IpAddr};

use bytes::{Bytes, BytesMut};
use moleculer_protocol::{
    BigInt, Date, DecodeError, Extended, Object, Packet, PacketBody, PacketId, PacketKind, Payload,
    ProtocolVersion, RequestPacket, Serializer, Value,
};
use moleculer_serializer_msgpack::MsgPackSerializer;
use proptest::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use self::vectors::{difference, encode, hex};

fn bytes_of(payload: &Payload) -> Bytes {
    let mut out = BytesMut::new();
    let format = MsgPackSerializer::new().format();
    payload.encode(&format, &mut out).expect("a value");
    out.freeze()
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    MsgPackSerializer::new().format().decode(bytes)
}

fn hex_of<T: Serialize + Send + Sync + 'static>(value: T) -> String {
    format!("{:x}", bytes_of(&Payload::new(value)))
}

/// Sends `params` in a packet and returns what arrives.
fn send<T: Serialize + Send + Sync + 'static>(params: T) -> Payload {
    let serializer = MsgPackSerializer::new();
    let mut request = RequestPacket::new(PacketId::from("1"), "posts.get");
    request.params = Payload::new(params);
    let packet = Packet {
        version: ProtocolVersion::V5.into(),
        sender: "node-1".into(),
        body: PacketBody::Request(Box::new(request)),
    };
    let bytes = encode(&serializer, &packet).expect("a packet");
    match serializer.decode(PacketKind::Request, &bytes).expect("a packet").body {
        PacketBody::Request(request) => request.params,
        other => panic!("{other:?}"),
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-70_000_i64..70_000).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<f32>().prop_map(|n| Value::from(f64::from(n))),
        ".{0,40}".prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|b| Bytes::from(b).into()),
        (-8_640_000_000_000_000_i64..8_640_000_000_000_000)
            .prop_map(|ms| Value::Date(Date(ms as f64))),
    ];
    leaf.prop_recursive(6, 200, 20, |inner| {
        let member = prop_oneof![9 => inner.clone(), 1 => Just(Value::Undefined)];
        prop_oneof![
            prop::collection::vec(inner, 0..20).prop_map(Value::Array),
            prop::collection::vec((".{0,20}", member), 0..20)
                .prop_map(|members| members.into_iter().collect::<Object>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_survives(value in any_value()) {
        let back: Value = read(&bytes_of(&value.clone().into())).unwrap();
        prop_assert_eq!(difference(&value, &back), None);
        let back: Value = send(value.clone()).take().unwrap();
        prop_assert_eq!(difference(&value, &back), None);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        if let Ok(value) = read::<Value>(&bytes) {
            let again: Value = read(&bytes_of(&value.clone().into())).unwrap();
            prop_assert_eq!(difference(&value, &again), None);
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u64,
    address: IpAddr,
    file: Bytes,
    note: Option<String>,
    extra: Value,
    #[serde(flatten)]
    tail: Tail,
    shapes: Vec<Shape>,
    by_number: BTreeMap<i32, f32>,
    nothing: (),
    initial: char,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Tail {
    pair: (u8, i16),
    at: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Unit,
    Circle(f64),
    Pair(u8, String),
    Rect { w: u8, h: Option<u8> },
}

fn order() -> Order {
    Order {
        id: u64::MAX,
        address: [127, 0, 0, 1].into(),
        file: Bytes::from_static(&[0, 128, 255]),
        note: None,
        extra: Object::from([("deep", Value::Date(Date(1.0)))]).into(),
        tail: Tail { pair: (255, -300), at: "1970-01-01T00:00:00.000Z".into() },
        shapes: vec![
            Shape::Unit,
            Shape::Circle(2.0),
            Shape::Pair(1, "é".into()),
            Shape::Rect { w: 1, h: None },
        ],
        by_number: [(-1, 0.1), (70_000, 2.0)].into(),
        nothing: (),
        initial: 'ß',
    }
}

#[test]
fn a_typed_value_arrives_as_its_type() {
    assert_eq!(send(order()).take::<Order>().unwrap(), order());
}

/// JavaScript sees an object with text keys, and texts where JSON has texts.
#[test]
fn a_typed_value_looks_as_in_json() {
    let seen: Value = send(order()).take().unwrap();
    let expected = |path| seen.pointer(path).cloned().unwrap();
    assert_eq!(expected("id"), Value::UInt(u64::MAX));
    assert_eq!(expected("address"), "127.0.0.1".into());
    assert_eq!(expected("file"), Bytes::from_static(&[0, 128, 255]).into());
    assert_eq!(expected("note"), Value::Null);
    assert_eq!(expected("pair.1"), (-300).into());
    assert_eq!(expected("extra.deep"), Value::Date(Date(1.0)));
    assert_eq!(expected("shapes.0"), "Unit".into());
    assert_eq!(expected("shapes.1.Circle"), 2.into());
    assert_eq!(expected("shapes.2.Pair.1"), "é".into());
    assert_eq!(expected("shapes.3.Rect.w"), 1.into());
    assert_eq!(expected("by_number.70000"), 2.into());
}

#[test]
fn parts_are_read_without_the_rest() {
    let payload = send(order());
    assert_eq!(payload.get("shapes.2.Pair.0").unwrap(), Some(1.into()));
    assert_eq!(payload.get("extra.none").unwrap(), None);
}

#[test]
fn binary_params_share_the_packet() {
    let serializer = MsgPackSerializer::new();
    let packet = hex(
        "86a26964a131a6616374696f6ea161a6706172616d73c403000180a46d65746180a3766572a135a673656e646572a16e",
    );
    let PacketBody::Request(request) =
        serializer.decode(PacketKind::Request, &packet).unwrap().body
    else {
        panic!("not a request");
    };
    let taken: Bytes = request.params.clone().take().unwrap();
    assert_eq!(taken, [0, 1, 128].as_slice());
    assert!(packet.as_ptr_range().contains(&taken.as_ptr()));
    assert_eq!(hex_of(request.params), "c403000180");
}

#[test]
fn binary_data_and_lists_of_numbers_stand_in_for_each_other() {
    assert_eq!(read::<Vec<u8>>(&hex("c4020080")).unwrap(), [0, 128]);
    assert_eq!(read::<Bytes>(&hex("9200cc80")).unwrap(), [0, 128].as_slice());
}

#[test]
fn what_javascript_sends_fits_our_types() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Empty {}
    read::<()>(&hex("c0")).unwrap();
    read::<()>(&hex("80")).unwrap();
    assert!(read::<()>(&hex("81a16101")).is_err());
    assert_eq!(read::<Empty>(&hex("c0")).unwrap(), Empty {});
    assert_eq!(read::<Empty>(&hex("80")).unwrap(), Empty {});
    assert_eq!(read::<Option<Empty>>(&hex("c0")).unwrap(), None);
    // An integral float where an integer is wanted, and the other way around.
    assert_eq!(read::<i64>(&hex("cb4340000000000000")).unwrap(), 1 << 53);
    assert_eq!(read::<u8>(&hex("ca40a00000")).unwrap(), 5);
    assert_eq!(read::<f64>(&hex("05")).unwrap(), 5.0);
    assert!(read::<i64>(&hex("ca40b00000")).is_err());
    assert!(read::<u8>(&hex("cd012c")).is_err());
    // A date where text is wanted.
    assert_eq!(read::<String>(&hex("d6ff00000000")).unwrap(), "1970-01-01T00:00:00.000Z");
    // An object's keys where numbers are wanted; a map's keys where text is.
    let by_number: BTreeMap<u8, bool> = read(&hex("82a131c3a132c2")).unwrap();
    assert_eq!(by_number, [(1, true), (2, false)].into());
    let by_text: BTreeMap<String, bool> = read(&hex("8201c3c3c2")).unwrap();
    assert_eq!(by_text, [("1".into(), true), ("true".into(), false)].into());
}

#[test]
fn dates_take_the_shortest_form() {
    let date = |ms| hex_of(Value::Date(Date(ms)));
    assert_eq!(date(0.0), "d6ff00000000");
    assert_eq!(date(1.0), "d7ff003d090000000000");
    assert_eq!(date(4_294_967_295_000.0), "d6ffffffffff");
    assert_eq!(date(4_294_967_296_000.0), "d7ff0000000100000000");
    assert_eq!(date(-1.0), "c70cff3b8b87c0ffffffffffffffff");
    assert_eq!(date(f64::NAN), "c0");
}

#[test]
fn further_kinds_take_the_form_of_the_reference() {
    let bytes = Bytes::from_static(b"ab");
    assert_eq!(hex_of(extended(Extended::TypedArray { tag: 64, bytes })), "c4026162");
    assert_eq!(hex_of(extended(Extended::Set(vec![1.into()]))), "80");
    let pairs = vec![(1.into(), Value::Null), ("a".into(), 2.into())];
    assert_eq!(hex_of(extended(Extended::Map(pairs))), "8201c0a16102");
    let big = Extended::BigInt(BigInt::parse("12345678901234567890123").unwrap());
    let mut out = BytesMut::new();
    let error = MsgPackSerializer::new().format().encode(&extended(big), &mut out).unwrap_err();
    assert!(error.to_string().contains("12345678901234567890123"));
}

fn extended(extended: Extended) -> Value {
    extended.into()
}

/// A head announces the members before any of them turns out undefined.
#[test]
fn undefined_members_are_not_counted() {
    #[derive(Serialize)]
    struct Two {
        a: Value,
        b: u8,
    }
    let two = Two { a: Value::Undefined, b: 1 };
    assert_eq!(hex_of(two), "81a16201");
    for (members, head) in [(15, "8f"), (16, "de0010"), (65_535, "deffff"), (65_536, "df00010000")]
    {
        let mut map: BTreeMap<u32, Value> = (0..members).map(|n| (n, n.into())).collect();
        map.insert(members / 2 + 70_000, Value::Undefined);
        map.insert(70_000 * 2, Value::Undefined);
        let hex = hex_of(map.clone());
        assert!(hex.starts_with(head), "{}", &hex[..10]);
        map.retain(|_, value| !value.is_undefined());
        assert_eq!(hex, hex_of(map));
    }
}

/// `flatten` hides the number of members until the end.
#[test]
fn an_unknown_number_of_members_gets_a_longer_head() {
    #[derive(Serialize)]
    struct Flat {
        #[serde(flatten)]
        members: BTreeMap<u32, u32>,
    }
    for len in [0, 15, 16, 300, 70_000] {
        let members: BTreeMap<u32, u32> = (0..len).map(|n| (n, n)).collect();
        let known = hex_of(members.clone());
        assert_eq!(hex_of(Flat { members }), known);
    }
}

#[test]
fn keys_must_be_text() {
    let mut out = BytesMut::new();
    let format = MsgPackSerializer::new().format();
    let error = format.encode(&BTreeMap::from([((1, 2), 3)]), &mut out).unwrap_err();
    assert_eq!(error.to_string(), "a map key is not text");
}
