//! The packets of real nodes, decoded and encoded.

#[path = "../../moleculer-protocol/tests/support/vectors.rs"]
mod vectors;

use bytes::BytesMut;
use moleculer_protocol::{PacketBody, Serializer};
use moleculer_serializer_cbor::CborSerializer;

use self::vectors::{Vector, encode, load};

/// Packets that we write with other bytes of the same meaning. The second
/// column tells what is encoded: a packet that we read, or the reference's
/// own input.
const OTHER_BYTES: [(&str, &[&str], &str); 9] = [
    ("event-broadcast", BOTH, UNDEFINED),
    ("event-undefined-data", BOTH, UNDEFINED),
    ("request-no-timeout", BOTH, UNDEFINED),
    ("request-undefined-params", BOTH, UNDEFINED),
    ("response-undefined", BOTH, UNDEFINED),
    ("response-error-plain", BOTH, UNDEFINED),
    ("request-meta-null", BOTH, "no meta is `{}`"),
    ("response-error-not-found", BOTH, "protocol 5: no headers are `{}`"),
    ("request-numbers", &["input"], "-0 keeps its sign"),
];

const BOTH: &[&str] = &["read", "input"];
const UNDEFINED: &str = "a packet's own members are absent where they are undefined";

fn for_each(check: impl Fn(&CborSerializer, &str, &Vector)) {
    let serializer = CborSerializer::new();
    for version in ["0.14", "0.15"] {
        for vector in load(&format!("{version}/cbor.json")) {
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

/// Params do not stay encoded here: every kind is read, and written again.
#[test]
fn params_that_were_read_become_the_same_bytes() {
    for_each(|serializer, name, vector| {
        let Some(bytes) = &vector.bytes else { return };
        let packet = serializer.decode(vector.kind, bytes).expect(name);
        let PacketBody::Request(request) = packet.body else { return };
        // A `Map` has arrived as an object, whose head is longer.
        if request.params.is_nothing() || vector.name == "ext-types-cbor" {
            return;
        }
        let [mut there, mut back] = [BytesMut::new(), BytesMut::new()];
        let format = serializer.format();
        request.params.encode(&format, &mut there).expect(name);
        let value = request.params.to_value().expect(name);
        format.encode(&value, &mut back).expect(name);
        assert_eq!(there, back, "{name}");
    });
}
