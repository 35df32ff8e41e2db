//! How much memory decoding takes: never more than 64 times the input plus
//! 64 KiB, whatever the bytes. In a program of its own, since it counts every
//! allocation.

#[path = "support/allocations.rs"]
mod allocations;

use bytes::Bytes;
use moleculer_protocol::{JsonSerializer, PacketKind, Serializer, Value, json};

use self::allocations::{assert_bounded, peak};

/// A list whose length is just above a power of two, where a growing list
/// wastes most.
fn list(part: &str) -> String {
    let parts = if part.len() < 10 { 32_800 } else { 2060 };
    format!("[{}]", vec![part; parts].join(","))
}

#[test]
fn lists_of_small_json_values_are_bounded() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let objects = |levels: usize| format!("{}0{}", r#"{"":"#.repeat(levels), "}".repeat(levels));
    for part in [
        "0",
        "\"\"",
        "\"a\"",
        "[]",
        "[0]",
        "[0,0]",
        "[0,0,0,0,0]",
        "{}",
        r#"{"":0}"#,
        r#"{"":0,"a":0}"#,
        r#"{"":{}}"#,
        r#"{"":[0]}"#,
        "[[[[0]]]]",
        &nested(100),
        &objects(100),
        r#"{"":0,"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0}"#,
    ] {
        let text = list(part);
        let short = &part[..part.len().min(20)];
        let taken = peak(|| json::from_slice::<Value>(text.as_bytes()).expect(short));
        assert_bounded(short, text.len(), taken);
        // And as a packet that is built at once.
        let packet = Bytes::from(format!(r#"{{"ver":"5","sender":"a","services":{text}}}"#));
        let taken = peak(|| JsonSerializer.decode(PacketKind::Info, &packet).expect(short));
        assert_bounded(short, packet.len(), taken);
    }
}

#[test]
fn objects_of_many_small_members_are_bounded() {
    for members in [1, 8, 9, 14, 15, 28, 29, 1000, 7200, 70_000] {
        let members: Vec<_> = (0..members).map(|n| format!(r#""{n:x}":0"#)).collect();
        let text = format!("{{{}}}", members.join(","));
        let taken = peak(|| json::from_slice::<Value>(text.as_bytes()).expect("an object"));
        assert_bounded(&format!("{} members", members.len()), text.len(), taken);
        let packet = Bytes::from(format!(r#"{{"ver":"5","sender":"a","online":{text}}}"#));
        let taken = peak(|| JsonSerializer.decode(PacketKind::GossipRequest, &packet).is_ok());
        assert_bounded("rows", packet.len(), taken);
        let rows = text.replace(":0", ":[0]");
        let packet = Bytes::from(format!(r#"{{"ver":"5","sender":"a","online":{rows}}}"#));
        let taken = peak(|| {
            let packet = JsonSerializer.decode(PacketKind::GossipRequest, &packet);
            packet.expect("rows")
        });
        assert_bounded("rows", packet.len(), taken);
    }
}

#[test]
fn events_for_many_groups_are_bounded() {
    let groups = list("\"\"");
    let text = format!(r#"{{"ver":"5","sender":"a","event":"e","groups":{groups}}}"#);
    let packet = Bytes::from(text);
    let taken = peak(|| JsonSerializer.decode(PacketKind::Event, &packet).expect("an event"));
    assert_bounded("groups", packet.len(), taken);
}
