//! The time that a statement has: to run, and to wait for locks.
//!
//! SQLite's own waiting (`busy_timeout`) sleeps up to 100 ms at a time: where every child of a server writes, some wait
//! in vain until their time is over while others go ahead of them. The pauses here store as many rows, and the slowest
//! of them in half the time (bench/RESULTS.md, POST, SQLite, prefork, 16 clients).

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

thread_local! {
    /// When the statement that runs on this thread has waited long enough: SQLite's callback for locks is
    /// a bare function. (No destructor: those run when a child exits, and must find nothing.)
    static LOCKS_UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// When a connection's statement is to end. Its clone in the progress handler interrupts what runs past it.
#[derive(Clone)]
pub struct Deadline {
    start: Instant,
    /// Nanoseconds after `start`.
    at: Arc<AtomicU64>,
}

impl Deadline {
    pub fn new() -> Self {
        Self { start: Instant::now(), at: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// From now, for what this thread does.
    pub fn set(&self, limit: Duration) {
        let now = Instant::now();
        let at = now.duration_since(self.start).saturating_add(limit).as_nanos();
        self.at.store(u64::try_from(at).unwrap_or(u64::MAX), Ordering::Relaxed);
        LOCKS_UNTIL.set(now.checked_add(limit));
    }

    pub fn is_over(&self) -> bool {
        self.start.elapsed() > Duration::from_nanos(self.at.load(Ordering::Relaxed))
    }
}

/// SQLite's busy handler: whether to look at the lock again, after a pause.
pub fn wait_for_lock(looks: i32) -> bool {
    if LOCKS_UNTIL.get().is_some_and(|until| Instant::now() >= until) {
        return false;
    }
    let pause = match looks {
        // it may be one commit that holds it
        ..4 => Duration::from_micros(300),
        // several wait: every look takes time that the one who commits could use
        4..500 => Duration::from_millis(2),
        // this is no commit
        _ => Duration::from_millis(5),
    };
    std::thread::sleep(pause);
    true
}
