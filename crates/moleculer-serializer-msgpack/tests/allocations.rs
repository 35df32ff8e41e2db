//! How much memory decoding takes: never more than 64 times the input plus
//! 64 KiB, whatever the bytes. In a program of its own, since it counts every
//! allocation.

#[path = "../../moleculer-protocol/tests/support/allocations.rs"]
mod allocations;

use moleculer_protocol::{Serializer, Value};
use moleculer_serializer_msgpack::MsgPackSerializer;

use self::allocations::{assert_bounded, peak};

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
