//! How much memory decoding takes: never more than 64 times the input plus
//! 64 KiB, whatever the bytes.

#[path = "../../moleculer-protocol/tests/support/allocations.rs"]
mod allocations;

use bytes::Bytes;
use moleculer_protocol::{PacketKind, Serializer, Value};
use moleculer_serializer_json_ext::JsonExtSerializer;

use self::allocations::{assert_bounded, peak};

/// A list whose length is just above a power of two, where a growing list
/// wastes most.
fn list(part: &str) -> String {
    let parts = if part.len() < 12 { 32_800 } else { 2060 };
    format!("[{}]", vec![part; parts].join(","))
}

/// The same inside of `levels` sets.
fn in_sets(text: &str, levels: usize) -> String {
    (0..levels).fold(text.to_owned(), |inner, _| {
        let text = format!("[[ST]][{inner}]").replace('\\', r"\\").replace('"', r#"\""#);
        format!("\"{text}\"")
    })
}

fn check(what: &str, text: &str) {
    let format = JsonExtSerializer.format();
    let taken = peak(|| format.decode::<Value>(text.as_bytes()).expect(what));
    assert_bounded(what, text.len(), taken);
    // And as a packet that is built at once.
    let packet = Bytes::from(format!(r#"{{"ver":"5","sender":"a","services":[{text}]}}"#));
    let taken = peak(|| JsonExtSerializer.decode(PacketKind::Info, &packet).expect(what));
    assert_bounded(what, packet.len(), taken);
    // A payload, looked into for binary data.
    let packet = Bytes::from(format!(r#"{{"id":"1","action":"a","params":{text},"sender":"a"}}"#));
    let taken = peak(|| JsonExtSerializer.decode(PacketKind::Request, &packet).expect(what));
    assert_bounded(what, packet.len(), taken);
}

#[test]
fn lists_of_small_values_are_bounded() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let objects = |levels: usize| format!("{}0{}", r#"{"":"#.repeat(levels), "}".repeat(levels));
    for part in [
        "0",
        "\"\"",
        "[]",
        "[0]",
        "{}",
        r#"{"":0}"#,
        r#"{"":[0]}"#,
        "[[[[0]]]]",
        &nested(100),
        &objects(100),
        r#""[[BF]]""#,
        r#""[[DT]]""#,
        r#""[[BI]]0""#,
        r#""[[RE]]""#,
        r#""[[ES]]""#,
        r#""[[ST]][]""#,
        r#""[[MP]]{}""#,
        r#""[[ST]][0]""#,
        r#""[[MP]]{\"\":0}""#,
        r#""\ud800""#,
    ] {
        check(&part[..part.len().min(20)], &list(part));
    }
}

#[test]
fn texts_in_texts_are_bounded() {
    for part in ["0", "\"\"", "[]", "[0]", "{}", r#"{"":0}"#, r#""[[BF]]""#] {
        let list = list(part);
        let deepest = if part.contains('"') { 4 } else { 8 };
        for levels in [1, 2, deepest] {
            let text = in_sets(&list, levels);
            check(&format!("{part} in {levels} sets"), &text);
        }
    }
}
