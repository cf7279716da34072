//! What the error log has already been told: a sick database is logged once, and then only when its
//! state changes, however many requests meet it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The last state logged of each Location, in this child.
#[derive(Debug, Default)]
pub struct Changes {
    states: Mutex<HashMap<String, Option<&'static str>>>,
}

/// What is worth a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// As before: write nothing.
    Same,
    /// It fails, or fails otherwise than before.
    Fails,
    /// It works again after this id.
    Recovered(&'static str),
}

impl Changes {
    /// Notes the state of `what` (a Location): the id it fails with, or `None` when it works. A first
    /// success is no news.
    pub fn note(&self, what: &str, state: Option<&'static str>) -> Change {
        // a panic elsewhere cannot leave the map half-changed
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match states.get_mut(what) {
            Some(known) => std::mem::replace(known, state),
            None => {
                states.insert(what.to_owned(), state);
                None
            }
        };
        match (before, state) {
            (before, now) if before == now => Change::Same,
            (Some(id), None) => Change::Recovered(id),
            _ => Change::Fails,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_news() {
        let changes = Changes::default();
        assert_eq!(changes.note("/a", None), Change::Same);
        assert_eq!(changes.note("/a", Some("DBT0450")), Change::Fails);
        assert_eq!(changes.note("/a", Some("DBT0450")), Change::Same);
        assert_eq!(changes.note("/b", Some("DBT0450")), Change::Fails);
        assert_eq!(changes.note("/a", Some("DBT0451")), Change::Fails);
        assert_eq!(changes.note("/a", None), Change::Recovered("DBT0451"));
        assert_eq!(changes.note("/a", None), Change::Same);
    }
}
