//! Tests of how much memory decoding takes, where a format has more to show
//! than the conformance suite knows.
//!
//! A test program of its own includes it, since it becomes the allocator:
//! `#[path = "../../moleculer-protocol/tests/support/allocations.rs"] mod allocations;`.

use moleculer_testkit::alloc::{self, CountingAllocator};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// The most that `run` holds at once, in bytes.
pub(crate) fn peak<T>(run: impl FnOnce() -> T) -> usize {
    alloc::peak(run).1
}

/// Fails if `peak` is above what the contract of serializers allows for an input
/// of `len` bytes: 64 times as much plus 64 KiB.
pub(crate) fn assert_bounded(what: &str, len: usize, peak: usize) {
    let factor = peak.saturating_sub(64 * 1024) as f64 / len as f64;
    assert!(factor <= 64.0, "{what}: {len} bytes became {peak}, {factor:.1} times");
}
