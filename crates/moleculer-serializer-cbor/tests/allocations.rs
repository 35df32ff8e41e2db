//! How much memory decoding takes: never more than 64 times the input plus
//! 64 KiB, whatever the bytes. In a program of its own, since it counts every
//! allocation.

#[path = "../../moleculer-protocol/tests/support/allocations.rs"]
mod allocations;

use bytes::Bytes;
use moleculer_protocol::{PacketKind, Serializer, Value};
use moleculer_serializer_cbor::CborSerializer;

use self::allocations::{assert_bounded, peak};

/// A list whose length is just above a power of two, where a growing list
/// wastes most.
fn list(part: &[u8]) -> Vec<u8> {
    let parts: u32 = if part.len() < 10 { 65_600 } else { 2060 };
    let mut bytes = vec![0x9a];
    bytes.extend(parts.to_be_bytes());
    bytes.extend(part.repeat(parts as usize));
    bytes
}

fn packet(members: &[u8]) -> Bytes {
    [b"\xa2\x66sender\x61n", members].concat().into()
}

#[test]
fn lists_of_small_values_are_bounded() {
    let format = CborSerializer::new().format();
    let parts: [&[u8]; 31] = [
        b"\xf6",
        b"\xf7",
        b"\x60",
        b"\x61a",
        b"\x40",
        b"\x80",
        b"\x9f\xff",
        b"\x81\xf6",
        b"\x9f\xf6\xff",
        b"\x84\xf6\xf6\xf6\xf6",
        b"\xa0",
        b"\xbf\xff",
        b"\xa1\x60\xf6",
        b"\xbf\x60\xf6\xff",
        b"\xa2\x60\xf6\x61a\xf6",
        b"\xa1\x60\xa0",
        b"\xa1\x60\x81\xf6",
        b"\x81\x81\x81\x81\xf6",
        b"\xc1\0",
        b"\x1b\0\0\0\0\0\0\0\0",
        b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xc2\x40",
        b"\xc3\x49\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xd8\x40\x40",
        b"\xd8\x42\x44abcd",
        b"\xd8\x1b\x82\x60\x60",
        b"\xd8\x1b\x83\x66RegExp\x60\x60",
        b"\xd9\x01\x02\x80",
        b"\xd9\x01\x02\x81\xf6",
        b"\xd9\x01\x03\xa0",
        b"\xd9\x01\x03\xa1\xf6\xf6",
    ];
    let deep: Vec<u8> = [vec![0x81; 100], vec![0xf6]].concat();
    let objects: Vec<u8> = [b"\xa1\x60".repeat(100), vec![0xf6]].concat();
    let open: Vec<u8> = [vec![0x9f; 100], vec![0xff; 100]].concat();
    for part in parts.into_iter().chain([&deep[..], &objects, &open]) {
        let bytes = list(part);
        let what = format!("{:x?}", &part[..part.len().min(6)]);
        let taken = peak(|| format.decode::<Value>(&bytes).expect(&what));
        assert_bounded(&what, bytes.len(), taken);
        // And as a packet that is built at once.
        let packet = packet(&[b"\x68services", &bytes[..]].concat());
        let taken = peak(|| {
            let packet = CborSerializer::new().decode(PacketKind::Info, &packet);
            packet.expect(&what)
        });
        assert_bounded(&what, packet.len(), taken);
    }
}

/// Each list announces as much as is left.
#[test]
fn lengths_that_lie_at_every_level_are_bounded() {
    let format = CborSerializer::new().format();
    let list: &[u8] = &[0x9a, 0, 0, 0x4e, 0x20];
    let levels: [&[&[u8]]; 4] =
        [&[list], &[&[0xba, 0, 0, 0x4e, 0x20], b"\x60"], &[b"\x9f", list], &[b"\xbf\x60", list]];
    for level in levels {
        let mut bytes = level.concat().repeat(50);
        bytes.extend([0xf6; 50_000]);
        let taken = peak(|| format.decode::<Value>(&bytes).expect_err("a lie"));
        assert_bounded("nested lies", bytes.len(), taken);
        let taken = peak(|| format.decode::<Vec<Value>>(&bytes).expect_err("a lie"));
        assert_bounded("nested lies", bytes.len(), taken);
    }
}

/// Skipping needs memory for each list without a length.
#[test]
fn skipping_deep_values_is_bounded() {
    for head in [0x9f, 0xbf] {
        let mut bytes = Vec::new();
        for _ in 0..200_000 {
            bytes.push(head);
            if head == 0xbf {
                bytes.push(0x60);
            }
        }
        bytes.push(0xf6);
        bytes.extend([0xff; 200_000]);
        let packet = packet(&[b"\x61x", &bytes[..]].concat());
        let taken = peak(|| {
            let packet = CborSerializer::new().decode(PacketKind::Discover, &packet);
            packet.expect("a packet")
        });
        assert_bounded("deep", packet.len(), taken);
    }
}

/// Small ones take the most, and long ones pass through words and digits.
#[test]
fn big_integers_are_bounded() {
    let format = CborSerializer::new().format();
    for len in [9_u16, 10, 100, 1024] {
        let mut number = vec![0xc2, 0x59];
        number.extend(len.to_be_bytes());
        number.extend(vec![0xff; len.into()]);
        let bytes = list(&number);
        let taken = peak(|| format.decode::<Value>(&bytes).expect("big integers"));
        assert_bounded(&format!("{len} bytes"), bytes.len(), taken);
    }
}
