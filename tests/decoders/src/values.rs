//! Single values in every format.

use bytes::BytesMut;
use moleculer_protocol::{Format, PacketBody, Value};

use crate::{
    Target,
    memory::bounded,
    packets::SERIALIZERS,
    vectors::{difference, load},
};

/// One for each format, though several serializers may share it.
pub(crate) fn targets() -> Vec<Target> {
    let mut formats: Vec<Format> = Vec::new();
    for serializer in SERIALIZERS {
        let format = serializer.format();
        if !formats.iter().any(|known| known.same(&format)) {
            formats.push(format);
        }
    }
    let target = |format: Format| {
        let name = format!("values-{}", format.name().to_lowercase());
        Target::new(name, move |input| check(&format, input), move || seeds(&format))
    };
    formats.into_iter().map(target).collect()
}

fn check(format: &Format, input: &[u8]) {
    let Ok(value) = bounded(input.len(), || format.decode::<Value>(input)) else { return };
    let first = encode(format, &value);
    let again: Value = format.decode(&first).expect("what was encoded can be decoded");
    if !becomes_null(format.name(), &value) {
        assert_eq!(difference(&value, &again), None, "encoding changed the value");
    }
    assert_eq!(first, encode(format, &again), "encoding once more changed the bytes");
}

/// Whether the format writes null for something inside, as the reference does.
fn becomes_null(format: &str, value: &Value) -> bool {
    let inside = |value: &Value| becomes_null(format, value);
    match value {
        Value::Date(date) => date.0.is_nan() && matches!(format, "JSONExt" | "Notepack"),
        Value::Undefined => format == "Notepack",
        Value::Array(items) => items.iter().any(inside),
        Value::Object(object) => object.iter().any(|(_, value)| inside(value)),
        _ => false,
    }
}

fn encode(format: &Format, value: &Value) -> BytesMut {
    let mut out = BytesMut::new();
    format.encode(value, &mut out).expect("what was decoded can be encoded");
    out
}

/// All payloads of the vectors that the format can carry.
fn seeds(format: &Format) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for vector in ["0.14/json.json", "0.15/json.json"].into_iter().flat_map(load) {
        let payload = match vector.packet().body {
            PacketBody::Request(request) => request.params,
            PacketBody::Response(response) => response.data,
            PacketBody::Event(event) => event.data,
            _ => vector.payload.into(),
        };
        let mut out = BytesMut::new();
        if payload.encode(format, &mut out).is_ok() {
            seeds.push(out.to_vec());
        }
    }
    seeds
}
