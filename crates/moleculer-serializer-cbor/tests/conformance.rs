//! The rules that every serializer keeps.

use std::process::ExitCode;

use moleculer_serializer_cbor::CborSerializer;
use moleculer_testkit::{
    alloc::CountingAllocator,
    serializer::{Extra, run},
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    run(
        CborSerializer::new(),
        &[
            Extra::Members,
            Extra::DiscovererMembers,
            Extra::WholeBytes,
            Extra::SharedBytes,
            Extra::Bytes,
            Extra::Undefined,
            Extra::NegativeZero,
            Extra::NonFinite,
            Extra::Date,
            Extra::InvalidDate,
            Extra::BigInt,
            Extra::TypedArray,
            Extra::Set,
            Extra::RegExp,
        ],
    )
}
