//! Loads the golden vectors: packets as real Moleculer nodes wrote them.
//!
//! Test programs of every serializer share this file: they include it with
//! `#[path = "../../moleculer-protocol/tests/support/vectors.rs"] mod vectors;`.
//! `tests/vectors/README.md` explains the data.

#![allow(dead_code, reason = "no test program needs all of it")]

use std::{fs, path::Path};

use bytes::{Bytes, BytesMut};
use moleculer_protocol::{
    BigInt, Date, EncodeError, Extended, FieldWriter, JsonSerializer, Object, Packet, PacketBody,
    PacketKind, Payload, Serializer, Value, json,
};

/// One packet, and what the reference makes of it.
#[derive(Debug)]
pub(crate) struct Vector {
    /// The same name stands for the same payload in all files of a version.
    pub(crate) name: String,
    pub(crate) kind: PacketKind,
    /// What the reference was asked to encode, members in its order.
    pub(crate) payload: Value,
    /// What it wrote; `None` if it threw.
    pub(crate) bytes: Option<Bytes>,
    /// What it reads from `bytes`; `None` if it throws.
    pub(crate) decoded: Option<Value>,
    pub(crate) encode_error: Option<String>,
    pub(crate) decode_error: Option<String>,
}

/// Loads a file of packets, for example `0.14/msgpack.json`.
pub(crate) fn load(path: &str) -> Vec<Vector> {
    let file = read(path);
    let packets = file.get("packets").and_then(Value::as_array);
    let vectors: Vec<_> = packets.expect(path).iter().map(Vector::read).collect();
    assert!(vectors.len() > 50, "{path} lost its packets");
    vectors
}

/// Reads any file of the vectors as it stands, for example `0.14/tcp.json`.
pub(crate) fn read(path: &str) -> Object {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut folders = above.map(|root| root.join("crates/moleculer-protocol/tests/vectors"));
    let folder = folders.find(|folder| folder.is_dir()).expect("the folder of vectors");
    let text = fs::read(folder.join(path)).expect(path);
    json::from_slice(&text).expect(path)
}

/// The text member `key` of an entry.
pub(crate) fn text<'a>(entry: &'a Object, key: &str) -> &'a str {
    entry.get(key).and_then(Value::as_str).expect(key)
}

/// The bytes that hexadecimal text stands for.
pub(crate) fn hex(text: &str) -> Bytes {
    assert!(text.len().is_multiple_of(2), "half a byte in {text}");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect(text))
        .collect()
}

impl Vector {
    fn read(entry: &Value) -> Self {
        let entry = entry.as_object().expect("a vector");
        let message = |key| entry.get(key).and_then(Value::as_str).map(str::to_owned);
        let payload = untag(entry.get("payload").expect("payload"));
        let decoded = match entry.get("decoded") {
            Some(Value::String(same)) if same == "same" => Some(payload.clone()),
            other => other.map(untag),
        };
        Self {
            name: text(entry, "name").to_owned(),
            kind: PacketKind::parse(text(entry, "type")).expect("a packet type"),
            payload,
            bytes: message("hex").map(|text| hex(&text)),
            decoded,
            encode_error: message("encodeError"),
            decode_error: message("decodeError"),
        }
    }

    /// `payload` as a packet to encode.
    ///
    /// Params and data are taken as they are, with dates, bytes, `undefined`
    /// and so on; the other members, plain in all vectors, pass through JSON.
    pub(crate) fn packet(&self) -> Packet {
        let mut members = self.payload.as_object().expect("an object").clone();
        let carried = ["params", "data"].map(|key| members.remove(key));
        let mut text = BytesMut::new();
        json::to_writer(&members, &mut text).expect(&self.name);
        let mut packet = JsonSerializer.decode(self.kind, &text.freeze()).expect(&self.name);
        let slot = match &mut packet.body {
            PacketBody::Request(request) => &mut request.params,
            PacketBody::Response(response) => &mut response.data,
            PacketBody::Event(event) => &mut event.data,
            _ => return packet,
        };
        let carried = carried.into_iter().flatten().next();
        *slot = carried.map_or_else(Payload::nothing, Payload::from);
        packet
    }

