//! How much memory a decoder takes.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

/// Runs a decoder and fails if it holds more than 64 times its input plus
/// 64 KiB at once.
pub(crate) fn bounded<T>(len: usize, decode: impl FnOnce() -> T) -> T {
    let before = NOW.get();
    PEAK.set(before);
    let result = decode();
    let taken = PEAK.get() - before;
    assert!(taken <= 64 * len + 64 * 1024, "{len} bytes became {taken}");
    result
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

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

#[cfg(test)]
mod tests {
    use super::bounded;

    #[test]
    fn what_is_freed_again_counts_too() {
        bounded(1000, || drop(vec![0_u8; 128_000]));
        let caught = std::panic::catch_unwind(|| bounded(1000, || drop(vec![0_u8; 130_000])));
        assert!(caught.is_err());
    }
}
