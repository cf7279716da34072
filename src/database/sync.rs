//! The locks and the clock that `wait_queue.rs` and `batch.rs` are built on. A module of its own so that `model.rs` can
//! put others in their place, under which every schedule is tried.

pub use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
pub use std::sync::{Condvar, Mutex, MutexGuard};

use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// The data behind a lock. Nobody panics while holding one of ours, so there is no poison to heed.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits to be woken, or for no reason at all, or until the time is over.
pub fn wait<'a, T>(
    _mutex: &'a Mutex<T>,
    wake_up: &Condvar,
    guard: MutexGuard<'a, T>,
    at_most: Duration,
) -> MutexGuard<'a, T> {
    wake_up.wait_timeout(guard, at_most).unwrap_or_else(PoisonError::into_inner).0
}

pub fn now() -> Instant {
    Instant::now()
}
