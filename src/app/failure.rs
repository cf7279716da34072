//! What a visitor is told, and the error log, when the database fails: what happened to his row, and as much
//! of the reason as he may see.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;

use super::child::CHILD;
use super::http::{Level, Request, Response};
use super::model::{Entry, Model};
use super::negotiate::Format;
use super::stuff::STUFF;
use super::{Place, check, home, json, render};
use crate::config::Resolved;
use crate::database::{Error, Refusal, Stage};
use crate::diagnosis::{self, Finding, Report};

/// What was being done.
pub enum Attempt<'a> {
    Read,
    Write {
        entry: &'a Entry,
        stored: Stored,
    },
    /// Creating the table.
    Create,
}

/// Whether a row whose insertion failed is in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    No,
    Unknown,
}

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

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage<'a> {
    home: &'a str,
    here: &'static str,
    settings: &'a Resolved,
    model: &'static Model,
    /// The form; none where rows can only be read.
    entry: Option<&'a Entry>,
    /// Whether the form holds what somebody typed.
    typed: bool,
    title: &'a str,
    message: &'a str,
    id: Option<&'static str>,
    /// What the failed statement itself met, for who may see it.
    said: Option<String>,
    report: Option<&'a Report>,
    /// The statement behind the button that creates the missing table.
    create: Option<String>,
}

/// A failure as found out: the id that everybody sees, and the rest for who may.
#[derive(Default)]
struct Known {
    id: Option<&'static str>,
    said: Option<String>,
    report: Option<Arc<Report>>,
    table_is_missing: bool,
}

/// Answers a request that failed for the database's sake.
pub fn answer(
    request: &dyn Request,
    place: &Place,
    format: Format,
    attempt: &Attempt,
    cause: impl Into<Cause>,
) -> Response {
    let cause = cause.into();
    let known = match &cause {
        Cause::Database(error) => investigate(request, place, error),
        _ => Known::default(),
    };
    if let Cause::Busy { .. } = cause {
        request.log(Level::Warning, &busy(request));
    }
    let (title, message) = words(attempt, &cause);
    let body = match format {
        Format::Html | Format::Text => page(request, place, attempt, known, title, message),
        Format::Json => {
            let saved = match attempt {
                Attempt::Write { stored: Stored::No, .. } => Some("no"),
                Attempt::Write { stored: Stored::Unknown, .. } => Some("unknown"),
                _ => None,
            };
            let report = known.report.as_deref().map(diagnosis::json);
            json::failure(known.id, &format!("{title}. {message}"), saved, report.as_deref())
        }
    };
    let status = if matches!(cause, Cause::Panicked) { 500 } else { 503 };
    let response = Response::whole(status, format.content_type(), Arc::new(body));
    match cause {
        Cause::Busy { retry_after } => response.with("Retry-After", seconds(retry_after)),
        _ => response,
    }
}

/// The status and one line, for health: no examination.
pub fn in_one_line(request: &dyn Request, place: &Place, cause: Cause) -> (u16, String) {
    match cause {
        Cause::Busy { .. } => (503, "busy: too many requests wait for the database".into()),
        Cause::Panicked => (500, "the check panicked".into()),
        Cause::Database(error) => {
            let finding = diagnosis::quick(&error, &place.settings.target, place.settings);
            log(request, place, &finding, &finding, error.stage, &error);
            if place.tells_all(request) {
                (503, diagnosis::one_line(&format!("{} {}", finding.id, finding.cause)))
            } else {
                (503, format!("{} the database does not answer as it should", finding.id))
            }
        }
    }
}

