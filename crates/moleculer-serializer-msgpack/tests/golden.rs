//! The packets of real nodes, decoded and encoded, in both dialects.

#[path = "../../moleculer-protocol/tests/support/vectors.rs"]
mod vectors;

use moleculer_protocol::Serializer;
use moleculer_serializer_msgpack::MsgPackSerializer;

use self::vectors::{Vector, assert_packet, difference, encode, load, packet_to_value};

const MSGPACK: MsgPackSerializer = MsgPackSerializer::new();
const NOTEPACK: MsgPackSerializer = MsgPackSerializer::notepack();

/// Packets that we write with other bytes of the same meaning. The second
/// column tells what is encoded: a packet that we read, or the reference's
/// own input.
const OTHER_BYTES: [(&str, &[&str], &str); 4] = [
    ("request-meta-null", &["read", "input"], "no meta is `{}`"),
    ("response-error-not-found", &["read", "input"], "protocol 5: no headers are `{}`"),
    ("request-numbers", &["input"], "-0 keeps its sign; Notepack: 1e21 keeps its value"),
    ("extended-2^31-edges", &["input"], "MsgPack: an integer from 2^53 on keeps its digits"),
];

fn for_each(serializer: MsgPackSerializer, check: impl Fn(&str, &Vector)) {
    for version in ["0.14", "0.15"] {
        let file = serializer.name().to_lowercase();
        for vector in load(&format!("{version}/{file}.json")) {
            check(&format!("{version} {file} {}", vector.name), &vector);
        }
    }
}

#[test]
fn we_read_what_the_reference_reads() {
    for serializer in [MSGPACK, NOTEPACK] {
        for_each(serializer, |name, vector| {
            let Some(bytes) = &vector.bytes else { return };
            let packet = serializer.decode(vector.kind, bytes).expect(name);
            if serializer.name() == "Notepack" && vector.name == "request-numbers" {
                // The one integer that notepack.io garbles; JavaScript shows
                // 17 digits of what it has written.
                let found = difference(vector.decoded.as_ref().unwrap(), &packet_to_value(&packet));
                let expected = "expected 3875820019684212700, found 3875820019684212736";
                assert_eq!(found, Some(format!("at \"params.e21\": {expected}")));
                return;
            }
            vector.assert_decoded(&packet);
        });
    }
}

/// What we read, and what the reference was asked to write, become the
/// reference's bytes, or others that it reads as what it was asked to write.
#[test]
fn we_write_what_the_reference_writes() {
    for serializer in [MSGPACK, NOTEPACK] {
        for_each(serializer, |name, vector| {
            let Some(bytes) = &vector.bytes else { return };
            let read = serializer.decode(vector.kind, bytes).expect(name);
            for (origin, packet) in [("read", &read), ("input", &vector.packet())] {
                let ours = encode(&serializer, packet).expect(name);
                let exception = OTHER_BYTES.iter().any(|(exception, origins, _)| {
                    *exception == vector.name && origins.contains(&origin)
                });
                if exception && ours != bytes {
                    let ours = serializer.decode(vector.kind, &ours).expect(name);
                    assert_packet(name, &ours, &vector.payload);
                } else {
                    assert_eq!(ours, bytes, "{name} ({origin})");
                }
            }
        });
    }
}

/// msgpack5 throws where `undefined` stands in a list; so do we. notepack.io
/// makes it nil.
#[test]
fn what_the_reference_refuses_is_refused() {
    for (serializer, expected) in [(MSGPACK, 2), (NOTEPACK, 0)] {
        let refused = std::cell::Cell::new(0);
        for_each(serializer, |name, vector| {
            if vector.encode_error.is_some() {
                let error = encode(&serializer, &vector.packet()).expect_err(name);
                assert_eq!(
                    error.to_string(),
                    "REQ: params: MsgPack cannot carry undefined in a list; use null"
                );
                refused.set(refused.get() + 1);
            }
        });
        assert_eq!(refused.get(), expected);
    }
}
