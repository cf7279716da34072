//! The time that a statement has: to run, and to wait for locks.
//!
//! SQLite's own waiting (`busy_timeout`) sleeps up to 100 ms at a time. Where every child of a server writes, the
//! lock then lies free most of the time, and some wait in vain until their time is over. Measured with 16 writers of
//! 640 rows and half a second to wait: 2.6 to 3.9 s and 29 to 55 refused; with the pauses here 0.5 to 0.6 s and none
//! where 200 µs pass between a writer's rows, 0.6 to 1.7 s and up to 19 refused where none pass.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest pause between two looks at a lock, while it may be one commit that holds it …
const PAUSE: Duration = Duration::from_micros(300);

/// … and once it was looked at so often that it is not.
const LONG_PAUSE: (i32, Duration) = (1000, Duration::from_millis(5));

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
        looks if looks < LONG_PAUSE.0 => PAUSE,
        _ => LONG_PAUSE.1,
    };
    std::thread::sleep(pause);
    true
}
