//! The packets of real nodes, decoded and encoded.

#[path = "../../moleculer-protocol/tests/support/vectors.rs"]
mod vectors;

use moleculer_protocol::{PacketKind, Serializer};
use moleculer_serializer_thrift::ThriftSerializer;

use self::vectors::{encode, load};

/// The packet that we write with other bytes of the same meaning.
const META_NULL: &str = "request-meta-null";

#[test]
fn we_read_what_the_reference_reads() {
    for vector in load("0.14/thrift.json") {
        let bytes = vector.bytes.as_ref().expect(&vector.name);
        let packet = ThriftSerializer.decode(vector.kind, bytes).expect(&vector.name);
        vector.assert_decoded(&packet);
    }
}

/// What we read, and what the reference was asked to write, become the
/// reference's bytes.
#[test]
fn we_write_what_the_reference_writes() {
    for vector in load("0.14/thrift.json") {
        let bytes = vector.bytes.as_ref().expect(&vector.name);
        let read = ThriftSerializer.decode(vector.kind, bytes).expect(&vector.name);
        for packet in [&read, &vector.packet()] {
            let ours = encode(&ThriftSerializer, packet).expect(&vector.name);
            if vector.name == META_NULL {
                let back = ThriftSerializer.decode(vector.kind, &ours).expect(&vector.name);
                vector.assert_decoded(&back);
            } else {
                assert_eq!(ours, bytes, "{}", vector.name);
            }
        }
    }
}

#[test]
fn every_kind_has_a_vector() {
    let vectors = load("0.14/thrift.json");
    for kind in PacketKind::ALL {
        assert!(vectors.iter().any(|vector| vector.kind == kind), "{kind}");
    }
}
