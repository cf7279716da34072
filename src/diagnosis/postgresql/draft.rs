//! Writing findings down: the few shapes that every reader of evidence needs.

use crate::diagnosis::{Finding, Fix, FixKind, Then};

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
    /// A look-alike that it is not, and how that is known.
    fn not(self, what: impl Into<String>) -> Self;
}

impl Draft for Finding {
    fn sure(mut self, kind: FixKind, place: impl Into<String>, text: impl Into<String>, then: Then) -> Self {
        // a sure one comes first whatever order they were written in
        let at = self.fixes.iter().filter(|fix| fix.sure).count();
        self.fixes.insert(at, Fix { sure: true, kind, place: place.into(), text: text.into(), then });
        self
    }

    fn maybe(mut self, kind: FixKind, place: impl Into<String>, text: impl Into<String>, then: Then) -> Self {
        self.fixes.push(Fix { sure: false, kind, place: place.into(), text: text.into(), then });
        self
    }

    fn not(mut self, what: impl Into<String>) -> Self {
        self.excluded.push(what.into());
        self
    }
}
