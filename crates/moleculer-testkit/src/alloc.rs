//! How much memory a piece of code holds: [`CountingAllocator`] and [`peak`].

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

/// The system's allocator, counting what each thread holds.
///
/// A test program installs it to let [`peak`] measure:
///
/// ```
/// use moleculer_testkit::alloc::{CountingAllocator, peak};
///
/// #[global_allocator]
/// static ALLOCATOR: CountingAllocator = CountingAllocator;
///
/// let (buffer, bytes) = peak(|| vec![0_u8; 1000]);
/// assert_eq!((buffer.len(), bytes), (1000, 1000));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAllocator;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

#[allow(unsafe_code, reason = "an allocator is unsafe by nature; this one passes everything on")]
// SAFETY: each call is passed on to the system's allocator with its arguments.
// The default `realloc` holds old and new at once, which is the worst case.
unsafe impl GlobalAlloc for CountingAllocator {
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

/// Runs `run` and tells the most bytes that this thread held at once
/// meanwhile, beyond what it held before; 0 unless [`CountingAllocator`] is
/// installed.
///
/// Memory that other threads take is not seen.
pub fn peak<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.get();
    PEAK.set(before);
    let result = run();
    (result, PEAK.get() - before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_found_though_it_is_over() {
        assert_eq!(peak(|| vec![0_u8; 1000].len()), (1000, 1000));
        let (_, taken) = peak(|| {
            drop((vec![0_u8; 1000], vec![0_u8; 500]));
            vec![0_u8; 10].len()
        });
        assert_eq!(taken, 1500);
        assert_eq!(peak(|| ()), ((), 0));
    }

    #[test]
    fn a_growing_list_holds_old_and_new_at_once() {
        let mut list = vec![0_u8; 1000];
        assert!(peak(|| list.push(0)).1 >= 2000);
    }
}
