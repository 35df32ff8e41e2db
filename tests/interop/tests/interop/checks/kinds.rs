//! Every kind of value in every place of the packets.
//!
//! Rust and JavaScript both make the values, JavaScript from source text, and
//! each compares what arrives with its own. The service `judge` of the
//! JavaScript node does that for kinds which only JavaScript can tell apart.

use bytes::Bytes;
use moleculer::{
    Object, ProtocolVersion,
    prelude::*,
    protocol::{BigInt, Date, Extended, json},
};
use serde_json::json;

use crate::cluster::{Cluster, JAVASCRIPT, RUST};

/// One value, or several that share their fate.
struct Kind {
    /// What JavaScript evaluates.
    source: &'static str,
    /// The same for us.
    value: Value,
    /// The serializers of the reference that restore it.
    restored_by: &'static [&'static str],
}

const ALL: &[&str] =
    &["JSON", "JSONExt", "MsgPack", "Notepack", "CBOR", "Avro", "ProtoBuf", "Thrift"];
const NOT_NOTEPACK: &[&str] = &["JSON", "JSONExt", "MsgPack", "CBOR", "Avro", "ProtoBuf", "Thrift"];
const NOT_JSON: &[&str] = &["JSONExt", "MsgPack", "Notepack", "CBOR", "Avro", "ProtoBuf", "Thrift"];
const RICH: &[&str] = &["JSONExt", "MsgPack", "Notepack", "CBOR"];
const BINARY: &[&str] = &["MsgPack", "Notepack", "CBOR"];
const EXTENDED: &[&str] = &["JSONExt", "CBOR"];

const NEGATIVE_ZERO: &str = "({ v: -0 })";

/// What JSON has a form for, and every serializer carries.
const PLAIN: &[&str] = &[
    "null",
    "true",
    "5",
    r#""text""#,
    "[]",
    "{}",
    r#"{"v":[true,false,null,"",[],{},[[]]]}"#,
    r#"{"b":{"ключ":"\ud83d\ude00\u2028\"\\\u0000\u001f"},"a":[{"":"é"}],"a b.c":1}"#,
    r#"{"v":[0,1,127,128,255,256,65535,65536,2147483648,4294967295,4294967296]}"#,
    r#"{"v":[-1,-32,-33,-128,-129,-32768,-32769,-2147483648,-2147483649,-4294967296]}"#,
    r#"{"v":[9007199254740991,-9007199254740991,9007199254740992]}"#,
    r#"{"v":[0.1,-1.5,0.3333333333333333,5e-324,1e-7]}"#,
    r#"{"v":["[[","[[DT]]0","[[ES]]x","[[XX]]","[[BF]]aGk=","[[[["],"[[MP]]{}":1}"#,
    r#"{"type":"Buffer","data":[1,2]}"#,
    r#"{"$t":1,"toJSON":2,"constructor":3,"length":-1}"#,
];

fn kinds() -> Result<Vec<Kind>> {
    let plain = PLAIN.iter().map(|source| {
        let value = json::from_slice(source.as_bytes());
        let value = value.map_err(|error| Error::internal(format!("{source}: {error}")))?;
        Ok(Kind { source, value, restored_by: ALL })
    });
    plain.chain(rich().into_iter().map(Ok)).collect()
}

