//! What the pages of one child process remember together. It is made by the first request that needs it,
//! so never in the parent, and holds nothing of a configuration that a reload would replace.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use super::Place;
use super::http::{Level, Request};
use crate::diagnosis::{Change, Changes, Examiner};

/// This child's.
pub static CHILD: LazyLock<Child> = LazyLock::new(Child::default);

/// See the module.
#[derive(Default)]
pub struct Child {
    /// One check at a time of each database; others share its answer.
    pub examiner: Examiner,
    changes: Changes,
    /// The places that failed and have not been seen to work since, with the id that was logged.
    failing: Mutex<HashMap<String, &'static str>>,
    /// Whether there are any: all that a request which succeeds looks at.
    trouble: AtomicBool,
}

impl Child {
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
