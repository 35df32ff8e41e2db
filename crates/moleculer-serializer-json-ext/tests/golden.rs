//! The packets of real nodes, decoded and encoded.

#[path = "../../moleculer-protocol/tests/support/vectors.rs"]
mod vectors;

use moleculer_protocol::Serializer;
use moleculer_serializer_json_ext::JsonExtSerializer;

use self::vectors::{encode, load, without_lone_surrogates};

/// Where our text differs from the reference's: name, its text, ours.
const EXCEPTIONS: [(&str, &str, &str); 2] = [
    ("request-meta-null", r#""meta":null"#, r#""meta":{}"#),
    ("response-error-not-found", r#""headers":null"#, r#""headers":{}"#),
];

#[test]
fn we_read_what_the_reference_reads() {
    for vector in load("0.15/jsonext.json") {
        let bytes = vector.bytes.as_ref().expect(&vector.name);
        vector.assert_decoded(&JsonExtSerializer.decode(vector.kind, bytes).expect(&vector.name));
    }
}

/// What we read, and what the reference was asked to write, become the
/// reference's bytes.
#[test]
fn we_write_what_the_reference_writes() {
    for vector in load("0.15/jsonext.json") {
        let name = &vector.name;
        let bytes = vector.bytes.as_ref().expect(name);
        let mut expected = String::from_utf8(bytes.to_vec()).expect(name);
        for (_, theirs, ours) in EXCEPTIONS.iter().filter(|(of, ..)| of == name) {
            expected = expected.replace(theirs, ours);
        }
        let relayed = JsonExtSerializer.decode(vector.kind, bytes).expect(name);
        assert_eq!(encode(&JsonExtSerializer, &relayed).expect(name), expected, "{name}");
        // No Rust string holds a lone surrogate.
        let written = encode(&JsonExtSerializer, &vector.packet()).expect(name);
        assert_eq!(written, without_lone_surrogates(&expected), "{name}");
    }
}
