//! What peers that mean no good may cost: memory that is counted, time of
//! others, and lines of the log.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use moleculer_testkit::alloc::CountingAllocator;

mod silent;
mod stalled;
#[allow(dead_code, unused_imports, reason = "the other test program uses the rest")]
#[path = "../nodes/support/mod.rs"]
mod support;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;
