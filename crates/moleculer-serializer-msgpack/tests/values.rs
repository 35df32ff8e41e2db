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

use self::vectors::{encode, hex};

const MSGPACK: MsgPackSerializer = MsgPackSerializer::new();
const NOTEPACK: MsgPackSerializer = MsgPackSerializer::notepack();
const DIALECTS: [MsgPackSerializer; 2] = [MSGPACK, NOTEPACK];

fn bytes_in<T: Serialize>(serializer: MsgPackSerializer, value: &T) -> Bytes {
    let mut out = BytesMut::new();
    serializer.format().encode(value, &mut out).expect("a value");
    out.freeze()
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    MSGPACK.format().decode(bytes)
}

fn hex_of<T: Serialize>(value: T) -> String {
    hex_in(MSGPACK, &value)
}

fn hex_in<T: Serialize>(serializer: MsgPackSerializer, value: &T) -> String {
    format!("{:x}", bytes_in(serializer, value))
}

/// Sends `params` in a packet and returns what arrives.
fn send<T: Serialize + Send + Sync + 'static>(params: T) -> Payload {
    send_in(MSGPACK, params)
}

fn send_in<T: Serialize + Send + Sync + 'static>(
    serializer: MsgPackSerializer,
    params: T,
) -> Payload {
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

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        for serializer in DIALECTS {
            let read = |bytes: &[u8]| serializer.format().decode::<Value>(bytes);
            if let Ok(value) = read(&bytes) {
                let again = read(&bytes_in(serializer, &value)).unwrap();
                // `undefined` is nil in a list; Notepack reads it from old peers.
                let plain = |value: &Value| bytes_in(serializer, value);
                prop_assert_eq!(plain(&value), plain(&again));
            }
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
    for serializer in DIALECTS {
        let date = |ms| hex_in(serializer, &Value::Date(Date(ms)));
        assert_eq!(date(0.0), "d6ff00000000");
        assert_eq!(date(1.0), "d7ff003d090000000000");
        assert_eq!(date(4_294_967_295_000.0), "d6ffffffffff");
        assert_eq!(date(4_294_967_296_000.0), "d7ff0000000100000000");
        assert_eq!(date(-1.0), "c70cff3b8b87c0ffffffffffffffff");
        assert_eq!(date(f64::NAN), "c0");
    }
}

#[test]
fn further_kinds_take_the_form_of_the_reference() {
    let bytes = Bytes::from_static(b"ab");
    let array = extended(Extended::TypedArray { tag: 64, bytes });
    let set = extended(Extended::Set(vec![1.into()]));
    let map = extended(Extended::Map(vec![(1.into(), Value::Null), ("a".into(), 2.into())]));
    let big = extended(Extended::BigInt(BigInt::parse("12345678901234567890123").unwrap()));
    for (serializer, map_hex) in [(MSGPACK, "8201c0a16102"), (NOTEPACK, "80")] {
        assert_eq!(hex_in(serializer, &array), "c4026162");
        assert_eq!(hex_in(serializer, &set), "80");
        assert_eq!(hex_in(serializer, &map), map_hex);
        let error = serializer.format().encode(&big, &mut BytesMut::new()).unwrap_err();
        let name = serializer.name();
        let expected = format!("{name} cannot carry the big integer 12345678901234567890123");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
}

/// What notepack.io once wrote, and types that it does not know.
#[test]
fn notepack_reads_extensions() {
    let read = |bytes: &str| NOTEPACK.format().decode::<Value>(&hex(bytes));
    assert_eq!(read("d40000").unwrap(), Value::Undefined);
    assert_eq!(read("d700ffffffffffffffff").unwrap(), Value::Date(Date(-1.0)));
    assert_eq!(read("c70200abcd").unwrap(), Bytes::from_static(&[0xab, 0xcd]).into());
    // Of eight bytes too: only a head without a length means a date.
    assert_eq!(
        read("c708000000000000000001").unwrap(),
        Bytes::from(vec![0, 0, 0, 0, 0, 0, 0, 1]).into()
    );
    let unknown: Value = vec![Value::from(-5), Bytes::from_static(&[1, 2]).into()].into();
    assert_eq!(read("d5fb0102").unwrap(), unknown);
    // An undefined member is absent, an undefined payload is none.
    #[derive(Debug, PartialEq, Deserialize)]
    struct Gone {
        #[serde(default)]
        a: Vec<u8>,
        b: Option<u8>,
    }
    let gone: Gone = NOTEPACK.format().decode(&hex("82a161d40000a162d40000")).unwrap();
    assert_eq!(gone, Gone { a: vec![], b: None });
    assert_eq!(hex_in(NOTEPACK, &read("82a161d40000a1629101").unwrap()), "81a1629101");
    let bytes = hex("83a56576656e74a161a464617461d40000a673656e646572a16e");
    let packet = NOTEPACK.decode(PacketKind::Event, &bytes).unwrap();
    let PacketBody::Event(event) = packet.body else { panic!("not an event") };
    assert!(event.data.is_nothing());
}

/// The trap of undefined values: no member, and in a list an error or nil.
#[test]
fn undefined_is_left_out_of_objects_and_nil_in_lists() {
    let object = Object::from([("a", Value::Undefined), ("b", Value::from(1))]);
    for serializer in DIALECTS {
        assert_eq!(hex_in(serializer, &object), "81a16201");
        assert_eq!(hex_in(serializer, &Value::Undefined), "c0");
    }
    let list = Value::from(vec![Value::from(1), Value::Undefined]);
    assert_eq!(hex_in(NOTEPACK, &list), "9201c0");
    let error = MSGPACK.format().encode(&list, &mut BytesMut::new()).unwrap_err();
    assert_eq!(error.to_string(), "MsgPack cannot carry undefined in a list; use null");
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
        let hex = hex_of(&map);
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
        let known = hex_of(&members);
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
