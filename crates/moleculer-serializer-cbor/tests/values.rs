//! Values of every kind there and back, and as JavaScript peers send them.

#[path = "../../moleculer-protocol/tests/support/vectors.rs"]
mod vectors;

use std::{collections::BTreeMap, net::IpAddr};

use bytes::{Bytes, BytesMut};
use moleculer_protocol::{
    BigInt, Date, DecodeError, Extended, Object, Packet, PacketBody, PacketId, PacketKind, Payload,
    ProtocolVersion, RequestPacket, Serializer, Value,
};
use moleculer_serializer_cbor::CborSerializer;
use proptest::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use self::vectors::{difference, encode, hex};

fn bytes_of(payload: &Payload) -> Bytes {
    let mut out = BytesMut::new();
    let format = CborSerializer::new().format();
    payload.encode(&format, &mut out).expect("a value");
    out.freeze()
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    CborSerializer::new().format().decode(bytes)
}

fn hex_of<T: Serialize + Send + Sync + 'static>(value: T) -> String {
    format!("{:x}", bytes_of(&Payload::new(value)))
}

/// Sends `params` in a packet and returns what arrives.
fn send<T: Serialize + Send + Sync + 'static>(params: T) -> Payload {
    let serializer = CborSerializer::new();
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
        (-(1_i64 << 53)..=1 << 53).prop_map(Value::from),
        (-70_000_i64..70_000).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<f32>().prop_map(|n| Value::from(f64::from(n))),
        ".{0,40}".prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|b| Bytes::from(b).into()),
        (-2_000_000_000_000_000_i64..2_000_000_000_000_000)
            .prop_map(|ms| Value::Date(Date(ms as f64))),
        Just(Value::Date(Date(f64::NAN))),
        Just(Value::Undefined),
        (any::<bool>(), "[1-9][0-9]{0,60}").prop_map(|(negative, digits)| big(negative, &digits)),
        ("[a-z(|)]{0,10}", "[gimsuy]{0,3}").prop_map(|(source, flags)| Extended::RegExp {
            source,
            flags
        }
        .into()),
        (prop::sample::select(&[64_u8, 68, 69, 70, 71, 72, 77, 78, 79, 85, 86]), 0..30_usize)
            .prop_map(|(tag, len)| typed_array(tag, Bytes::from(vec![tag; len * 8]))),
    ];
    leaf.prop_recursive(6, 200, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Value::Array),
            prop::collection::vec(inner.clone(), 0..20).prop_map(|i| Extended::Set(i).into()),
            prop::collection::vec((".{0,20}", inner), 0..20)
                .prop_map(|members| members.into_iter().collect::<Object>().into()),
        ]
    })
}

fn big(negative: bool, digits: &str) -> Value {
    let sign = if negative { "-" } else { "" };
    extended(Extended::BigInt(BigInt::parse(&format!("{sign}{digits}")).expect(digits)))
}

fn typed_array(tag: u8, bytes: Bytes) -> Value {
    extended(Extended::TypedArray { tag, bytes })
}

fn extended(extended: Extended) -> Value {
    extended.into()
}

