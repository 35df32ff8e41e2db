//! The packets of real nodes, decoded and encoded.

#[path = "../../moleculer-protocol/tests/support/vectors.rs"]
mod vectors;

use moleculer_protocol::Serializer;
use moleculer_serializer_msgpack::MsgPackSerializer;

use self::vectors::{Vector, encode, load};

/// Packets that we write with other bytes of the same meaning. The second
/// column tells what is encoded: a packet that we read, or the reference's
/// own input.
const OTHER_BYTES: [(&str, &[&str], &str); 4] = [
    ("request-meta-null", &["read", "input"], "no meta is `{}`"),
    ("response-error-not-found", &["read", "input"], "protocol 5: no headers are `{}`"),
    ("request-numbers", &["input"], "-0 keeps its sign"),
    ("extended-2^31-edges", &["input"], "an integer from 2^53 on keeps its digits"),
];

fn for_each(check: impl Fn(&MsgPackSerializer, &str, &Vector)) {
    let serializer = MsgPackSerializer::new();
    for version in ["0.14", "0.15"] {
        for vector in load(&format!("{version}/msgpack.json")) {
            check(&serializer, &format!("{version} {}", vector.name), &vector);
        }
    }
}

#[test]
fn we_read_what_the_reference_reads() {
    for_each(|serializer, name, vector| {
        if let Some(bytes) = &vector.bytes {
            let packet = serializer.decode(vector.kind, bytes).expect(name);
            vector.assert_decoded(&packet);
        }
    });
}

/// What we read, and what the reference was asked to write, become the
/// reference's bytes, or others that it reads alike.
#[test]
fn we_write_what_the_reference_writes() {
    for_each(|serializer, name, vector| {
        let Some(bytes) = &vector.bytes else { return };
        let read = serializer.decode(vector.kind, bytes).expect(name);
        for (origin, packet) in [("read", &read), ("input", &vector.packet())] {
            let ours = encode(serializer, packet).expect(name);
            let exception = OTHER_BYTES.iter().find(|(exception, origins, _)| {
                *exception == vector.name && origins.contains(&origin)
            });
            match exception {
                // The other protocol's packet of that name may well be equal.
                Some(_) => {
                    vector.assert_decoded(&serializer.decode(vector.kind, &ours).expect(name))
                }
                None => assert_eq!(ours, bytes, "{name} ({origin})"),
            }
        }
    });
}

/// The reference throws where `undefined` stands in a list; so do we.
#[test]
fn what_the_reference_refuses_is_refused() {
    let refused = std::cell::Cell::new(0);
    for_each(|serializer, name, vector| {
        if vector.encode_error.is_some() {
            let error = encode(serializer, &vector.packet()).expect_err(name);
            assert_eq!(
                error.to_string(),
                "REQ: params: MsgPack cannot carry undefined in a list; use null"
            );
            refused.set(refused.get() + 1);
        }
    });
    assert_eq!(refused.get(), 2);
}
