//! How many of a child's threads may wait for databases that do not get on: as many as leave some free for others.
//!
//! A database that hangs must leave the child threads for everything else that it serves; but as long as there are idle
//! ones to spare, waiting harms nobody, however slow the disk or busy the machine. So what counts is not how long
//! somebody waits but how many threads are free: httpd's scoreboard says it.

use super::sync::{AtomicU32, Ordering};

/// Counts the threads of this child that are busy, with whatever.
pub type Busy = dyn Fn() -> u32 + Send + Sync;

/// See the module. Shared by all databases of a child.
pub struct StallLimit {
    threads: u32,
    busy: Box<Busy>,
    /// Requests at work in a database, and those let through to wait for work that takes long.
    held: AtomicU32,
    /// Requests that wait and are not among the held.
    waiting: AtomicU32,
}

impl StallLimit {
    /// For a child of so many threads.
    pub fn new(threads: u32, busy: Box<Busy>) -> Self {
        Self { threads, busy, held: AtomicU32::new(0), waiting: AtomicU32::new(0) }
    }

    /// Requests that may be at work in one database, since work that has begun cannot be taken back: a quarter of the
    /// threads, and at least one.
    pub fn at_work_at_most(&self) -> u32 {
        (self.threads / 4).max(1)
    }

    /// A quarter of the threads stays free for others. What others use themselves is taken from ours, down to a
    /// quarter.
    fn held_at_most(&self) -> u32 {
        let quarter = self.at_work_at_most();
        let ours = self.held.load(Ordering::SeqCst) + self.waiting.load(Ordering::SeqCst);
        let others = (self.busy)().saturating_sub(ours);
        self.threads.saturating_sub(quarter + others).max(quarter)
    }

    /// Whether no thread is left for a database that just failed.
    pub fn is_full(&self) -> bool {
        self.held.load(Ordering::SeqCst) >= self.held_at_most()
    }

    /// Counts requests that are at work from now on.
    pub fn enter(&self, many: u32) {
        self.held.fetch_add(many, Ordering::SeqCst);
    }

    /// They are not any more.
    pub fn leave(&self, many: u32) {
        self.held.fetch_sub(many, Ordering::SeqCst);
    }

    /// Counts a request that waits, until the value is dropped.
    pub fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Waiting { limit: self, counted: Counted::Waiting }
    }
}

/// A request that waits.
pub struct Waiting<'a> {
    limit: &'a StallLimit,
    counted: Counted,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Counted {
    Waiting,
    /// Let through to wait for work that takes long.
    Held,
    /// With those at work.
    AtWork,
}

impl Waiting<'_> {
    /// Whether it may wait although what it waits for takes long.
    pub fn may_stay(&mut self) -> bool {
        if self.counted != Counted::Waiting {
            return true;
        }
        let most = self.limit.held_at_most();
        let one_more = |held| (held < most).then_some(held + 1);
        let stays = self.limit.held.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_ok();
        if stays {
            self.limit.waiting.fetch_sub(1, Ordering::SeqCst);
            self.counted = Counted::Held;
        }
        stays
    }

    pub fn was_let_through(&self) -> bool {
        self.counted == Counted::Held
    }

    /// Those at work have counted it among themselves.
    pub fn is_at_work(&mut self) {
        self.uncount();
        self.counted = Counted::AtWork;
    }

    fn uncount(&self) {
        match self.counted {
            Counted::Waiting => drop(self.limit.waiting.fetch_sub(1, Ordering::SeqCst)),
            Counted::Held => self.limit.leave(1),
            Counted::AtWork => {}
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.uncount();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32 as Number;

    use super::*;

    #[test]
    fn as_many_may_wait_as_leave_a_quarter_free() {
        let busy = Arc::new(Number::new(0));
        let seen = Arc::clone(&busy);
        let limit = StallLimit::new(16, Box::new(move || seen.load(Ordering::SeqCst)));
        let stay = |all: u32| {
            busy.fetch_add(all, Ordering::SeqCst);
            let mut waiting: Vec<_> = (0..all).map(|_| limit.wait()).collect();
            let stay = waiting.iter_mut().map(Waiting::may_stay).filter(|stays| *stays).count();
            assert_eq!(waiting.iter_mut().filter(|one| one.was_let_through()).count(), stay);
            busy.fetch_sub(all, Ordering::SeqCst);
            stay
        };
        assert_eq!(stay(16), 12);
        assert_eq!(stay(3), 3);
        // ten threads serve something else
        busy.store(10, Ordering::SeqCst);
        assert_eq!(stay(6), 4, "never less than a quarter");
        busy.store(7, Ordering::SeqCst);
        assert_eq!(stay(9), 5);
        limit.enter(5);
        busy.store(12, Ordering::SeqCst);
        assert!(limit.is_full());
        assert_eq!(stay(1), 0);
        limit.leave(5);
        busy.store(0, Ordering::SeqCst);
        assert_eq!(stay(16), 12, "all that was counted is counted no more");
    }

    #[test]
    fn a_child_of_one_thread_has_it() {
        let limit = StallLimit::new(1, Box::new(|| 1));
        assert_eq!(limit.at_work_at_most(), 1);
        assert!(!limit.is_full());
        assert!(limit.wait().may_stay());
    }
}
