//! Finding out why a request failed: once for the error log, and as much of it as the visitor may be told.
//!
//! There is one judge. What the request itself met stands; a check right afterwards may name it more closely, but where it
//! finds nothing at the step that failed, the request's own error is the verdict.

use std::sync::Arc;
use std::time::Duration;

use super::child::{CHILD, Doing, Logged};
use super::http::{Level, Request};
use super::{Endpoint, busy, examination};
use crate::database::{Error, Refusal, Stage};
use crate::diagnosis::{self, Finding, Report, State};
use crate::tally::Counter;

/// Why it could not be done.
pub enum Cause {
    /// Too many requests wait: nothing is wrong with the database, or somebody else's request will tell.
    Busy {
        retry_after: Duration,
    },
    Database(Arc<Error>),
    /// The request that was to answer this one panicked.
    Panicked,
}

impl From<Refusal> for Cause {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Busy { retry_after } => Cause::Busy { retry_after },
            Refusal::Database(error) => Cause::Database(error),
            Refusal::Panicked => Cause::Panicked,
        }
    }
}

/// A failure as found out: the id that everybody sees, and the rest for who may.
#[derive(Default)]
pub struct Known {
    pub id: Option<&'static str>,
    /// The line that the error log has about it, if it has one.
    pub logged: Option<Logged>,
    pub report: Option<Arc<Report>>,
    pub table_is_missing: bool,
}

/// The status and one line, for health: no examination.
pub fn in_one_line(request: &dyn Request, endpoint: &Endpoint, cause: Cause) -> (u16, String) {
    match cause {
        Cause::Busy { .. } => {
            busy::turned_away(request, endpoint);
            (503, "busy: too many requests wait for the database".into())
        }
        Cause::Panicked => (500, "the check panicked".into()),
        Cause::Database(error) => {
            endpoint.entry.count(Counter::Failed);
            let found = Found::by_error_alone(endpoint, Doing::Reading, &error);
            let logged = record(request, endpoint, &found, &error);
            if endpoint.told {
                (503, diagnosis::one_line(&format!("{} {}", found.finding.id, found.finding.cause)))
            } else {
                (
                    503,
                    format!(
                        "{} the database does not answer as it should",
                        logged.map_or(found.id, |logged| logged.id)
                    ),
                )
            }
        }
    }
}

/// Finds out what is wrong, writes the line for the error log, and keeps what this visitor may see.
pub fn investigate(request: &dyn Request, endpoint: &Endpoint, doing: Doing, error: &Error) -> Known {
    let mut found = Found::by_error_alone(endpoint, doing, error);
    let table_is_missing = error.is_missing_table() && diagnosis::names_missing_table(&found.finding);
    let mut known = Known { table_is_missing, ..Known::default() };
    let report = if endpoint.told { examination::examine(request, endpoint) } else { None };
    if let Some(report) = report {
        match (&report.failure, report.failed_at()) {
            // the check knows more than the error alone
            (Some(failure), Some(stage)) if stage <= error.stage => {
                found.finding = failure.clone();
                found.stage = stage;
                known.report = Some(report);
            }
            _ => known.report = Some(Arc::new(overruled(&report, &found, error))),
        }
    }
    known.logged = record(request, endpoint, &found, error);
    known.id = match &known.logged {
        // a stranger hands on what the log can be searched for
        Some(logged) if !endpoint.told => Some(logged.id),
        _ => Some(found.finding.id),
    };
    known
}

/// The report of a check with what the page itself meets: where the check finds nothing and the page cannot be read, or
/// the last row that somebody sent was not stored, the page is right.
pub fn with_the_page(endpoint: &Endpoint, report: Arc<Report>) -> Arc<Report> {
    if report.failure.is_some() {
        return report;
    }
    if let Err(Refusal::Database(error)) = endpoint.service().page(None, endpoint.settings.page_size) {
        let found = Found::by_error_alone(endpoint, Doing::Reading, &error);
        return Arc::new(overruled(&report, &found, &error));
    }
    match CHILD.last_write(endpoint) {
        Some(finding) => {
            let mut report = Report::clone(&report);
            report
                .warnings
                .insert(0, Finding { cause: format!("The last row that was sent: {}", finding.cause), ..finding });
            Arc::new(report)
        }
        None => report,
    }
}

/// What is known of a failure.
struct Found {
    doing: Doing,
    /// By which it is recognised, whoever meets it: what the error alone tells, so that visitors who may see more and
    /// those who may not do not look like changes.
    id: &'static str,
    finding: Finding,
    stage: Stage,
}

impl Found {
    fn by_error_alone(endpoint: &Endpoint, doing: Doing, error: &Error) -> Self {
        let finding = diagnosis::quick(error, &endpoint.settings.target, endpoint.settings);
        Self { doing, id: finding.id, finding, stage: error.stage }
    }
}

/// One line when the state changes; every time at debug. The line that the log has then.
fn record(request: &dyn Request, endpoint: &Endpoint, found: &Found, error: &Error) -> Option<Logged> {
    request.note("dbtest_id", found.finding.id);
    request.note("dbtest_step", found.stage.name());
    let known = CHILD.known(endpoint, found.id);
    let level = if known.is_none() { Level::Error } else { Level::Debug };
    let logged = known
        .unwrap_or_else(|| Logged { id: found.finding.id, reference: request.log_id().unwrap_or_default().to_owned() });
    CHILD.failed(endpoint, found.doing, found.id, &found.finding, found.stage, logged.clone());
    if request.logs(level) {
        let mut line = diagnosis::log_line(&found.finding, found.stage, request.base());
        let error = error.to_string();
        if !found.finding.cause.contains(&error) {
            line = format!("{line} [{error}]");
        }
        if let Some(id) = request.log_id() {
            line = format!("{line} (request {id})");
        }
        request.log(level, &diagnosis::one_line(&line));
    }
    request.logs(Level::Error).then_some(logged)
}

/// The report of a check that found nothing where the request failed, with the request's own failure in its place.
fn overruled(report: &Report, found: &Found, error: &Error) -> Report {
    let mut report = report.clone();
    for step in &mut report.steps {
        if step.stage == found.stage {
            step.state = State::Fail;
            step.says = error.to_string();
        } else if step.stage > found.stage {
            step.state = State::NotReached;
            step.says = "not reached".into();
        }
    }
    report.failure = Some(found.finding.clone());
    report
}