    /// Fails unless `packet` holds what the reference reads from `bytes`; see
    /// [`assert_packet`].
    pub(crate) fn assert_decoded(&self, packet: &Packet) {
        let decoded = self.decoded.as_ref().expect("a vector that decodes");
        assert_packet(&self.name, packet, decoded);
    }
}

/// Fails unless `packet` holds the members that `expected` shows.
///
/// Lenient, since a [`Packet`] has one form where the wire has several:
///
/// - null and absent are one, except for params and data;
/// - `{}`, null and absent are one for `meta` and `headers`;
/// - numbers compare by value: `5` and `5.0`, `0` and `-0` are one;
/// - an `undefined` member and an absent one are one, at any depth;
/// - `paramsType`, `dataType` and `needAck` are not looked at.
pub(crate) fn assert_packet(name: &str, packet: &Packet, expected: &Value) {
    let members = |value: &Value| canonical(value.as_object().expect("an object").clone());
    let (expected, actual) = (members(expected), members(&packet_to_value(packet)));
    if let Some(difference) = difference(&expected, &actual) {
        panic!("{name}: {difference}");
    }
}

/// A member that is left out here counts as absent.
fn canonical(members: Object) -> Value {
    let keep = |(key, value): &(String, Value)| match key.as_str() {
        "params" | "data" => true,
        "meta" | "headers" => value.as_object().is_some_and(|object| !object.is_empty()),
        "paramsType" | "dataType" | "needAck" => false,
        _ => !value.is_nullish(),
    };
    members.into_iter().filter(keep).collect::<Object>().into()
}

/// The members of a packet as the reference would show them, payloads decoded.
///
/// Absent members stay absent; the leniencies are at [`assert_packet`].
pub(crate) fn packet_to_value(packet: &Packet) -> Value {
    let mut members = Members(Object::new());
    packet.write_fields(&mut members).expect("a valid packet");
    members.0.into()
}

struct Members(Object);

impl FieldWriter for Members {
    fn text(&mut self, key: &'static str, text: &str) -> Result<(), EncodeError> {
        self.0.insert(key, text);
        Ok(())
    }

    fn value(&mut self, key: &'static str, value: &Value) -> Result<(), EncodeError> {
        self.0.insert(key, value.clone());
        Ok(())
    }

    fn object(&mut self, key: &'static str, object: &Object) -> Result<(), EncodeError> {
        self.0.insert(key, object.clone());
        Ok(())
    }

    fn payload(&mut self, key: &'static str, payload: &Payload) -> Result<(), EncodeError> {
        let value = payload.to_value().map_err(|error| EncodeError::new(error.to_string()))?;
        self.0.insert(key, value);
        Ok(())
    }
}

/// Where two values differ, if they do; the first path is named.
///
/// Numbers compare by value, dates to the nanosecond (all that MessagePack
/// carries), and undefined members count as absent.
pub(crate) fn difference(expected: &Value, actual: &Value) -> Option<String> {
    compare(expected, actual).map(|(path, what)| {
        let path: Vec<_> = path.into_iter().rev().collect();
        format!("at {:?}: {what}", path.join("."))
    })
}

/// The path is built from its end.
type Difference = (Vec<String>, String);

fn compare(expected: &Value, actual: &Value) -> Option<Difference> {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => compare_members(expected, actual),
        (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
            compare_items(expected, actual)
        }
        (Value::Date(expected), Value::Date(actual)) if same_instant(expected.0, actual.0) => None,
        (Value::Extended(expected), Value::Extended(actual)) => compare_extended(expected, actual),
        _ if expected == actual || same_number(expected, actual) => None,
        _ => Some((vec![], format!("expected {expected:?}, found {actual:?}"))),
    }
}

