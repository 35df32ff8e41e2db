//! How much memory decoding takes: never more than 64 times the input plus
//! 64 KiB, whatever the bytes. In a program of its own, since it counts every
//! allocation.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use bytes::Bytes;
use moleculer_protocol::{PacketKind, Serializer, Value};
use moleculer_serializer_msgpack::MsgPackSerializer;

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
fn list(part: &[u8]) -> Vec<u8> {
    let parts: u32 = if part.len() < 10 { 65_600 } else { 2060 };
    let mut bytes = vec![0xdd];
    bytes.extend(parts.to_be_bytes());
    bytes.extend(part.repeat(parts as usize));
    bytes
}

fn packet(members: &[u8]) -> Bytes {
    [b"\x82\xa6sender\xa1n", members].concat().into()
}

#[test]
fn lists_of_small_values_are_bounded() {
    let format = MsgPackSerializer::new().format();
    let parts: [&[u8]; 14] = [
        b"\xc0",
        b"\xa0",
        b"\xa1a",
        b"\xc4\0",
        b"\x90",
        b"\x91\xc0",
        b"\x94\xc0\xc0\xc0\xc0",
        b"\x80",
        b"\x81\xa0\xc0",
        b"\x82\xa0\xc0\xa1a\xc0",
        b"\x81\xa0\x80",
        b"\x81\xa0\x91\xc0",
        b"\x91\x91\x91\x91\xc0",
        b"\xd6\xff\0\0\0\0",
    ];
    let deep: Vec<u8> = [vec![0x91; 100], vec![0xc0]].concat();
    let objects: Vec<u8> = [b"\x81\xa0".repeat(100), vec![0xc0]].concat();
    for part in parts.into_iter().chain([&deep[..], &objects]) {
        let bytes = list(part);
        let what = format!("{:x?}", &part[..part.len().min(6)]);
        let taken = peak(|| format.decode::<Value>(&bytes).expect(&what));
        assert_bounded(&what, bytes.len(), taken);
        // And as a packet that is built at once.
        let packet = packet(&[b"\xa8services", &bytes[..]].concat());
        let taken = peak(|| {
            let packet = MsgPackSerializer::new().decode(PacketKind::Info, &packet);
            packet.expect(&what)
        });
        assert_bounded(&what, packet.len(), taken);
    }
}

#[test]
fn maps_of_many_small_members_are_bounded() {
    let format = MsgPackSerializer::new().format();
    for members in [1_u32, 8, 9, 14, 15, 28, 29, 127, 7200, 70_000] {
        let mut bytes = vec![0xdf];
        bytes.extend(members.to_be_bytes());
        for n in 0..members {
            let key = format!("{n:x}");
            bytes.push(0xa0 | key.len() as u8);
            bytes.extend(key.as_bytes());
            bytes.push(0xc0);
        }
        let taken = peak(|| format.decode::<Value>(&bytes).expect("a map"));
        assert_bounded(&format!("{members} members"), bytes.len(), taken);
    }
    // One member over and over again.
    let mut bytes = b"\xdf\0\x01\0\x01".to_vec();
    bytes.extend(b"\xa0\xc0".repeat(65_537));
    let taken = peak(|| format.decode::<Value>(&bytes).expect("a map"));
    assert_bounded("one member", bytes.len(), taken);
}

/// Each list announces as much as is left.
#[test]
fn lengths_that_lie_at_every_level_are_bounded() {
    let format = MsgPackSerializer::new().format();
    for head in [0xdd_u8, 0xdf] {
        let mut bytes = Vec::new();
        for _ in 0..100 {
            bytes.push(head);
            bytes.extend(20_000_u32.to_be_bytes());
            if head == 0xdf {
                bytes.push(0xa0);
            }
        }
        bytes.extend([0xc0; 50_000]);
        let taken = peak(|| format.decode::<Value>(&bytes).expect_err("a lie"));
        assert_bounded("nested lies", bytes.len(), taken);
        let taken = peak(|| format.decode::<Vec<Value>>(&bytes).expect_err("a lie"));
        assert_bounded("nested lies", bytes.len(), taken);
    }
}

#[test]
fn the_peak_is_found() {
    assert_eq!(peak(|| vec![0_u8; 1000]), 1000);
    assert!(peak(|| (vec![0_u8; 1000], vec![0_u8; 500])) >= 1500);
}
