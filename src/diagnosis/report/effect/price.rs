//! The scale by which fixes are measured.

use serde::Serialize;

/// What a fix does, from harmless to grave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It shows something.
    Looks,
    /// It gives the page a right that it lacks.
    Grants,
    /// It adds what is missing, or puts back what was right.
    Corrects,
    /// Others may notice: it reshapes, loosens, moves, or guesses a size.
    Changes,
    /// Something that others may rely on is gone, or stops.
    Removes,
}

impl Effect {
    /// It takes nothing away from anybody.
    pub fn is_narrow(self) -> bool {
        matches!(self, Self::Grants | Self::Corrects)
    }
}

/// What a fix costs, and how it is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    pub effect: Effect,
    /// Empty for what takes nothing away.
    pub costs: &'static str,
    /// Empty where nothing need be taken back.
    pub undo: &'static str,
}

/// One thing that a fix may do: a statement or command that begins with `first` and holds `then`.
pub struct Deed(pub &'static str, pub &'static str, pub Price);

pub const fn narrow(effect: Effect) -> Price {
    Price { effect, costs: "", undo: "" }
}

pub const fn wide(costs: &'static str, undo: &'static str) -> Price {
    Price { effect: Effect::Changes, costs, undo }
}

pub const fn removes(costs: &'static str, undo: &'static str) -> Price {
    Price { effect: Effect::Removes, costs, undo }
}

/// How a file is called that a link to its new place was made for: see `sqlite/rules/relocate.rs`.
pub const LINKED: &str = ".before-it-moved";

pub const UNKNOWN: Price = wide("it changes something that others may use", "note what was there before");
pub const DUMP: &str = "only from a dump: take one before (pg_dump, or .dump in sqlite3)";
pub const SIZE: Price =
    wide("the number is a guess, and takes memory or connections from others", "the value from before");

/// Of several, the one that takes most.
pub fn gravest(prices: impl Iterator<Item = Price>) -> Option<Price> {
    prices.reduce(|worst, price| if price.effect > worst.effect { price } else { worst })
}
