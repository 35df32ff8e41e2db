//! The rules that every serializer keeps.

use std::process::ExitCode;

use moleculer_protocol::JsonSerializer;
use moleculer_testkit::{
    alloc::CountingAllocator,
    serializer::{Extra, run},
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    run(JsonSerializer, &[Extra::Members, Extra::DiscovererMembers, Extra::WideInt])
}
