//! Values of every kind there and back, and as JavaScript peers send them.

#[path = "../../moleculer-protocol/tests/support/vectors.rs"]
mod vectors;

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};
use moleculer_protocol::{
    BigInt, Date, Extended, Object, PacketBody, PacketKind, Payload, ProtocolVersion, Serializer,
    Value,
};
use moleculer_serializer_json_ext::JsonExtSerializer;
use proptest::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use self::vectors::{difference, encode};

fn try_text_of<T: Serialize>(value: &T) -> Result<String, String> {
    let mut out = BytesMut::new();
    let written = JsonExtSerializer.format().encode(value, &mut out);
    written.map_err(|error| error.to_string())?;
    Ok(String::from_utf8(out.to_vec()).expect("text"))
}

fn text_of<T: Serialize>(value: &T) -> String {
    try_text_of(value).expect("a value")
}

fn try_read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    JsonExtSerializer.format().decode(text.as_bytes()).map_err(|error| error.to_string())
}

fn read<T: DeserializeOwned>(text: &str) -> T {
    try_read(text).expect(text)
}

fn map<const N: usize>(entries: [(Value, Value); N]) -> Value {
    Extended::Map(entries.into()).into()
}

fn set(items: Vec<Value>) -> Value {
    Extended::Set(items).into()
}

fn big(digits: &str) -> Value {
    Extended::BigInt(BigInt::parse(digits).expect("digits")).into()
}

fn reg_exp(source: &str, flags: &str) -> Value {
    Extended::RegExp { source: source.into(), flags: flags.into() }.into()
}

/// Text that often looks like a prefix.
fn any_text() -> BoxedStrategy<String> {
    let prefix = prop::sample::select(vec![
        "[[", "[[BF]]", "[[BI]]", "[[DT]]", "[[ES]]", "[[MP]]", "[[RE]]", "[[ST]]", "[[XX]]", "[",
        "]]", "\"", "\\",
    ]);
    let prefixed = (prefix, ".{0,8}").prop_map(|(prefix, rest)| prefix.to_owned() + &rest);
    prop_oneof![".{0,40}", prefixed].boxed()
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        any_text().prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|b| Bytes::from(b).into()),
        (-8_640_000_000_000_000_i64..8_640_000_000_000_000)
            .prop_map(|ms| Value::Date(Date(ms as f64))),
        "-?[1-9][0-9]{0,40}".prop_map(|digits| big(&digits)),
        (any_text(), "[gimsuy]{0,3}").prop_map(|(source, flags)| reg_exp(&source, &flags)),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let members = prop::collection::btree_map(any_text(), inner.clone(), 0..6);
        let entries = members.clone().prop_map(|members| {
            let entry = |(key, value)| (Value::String(key), value);
            Extended::Map(members.into_iter().map(entry).collect()).into()
        });
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec(inner, 0..6).prop_map(set),
            members.prop_map(|members| members.into_iter().collect::<Object>().into()),
            entries,
        ]
    })
}

