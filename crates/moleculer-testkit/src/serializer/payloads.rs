//! Params, results and event data.

use std::{collections::BTreeMap, net::IpAddr};

use bytes::Bytes;
use moleculer_protocol::{Object, Packet, PacketBody, PacketKind, Payload, Value};
use serde::{Deserialize, Serialize};

use super::{
    Case, Extra, Outcome, ensure, samples,
    subject::{Subject, counted, payload},
};
use crate::{alloc, compare};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("payloads::stay_encoded_in_the_packets_buffer", stays_encoded),
        Case::new("payloads::absent_null_and_empty_are_apart", absent_null_and_empty),
        Case::new("payloads::arrive_as_the_type_that_was_sent", typed),
        Case::new("payloads::show_their_parts", parts),
        Case::new("payloads::binary_ones_arrive_as_bytes", binary).needs(Extra::WholeBytes),
        Case::new("payloads::sharing_binary_ones_is_as_declared", shared).needs(Extra::WholeBytes),
    ]
}

/// A packet of each kind that has a payload.
fn packets(subject: &Subject, payload: &Payload) -> [Packet; 3] {
    [PacketKind::Request, PacketKind::Response, PacketKind::Event].map(|kind| {
        let mut packet = samples::full(kind, subject.version());
        match &mut packet.body {
            PacketBody::Request(request) => request.params = payload.clone(),
            PacketBody::Response(response) => response.data = payload.clone(),
            PacketBody::Event(event) => event.data = payload.clone(),
            _ => {}
        }
        packet
    })
}

/// However large the payload, decoding its packet takes the same memory.
fn stays_encoded(subject: &Subject) -> Outcome {
    counted()?;
    let small = Payload::from(Value::from(vec![Value::from("text")]));
    let large = Payload::from(Value::from(vec![Value::from("text"); 10_000]));
    let (small, large) = (packets(subject, &small), packets(subject, &large));
    for (small, large) in small.iter().zip(&large) {
        let kind = small.kind();
        let [small, large] = [subject.encode(small)?, subject.encode(large)?];
        let take = |bytes| alloc::peak(|| subject.decode(kind, bytes));
        // Once before, for what is made a single time in a process.
        take(&small).0?;
        let ((small, small_peak), (large, large_peak)) = (take(&small), take(&large));
        small?;
        let received = large?;
        ensure!(
            large_peak <= small_peak + 1024,
            "{kind} with a small payload takes {small_peak} bytes to decode, with a large one \
             {large_peak}: it is copied or read too early"
        );
        let list = payload(&received).take::<Vec<String>>();
        let list = list.map_err(|error| format!("{kind}: {error}"))?;
        ensure!(list.len() == 10_000, "{kind}: {} of 10000 arrived", list.len());
    }
    Ok(())
}

fn absent_null_and_empty(subject: &Subject) -> Outcome {
    let check = |sent: Payload, expected: &Value| -> Outcome {
        for packet in packets(subject, &sent) {
            let kind = packet.kind();
            let received = subject.send(&packet)?;
            let found = payload(&received).to_value();
            let found = found.map_err(|error| format!("{kind}: {error}"))?;
            ensure!(&found == expected, "{kind}: expected {expected:?}, found {found:?}");
        }
        Ok(())
    };
    check(Payload::nothing(), &Value::Undefined)?;
    check(Payload::new(()), &Value::Undefined)?;
    check(Value::Undefined.into(), &Value::Undefined)?;
    check(Payload::null(), &Value::Null)?;
    check(Payload::new(None::<String>), &Value::Null)?;
    check(Payload::empty(), &Object::new().into())?;
    check(Payload::new(BTreeMap::<String, u8>::new()), &Object::new().into())?;
    check(Payload::new(Vec::<u8>::new()), &Value::Array(vec![]))?;
    check(Payload::new(""), &"".into())?;
    check(Payload::new("null"), &"null".into())?;
    check(Payload::new(false), &false.into())?;
    // A member that is undefined is one that is absent.
    let object = Object::from([("a", Value::Null), ("b", Value::Undefined)]);
    for packet in packets(subject, &Value::from(object).into()) {
        let received = subject.send(&packet)?;
        let payload = payload(&received);
        let [a, b] = ["a", "b"].map(|key| payload.get(key).map(Option::unwrap_or_default));
        ensure!(a == Ok(Value::Null), "null became {a:?}");
        let members: BTreeMap<String, Option<u8>> =
            payload.take().map_err(|error| error.to_string())?;
        ensure!(!members.contains_key("b"), "the undefined member became {b:?}");
    }
    Ok(())
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
        extra: Object::from([("deep", Value::from(vec![1, 2]))]).into(),
        tail: Tail { pair: (255, -300), at: "1970-01-01T00:00:00.000Z".to_owned() },
        shapes: vec![
            Shape::Unit,
            Shape::Circle(2.0),
            Shape::Pair(1, "é".to_owned()),
            Shape::Rect { w: 1, h: None },
        ],
        by_number: [(-1, 0.1), (70_000, 2.0)].into(),
        nothing: (),
        initial: 'ß',
    }
}

