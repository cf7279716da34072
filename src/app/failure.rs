//! What a visitor is told, and the error log, when the database fails: what happened to the row, and as much
//! of the reason as this visitor may see.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;

use super::child::Doing;
use super::http::{Request, Response};
use super::investigation::{Cause, Known, investigate};
use super::model::{Entry, Model};
use super::negotiate::Format;
use super::stuff::STUFF;
use super::{Endpoint, busy, home, json, render};
use crate::config::Resolved;
use crate::diagnosis::{self, Report};
use crate::tally::Counter;

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

impl Attempt<'_> {
    fn doing(&self) -> Doing {
        match self {
            Attempt::Read => Doing::Reading,
            Attempt::Write { .. } => Doing::Writing,
            Attempt::Create => Doing::Creating,
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
    /// Under which id of a request the error log has it.
    reference: Option<&'a str>,
    report: Option<&'a Report>,
    /// The statement behind the button that creates the missing table.
    create: Option<String>,
}

/// Answers a request that failed for the database's sake.
pub fn answer(
    request: &dyn Request,
    endpoint: &Endpoint,
    format: Format,
    attempt: &Attempt,
    cause: impl Into<Cause>,
) -> Response {
    let cause = cause.into();
    let known = match &cause {
        Cause::Database(error) => investigate(request, endpoint, attempt.doing(), error),
        _ => Known::default(),
    };
    count(request, endpoint, attempt, &cause);
    let (title, message) = words(attempt, &cause);
    let status = if matches!(cause, Cause::Panicked) { 500 } else { 503 };
    let body = match format {
        Format::Html => page(request, endpoint, attempt, known, title, message),
        Format::Text => text(&known, title, message),
        Format::Json => {
            let saved = match attempt {
                Attempt::Write { stored: Stored::No, .. } => Some("no"),
                Attempt::Write { stored: Stored::Unknown, .. } => Some("unknown"),
                _ => None,
            };
            let report = known.report.as_deref().map(diagnosis::json);
            let failure = json::Failure { status, title, message, id: known.id, saved };
            json::failure(&failure, known.logged.as_ref().map(|logged| &*logged.reference), report.as_deref())
        }
    };
    let response = Response::whole(status, format.problem_type(), Arc::new(body));
    match cause {
        Cause::Busy { retry_after } => response.with("Retry-After", seconds(retry_after)),
        _ => response,
    }
}

/// Counts what became of the request.
fn count(request: &dyn Request, endpoint: &Endpoint, attempt: &Attempt, cause: &Cause) {
    let outcome = match (attempt, cause) {
        (_, Cause::Busy { .. }) => return busy::turned_away(request, endpoint),
        (Attempt::Write { stored: Stored::No, .. }, _) => Counter::NotSaved,
        (Attempt::Write { stored: Stored::Unknown, .. }, _) => Counter::Unknown,
        _ => Counter::Failed,
    };
    endpoint.entry.count(outcome);
}

/// Title and sentence for a visitor, whoever that is.
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

fn page(
    request: &dyn Request,
    endpoint: &Endpoint,
    attempt: &Attempt,
    known: Known,
    title: &str,
    message: &str,
) -> Vec<u8> {
    let settings: &Resolved = endpoint.settings;
    let blank = STUFF.blank();
    let entry = match attempt {
        Attempt::Write { entry, .. } => Some(*entry),
        // a table that is not there takes no row
        Attempt::Read if !settings.read_only && !known.table_is_missing => Some(&blank),
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
        reference: known.logged.as_ref().map(|logged| logged.reference.as_str()),
        report: known.report.as_deref(),
        create: offers_table.then(|| settings.target.create_statement(&settings.table)),
    })
}

fn text(known: &Known, title: &str, message: &str) -> Vec<u8> {
    let mut text = format!("{title}. {message}\n");
    if let Some(id) = known.id {
        text.push_str(&format!("id: {id}\n"));
    }
    if let Some(report) = &known.report {
        text.push('\n');
        text.push_str(&diagnosis::text(report, diagnosis::Colour::Never));
    }
    text.into_bytes()
}

/// Whole seconds, at least one.
fn seconds(time: Duration) -> String {
    time.as_secs().max(1).to_string()
}
