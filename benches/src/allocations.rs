//! A global allocator that counts, so that allocations per operation can be reported.
//!
//! While nothing is counted it costs every peer alike: one relaxed load per allocation.
#![allow(unsafe_code, reason = "a global allocator cannot be written without")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ENABLED: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Starts counting at zero, for all threads.
pub(crate) fn start() {
    COUNT.store(0, Relaxed);
    ENABLED.store(true, Relaxed);
}

/// Stops counting and returns the number of allocations and reallocations since `start`.
pub(crate) fn stop() -> u64 {
    ENABLED.store(false, Relaxed);
    COUNT.load(Relaxed)
}

struct Counting;

fn tick() {
    if ENABLED.load(Relaxed) {
        COUNT.fetch_add(1, Relaxed);
    }
}

// SAFETY: every method passes its arguments unchanged to `System`, which upholds the contract; counting touches atomics
// only and never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        tick();
        // SAFETY: the caller upholds `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        tick();
        // SAFETY: the caller upholds `alloc_zeroed`'s contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        tick();
        // SAFETY: the caller upholds `realloc`'s contract, and `ptr` comes from `System`.
        unsafe { System.realloc(ptr, layout, new_size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds `dealloc`'s contract, and `ptr` comes from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }
}
