//! The rules that every serializer keeps.

use std::process::ExitCode;

use moleculer_serializer_protobuf::ProtoBufSerializer;
use moleculer_testkit::{
    alloc::CountingAllocator,
    serializer::{Extra, run},
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    run(
        ProtoBufSerializer,
        &[Extra::OpenEnd, Extra::WideInt, Extra::WholeBytes, Extra::SharedBytes],
    )
}