proptest! {
    #[test]
    fn any_value_survives(value in any_value()) {
        let format = CborSerializer::new().format();
        let [mut bytes, mut again] = [BytesMut::new(), BytesMut::new()];
        format.encode(&value, &mut bytes).unwrap();
        let back: Value = read(&bytes).unwrap();
        prop_assert_eq!(difference(&value, &back), None);
        format.encode(&back, &mut again).unwrap();
        prop_assert_eq!(again, bytes);
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

/// JavaScript sees an object with text keys, and texts where JSON has texts.
#[test]
fn a_typed_value_looks_as_in_json() {
    let seen: Value = send(order()).take().unwrap();
    let expected = |path| seen.pointer(path).cloned().unwrap();
    assert_eq!(expected("id"), big(false, "18446744073709551615"));
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
    assert_eq!(read::<Vec<u8>>(&hex("420080")).unwrap(), [0, 128]);
    assert_eq!(read::<Bytes>(&hex("82001880")).unwrap(), [0, 128].as_slice());
}

#[test]
fn typed_arrays_fit_bytes_and_lists_of_numbers() {
    assert_eq!(read::<Bytes>(&hex("d840420080")).unwrap(), [0, 128].as_slice());
    assert_eq!(read::<Vec<u8>>(&hex("d840420080")).unwrap(), [0, 128]);
    assert_eq!(read::<Vec<f32>>(&hex("d855440000c03f")).unwrap(), [1.5]);
    assert_eq!(read::<BTreeMap<String, Bytes>>(&hex("a16161d8404101")).unwrap().len(), 1);
}

#[test]
fn what_javascript_sends_fits_our_types() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Empty {}
    for bytes in ["f6", "f7", "a0", "b90000", "bfff"] {
        read::<()>(&hex(bytes)).expect(bytes);
        assert_eq!(read::<Empty>(&hex(bytes)).expect(bytes), Empty {});
    }
    assert!(read::<()>(&hex("a1616101")).is_err());
    assert_eq!(read::<Option<Empty>>(&hex("f6")).unwrap(), None);
    assert_eq!(read::<Option<Empty>>(&hex("f7")).unwrap(), None);
    // An integral float where an integer is wanted, and the other way around.
    assert_eq!(read::<i64>(&hex("fb4340000000000000")).unwrap(), 1 << 53);
    assert_eq!(read::<u8>(&hex("fa40a00000")).unwrap(), 5);
    assert_eq!(read::<u8>(&hex("f94500")).unwrap(), 5);
    assert_eq!(read::<f64>(&hex("05")).unwrap(), 5.0);
    assert!(read::<i64>(&hex("fa40b00000")).is_err());
    assert!(read::<u8>(&hex("19012c")).is_err());
    // A big integer where any is wanted.
    assert_eq!(read::<u8>(&hex("1b0000000000000005")).unwrap(), 5);
    assert_eq!(read::<i64>(&hex("3b7fffffffffffffff")).unwrap(), i64::MIN);
    assert_eq!(read::<u64>(&hex("c24105")).unwrap(), 5);
    // A date where text is wanted.
    assert_eq!(read::<String>(&hex("c100")).unwrap(), "1970-01-01T00:00:00.000Z");
    // An object's keys where numbers are wanted; a map's keys where text is.
    let by_number: BTreeMap<u8, bool> = read(&hex("a26131f56132f4")).unwrap();
    assert_eq!(by_number, [(1, true), (2, false)].into());
    let by_text: BTreeMap<String, bool> =
        read(&hex("a501f5f5f4f6f5f7f51b0000000000000009f4")).unwrap();
    let text = ["1", "true", "null", "undefined", "9"];
    assert!(by_text.len() == 5 && text.iter().all(|key| by_text.contains_key(*key)));
}

/// The trap: eight bytes are a big integer in JavaScript, and its arithmetic
/// throws. Only what no number there holds takes them.
#[test]
fn integers_beyond_32_bits_are_floats_up_to_2_to_the_53() {
    let check = |n: i64, hex: &str| assert_eq!(hex_of(n), hex, "{n}");
    check(0, "00");
    check(23, "17");
    check(24, "1818");
    check(256, "190100");
    check(65_536, "1a00010000");
    check((1 << 32) - 1, "1affffffff");
    check(1 << 32, "fb41f0000000000000");
    check(1_567_677_050_576, "fb4276d00d56ed0000");
    check(1 << 53, "fb4340000000000000");
    check((1 << 53) + 1, "1b0020000000000001");
    check(i64::MAX, "1b7fffffffffffffff");
    check(-1, "20");
    check(-24, "37");
    check(-25, "3818");
    check(-(1 << 32), "3affffffff");
    check(-(1 << 32) - 1, "fbc1f0000000100000");
    check(-(1 << 53), "fbc340000000000000");
    check(-(1 << 53) - 1, "3b0020000000000000");
    check(i64::MIN, "3b7fffffffffffffff");
    assert_eq!(hex_of(u64::MAX), "1bffffffffffffffff");
    for n in [i64::MIN, i64::MAX, (1 << 53) + 1, -(1 << 32) - 1] {
        assert_eq!(read::<i64>(&hex(&hex_of(n))).unwrap(), n);
    }
    assert_eq!(read::<u64>(&hex("1bffffffffffffffff")).unwrap(), u64::MAX);
}

#[test]
fn floats_take_eight_bytes_and_integral_ones_are_integers() {
    let check = |n: f64, hex: &str| assert_eq!(hex_of(n), hex, "{n}");
    check(5.0, "05");
    check(-5.0, "24");
    check(4_294_967_295.0, "1affffffff");
    check(-4_294_967_296.0, "3affffffff");
    check(4_294_967_296.0, "fb41f0000000000000");
    check(1e21, "fb444b1ae4d6e2ef50");
    check(1.5, "fb3ff8000000000000");
    check(-0.0, "fb8000000000000000");
    check(f64::INFINITY, "fb7ff0000000000000");
    check(-f64::NAN, "fb7ff8000000000000");
    assert!(read::<f64>(&hex("fb8000000000000000")).unwrap().is_sign_negative());
}

#[test]
fn dates_take_four_bytes_or_a_float() {
    let check = |ms: f64, hex: &str| assert_eq!(hex_of(Value::Date(Date(ms))), hex, "{ms}");
    check(0.0, "c11a00000000");
    check(1_567_677_050_000.0, "c11a5d70da7a");
    check(4_294_967_295_000.0, "c11affffffff");
    check(4_294_967_296_000.0, "c1fb41f0000000000000");
    check(1_567_677_050_576.0, "c1fb41d75c369ea4dd2f");
    check(-1000.0, "c1fbbff0000000000000");
    check(f64::NAN, "c1fb7ff8000000000000");
    let read = |bytes: &str| read::<Value>(&hex(bytes)).expect(bytes);
    assert_eq!(read("c1fb7ff8000000000000"), Value::Date(Date(f64::NAN)));
    assert_eq!(read("c100"), Value::Date(Date(0.0)));
    assert_eq!(read("c120"), Value::Date(Date(-1000.0)));
    assert_eq!(read("c11b0000000100000000"), Value::Date(Date(4_294_967_296_000.0)));
    let text = "c074323030302d30322d32395430303a30303a30305a";
    assert_eq!(read(text), Value::Date(Date(951_782_400_000.0)));
}

#[test]
fn big_integers_stay_big() {
    let check = |digits: &str, bytes: &str| {
        let (negative, magnitude) = match digits.strip_prefix('-') {
            Some(magnitude) => (true, magnitude),
            None => (false, digits),
        };
        assert_eq!(hex_of(big(negative, magnitude)), bytes);
        assert_eq!(read::<Value>(&hex(bytes)).unwrap(), big(negative, magnitude));
    };
    check("0", "1b0000000000000000");
    check("5", "1b0000000000000005");
    check("-1", "3b0000000000000000");
    check("18446744073709551615", "1bffffffffffffffff");
    check("18446744073709551616", "c249010000000000000000");
    check("-18446744073709551615", "3bfffffffffffffffe");
    check("-18446744073709551616", "c348ffffffffffffffff");
    check("-18446744073709551617", "c349010000000000000000");
}

#[test]
fn further_kinds_take_the_form_of_the_reference() {
    assert_eq!(hex_of(typed_array(64, Bytes::from_static(b"ab"))), "d840426162");
    assert_eq!(hex_of(extended(Extended::Set(vec![1.into(), Value::Undefined]))), "d901028201f7");
    let reg_exp = Extended::RegExp { source: "foo".into(), flags: "gi".into() };
    assert_eq!(hex_of(extended(reg_exp)), "d81b836652656745787063666f6f626769");
    let pairs = vec![(1.into(), Value::Null), ("a".into(), 2.into())];
    assert_eq!(hex_of(extended(Extended::Map(pairs))), "a201f6616102");
    let mut out = BytesMut::new();
    let array = typed_array(5, Bytes::new());
    let error = CborSerializer::new().format().encode(&array, &mut out).unwrap_err();
    assert_eq!(error.to_string(), "5 is no tag of a typed array in RFC 8746");
}

#[test]
fn what_javascript_sends_is_read_as_it_is_there() {
    let check = |bytes: &str, value: Value| {
        assert_eq!(read::<Value>(&hex(bytes)).expect(bytes), value);
    };
    // Typed arrays with the high byte first, as on other machines.
    check("d8414400010203", typed_array(69, Bytes::from_static(&[1, 0, 3, 2])));
    check("d852480102030405060708", typed_array(86, Bytes::from_static(&[8, 7, 6, 5, 4, 3, 2, 1])));
    // An iterable; an error, which is an object here; an expression without flags.
    check("9f01ff", Value::Array(vec![1.into()]));
    let error = Object::from([("name", "TypeError"), ("message", "no")]);
    check("d81b8269547970654572726f72626e6f", error.into());
    let reg_exp = Extended::RegExp { source: "a".into(), flags: String::new() };
    check("d81b82665265674578706161", reg_exp.into());
    // The tag that says that this is CBOR, also where it stands twice.
    check("d9d9f7d9d9f7f6", Value::Null);
    // Undefined members and elements.
    check("82f7f6", Value::Array(vec![Value::Undefined, Value::Null]));
    check("a16161f7", Object::from([("a", Value::Undefined)]).into());
}

/// A type does not see undefined members; a value does, and passes them on.
#[test]
fn undefined_members_are_absent_to_types_only() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Defaults {
        #[serde(default)]
        a: u8,
        b: Option<u8>,
        c: u8,
    }
    let bytes = hex("b900036161f76162f7616305");
    assert_eq!(read::<Defaults>(&bytes).unwrap(), Defaults { a: 0, b: None, c: 5 });
    let value: Value = read(&bytes).unwrap();
    assert_eq!(hex_of(value), "b900036161f76162f7616305");
}

