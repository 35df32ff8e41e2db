//! How much memory decoding takes: never more than 64 times the input plus
//! 64 KiB, whatever the bytes. In a program of its own, since it counts every
//! allocation.

#[path = "../../moleculer-protocol/tests/support/allocations.rs"]
mod allocations;

use bytes::Bytes;
use moleculer_protocol::{PacketKind, Serializer, Value};
use moleculer_serializer_msgpack::MsgPackSerializer;

use self::allocations::{assert_bounded, peak};

const DIALECTS: [MsgPackSerializer; 2] = [MsgPackSerializer::new(), MsgPackSerializer::notepack()];

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
        for serializer in DIALECTS {
            check_list(serializer, part);
        }
    }
    // What only one dialect knows.
    let parts: [&[u8]; 4] = [b"\xd4\0\0", b"\xd4\x05\0", b"\xc7\0\0", b"\xc7\0\x05"];
    for part in parts {
        check_list(MsgPackSerializer::notepack(), part);
    }
}

fn check_list(serializer: MsgPackSerializer, part: &[u8]) {
    let bytes = list(part);
    let what = format!("{:x?} in {}", &part[..part.len().min(6)], serializer.name());
    let taken = peak(|| serializer.format().decode::<Value>(&bytes).expect(&what));
    assert_bounded(&what, bytes.len(), taken);
    // And as a packet that is built at once.
    let packet = packet(&[b"\xa8services", &bytes[..]].concat());
    let taken = peak(|| serializer.decode(PacketKind::Info, &packet).expect(&what));
    assert_bounded(&what, packet.len(), taken);
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
