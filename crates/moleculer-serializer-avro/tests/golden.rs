//! The packets of real nodes, decoded and encoded.

#[path = "../../moleculer-protocol/tests/support/vectors.rs"]
mod vectors;

use moleculer_protocol::{PacketKind, Serializer};
use moleculer_serializer_avro::AvroSerializer;

use self::vectors::{encode, load};

/// The packet that we write with other bytes of the same meaning.
const META_NULL: &str = "request-meta-null";

#[test]
fn we_read_what_the_reference_reads() {
    for vector in load("0.14/avro.json") {
        if let Some(bytes) = &vector.bytes {
            let packet = AvroSerializer.decode(vector.kind, bytes).expect(&vector.name);
            vector.assert_decoded(&packet);
        }
    }
}

/// What we read, and what the reference was asked to write, become the
/// reference's bytes.
#[test]
fn we_write_what_the_reference_writes() {
    for vector in load("0.14/avro.json") {
        let Some(bytes) = &vector.bytes else { continue };
        let read = AvroSerializer.decode(vector.kind, bytes).expect(&vector.name);
        for packet in [&read, &vector.packet()] {
            let ours = encode(&AvroSerializer, packet).expect(&vector.name);
            if vector.name == META_NULL {
                let back = AvroSerializer.decode(vector.kind, &ours).expect(&vector.name);
                vector.assert_decoded(&back);
            } else {
                assert_eq!(ours, bytes, "{}", vector.name);
            }
        }
    }
}

/// The reference throws, and the node seems dead until its load is known.
#[test]
fn a_heartbeat_without_load_says_0() {
    let vectors = load("0.14/avro.json");
    let refused: Vec<_> = vectors.iter().filter(|v| v.encode_error.is_some()).collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].kind, PacketKind::Heartbeat);
    let ours = encode(&AvroSerializer, &refused[0].packet()).expect("a heartbeat");
    assert_eq!(ours, b"\x024\x0cnode-1\0\0\0\0\0\0\0\0".as_slice());
}
