//! What the request of this thread has spent so far in the database and in waiting for it: for the access log and for
//! `Server-Timing`. A thread serves one request at a time, so the numbers are the thread's.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Times of one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Connecting, and at work on a connection: by this request itself, not by another that answered for it.
    pub query: Duration,
    /// Until it was let to the database, or answered by another.
    pub wait: Duration,
}

thread_local! {
    // without a destructor, which a library inside httpd is better without
    static SPENT: Cell<Spent> = const { Cell::new(Spent { query: Duration::ZERO, wait: Duration::ZERO }) };
}

/// Begins a request.
pub fn restart() {
    SPENT.set(Spent::default());
}

/// What the request has spent.
pub fn so_far() -> Spent {
    SPENT.get()
}

/// Counts a time at the database.
pub fn at_the_database<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let answer = work();
    let took = began.elapsed();
    let spent = SPENT.get();
    SPENT.set(Spent { query: spent.query + took, ..spent });
    (answer, took)
}

/// Counts as waiting what `work` does not spend at the database.
pub fn waiting<T>(work: impl FnOnce() -> T) -> T {
    let (began, before) = (Instant::now(), SPENT.get().query);
    let answer = work();
    let spent = SPENT.get();
    SPENT.set(Spent { wait: spent.wait + began.elapsed().saturating_sub(spent.query - before), ..spent });
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_what_is_not_spent_at_the_database() {
        restart();
        let pause = Duration::from_millis(20);
        waiting(|| {
            std::thread::sleep(pause);
            at_the_database(|| std::thread::sleep(pause * 5))
        });
        let spent = so_far();
        assert!(spent.query >= pause * 5 && spent.wait >= pause && spent.wait < spent.query, "{spent:?}");
        restart();
        assert_eq!(so_far(), Spent::default());
    }
}
