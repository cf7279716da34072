//! Every database configured in this server side by side: one row each, the ladder's steps as columns, so that
//! the step in which development and production differ stands out.

use std::fmt::Write;
use std::sync::Arc;

use askama::Template;

use super::check::{examine_as, for_strangers};
use super::http::{Request, Response};
use super::negotiate::Format;
use super::{PlaceView, problem, render, style, wanted_format};
use crate::database::Stage;
use crate::diagnosis::{self, Report, State, Verdict};

/// The widest cell of the table as text: "authenticated", the longest name of a step.
const WIDTH: usize = 13;

/// One database's row.
struct Row {
    location: String,
    report: Report,
    /// In the order of [`Stage::ALL`].
    cells: Vec<Cell>,
}

/// What one database made of one step.
struct Cell {
    state: State,
    /// Not what most of the others made of it.
    differs: bool,
    ms: f64,
}

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage<'a> {
    rows: &'a [Row],
    stages: &'static [Stage],
    failing: usize,
}

/// Answers GET of the handler `dbtest-status`, at whatever path.
pub fn answer(request: &mut dyn Request, places: &[PlaceView]) -> Response {
    match request.method() {
        "GET" | "HEAD" => {}
        "OPTIONS" => return Response { status: 204, ..Response::default() }.with("Allow", "GET, HEAD, OPTIONS"),
        _ => return problem::method_not_allowed(request, "GET, HEAD, OPTIONS"),
    }
    if let Some(version) = request.query().and_then(|query| query.strip_prefix("style=")) {
        // this handler owns one address only: the sheet is served under it
        return style::sheet(version);
    }
    let rows = compare(places.iter().map(|view| examined(request, view)).collect());
    let format = wanted_format(request, &[Format::Html, Format::Text, Format::Json]);
    let failing = rows.iter().filter(|row| row.report.verdict() == Verdict::Fail).count();
    let body = match format {
        Format::Html => {
            let page = StatusPage { rows: &rows, stages: &Stage::ALL, failing };
            render(&page)
        }
        Format::Text => text(&rows).into_bytes(),
        Format::Json => json(&rows).into_bytes(),
    };
    let status = if failing > 0 { 503 } else { 200 };
    Response::whole(status, format.content_type(), Arc::new(body))
}

fn examined(request: &dyn Request, view: &PlaceView) -> (String, Report) {
    let all = view.place.tells_all(request);
    let report = examine_as(view.location, &view.place, all);
    let report = if all { Report::clone(&report) } else { for_strangers(&report) };
    (view.location.to_owned(), report)
}

/// Lays the reports side by side and marks, in each column, what is not as in most rows.
fn compare(reports: Vec<(String, Report)>) -> Vec<Row> {
    let state = |report: &Report, stage: Stage| {
        let step = report.steps.iter().find(|step| step.stage == stage);
        step.map_or((State::NotReached, 0.0), |step| (step.state, step.ms))
    };
    let usual: Vec<Option<State>> =
        Stage::ALL.iter().map(|&stage| commonest(reports.iter().map(|(_, report)| state(report, stage).0))).collect();
    let row = |(location, report): (String, Report)| {
        let cells = Stage::ALL.iter().zip(&usual).map(|(&stage, usual)| {
            let (state, ms) = state(&report, stage);
            // what was not reached only follows from the step that failed, and skipped is no difference of the database
            let differs =
                !matches!(state, State::Skip | State::NotReached) && usual.is_some_and(|usual| usual != state);
            Cell { state, differs, ms }
        });
        let cells = cells.collect();
        Row { location, report, cells }
    };
    reports.into_iter().map(row).collect()
}

/// The state that most rows have, the better one of equals; steps that were skipped or not reached have no vote.
fn commonest(states: impl Iterator<Item = State> + Clone) -> Option<State> {
    let count = |wanted: State| states.clone().filter(|state| *state == wanted).count();
    let order = [State::Fail, State::Warn, State::Pass];
    order.into_iter().filter(|state| count(*state) > 0).max_by_key(|state| count(*state))
}

/// The same table for a terminal, transposed: a line per step, since a terminal is narrow and has few databases.
fn text(rows: &[Row]) -> String {
    let mut out = String::new();
    for (number, row) in rows.iter().enumerate() {
        // writing into memory cannot fail
        let _ = writeln!(out, "{}  {}  {}", number + 1, row.location, diagnosis::one_line(&row.report.database));
        let _ = writeln!(out, "   {}", diagnosis::headline(&row.report, diagnosis::Colour::Never));
    }
    let _ = write!(out, "\n{:WIDTH$}", "step");
    for number in 1..=rows.len() {
        let _ = write!(out, "  {number:<11}");
    }
    out.push('\n');
    for (at, stage) in Stage::ALL.iter().enumerate() {
        let _ = write!(out, "{:WIDTH$}", stage.name());
        for row in rows {
            let cell = &row.cells[at];
            let _ = write!(out, " {}{:<11}", if cell.differs { '*' } else { ' ' }, word(cell.state));
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    if rows.iter().any(|row| row.cells.iter().any(|cell| cell.differs)) {
        out.push_str("\n* differs from most of the others\n");
    }
    out
}

fn json(rows: &[Row]) -> String {
    let databases = rows.iter().map(|row| {
        // a report of ours is JSON that can be read back
        let report = serde_json::from_str(&diagnosis::json(&row.report)).unwrap_or(serde_json::Value::Null);
        let cells = Stage::ALL.iter().zip(&row.cells);
        let differs: Vec<&str> = cells.filter(|(_, cell)| cell.differs).map(|(stage, _)| stage.name()).collect();
        serde_json::json!({ "location": row.location, "differs_at": differs, "report": report })
    });
    serde_json::json!({ "schema": 1, "databases": databases.collect::<Vec<_>>() }).to_string() + "\n"
}

/// A state in words, as everywhere on the pages.
fn word(state: State) -> &'static str {
    match state {
        State::Pass => "pass",
        State::Fail => "FAIL",
        State::Warn => "warn",
        State::Skip => "skip",
        State::NotReached => "not reached",
    }
}
