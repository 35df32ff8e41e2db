//! The rules that every serializer keeps.

use std::process::ExitCode;

use moleculer_serializer_msgpack::MsgPackSerializer;
use moleculer_testkit::{
    alloc::CountingAllocator,
    serializer::{Extra, run},
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    run(
        MsgPackSerializer::notepack(),
        &[
            Extra::Members,
            Extra::DiscovererMembers,
            Extra::WideInt,
            Extra::WholeBytes,
            Extra::SharedBytes,
            Extra::Bytes,
            Extra::Date,
            Extra::NegativeZero,
            Extra::NonFinite,
        ],
    )
}