/// What some serializers lose.
fn rich() -> Vec<Kind> {
    let kind = |source, value: Value, restored_by| Kind { source, value, restored_by };
    let inside = |source, value: Value, restored_by| Kind {
        source,
        value: Object::from([("v", value)]).into(),
        restored_by,
    };
    vec![
        kind("'ab'.repeat(50000)", "ab".repeat(50_000).into(), ALL),
        kind("Array.from({ length: 1000 }, () => [1])", vec![vec![1]; 1000].into(), ALL),
        inside(
            "({ v: [2 ** 60, -(2 ** 60)] })",
            list([2_f64.powi(60), -2_f64.powi(60)].map(Value::from)),
            ALL,
        ),
        // The reference's Notepack writes integers of more than 64 bits wrongly.
        inside(
            "({ v: [1e21, -1e300, Number.MAX_VALUE] })",
            list([1e21, -1e300, f64::MAX].map(Value::from)),
            NOT_NOTEPACK,
        ),
        kind("Buffer.from([0, 1, 127, 128, 255])", bytes(&[0, 1, 127, 128, 255]), NOT_JSON),
        kind("Buffer.alloc(70000, 7)", bytes(&[7; 70_000]), NOT_JSON),
        kind("Buffer.alloc(0)", bytes(b""), NOT_JSON),
        inside(
            "({ v: [Buffer.from('hi'), Buffer.alloc(0)] })",
            list([bytes(b"hi"), bytes(b"")]),
            RICH,
        ),
        inside("({ v: undefined })", Value::Undefined, &["CBOR"]),
        inside("({ v: [undefined, 1] })", list([Value::Undefined, 1.into()]), &["CBOR"]),
        inside(
            "({ v: [0, 1, 999, 1e12 + 123, -1, -1000].map((ms) => new Date(ms)) })",
            list([0.0, 1.0, 999.0, 1e12 + 123.0, -1.0, -1000.0].map(date)),
            RICH,
        ),
        inside(
            "({ v: [-62135596800000, 253402300799999].map((ms) => new Date(ms)) })",
            list([-62_135_596_800_000.0, 253_402_300_799_999.0].map(date)),
            RICH,
        ),
        // The reference's MsgPack writes dates from 2514 on wrongly.
        inside(
            "({ v: new Date(2 ** 34 * 1000) })",
            date(17_179_869_184_000.0),
            &["JSONExt", "Notepack", "CBOR"],
        ),
        inside("({ v: new Date(NaN) })", date(f64::NAN), &["CBOR"]),
        inside(
            "({ v: [NaN, Infinity, -Infinity] })",
            list([f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(Value::from)),
            BINARY,
        ),
        // JavaScript writes 0.
        inside(NEGATIVE_ZERO, (-0.0).into(), &[]),
        inside(
            "({ v: [5n, -1n, 2n ** 63n, -(2n ** 63n), 2n ** 64n - 1n] })",
            list(
                ["5", "-1", "9223372036854775808", "-9223372036854775808", "18446744073709551615"]
                    .map(big),
            ),
            EXTENDED,
        ),
        inside(
            "({ v: [10n ** 20n, -(10n ** 20n)] })",
            list(["100000000000000000000", "-100000000000000000000"].map(big)),
            EXTENDED,
        ),
        inside(
            "({ v: [/a|b\\/c/gi, /[[]/] })",
            list([regexp("a|b\\/c", "gi"), regexp("[[]", "")]),
            EXTENDED,
        ),
        inside(
            "({ v: new Map([['a', 1], ['b', new Date(0)]]) })",
            Extended::Map(vec![("a".into(), 1.into()), ("b".into(), date(0.0))]).into(),
            &["JSONExt"],
        ),
        inside(
            "({ v: new Set([1, 'a', Buffer.from('hi')]) })",
            set([1.into(), "a".into(), bytes(b"hi")]),
            EXTENDED,
        ),
        inside(
            "({ v: [new Set(), [new Set([new Set([1])])]] })",
            list([set([]), list([set([set([1.into()])])])]),
            EXTENDED,
        ),
        inside("({ v: new Uint8Array([1, 2]) })", typed(64, &[1, 2]), &["CBOR"]),
        inside(
            "({ v: [new Int8Array([-1]), new Uint16Array([1]), new Float64Array([1])] })",
            list([typed(72, &[255]), typed(69, &[1, 0]), typed(86, &1_f64.to_le_bytes())]),
            &["CBOR"],
        ),
    ]
}

fn bytes(bytes: &[u8]) -> Value {
    Bytes::copy_from_slice(bytes).into()
}

fn list<const N: usize>(items: [Value; N]) -> Value {
    Value::Array(items.into())
}

fn set<const N: usize>(items: [Value; N]) -> Value {
    Extended::Set(items.into()).into()
}

fn date(ms: f64) -> Value {
    Value::Date(Date(ms))
}

fn big(digits: &str) -> Value {
    BigInt::parse(digits).map_or(Value::Null, |n| Extended::BigInt(n).into())
}

/// The tag is that of RFC 8746.
fn typed(tag: u8, elements: &[u8]) -> Value {
    Extended::TypedArray { tag, bytes: Bytes::copy_from_slice(elements) }.into()
}

fn regexp(source: &str, flags: &str) -> Value {
    Extended::RegExp { source: source.into(), flags: flags.into() }.into()
}

/// The driver sends, and the JavaScript node compares.
pub(crate) async fn rust_writes(cluster: &Cluster) -> Result<()> {
    let mut wrong = Vec::new();
    for Kind { source, value, restored_by } in kinds()? {
        let restored_by = if source == NEGATIVE_ZERO { BINARY } else { restored_by };
        if !restored_by.contains(&cluster.serializer) {
            continue;
        }
        let call = cluster.driver.call::<String>("judge.same", value).node(JAVASCRIPT);
        let verdict = match call.meta([("source", source)]).await {
            Ok(verdict) => verdict,
            Err(error) => error.to_string(),
        };
        if verdict != "exact" {
            wrong.push(format!("{source}: {}", short(&verdict)));
        }
    }
    none(&wrong)
}

/// The JavaScript node sends, and the driver compares.
pub(crate) async fn rust_reads(cluster: &Cluster) -> Result<()> {
    let mut wrong = Vec::new();
    for kind in kinds()? {
        if !kind.restored_by.contains(&cluster.serializer) {
            continue;
        }
        let params = json!({ "source": kind.source });
        let made = cluster.driver.call::<Value>("judge.make", params).node(JAVASCRIPT);
        let made = text(&made.await?);
        if made != text(&kind.value) {
            wrong.push(format!("{}: {}", kind.source, short(&made)));
        }
    }
    none(&wrong)
}

/// A value that the JavaScript node sends comes back to it unchanged: from
/// the Rust node, and through the Rust node from itself.
pub(crate) async fn rust_passes_on(cluster: &Cluster) -> Result<()> {
    let mut wrong = Vec::new();
    for Kind { source, restored_by, .. } in kinds()? {
        let params = json!({ "source": source, "node": RUST });
        let verdict = cluster.javascript_says("judge.through", params).await?;
        let right = if restored_by.contains(&cluster.serializer) {
            verdict == json!({ "echo": "exact", "forward": "exact" })
        } else {
            // Exact would mean that the table above has to say so.
            verdict == json!({ "echo": "faithful", "forward": "faithful" })
                || verdict == json!({ "refused": true })
        };
        if !right {
            wrong.push(format!("{source}: {}", short(&verdict.to_string())));
        }
    }
    none(&wrong)
}

/// What a serializer restores in params it restores in meta, errors and so on.
pub(crate) async fn every_place(cluster: &Cluster) -> Result<()> {
    let restored =
        kinds()?.into_iter().filter(|kind| kind.restored_by.contains(&cluster.serializer));
    let sources: Vec<_> = restored.map(|kind| kind.source).collect();
    let params = json!({ "source": format!("[{}]", sources.join(", ")), "node": RUST });
    let answer = cluster.javascript_says("judge.places", params).await?;
    let places = answer["seen"].as_array().map(Vec::len);
    // Protocol 4 has no headers.
    let expected = if cluster.version == ProtocolVersion::V4 { 7 } else { 8 };
    if places != Some(expected) {
        return Err(Error::internal(format!("not {expected} places: {answer}")));
    }
    let wrong = answer["wrong"].as_array().into_iter().flatten();
    none(&wrong.map(|wrong| short(&wrong.to_string())).collect::<Vec<_>>())
}

fn none(wrong: &[String]) -> Result<()> {
    if wrong.is_empty() { Ok(()) } else { Err(Error::internal(wrong.join("\n    "))) }
}

/// Tells apart what `==` takes for one, such as -0 and 0, and takes for one
/// what JavaScript cannot tell apart: 5 and 5.0.
fn text(value: &Value) -> String {
    match value {
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => {
            value.as_f64().map_or(String::new(), |n| format!("{n:?}"))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(","))
        }
        Value::Object(object) => {
            let member = |(key, value): (&str, &Value)| format!("{key:?}:{}", text(value));
            format!("{{{}}}", object.iter().map(member).collect::<Vec<_>>().join(","))
        }
        other => format!("{other:?}"),
    }
}

fn short(text: &str) -> String {
    let mut short: String = text.chars().take(400).collect();
    if short.len() < text.len() {
        short.push_str(" ...");
    }
    short
}
