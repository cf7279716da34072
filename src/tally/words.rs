//! Where in the memory each number is.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::counted::{Counter, Held};
use super::histogram::{self, Timer};

/// Memory that several processes may share.
pub type Words = Arc<dyn AsRef<[AtomicU64]> + Send + Sync>;

/// First the process ids of the children, then for each database what each child holds, then what all counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    pub children: usize,
}

impl Layout {
    pub fn size(self, databases: usize) -> usize {
        self.children + databases * self.entry()
    }

    fn entry(self) -> usize {
        Held::ALL.len() * self.children + COUNTS
    }

    /// The process id of a child.
    pub fn pid(self, column: usize) -> usize {
        column
    }

    /// What each child holds of one thing.
    pub fn held(self, entry: usize, what: Held) -> Range<usize> {
        let start = self.children + entry * self.entry() + what as usize * self.children;
        start..start + self.children
    }

    /// What all children counted.
    pub fn counts(self, entry: usize) -> Range<usize> {
        let start = self.children + entry * self.entry() + Held::ALL.len() * self.children;
        start..start + COUNTS
    }

    pub fn counter(self, entry: usize, which: Counter) -> usize {
        self.counts(entry).start + which as usize
    }

    /// The first word of a histogram.
    pub fn histogram(self, entry: usize, timer: Timer) -> usize {
        self.counts(entry).start + Counter::ALL.len() + timer as usize * histogram::WORDS
    }

    /// The outcome of a step of the last check, by the step's number.
    pub fn step(self, entry: usize, step: usize) -> usize {
        assert!(step < STEPS, "a step has a word");
        self.counts(entry).start + Counter::ALL.len() + Timer::ALL.len() * histogram::WORDS + step
    }
}

/// Steps of a check, at most.
pub const STEPS: usize = 16;

const COUNTS: usize = Counter::ALL.len() + Timer::ALL.len() * histogram::WORDS + STEPS;
