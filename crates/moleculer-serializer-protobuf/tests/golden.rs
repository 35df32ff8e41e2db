//! The packets of real nodes, decoded and encoded.

#[path = "../../moleculer-protocol/tests/support/vectors.rs"]
mod vectors;

use moleculer_protocol::{Object, Packet, PacketBody, PacketKind, Serializer, Value};
use moleculer_serializer_protobuf::ProtoBufSerializer;

use self::vectors::{Vector, difference, encode, load, packet_to_value};

/// The packet that we write with other bytes of the same meaning.
const META_NULL: &str = "request-meta-null";

#[test]
fn we_read_what_the_reference_reads() {
    for vector in load("0.14/protobuf.json") {
        let bytes = vector.bytes.as_ref().expect(&vector.name);
        let packet = ProtoBufSerializer.decode(vector.kind, bytes).expect(&vector.name);
        assert_decoded(&vector, &packet);
    }
}

/// The reference's bytes come from what it was asked to write, and from what
/// we read: no default that it shows for an absent field is left in there.
#[test]
fn we_write_what_the_reference_writes() {
    for vector in load("0.14/protobuf.json") {
        let bytes = vector.bytes.as_ref().expect(&vector.name);
        let mut read = ProtoBufSerializer.decode(vector.kind, bytes).expect(&vector.name);
        if let PacketBody::Request(request) = &mut read.body {
            // False is what a plain request says, and what we take for nothing.
            request.stream.get_or_insert(false);
        }
        for packet in [&read, &vector.packet()] {
            let ours = encode(&ProtoBufSerializer, packet).expect(&vector.name);
            if vector.name == META_NULL {
                let back = ProtoBufSerializer.decode(vector.kind, &ours).expect(&vector.name);
                assert_decoded(&vector, &back);
            } else {
                assert_eq!(ours, bytes, "{}", vector.name);
            }
        }
    }
}

#[test]
fn every_kind_has_a_vector() {
    let vectors = load("0.14/protobuf.json");
    for kind in PacketKind::ALL {
        assert!(vectors.iter().any(|vector| vector.kind == kind), "{kind}");
    }
}

fn assert_decoded(vector: &Vector, packet: &Packet) {
    let [expected, actual] =
        [vector.decoded.as_ref().expect("decoded"), &packet_to_value(packet)].map(without_defaults);
    assert_eq!(difference(&expected, &actual), None, "{}", vector.name);
}

/// The members but those that proto3 makes up for absent fields.
fn without_defaults(members: &Value) -> Value {
    let is_default = |value: &Value| match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        other => !other.is_truthy(),
    };
    let members = members.as_object().expect("an object").iter();
    members
        .filter(|&(key, value)| match key {
            "params" | "data" => true,
            "paramsType" | "dataType" => false,
            _ => !is_default(value),
        })
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .collect::<Object>()
        .into()
}
