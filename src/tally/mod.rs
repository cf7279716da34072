//! What all children of this server count together: who is at work in which database, what came of it, since when.
//!
//! The parent makes the memory before it forks ([`Tally::new`]); each child has a column of its own in it, under its
//! process id, so that what a child held goes with it however it dies. A graceful restart keeps the memory while the
//! databases are the same: children of the old generation and of the new one then share one count. A change of the
//! configuration begins anew with what was counted so far; the old generation ends on the old memory.
//!
//! There is nothing to lock: every word is one atomic number. Plain Rust: the memory itself is `httpd`'s concern.
#![forbid(unsafe_code)]

mod column;
mod counted;
mod entry;
mod histogram;
mod words;

pub use counted::{Counter, Held};
pub use entry::{Entry, Holding, Kept, now_ms};
pub use histogram::{BOUNDS_US, Histogram, Timer};

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use words::Layout;
pub use words::Words;

/// What an entry is for: "/dbtest", and the database as a URL without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The Location, or several that share all their settings.
    pub location: String,
    /// Never shown: tells whether a Location still has the database that its counts are of.
    pub database: String,
}

/// The memory of one generation of children, or of several.
pub struct Tally {
    words: Words,
    layout: Layout,
    names: Vec<Name>,
}

impl Tally {
    /// Words of memory for so many children and databases.
    pub fn size(children: usize, databases: usize) -> usize {
        Layout { children }.size(databases)
    }

    /// `words` are as many as [`Tally::size`] says, zero at first.
    pub fn new(words: Words, children: usize, names: Vec<Name>) -> Self {
        Self { words, layout: Layout { children }, names }
    }

    /// Whether the same memory serves a configuration with these databases.
    pub fn is_for(&self, children: usize, names: &[Name]) -> bool {
        self.layout.children >= children && self.names == names
    }

    /// Takes over what `older` counted for the same Locations and databases. What its children hold they hold there.
    pub fn carry_over(&self, older: &Self) {
        for (index, name) in self.names.iter().enumerate() {
            let Some(before) = older.names.iter().position(|other| other == name) else { continue };
            let (from, to) = (older.layout.counts(before), self.layout.counts(index));
            for (from, to) in from.zip(to) {
                self.word(to).store(older.word(from).load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
    }

    /// The entries as this child uses them.
    pub fn join(self: &Arc<Self>, pid: u32) -> Vec<Arc<Entry>> {
        let column = column::claim(self, pid);
        (0..self.names.len()).map(|index| Arc::new(Entry::new(self, index, column))).collect()
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        &self.words.as_ref().as_ref()[at]
    }
}

/// An entry that nobody shares: for what is not among the Locations that the parent knows, and for tests.
pub fn private() -> Arc<Entry> {
    let words: Vec<AtomicU64> = std::iter::repeat_with(AtomicU64::default).take(Tally::size(1, 1)).collect();
    let name = Name { location: String::new(), database: String::new() };
    let tally = Arc::new(Tally::new(Arc::new(words), 1, vec![name]));
    let column = column::claim(&tally, std::process::id());
    Arc::new(Entry::new(&tally, 0, column))
}

#[cfg(test)]
mod tests;
