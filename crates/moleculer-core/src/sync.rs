//! Locking: [`lock`].

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks for a few instructions. A panic under one of these short locks leaves
/// a whole value behind, so poison is no reason to fail.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
