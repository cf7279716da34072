//! Writing findings down: the few shapes that every reader of evidence needs.

use crate::diagnosis::report::{Finding, Fix, FixKind, Then};

/// A finding without fixes yet.
pub fn finding(id: &'static str, cause: impl Into<String>) -> Finding {
    Finding { id, cause: cause.into(), fixes: Vec::new(), excluded: Vec::new() }
}

/// Adds to a finding, so that a reader of evidence is one expression.
pub trait Draft: Sized {
    /// The cure, when the evidence leaves one cause.
    fn sure(self, kind: FixKind, place: impl Into<String>, text: impl Into<String>, then: Then) -> Self;
    /// The cure of one of several possible causes.
    fn maybe(self, kind: FixKind, place: impl Into<String>, text: impl Into<String>, then: Then) -> Self;
    /// One that is made already; a sure one comes first whatever order they were written in.
    fn fix(self, fix: Fix) -> Self;
    /// A look-alike that it is not, and how that is known.
    fn not(self, what: impl Into<String>) -> Self;
}

impl Draft for Finding {
    fn sure(self, kind: FixKind, place: impl Into<String>, text: impl Into<String>, then: Then) -> Self {
        self.fix(Fix { sure: true, kind, place: place.into(), text: text.into(), then })
    }

    fn maybe(self, kind: FixKind, place: impl Into<String>, text: impl Into<String>, then: Then) -> Self {
        self.fix(Fix { sure: false, kind, place: place.into(), text: text.into(), then })
    }

    fn fix(mut self, fix: Fix) -> Self {
        let rank = |fix: &Fix| (!fix.is_sure(), !fix.sure);
        let at = self.fixes.iter().take_while(|other| rank(other) <= rank(&fix)).count();
        self.fixes.insert(at, fix);
        self
    }

    fn not(mut self, what: impl Into<String>) -> Self {
        self.excluded.push(what.into());
        self
    }
}