/// Finds out what is wrong, writes the line for the error log, and keeps what this visitor may see.
fn investigate(request: &dyn Request, place: &Place, error: &Error) -> Known {
    let quick = diagnosis::quick(error, &place.settings.target, place.settings);
    let mut known = Known { id: Some(quick.id), table_is_missing: error.is_missing_table(), ..Known::default() };
    if !place.tells_all(request) {
        log(request, place, &quick, &quick, error.stage, error);
        return known;
    }
    let Some(report) = check::examine(request, place) else {
        known.said = Some(error.to_string());
        log(request, place, &quick, &quick, error.stage, error);
        return known;
    };
    match (&report.failure, report.failed_at()) {
        // the ladder knows more than the error alone
        (Some(failure), Some(stage)) => {
            known.id = Some(failure.id);
            log(request, place, &quick, failure, stage, error);
        }
        _ => {
            known.said = Some(error.to_string());
            log(request, place, &quick, &quick, error.stage, error);
        }
    }
    known.report = Some(report);
    known
}

/// One line when the state changes; every time at debug. The state is what the error alone tells, so that visitors
/// who may see more and those who may not do not look like changes.
fn log(request: &dyn Request, place: &Place, quick: &Finding, finding: &Finding, stage: Stage, error: &Error) {
    let news = CHILD.failed(request, place, quick.id, finding.id);
    let level = if news { Level::Error } else { Level::Debug };
    if request.logs(level) {
        let mut line = diagnosis::log_line(finding, stage, request.base());
        let error = error.to_string();
        if !finding.cause.contains(&error) {
            line = format!("{line} [{error}]");
        }
        request.log(level, &diagnosis::one_line(&line));
    }
}

fn busy(request: &dyn Request) -> String {
    format!(
        "{}: the connections of this child are busy (DBTestConnections, DBTestTimeout wait): answered 503",
        request.base()
    )
}

/// Title and sentence for a visitor, whoever he is.
fn words(attempt: &Attempt, cause: &Cause) -> (&'static str, &'static str) {
    match (attempt, cause) {
        (Attempt::Write { stored: Stored::Unknown, .. }, _) => (
            "It is not known whether your row was saved",
            "The connection to the database broke after the row was sent and before the database confirmed it. \
             Look at the newest rows before you send it again.",
        ),
        (Attempt::Write { .. }, Cause::Busy { .. }) => (
            "Your row was not saved",
            "The database is busy, and nothing was written. Please send it again in a moment.",
        ),
        (Attempt::Write { .. }, _) => {
            ("Your row was not saved", "The database did not take it, and nothing was written.")
        }
        (Attempt::Create, Cause::Busy { .. }) => {
            ("The table was not created", "The database is busy. Please try again in a moment.")
        }
        (Attempt::Create, _) => ("The table was not created", "The database refused, and nothing was changed."),
        (Attempt::Read, Cause::Busy { .. }) => {
            ("The database is busy", "Too many requests wait for it. Please try again in a moment.")
        }
        (Attempt::Read, Cause::Panicked) => {
            ("The page failed", "That is a mistake in this module; the error log has it.")
        }
        (Attempt::Read, _) => (
            "The rows could not be read",
            "The database behind this page does not answer as it should. Nothing was changed.",
        ),
    }
}

fn page(request: &dyn Request, place: &Place, attempt: &Attempt, known: Known, title: &str, message: &str) -> Vec<u8> {
    let settings: &Resolved = place.settings;
    let blank = STUFF.blank();
    let entry = match attempt {
        Attempt::Write { entry, .. } => Some(*entry),
        Attempt::Read if !settings.read_only => Some(&blank),
        _ => None,
    };
    let offers_table = known.table_is_missing && settings.create_table && !settings.read_only;
    render(&FailurePage {
        home: &home(request),
        here: "rows",
        settings,
        model: &STUFF,
        entry: entry.filter(|_| !offers_table),
        typed: matches!(attempt, Attempt::Write { .. }),
        title,
        message,
        id: known.id,
        said: known.said,
        report: known.report.as_deref(),
        create: offers_table.then(|| settings.target.create_statement(&settings.table)),
    })
}

/// Whole seconds, at least one.
fn seconds(time: Duration) -> String {
    time.as_secs().max(1).to_string()
}