fn typed(subject: &Subject) -> Outcome {
    let expected = order();
    let payload = subject.send_params(Payload::new(expected.clone()))?;
    let arrived = payload.take::<Order>().map_err(|error| error.to_string())?;
    ensure!(arrived == expected, "expected {expected:?}, found {arrived:?}");
    Ok(())
}

/// Cache and shard keys read parts; the same as other nodes see.
fn parts(subject: &Subject) -> Outcome {
    let payload = subject.send_params(Payload::new(order()))?;
    let expected = [
        ("address", Some("127.0.0.1".into())),
        ("note", Some(Value::Null)),
        ("extra.deep.1", Some(2.into())),
        ("pair.1", Some((-300).into())),
        ("shapes.0", Some("Unit".into())),
        ("shapes.2.Pair.1", Some("é".into())),
        ("by_number.70000", Some(2.into())),
        ("shapes.9", None),
        ("none.at.all", None),
    ];
    let whole = payload.to_value().map_err(|error| error.to_string())?;
    for (path, expected) in expected {
        let part = payload.get(path).map_err(|error| format!("{path}: {error}"))?;
        for found in [part, whole.pointer(path).cloned()] {
            let [expected, found] = [&expected, &found].map(|v| v.clone().unwrap_or_default());
            if let Some(difference) = compare::difference(&expected, &found) {
                return Err(format!("{path}: {difference}"));
            }
        }
    }
    Ok(())
}

/// Whether typed or dynamic when sent.
fn binary(subject: &Subject) -> Outcome {
    let data = Bytes::from(vec![0x81; 1000]);
    for sent in [Payload::new(data.clone()), Payload::from(Value::from(data.clone()))] {
        for packet in packets(subject, &sent) {
            let kind = packet.kind();
            let payload = payload(&subject.send(&packet)?);
            let value = payload.to_value().map_err(|error| format!("{kind}: {error}"))?;
            ensure!(value == data.clone().into(), "{kind}: it became {}", compare::short(&value));
            let taken: Bytes = payload.take().map_err(|error| format!("{kind}: {error}"))?;
            ensure!(taken == data, "{kind}: other bytes arrived");
        }
    }
    Ok(())
}

fn shared(subject: &Subject) -> Outcome {
    let declared = subject.carries(Extra::SharedBytes);
    for packet in packets(subject, &Payload::new(Bytes::from(vec![0x81; 1000]))) {
        let kind = packet.kind();
        let bytes = subject.encode(&packet)?;
        let payload = payload(&subject.decode(kind, &bytes)?);
        let taken: Bytes = payload.take().map_err(|error| format!("{kind}: {error}"))?;
        let shares = bytes.as_ptr_range().contains(&taken.as_ptr());
        ensure!(shares || !declared, "{kind}: the handler's bytes are a copy of the packet's");
        ensure!(declared || !shares, "{kind}: nothing is copied: declare Extra::SharedBytes");
    }
    Ok(())
}