/// The reference's option, for clusters in which a `Map` shall arrive as one.
#[test]
fn maps_are_tagged_where_the_option_says_so() {
    let options = Value::from(Object::from([("useTag259ForMaps", true)]));
    let serializer = CborSerializer::with_config(options.into_type().unwrap());
    let map =
        extended(Extended::Map(vec![(Value::Null, 1.into()), ("a".into(), Value::Undefined)]));
    let mut out = BytesMut::new();
    serializer.format().encode(&map, &mut out).unwrap();
    assert_eq!(out, hex("d90103a2f6016161f7"));
    // Read whatever the option says, and by types too.
    assert_eq!(read::<Value>(&out).unwrap(), map);
    assert_eq!(read::<Value>(&hex("d90103bff6016161f7ff")).unwrap(), map);
    let typed: BTreeMap<String, u8> = read(&out).unwrap();
    assert_eq!(typed, [("null".into(), 1)].into());
    // The same format to everybody else: one reads what the other writes.
    assert!(serializer.format().same(&CborSerializer::new().format()));
    let unknown = Value::from(Object::from([("useRecords", true)]));
    let error = unknown.into_type::<moleculer_serializer_cbor::CborConfig>().unwrap_err();
    assert!(error.to_string().contains("useTag259ForMaps"), "{error}");
}

