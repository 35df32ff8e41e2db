//! How much memory decoding takes: never more than 64 times the input plus
//! 64 KiB, whatever the bytes. In a program of its own, since it counts every
//! allocation.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use bytes::Bytes;
use moleculer_protocol::{JsonSerializer, PacketKind, Serializer, Value, json};

struct Counting;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

#[allow(unsafe_code, reason = "an allocator is unsafe by nature; this one passes everything on")]
// SAFETY: each call is passed on to the system's allocator with its arguments.
// The default `realloc` holds old and new at once, which is the worst case.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.get() + layout.size();
        NOW.set(now);
        PEAK.set(PEAK.get().max(now));
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.set(NOW.get().saturating_sub(layout.size()));
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that `run` holds at once, in bytes.
fn peak<T>(run: impl FnOnce() -> T) -> usize {
    let before = NOW.get();
    PEAK.set(before);
    let result = run();
    let peak = PEAK.get() - before;
    drop(result);
    peak
}

fn assert_bounded(what: &str, len: usize, peak: usize) {
    let factor = peak.saturating_sub(64 * 1024) as f64 / len as f64;
    assert!(factor <= 64.0, "{what}: {len} bytes became {peak}, {factor:.1} times");
}

/// A list whose length is just above a power of two, where a growing list
/// wastes most.
fn list(part: &str) -> String {
    let parts = if part.len() < 10 { 32_800 } else { 2060 };
    format!("[{}]", vec![part; parts].join(","))
}

#[test]
fn the_peak_is_found() {
    assert_eq!(peak(|| vec![0_u8; 1000]), 1000);
    assert!(peak(|| (vec![0_u8; 1000], vec![0_u8; 500])) >= 1500);
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