fn compare_extended(expected: &Extended, actual: &Extended) -> Option<Difference> {
    let pair = |(key, value): &(Value, Value)| Value::Array(vec![key.clone(), value.clone()]);
    let pairs = |entries: &[_]| Vec::from_iter(entries.iter().map(pair));
    match (expected, actual) {
        (Extended::Map(expected), Extended::Map(actual)) if expected.len() == actual.len() => {
            compare_items(&pairs(expected), &pairs(actual))
        }
        (Extended::Set(expected), Extended::Set(actual)) if expected.len() == actual.len() => {
            compare_items(expected, actual)
        }
        _ if expected == actual => None,
        _ => Some((vec![], format!("expected {expected:?}, found {actual:?}"))),
    }
}

fn compare_items(expected: &[Value], actual: &[Value]) -> Option<Difference> {
    let mut pairs = expected.iter().zip(actual).enumerate();
    pairs.find_map(|(at, (expected, actual))| within(&at, compare(expected, actual)))
}

fn compare_members(expected: &Object, actual: &Object) -> Option<Difference> {
    let undefined = &Value::Undefined;
    expected.keys().chain(actual.keys()).find_map(|key| {
        let [expected, actual] = [expected, actual].map(|o| o.get(key).unwrap_or(undefined));
        within(&key, compare(expected, actual))
    })
}

fn within(key: &impl ToString, difference: Option<Difference>) -> Option<Difference> {
    difference.map(|(mut path, what)| {
        path.push(key.to_string());
        (path, what)
    })
}

fn same_number(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(_) | Value::UInt(_), Value::Int(_) | Value::UInt(_)) => a == b,
        _ => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => a == b || (a.is_nan() && b.is_nan()),
            _ => false,
        },
    }
}

fn same_instant(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-6_f64.max(a.abs() * f64::EPSILON)
}

/// Tagged values stand for what JSON has no form for.
fn untag(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(untag).collect()),
        Value::Object(object) => match object.get("$t").and_then(Value::as_str) {
            Some(tag) => untag_kind(tag, object),
            None => {
                object.iter().map(|(key, value)| (key, untag(value))).collect::<Object>().into()
            }
        },
        other => other.clone(),
    }
}

fn untag_kind(tag: &str, object: &Object) -> Value {
    let list = |key| object.get(key).and_then(Value::as_array).expect(tag);
    match tag {
        "undefined" => Value::Undefined,
        "buffer" => hex(text(object, "hex")).into(),
        // Tag of RFC 8746.
        "uint8array" => Extended::TypedArray { tag: 64, bytes: hex(text(object, "hex")) }.into(),
        "date" => {
            let ms = object.get("ms").and_then(Value::as_f64);
            Value::Date(Date(ms.unwrap_or(f64::NAN)))
        }
        "bigint" => Extended::BigInt(BigInt::parse(text(object, "v")).expect(tag)).into(),
        "int64" => Value::Int(text(object, "v").parse().expect(tag)),
        "number" => Value::Float(match text(object, "v") {
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            number => number.parse().expect(tag),
        }),
        "map" => {
            let pair = |entry: &Value| match entry.as_array() {
                Some([key, value]) => (untag(key), untag(value)),
                _ => panic!("{entry:?} is no entry of a map"),
            };
            Extended::Map(list("entries").iter().map(pair).collect()).into()
        }
        "set" => Extended::Set(list("values").iter().map(untag).collect()).into(),
        "regexp" => Extended::RegExp {
            source: text(object, "source").to_owned(),
            flags: text(object, "flags").to_owned(),
        }
        .into(),
        other => panic!("unknown tag {other}"),
    }
}

/// JSON text of the reference with U+FFFD for lone surrogates, which it writes
/// as escapes, unlike pairs.
pub(crate) fn without_lone_surrogates(text: &str) -> String {
    let mut parts = text.split(r"\ud");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| match text.ends_with('\\') {
        true => text + r"\ud" + part,
        false => text + "\u{fffd}" + &part[3..],
    })
}

/// The bytes of `packet`, or what the serializer says.
pub(crate) fn encode(serializer: &dyn Serializer, packet: &Packet) -> Result<Bytes, EncodeError> {
    let mut out = BytesMut::new();
    serializer.encode(packet, &mut out)?;
    Ok(out.freeze())
}
