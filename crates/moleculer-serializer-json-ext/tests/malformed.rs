//! Hostile and broken input.

use bytes::Bytes;
use moleculer_protocol::{Packet, PacketKind, Serializer, Value};
use moleculer_serializer_json_ext::JsonExtSerializer;

fn decode(kind: PacketKind, bytes: impl Into<Bytes>) -> Result<Packet, String> {
    JsonExtSerializer.decode(kind, &bytes.into()).map_err(|error| error.to_string())
}

fn value(text: &str) -> Result<Value, String> {
    JsonExtSerializer.format().decode(text.as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn errors_say_what_and_where() {
    let check = |text: &str, message: &str| {
        assert_eq!(value(text).unwrap_err(), message, "{text}");
    };
    check("", "the input ends early at byte 0");
    check("[1", "the input ends early at byte 2");
    check("[1 2]", "expected `,` at byte 3");
    check("[1,]", "expected value at byte 3");
    check("[,1]", "expected value at byte 1");
    check("[1}", "expected `,` at byte 2");
    check(r#"{"a" 1}"#, "expected `:` at byte 5");
    check(r#"{"a":1,}"#, "expected value at byte 7");
    check("{5:1}", "invalid type: integer `5`, expected text at byte 1");
    check("{]", "expected value at byte 1");
    check("nul", "EOF while parsing a value at byte 0");
    check("1e999", "number out of range at byte 0");
    check("\"a", "EOF while parsing a string at byte 0");
    check(r#""\x""#, "invalid escape at byte 0");
    check("[] []", "2 bytes after the end");
    check("\"[[BI]]x\"", "\"x\" is no big integer at byte 9");
    check("\"[[BF]]é\"", "binary data: Invalid symbol 195, offset 0. at byte 10");
    check(r#""[[ST]]{}""#, "[[ST]]: invalid type: map, expected a sequence");
    check(r#""[[MP]][]""#, "[[MP]]: expected an object, found []");
    check(r#""[[ST]][1""#, "[[ST]]: the input ends early at byte 2");
    check(r#""[[ST]][] 1""#, "[[ST]]: 1 bytes after the end");
    let error = decode(PacketKind::Request, r#"{"id":"1","meta":5}"#).unwrap_err();
    assert_eq!(error, "REQ: meta: expected an object, found 5");
}

#[test]
fn nesting_is_limited_where_values_are_built() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(value(&nested(128)).is_ok());
    for levels in [129, 1_000_000] {
        assert_eq!(value(&nested(levels)).unwrap_err(), "nested deeper than 128 levels");
    }
    // Levels count through the texts of sets.
    let in_set = |levels| format!("[\"[[ST]]{}\"]", nested(levels));
    assert!(value(&in_set(126)).is_ok());
    assert!(value(&in_set(127)).unwrap_err().ends_with("nested deeper than 128 levels"));
    // Skipped, and so without a limit.
    let text = format!(r#"{{"x":{},"sender":"n","ver":"5"}}"#, nested(1_000_000));
    assert_eq!(decode(PacketKind::Discover, text).unwrap().sender, "n");
}

#[test]
fn texts_in_texts_are_limited() {
    let sets = |levels| {
        (0..levels).fold("0".to_owned(), |inner: String, _| {
            let text = format!("[[ST]][{inner}]").replace('\\', r"\\").replace('"', r#"\""#);
            format!("\"{text}\"")
        })
    };
    assert!(value(&sets(8)).is_ok());
    assert!(value(&sets(9)).unwrap_err().contains("more than 8 maps"));
}
