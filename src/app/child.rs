//! What the pages of one child process remember together. It is made by the first request that needs it,
//! so never in the parent, and holds nothing of a configuration that a reload would replace.
//!
//! What is remembered for long is kept by section (see [`Endpoint::key`]), never by URL: visitors choose URLs.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Endpoint;
use super::http::{Level, Request};
use crate::database::Stage;
use crate::diagnosis::{self, Change, Changes, Circumstances, Examiner, Finding, Report, State};

/// This child's.
pub static CHILD: LazyLock<Child> = LazyLock::new(Child::default);

/// See the module.
#[derive(Default)]
pub struct Child {
    /// One check at a time of each database; others share its answer.
    examiner: Examiner,
    /// How many requests run a check or wait for one.
    examining: AtomicUsize,
    checks: Changes,
    /// The last report of each section, and when it was made.
    recent: Mutex<HashMap<usize, (Instant, Arc<Report>)>>,
    /// What failed and has not been seen to work since, by section.
    failing: Mutex<HashMap<usize, Vec<Fault>>>,
    /// Whether there is any: all that a request which succeeds looks at.
    trouble: AtomicBool,
    /// The sections in which a form of another site was refused and said so.
    foreign: Mutex<HashSet<usize>>,
}

/// What a request does with the database. That one of them works says nothing about the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    Reading,
    Writing,
    Creating,
}

/// Something that fails.
#[derive(Debug, Clone)]
struct Fault {
    doing: Doing,
    /// As the error alone tells: by this it is recognised, whoever meets it.
    id: &'static str,
    /// What is known of it.
    finding: Finding,
    /// The step that failed.
    stage: Stage,
    logged: Logged,
}

/// The line that the error log has about a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The id under which it stands there.
    pub id: &'static str,
    /// The server's own id of the request that met it first; it stands in the line.
    pub reference: String,
}

/// For so long strangers share one report. No longer in unit tests, which break their databases at once.
const SHARED_FOR: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_secs(5) };

/// At most so many requests of a child run or wait for a check, which may take all of its deadlines: the database's
/// trouble must leave the other threads to the other pages. The smallest usual ThreadsPerChild is 8.
/// Unit tests are threads of one process that know nothing of each other.
const MOST_EXAMINING: usize = if cfg!(test) { 1000 } else { 3 };

/// A request among those that run or wait for a check; leaves by being dropped.
struct Examining<'a>(&'a AtomicUsize);

impl Drop for Examining<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Child {
    /// Runs a check or shares the one that runs, or, for a check that only looks, the last one while it is fresh; `None`
    /// when too many do.
    pub fn examine(&self, endpoint: &Endpoint, circumstances: &Circumstances) -> Option<Arc<Report>> {
        let shared = || self.recent(endpoint.key).filter(|_| !circumstances.writes);
        if let Some(report) = shared() {
            return Some(report);
        }
        let others = self.examining.fetch_add(1, Ordering::Relaxed);
        let _mine = Examining(&self.examining);
        if others >= MOST_EXAMINING {
            return None;
        }
        let _counted = endpoint.services.try_check(endpoint.entry)?;
        let settings = endpoint.settings;
        let report = self.examiner.share_examination(diagnosis::examine, &settings.target, settings, circumstances);
        endpoint.entry.checked(Stage::ALL.map(|stage| outcome(&report, stage)));
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.insert(endpoint.key, (Instant::now(), Arc::clone(&report)));
        Some(report)
    }

