//! Counts allocations, for tests of how much memory decoding takes.
//!
//! A test program of its own includes it, since it becomes the allocator:
//! `#[path = "../../moleculer-protocol/tests/support/allocations.rs"] mod allocations;`.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

struct Counting;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

#[allow(unsafe_code, reason = "an allocator is unsafe by nature; this one passes everything on")]
// SAFETY: each call is passed on to the system's allocator with its arguments.
// The default `realloc` holds old and new at once, which is the worst case.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.get() + layout.size();
        NOW.set(now);
        PEAK.set(PEAK.get().max(now));
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.set(NOW.get().saturating_sub(layout.size()));
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that `run` holds at once, in bytes.
pub(crate) fn peak<T>(run: impl FnOnce() -> T) -> usize {
    let before = NOW.get();
    PEAK.set(before);
    let result = run();
    let peak = PEAK.get() - before;
    drop(result);
    peak
}

/// Fails if `peak` is above what the contract of serializers allows for an input
/// of `len` bytes: 64 times as much plus 64 KiB.
pub(crate) fn assert_bounded(what: &str, len: usize, peak: usize) {
    let factor = peak.saturating_sub(64 * 1024) as f64 / len as f64;
    assert!(factor <= 64.0, "{what}: {len} bytes became {peak}, {factor:.1} times");
}

#[test]
fn the_peak_is_found() {
    assert_eq!(peak(|| vec![0_u8; 1000]), 1000);
    assert!(peak(|| (vec![0_u8; 1000], vec![0_u8; 500])) >= 1500);
}
