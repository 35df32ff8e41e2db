//! A global allocator that counts, so that allocations per operation can be reported.
//!
//! While nothing is counted it costs every peer alike: one relaxed load per allocation and per free.
#![allow(unsafe_code, reason = "a global allocator cannot be written without")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ENABLED: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);
static KEPT: AtomicI64 = AtomicI64::new(0);

/// Starts counting at zero, for all threads.
pub(crate) fn start() {
    COUNT.store(0, Relaxed);
    KEPT.store(0, Relaxed);
    ENABLED.store(true, Relaxed);
}

/// Stops counting and returns the number of allocations and reallocations since `start`.
pub(crate) fn stop() -> u64 {
    ENABLED.store(false, Relaxed);
    COUNT.load(Relaxed)
}

/// How many bytes more are allocated than were at `start`, as long as it counted.
pub(crate) fn kept() -> i64 {
    KEPT.load(Relaxed)
}

struct Counting;

fn allocated(bytes: usize) {
    if ENABLED.load(Relaxed) {
        COUNT.fetch_add(1, Relaxed);
        KEPT.fetch_add(bytes as i64, Relaxed);
    }
}

fn freed(bytes: usize) {
    if ENABLED.load(Relaxed) {
        KEPT.fetch_sub(bytes as i64, Relaxed);
    }
}

// SAFETY: every method passes its arguments unchanged to `System`, which upholds the contract; counting touches atomics
// only and never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        allocated(layout.size());
        // SAFETY: the caller upholds `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        allocated(layout.size());
        // SAFETY: the caller upholds `alloc_zeroed`'s contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        freed(layout.size());
        allocated(new_size);
        // SAFETY: the caller upholds `realloc`'s contract, and `ptr` comes from `System`.
        unsafe { System.realloc(ptr, layout, new_size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        freed(layout.size());
        // SAFETY: the caller upholds `dealloc`'s contract, and `ptr` comes from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }
}
