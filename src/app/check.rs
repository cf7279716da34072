//! The ladder on a page: what works, what does not, and what to do about it.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;

use super::child::CHILD;
use super::form::Form;
use super::http::{Level, Request, Response};
use super::negotiate::{self, Format};
use super::{Place, problem, render};
use crate::database::Stage;
use crate::diagnosis::{self, Change, Circumstances, Colour, Entry, Report, Verdict};

/// Beyond the deadlines of the connection itself, for the probes beside it.
const FOR_PROBES: Duration = Duration::from_secs(5);

#[derive(Template)]
#[template(path = "check.html")]
struct CheckPage<'a> {
    home: &'static str,
    here: &'static str,
    report: &'a Report,
    /// Whether this visitor sees everything.
    all: bool,
}

#[derive(Template)]
#[template(path = "explain.html")]
struct ExplainPage<'a> {
    home: &'static str,
    here: &'static str,
    entry: &'a Entry,
}

/// Answers GET check.
pub fn get(request: &mut dyn Request, place: &Place) -> Response {
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
    let all = place.tells_all(request);
    let Some(mut report) = examine(request, place) else {
        return busy(request, format);
    };
    log(request, place, &report);
    if !all {
        report = Arc::new(for_strangers(&report));
    }
    let status = if report.verdict() == Verdict::Fail { 503 } else { 200 };
    let body = match format {
        Format::Html => render(&CheckPage { home: "./", here: "check", report: &report, all }),
        Format::Text => diagnosis::text(&report, Colour::Never).into_bytes(),
        Format::Json => diagnosis::json(&report).into_bytes(),
    };
    Response::whole(status, format.content_type(), Arc::new(body))
}

/// A check that fails, fails otherwise or passes again is news to the error log.
fn log(request: &dyn Request, place: &Place, report: &Report) {
    match (CHILD.checked(request, place, report.failure.as_ref().map(|failure| failure.id)), &report.failure) {
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

/// Examines the place's database, or shares the examination that already runs; `None` when too many do.
pub fn examine(request: &dyn Request, place: &Place) -> Option<Arc<Report>> {
    examine_as(request.base(), place, place.tells_all(request))
}

/// The same for a Location that is not the request's own. Probes that leave a trace in the server's log run only
/// for a person who may see what they find.
pub fn examine_as(location: &str, place: &Place, on_request: bool) -> Option<Arc<Report>> {
    if place.settings.is_default_database {
        // a check creates nothing, but this database is made by whoever uses it first; why it could not be made
        // is what the ladder tells
        let _ = place.service().ping();
    }
    let limits = place.settings.limits;
    let circumstances = Circumstances {
        location: location.to_owned(),
        children: place.children,
        on_request,
        root: "/".into(),
        within: limits.connect + limits.query + FOR_PROBES,
    };
    CHILD.examine(place, &circumstances)
}

/// What anybody may know at DBTestDetail brief: which step failed and the id, but no name, address or path.
pub fn for_strangers(report: &Report) -> Report {
    let mut report = report.clone();
    report.database = "not shown (DBTestDetail brief)".into();
    for step in &mut report.steps {
        step.tried.clear();
        step.evidence.clear();
        step.says.clear();
    }
    for finding in report.failure.iter_mut().chain(&mut report.warnings) {
        let title = diagnosis::explain(finding.id).map_or("", |entry| entry.title);
        finding.cause = title.into();
        finding.fixes.clear();
        finding.excluded.clear();
    }
    report
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