proptest! {
    #[test]
    fn any_value_survives(value in any_value()) {
        let text = text_of(&value);
        let back: Value = read(&text);
        prop_assert_eq!(difference(&value, &back), None);
        prop_assert_eq!(text_of(&back), text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in any_text(), inner in any_text()) {
        let quoted = text_of(&Value::from(inner));
        for text in [&text, &quoted, &text_of(&text), &quoted.replace("[[ES]]", "")] {
            if let Ok(value) = try_read::<Value>(text) {
                // An invalid date becomes null.
                let text = text_of(&value);
                prop_assert_eq!(text_of(&read::<Value>(&text)), text);
            }
        }
    }
}

#[test]
fn prefixes_are_those_of_the_reference() {
    let check = |value: Value, text: &str| {
        assert_eq!(text_of(&value), text);
        let back: Value = read(text);
        assert_eq!(back, value, "{text}");
    };
    check(Bytes::from_static(&[0, 255]).into(), r#""[[BF]]AP8=""#);
    check(Bytes::new().into(), r#""[[BF]]""#);
    check(Value::Date(Date(-1.0)), r#""[[DT]]-1""#);
    check(big("-123456789012345678901"), r#""[[BI]]-123456789012345678901""#);
    check(reg_exp("a|b\\/\"", "gi"), r#""[[RE]]gi|a|b\\/\"""#);
    check(map([("[[x".into(), "[[y".into())]), r#""[[MP]]{\"[[x\":\"[[ES]][[y\"}""#);
    check(set(vec![set(vec![]), 1.into()]), r#""[[ST]][\"[[ST]][]\",1]""#);
    check(map([]), r#""[[MP]]{}""#);
    check("[[".into(), r#""[[ES]][[""#);
    check("[[ES]]".into(), r#""[[ES]][[ES]]""#);
    check("[".into(), r#""[""#);
    check(Object::from([("[[DT]]0", Value::from(" [[DT]]0"))]).into(), r#"{"[[DT]]0":" [[DT]]0"}"#);
}

#[test]
fn what_has_no_prefix_takes_jsons_form() {
    let array = Extended::TypedArray { tag: 64, bytes: Bytes::from_static(&[1, 2]) };
    let value: Value = vec![
        Value::Undefined,
        Value::Date(Date(f64::NAN)),
        Value::Date(Date(8.64e15 + 1.0)),
        f64::NAN.into(),
        (-0.0).into(),
        1e21.into(),
        array.into(),
        Object::from([("gone", Value::Undefined), ("kept", 1.into())]).into(),
    ]
    .into();
    let text = r#"[null,null,null,null,0,1e+21,{"0":1,"1":2},{"kept":1}]"#;
    assert_eq!(text_of(&value), text);
}

/// As `Object.fromEntries` does; it calls all objects by the same name.
#[test]
fn keys_of_maps_become_text() {
    let keys = map([
        (5.into(), 1.into()),
        (1.5.into(), 2.into()),
        (true.into(), 3.into()),
        (Value::Null, 4.into()),
        (big("7"), 5.into()),
        ("gone".into(), Value::Undefined),
        ("é\"".into(), map([("in".into(), Value::Undefined)])),
    ]);
    let text =
        r#""[[MP]]{\"5\":1,\"1.5\":2,\"true\":3,\"null\":4,\"7\":5,\"é\\\"\":\"[[MP]]{}\"}""#;
    assert_eq!(text_of(&keys), text);
    for key in [Value::Array(vec![]), Bytes::new().into(), Value::Date(Date(0.0)), map([])] {
        let error = try_text_of(&map([(key, 1.into())])).unwrap_err();
        assert!(error.contains("keys of text, numbers and flags"), "{error}");
    }
}

#[test]
fn loose_forms_are_read_as_the_reference_reads_them() {
    let check = |text: &str, value: Value| assert_eq!(read::<Value>(text), value, "{text}");
    check(r#""[[BF]]AP8""#, Bytes::from_static(&[0, 255]).into());
    check(r#""[[DT]]x""#, Value::Date(Date(f64::NAN)));
    check(r#""[[DT]]9e15""#, Value::Date(Date(f64::NAN)));
    check(r#""[[RE]]g""#, reg_exp("", "g"));
    check(r#""[[XX]]1""#, "[[XX]]1".into());
    check(r#""[[BI]""#, "[[BI]".into());
    check(r#""[[aé]]""#, "[[aé]]".into());
    check(r#""\u005b[DT]]1""#, Value::Date(Date(1.0)));
    check(
        " [ 1 , {\"a\" : null}\t]\r\n",
        vec![1.into(), Value::from(Object::from([("a", Value::Null)]))].into(),
    );
    check(r#""[[MP]]{\"a\":1,\"a\":2}""#, map([("a".into(), 2.into())]));
}

#[test]
fn lone_surrogates_read_as_replacements_at_any_depth() {
    let text = r#"["\ud800","[[ES]][[\udc00","[[ST]][\"\\ud800\",\"\\\\ud800\"]",{"\udfff":1}]"#;
    let expected: Value = vec![
        "\u{fffd}".into(),
        "[[\u{fffd}".into(),
        set(vec!["\u{fffd}".into(), "\\ud800".into()]),
        Object::from([("\u{fffd}", 1)]).into(),
    ]
    .into();
    assert_eq!(read::<Value>(text), expected);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u64,
    file: Bytes,
    note: Option<String>,
    extra: Value,
    shape: Shape,
    #[serde(flatten)]
    tail: BTreeMap<String, String>,
    by_number: BTreeMap<i32, f32>,
    nothing: (),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Pair(u8, String),
}

#[test]
fn a_typed_value_arrives_as_its_type() {
    let order = || Order {
        id: u64::MAX,
        file: Bytes::from_static(&[0, 128, 255]),
        note: None,
        extra: set(vec![Value::Date(Date(1.0))]),
        shape: Shape::Pair(1, "[[é".into()),
        tail: [("rest".into(), "[[DT]]0".into())].into(),
        by_number: [(-1, 0.1), (70_000, 2.0)].into(),
        nothing: (),
    };
    let text = text_of(&order());
    assert_eq!(read::<Order>(&text), order());
    let payload = Payload::encoded(text.into(), JsonExtSerializer.format());
    assert_eq!(payload.get("shape.Pair.0").unwrap(), Some(1.into()));
    assert_eq!(payload.get("rest").unwrap(), Some("[[DT]]0".into()));
    assert_eq!(payload.get("file").unwrap(), Some(Bytes::from_static(&[0, 128, 255]).into()));
}

#[test]
fn what_javascript_sends_fits_our_types() {
    assert_eq!(read::<String>(r#""[[DT]]0""#), "1970-01-01T00:00:00.000Z");
    assert_eq!(read::<BTreeSet<u8>>(r#""[[ST]][1,2]""#), [1, 2].into());
    assert_eq!(read::<BTreeMap<String, u8>>(r#""[[MP]]{\"a\":1}""#), [("a".into(), 1)].into());
    assert_eq!(read::<u64>(r#""[[BI]]5""#), 5);
    assert_eq!(read::<Vec<u8>>(r#""[[BF]]AQI=""#), [1, 2]);
    assert_eq!(read::<Option<u8>>("null"), None);
    assert_eq!(read::<i64>("5.0"), 5);
    read::<()>("{}");
    #[derive(Debug, PartialEq, Deserialize)]
    struct Point {
        x: u8,
    }
    assert_eq!(read::<Point>(r#""[[MP]]{\"x\":1}""#), Point { x: 1 });
}

/// Every kind, passed on by a node that looks into the packet or does not.
#[test]
fn a_relay_changes_nothing() {
    let text = concat!(
        r#"{"id":"[[ES]][[1","action":"a","params":{"a":["[[DT]]5","\ud800", 1.0]},"#,
        r#""meta":{"m":"[[MP]]{\"s\":\"[[ST]][\\\"[[BF]]aGk=\\\"]\"}"},"headers":{},"#,
        r#""level":1,"tracing":null,"parentID":null,"requestID":null,"caller":null,"#,
        r#""ver":"5","sender":"[[ES]][[n"}"#,
    );
    let packet = JsonExtSerializer.decode(PacketKind::Request, &text.into()).unwrap();
    assert_eq!(packet.sender, "[[n");
    assert_eq!(encode(&JsonExtSerializer, &packet).unwrap(), text);
}

/// Base64 is decoded with the packet, and once only.
#[test]
fn binary_params_are_bytes() {
    let text = r#"{"id":"1","action":"a","params":"[[BF]]AP8=","sender":"n","ver":"5"}"#;
    let packet = JsonExtSerializer.decode(PacketKind::Request, &text.into()).unwrap();
    let PacketBody::Request(request) = packet.body else { panic!("not a request") };
    assert_eq!(request.params.as_bytes().unwrap(), [0, 255].as_slice());
    assert_eq!(text_of(&request.params), r#""[[BF]]AP8=""#);
}

#[test]
fn protocol_4_is_not_carried() {
    assert_eq!(JsonExtSerializer.protocols(), [ProtocolVersion::V5]);
}
