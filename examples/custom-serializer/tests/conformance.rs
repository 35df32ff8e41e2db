//! The rules that every serializer keeps.

use std::process::ExitCode;

use custom_serializer::TNetstrings;
use moleculer_testkit::{
    alloc::CountingAllocator,
    serializer::{Extra, run},
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    let packets = [Extra::Members, Extra::DiscovererMembers];
    let values = [
        Extra::WideInt,
        Extra::WholeBytes,
        Extra::SharedBytes,
        Extra::Bytes,
        Extra::NegativeZero,
        Extra::NonFinite,
    ];
    run(TNetstrings, &[&packets[..], &values].concat())
}
