//! The same with the option for maps: they arrive as maps.

use std::process::ExitCode;

use moleculer_protocol::{Object, Value};
use moleculer_serializer_cbor::CborSerializer;
use moleculer_testkit::{
    alloc::CountingAllocator,
    serializer::{Extra, run},
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    let options = Value::from(Object::from([("useTag259ForMaps", true)]));
    let config = options.into_type().expect("valid options");
    let packets = [Extra::Members, Extra::DiscovererMembers, Extra::SharedBytes];
    let values = Extra::VALUES.into_iter().filter(|extra| *extra != Extra::WideInt);
    let carries: Vec<_> = packets.into_iter().chain(values).collect();
    run(CborSerializer::with_config(config), &carries)
}