/// An object's count takes two bytes, however small it is, and four where it
/// must: there cbor-x loses members.
#[test]
fn objects_announce_their_members_in_two_bytes() {
    for (members, head) in
        [(0, "b90000"), (15, "b9000f"), (300, "b9012c"), (65_535, "b9ffff"), (65_536, "ba00010000")]
    {
        let map: BTreeMap<u32, u32> = (0..members).map(|n| (n, n)).collect();
        let hex = hex_of(map.clone());
        assert!(hex.starts_with(head), "{}", &hex[..10]);
        assert_eq!(send(map.clone()).take::<BTreeMap<u32, u32>>().unwrap(), map);
    }
}

/// `flatten` hides the number of members until the end, and some lists never
/// tell it.
#[test]
fn an_unknown_number_of_members_is_announced_at_the_end() {
    #[derive(Serialize)]
    struct Flat {
        #[serde(flatten)]
        members: BTreeMap<u32, u32>,
    }
    struct Untold(u32);
    impl Serialize for Untold {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq((0..self.0).filter(|_| true))
        }
    }
    for len in [0, 1, 23, 24, 255, 256, 70_000] {
        let members: BTreeMap<u32, u32> = (0..len).map(|n| (n, n)).collect();
        let known = hex_of(members.clone());
        assert_eq!(hex_of(Flat { members }), known);
        let list: Vec<u32> = (0..len).collect();
        assert_eq!(hex_of(Untold(len)), hex_of(list));
    }
}

#[test]
fn keys_must_be_text() {
    let mut out = BytesMut::new();
    let format = CborSerializer::new().format();
    let error = format.encode(&BTreeMap::from([((1, 2), 3)]), &mut out).unwrap_err();
    assert_eq!(error.to_string(), "a map key is not text");
}
