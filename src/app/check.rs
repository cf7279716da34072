//! The ladder on a page: what works, what does not, and what to do about it.

use std::sync::Arc;

use askama::Template;

use super::child::CHILD;
use super::examination::{Depth, examine_as};
use super::form::Form;
use super::http::{Level, Request, Response};
use super::negotiate::{self, Format};
use super::{Endpoint, investigation, origin, problem, render, wanted_format};
use crate::database::Stage;
use crate::diagnosis::{self, Change, Colour, Entry, Finding, Report, State, Step, Verdict};

#[derive(Template)]
#[template(path = "check.html")]
struct CheckPage<'a> {
    home: &'static str,
    here: &'static str,
    report: &'a Report,
    /// Whether this visitor is told everything.
    told: bool,
}

#[derive(Template)]
#[template(path = "explain.html")]
struct ExplainPage<'a> {
    home: &'static str,
    here: &'static str,
    entry: &'a Entry,
}

/// Answers GET check: whole for those who are told what it finds.
pub fn get(request: &mut dyn Request, endpoint: &Endpoint) -> Response {
    answer(request, endpoint, Depth::of(endpoint))
}

/// Answers POST check, the page's button: the whole of it, whoever asks.
pub fn post(request: &mut dyn Request, endpoint: &Endpoint) -> Response {
    if origin::is_foreign(request, endpoint) {
        let format = wanted_format(request, &[Format::Html, Format::Text, Format::Json]);
        return problem::foreign(request, format);
    }
    answer(request, endpoint, Depth::Whole)
}

fn answer(request: &mut dyn Request, endpoint: &Endpoint, depth: Depth) -> Response {
    let query = match Form::parse(request.query().unwrap_or_default().as_bytes()) {
        Ok(form) => form,
        Err(error) => {
            return problem::bad_request(request, Format::Html, &format!("The query string has {error}."));
        }
    };
    let offers = &[Format::Html, Format::Text, Format::Json];
    let format = negotiate::choose(query.get("format"), request.header("Accept"), offers);
    if let Some(id) = query.get("explain") {
        return explain(request, format, &String::from_utf8_lossy(id));
    }
    let Some(mut report) = examine_as(request.base(), endpoint, depth) else {
        return busy(request, format);
    };
    report = investigation::with_the_page(endpoint, report);
    log(request, endpoint, &report);
    if !endpoint.told {
        report = Arc::new(brief(&report));
    }
    let status = if report.verdict() == Verdict::Fail { 503 } else { 200 };
    let body = match format {
        Format::Html => render(&CheckPage { home: "./", here: "check", report: &report, told: endpoint.told }),
        Format::Text => diagnosis::text(&report, Colour::Never).into_bytes(),
        Format::Json if endpoint.told => diagnosis::json(&report).into_bytes(),
        Format::Json => without_version(&diagnosis::json(&report)).into_bytes(),
    };
    Response::whole(status, format.content_type(), Arc::new(body))
}

/// A check that fails, fails otherwise or passes again is news to the error log.
fn log(request: &dyn Request, endpoint: &Endpoint, report: &Report) {
    match (CHILD.checked(endpoint, report.failure.as_ref().map(|failure| failure.id)), &report.failure) {
        (Change::Fails, Some(failure)) => {
            let stage = report.failed_at().unwrap_or(Stage::Config);
            request.log(Level::Error, &diagnosis::log_line(failure, stage, request.base()));
        }
        (Change::Recovered(id), _) => {
            request.log(Level::Notice, &format!("{}: the check passes again (it was {id})", request.base()));
        }
        _ => {}
    }
}

/// Too many checks at once: nobody waits in line for one.
pub fn busy(request: &dyn Request, format: Format) -> Response {
    let message = "Other checks are under way in this process of the server. Please try again in a moment.";
    problem::problem_as(format, request, 503, "Busy with other checks", message).with("Retry-After", "1")
}

/// What anybody may know at DBTestDetail brief: whether it works, else which step failed and the id to look up. No
/// name, address, path or version; and since what is skipped or warned of tells what kind of place this is, no more than
/// that either.
pub fn brief(report: &Report) -> Report {
    let failure = report.failure.as_ref().map(|failure| Finding {
        id: failure.id,
        cause: diagnosis::explain(failure.id).map_or("", |entry| entry.title).into(),
        fixes: Vec::new(),
        excluded: Vec::new(),
    });
    let failed = report.failed_at();
    let step = |step: &Step| Step {
        stage: step.stage,
        state: match failed {
            Some(failed) if failed == step.stage => State::Fail,
            Some(failed) if failed < step.stage => State::NotReached,
            _ => State::Pass,
        },
        ms: 0.0,
        tried: String::new(),
        says: String::new(),
        evidence: Vec::new(),
    };
    let steps = report.steps.iter().map(step).collect();
    Report { database: "not shown (DBTestDetail brief)".into(), steps, failure, warnings: Vec::new() }
}

/// Which version of this module runs is nothing for strangers either.
pub fn without_version(report: &str) -> String {
    // a report of ours is JSON that can be read back
    let mut report: serde_json::Value = serde_json::from_str(report).unwrap_or_default();
    if let Some(report) = report.as_object_mut() {
        report.remove("version");
    }
    report.to_string()
}

/// The catalogue's entry for one id.
fn explain(request: &dyn Request, format: Format, id: &str) -> Response {
    let Some(entry) = diagnosis::explain(id) else {
        return problem::problem_as(format, request, 404, "No such id", "There is no message with this id.");
    };
    let body = match format {
        Format::Html => render(&ExplainPage { home: "./", here: "", entry }),
        Format::Text => format!(
            "{}: {}\n\nMeaning: {}\n\nRecognised by: {}\n\nFixes: {}\n",
            entry.id, entry.title, entry.meaning, entry.recognised, entry.fixes
        )
        .into_bytes(),
        Format::Json => serde_json::json!({
            "id": entry.id, "title": entry.title, "meaning": entry.meaning,
            "recognised": entry.recognised, "fixes": entry.fixes,
        })
        .to_string()
        .into_bytes(),
    };
    Response::whole(200, format.content_type(), Arc::new(body))
}
