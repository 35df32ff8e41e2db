//! The rules that every serializer keeps.

use std::process::ExitCode;

use moleculer_serializer_json_ext::JsonExtSerializer;
use moleculer_testkit::{
    alloc::CountingAllocator,
    serializer::{Extra, run},
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    run(
        JsonExtSerializer,
        &[
            Extra::Members,
            Extra::DiscovererMembers,
            Extra::WideInt,
            Extra::WholeBytes,
            Extra::Bytes,
            Extra::Date,
            Extra::BigInt,
            Extra::Set,
            Extra::RegExp,
        ],
    )
}
