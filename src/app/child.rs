//! What the pages of one child process remember together. It is made by the first request that needs it,
//! so never in the parent, and holds nothing of a configuration that a reload would replace.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use super::Place;
use super::http::{Level, Request};
use crate::diagnosis::{Change, Changes, Circumstances, Examiner, Report};

/// This child's.
pub static CHILD: LazyLock<Child> = LazyLock::new(Child::default);

/// See the module.
#[derive(Default)]
pub struct Child {
    /// One check at a time of each database; others share its answer.
    examiner: Examiner,
    /// How many requests run a check or wait for one.
    examining: AtomicUsize,
    changes: Changes,
    /// The places that failed and have not been seen to work since, with the id that was logged.
    failing: Mutex<HashMap<String, &'static str>>,
    /// Whether there are any: all that a request which succeeds looks at.
    trouble: AtomicBool,
}

/// At most so many requests of a child run or wait for a check, which may take all of its deadlines: the database's
/// trouble must leave the other threads to the other pages. The smallest usual ThreadsPerChild is 8.
/// Unit tests are threads of one process that know nothing of each other.
const MOST_EXAMINING: usize = if cfg!(test) { 1000 } else { 3 };

/// A place among those who run or wait for a check; left by dropping it.
struct Examining<'a>(&'a AtomicUsize);

impl Drop for Examining<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Child {
    /// Runs a check or shares the one that runs; `None` when too many do.
    pub fn examine(&self, place: &Place, circumstances: &Circumstances) -> Option<Arc<Report>> {
        let others = self.examining.fetch_add(1, Ordering::Relaxed);
        let _mine = Examining(&self.examining);
        (others < MOST_EXAMINING).then(|| self.examiner.examine(&place.settings.target, place.settings, circumstances))
    }

    /// Notes that a place fails with an error of this id; whether that is news, which is then logged as `logged`.
    pub fn failed(&self, request: &dyn Request, place: &Place, id: &'static str, logged: &'static str) -> bool {
        let name = name(request, place);
        let news = self.changes.note(&name, Some(id)) != Change::Same;
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if news {
            failing.insert(name, logged);
        }
        self.trouble.store(true, Ordering::Relaxed);
        news
    }

    /// Notes what a check found, apart from what the page's own requests meet: the id it fails with, or none. Whether
    /// that is news.
    pub fn checked(&self, request: &dyn Request, place: &Place, id: Option<&'static str>) -> Change {
        self.changes.note(&format!("check of {}", name(request, place)), id)
    }

    /// Notes that a place works, and says so in the error log if it did not before.
    pub fn works(&self, request: &dyn Request, place: &Place) {
        if !self.trouble.load(Ordering::Relaxed) {
            return;
        }
        let name = name(request, place);
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let logged = failing.remove(&name);
        self.trouble.store(!failing.is_empty(), Ordering::Relaxed);
        drop(failing);
        if let Change::Recovered(id) = self.changes.note(&name, None) {
            let id = logged.unwrap_or(id);
            request.log(Level::Notice, &format!("{}: the database works again (it was {id})", request.base()));
        }
    }
}

/// Two virtual hosts may have the same Location with different databases.
fn name(request: &dyn Request, place: &Place) -> String {
    format!("{} {}", request.base(), place.settings.target.masked())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::{Fake, Site};
    use super::*;

    #[test]
    fn checks_do_not_take_every_thread() {
        let circumstances = Circumstances {
            location: "/dbtest".into(),
            children: 1,
            on_request: false,
            root: "/".into(),
            within: Duration::from_secs(5),
        };
        let (child, site) = (Child::default(), Site::fake(&Fake::with_rows(1)));
        let examined = || site.with_place(|place| child.examine(place, &circumstances).is_some());
        assert!(examined());
        child.examining.store(MOST_EXAMINING, Ordering::Relaxed);
        assert!(!examined());
        assert_eq!(child.examining.load(Ordering::Relaxed), MOST_EXAMINING, "who is turned away leaves as well");
        child.examining.store(MOST_EXAMINING - 1, Ordering::Relaxed);
        assert!(examined());
    }
}
