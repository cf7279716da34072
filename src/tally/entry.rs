//! One database's numbers, as a child uses them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::counted::{Counter, Held};
use super::histogram::{self, Histogram, Timer};
use super::{Tally, column};

/// See the module.
pub struct Entry {
    tally: Arc<Tally>,
    index: usize,
    /// This child's; none where it has none, and what it holds is not counted.
    column: Option<usize>,
}

/// Something held, until dropped.
pub struct Holding<'a> {
    entry: &'a Entry,
    what: Held,
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        self.entry.add(self.what, -1);
    }
}

/// The same, held by a value that lives as long as it likes.
pub struct Kept {
    entry: Arc<Entry>,
    what: Held,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.entry.add(self.what, -1);
    }
}

impl Entry {
    pub(super) fn new(tally: &Arc<Tally>, index: usize, column: Option<usize>) -> Self {
        Self { tally: Arc::clone(tally), index, column }
    }

    /// The Location that it counts for.
    pub fn location(&self) -> &str {
        &self.tally.names[self.index].location
    }

    /// Holds one more of something.
    pub fn hold(&self, what: Held) -> Holding<'_> {
        self.add(what, 1);
        Holding { entry: self, what }
    }

    pub fn keep(self: &Arc<Self>, what: Held) -> Kept {
        self.add(what, 1);
        Kept { entry: Arc::clone(self), what }
    }

    /// The same unless all children together hold `most` already. (Of several that try for the last one at the same
    /// moment, none may get it; never does more than one.)
    pub fn try_hold(&self, what: Held, most: u64) -> Option<Holding<'_>> {
        let holding = self.hold(what);
        self.is_within(what, most).then_some(holding)
    }

    /// Whether all children together hold at most so much.
    pub fn is_within(&self, what: Held, most: u64) -> bool {
        if self.sum(what) <= most {
            return true;
        }
        column::bury_the_dead(&self.tally, self.index, what);
        self.sum(what) <= most
    }

    /// What all children hold together.
    pub fn sum(&self, what: Held) -> u64 {
        self.tally.layout.held(self.index, what).map(|at| self.tally.word(at).load(Ordering::SeqCst)).sum()
    }

    /// Notes that work begins now; see [`Entry::newest_work`].
    pub fn begins(&self) {
        if let Some(column) = self.column {
            let at = self.tally.layout.held(self.index, Held::Began).start + column;
            self.tally.word(at).store(now_ms(), Ordering::SeqCst);
        }
    }

    /// How long ago the newest work of those at work began; none if nobody is.
    pub fn newest_work(&self) -> Option<Duration> {
        let layout = self.tally.layout;
        let working = layout.held(self.index, Held::Working).zip(layout.held(self.index, Held::Began));
        let load = |at| self.tally.word(at).load(Ordering::SeqCst);
        let newest = working.filter(|(working, _)| load(*working) > 0).map(|(_, began)| load(began)).max()?;
        Some(Duration::from_millis(now_ms().saturating_sub(newest)))
    }

    fn add(&self, what: Held, one: i64) {
        let Some(column) = self.column else { return };
        let word = self.tally.word(self.tally.layout.held(self.index, what).start + column);
        // the child before, or whoever took it for dead, may have emptied the column
        let _ = word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |held| Some(held.saturating_add_signed(one)));
    }

    fn counter(&self, which: Counter) -> &AtomicU64 {
        self.tally.word(self.tally.layout.counter(self.index, which))
    }

    /// One more; how many there are then.
    pub fn count(&self, which: Counter) -> u64 {
        self.counter(which).fetch_add(1, Ordering::Relaxed) + 1
    }

    pub fn set(&self, which: Counter, value: u64) {
        self.counter(which).store(value, Ordering::Relaxed);
    }

    /// Makes 0 of it; what it was.
    pub fn take(&self, which: Counter) -> u64 {
        self.counter(which).swap(0, Ordering::Relaxed)
    }

    /// Makes `new` of it if it is still `old`: of several that try, one does.
    pub fn swap(&self, which: Counter, old: u64, new: u64) -> bool {
        self.counter(which).compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    pub fn get(&self, which: Counter) -> u64 {
        self.counter(which).load(Ordering::Relaxed)
    }

    /// The database answered, or failed: by saying nothing at all, or otherwise.
    pub fn came_to(&self, success: bool, silent: bool) {
        let when = if success { Counter::LastSuccess } else { Counter::LastFailure };
        self.counter(when).store(now_ms(), Ordering::Relaxed);
        self.counter(Counter::Silent).store(u64::from(silent), Ordering::Relaxed);
    }

    /// Whether the last attempt to end found a database that says nothing.
    pub fn is_silent(&self) -> bool {
        self.get(Counter::Silent) != 0
    }

    /// Keeps the outcome of a check: a number for each step.
    pub fn checked(&self, steps: impl IntoIterator<Item = u64>) {
        self.counter(Counter::LastCheck).store(now_ms(), Ordering::Relaxed);
        for (step, outcome) in steps.into_iter().enumerate().take(super::words::STEPS) {
            self.tally.word(self.tally.layout.step(self.index, step)).store(outcome, Ordering::Relaxed);
        }
    }

    /// The outcome of a step of the last check.
    pub fn step(&self, step: usize) -> u64 {
        self.tally.word(self.tally.layout.step(self.index, step)).load(Ordering::Relaxed)
    }

    /// Counts a time.
    pub fn timed(&self, timer: Timer, took: Duration) {
        histogram::count(self.histogram_words(timer), took);
    }

    pub fn histogram(&self, timer: Timer) -> Histogram {
        histogram::read(self.histogram_words(timer))
    }

    fn histogram_words(&self, timer: Timer) -> &[AtomicU64] {
        let start = self.tally.layout.histogram(self.index, timer);
        &self.tally.words.as_ref().as_ref()[start..start + histogram::WORDS]
    }
}

/// Milliseconds since the epoch.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
