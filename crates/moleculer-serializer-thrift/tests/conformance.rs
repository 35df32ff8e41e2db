//! The rules that every serializer keeps.

use std::process::ExitCode;

use moleculer_serializer_thrift::ThriftSerializer;
use moleculer_testkit::{
    alloc::CountingAllocator,
    serializer::{Extra, run},
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    run(ThriftSerializer, &[Extra::WideInt, Extra::WholeBytes, Extra::SharedBytes])
}
