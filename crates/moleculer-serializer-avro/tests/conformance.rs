//! The rules that every serializer keeps.

use std::process::ExitCode;

use moleculer_serializer_avro::AvroSerializer;
use moleculer_testkit::{
    alloc::CountingAllocator,
    serializer::{Extra, run},
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    run(AvroSerializer, &[Extra::WideInt, Extra::WholeBytes, Extra::SharedBytes])
}