    /// The last report, while it may stand for those who only look.
    fn recent(&self, key: usize) -> Option<Arc<Report>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.get(&key).filter(|(made, _)| made.elapsed() < SHARED_FOR).map(|(_, report)| Arc::clone(report))
    }

    /// The line that the error log already has about a fault of this id.
    pub fn known(&self, endpoint: &Endpoint, id: &str) -> Option<Logged> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = failing.get(&endpoint.key)?.iter().find(|fault| fault.id == id || fault.logged.id == id)?;
        Some(fault.logged.clone())
    }

    /// Whether this is the first form of another site that a section refuses.
    pub fn is_first_foreign(&self, endpoint: &Endpoint) -> bool {
        self.foreign.lock().unwrap_or_else(PoisonError::into_inner).insert(endpoint.key)
    }

    /// Why the last row that was sent was not stored, unless one has been since.
    pub fn last_write(&self, endpoint: &Endpoint) -> Option<Finding> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = failing.get(&endpoint.key)?.iter().find(|fault| fault.doing == Doing::Writing)?;
        Some(fault.finding.clone())
    }

    /// Notes that something fails with an error of this id, which is being logged as `logged`.
    pub fn failed(
        &self,
        endpoint: &Endpoint,
        doing: Doing,
        id: &'static str,
        finding: &Finding,
        stage: Stage,
        logged: Logged,
    ) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let faults = failing.entry(endpoint.key).or_default();
        faults.retain(|fault| fault.doing != doing);
        faults.push(Fault { doing, id, finding: finding.clone(), stage, logged });
        self.trouble.store(true, Ordering::Relaxed);
    }

    /// Notes what a check found, apart from what the page's own requests meet: the id it fails with, or none. Whether
    /// that is news.
    pub fn checked(&self, endpoint: &Endpoint, id: Option<&'static str>) -> Change {
        match (self.checks.note(&endpoint.key.to_string(), id), id) {
            // a request of the page has said so already
            (Change::Fails, Some(id)) if self.known(endpoint, id).is_some() => Change::Same,
            (change, _) => change,
        }
    }

    /// Notes that something works, and says so in the error log if it did not before. A connection that stands is news
    /// for all that failed before there was one.
    pub fn works(&self, request: &dyn Request, endpoint: &Endpoint, doing: Doing) {
        if !self.trouble.load(Ordering::Relaxed) {
            return;
        }
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let faults = failing.remove(&endpoint.key).unwrap_or_default();
        let is_over = |fault: &Fault| fault.doing == doing || fault.stage < Stage::Session;
        let (over, mut going_on): (Vec<Fault>, Vec<Fault>) = faults.into_iter().partition(is_over);
        if doing == Doing::Reading {
            // a table that can be read need not be created any more
            going_on.retain(|fault| fault.doing != Doing::Creating);
        }
        if !going_on.is_empty() {
            failing.insert(endpoint.key, going_on);
        }
        self.trouble.store(!failing.is_empty(), Ordering::Relaxed);
        drop(failing);
        for fault in over {
            let id = fault.logged.id;
            request.log(Level::Notice, &format!("{}: the database works again (it was {id})", request.base()));
        }
    }
}

/// A step as all children of the server remember it: 2 it passed, 1 it failed, 0 nobody knows.
fn outcome(report: &Report, stage: Stage) -> u64 {
    let state = report.steps.iter().find(|step| step.stage == stage).map(|step| step.state);
    match state {
        Some(State::Pass | State::Warn) => 2,
        Some(State::Fail) => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Asked, Fake, Site, broken};
    use super::*;
    use crate::diagnosis;

    #[test]
    fn checks_do_not_take_every_thread() {
        let circumstances = Circumstances {
            location: "/dbtest".into(),
            children: 1,
            on_request: false,
            writes: false,
            root: "/".into(),
            within: Duration::from_secs(5),
        };
        let (child, site) = (Child::default(), Site::fake(&Fake::with_rows(1)));
        let examined = || site.with_endpoint(|endpoint| child.examine(endpoint, &circumstances).is_some());
        assert!(examined());
        child.examining.store(MOST_EXAMINING, Ordering::Relaxed);
        assert!(!examined());
        assert_eq!(child.examining.load(Ordering::Relaxed), MOST_EXAMINING, "who is turned away leaves as well");
        child.examining.store(MOST_EXAMINING - 1, Ordering::Relaxed);
        assert!(examined());
    }

    #[test]
    fn it_works_again_only_when_that_which_failed_has_succeeded() {
        let (child, site) = (Child::default(), Site::fake(&Fake::with_rows(1)));
        let logged = || Logged { id: "DBT1300", reference: "R".into() };
        let finding = diagnosis::quick(&broken(Stage::Write), &site.settings.target, &site.settings);
        site.with_endpoint(|endpoint| {
            let said = |doing| {
                let asked = Asked::get("/");
                child.works(&asked, endpoint, doing);
                asked.logged.into_inner().len()
            };
            child.failed(endpoint, Doing::Writing, "DBT1399", &finding, Stage::Write, logged());
            assert_eq!(said(Doing::Reading), 0, "a read is no news about an insert");
            assert_eq!(child.known(endpoint, "DBT1399"), Some(logged()));
            assert_eq!(said(Doing::Writing), 1);
            assert_eq!(child.known(endpoint, "DBT1399"), None);
            child.failed(endpoint, Doing::Writing, "DBT0499", &finding, Stage::Reach, logged());
            assert_eq!(said(Doing::Reading), 1, "what could not be reached is reached");
            assert_eq!(said(Doing::Writing), 0);
        });
    }
}
