//! Every database configured in this server side by side: one row each, the ladder's steps as columns, so that
//! the step in which development and production differ stands out.

use std::fmt::Write;
use std::sync::Arc;

use askama::Template;

use super::check::{brief, busy, without_version};
use super::examination::{Depth, examine_as};
use super::http::{Request, Response};
use super::negotiate::Format;
use super::{Listed, problem, render, style, wanted_format};
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
    /// It went worse than with another database.
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
pub fn answer(request: &mut dyn Request, endpoints: &[Listed]) -> Response {
    match request.method() {
        "GET" | "HEAD" => {}
        "OPTIONS" => return Response { status: 204, ..Response::default() }.with("Allow", "GET, HEAD, OPTIONS"),
        _ => return problem::method_not_allowed(request, "GET, HEAD, OPTIONS"),
    }
    if let Some(version) = request.query().and_then(|query| query.strip_prefix("style=")) {
        // this handler owns one address only: the sheet is served under it
        return style::sheet(version);
    }
    let format = wanted_format(request, &[Format::Html, Format::Text, Format::Json]);
    let Some(reports) = endpoints.iter().map(examined).collect() else {
        return busy(request, format);
    };
    let rows = compare(reports);
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

fn examined(view: &Listed) -> Option<(String, Report)> {
    let report = examine_as(view.location, &view.endpoint, Depth::of(&view.endpoint))?;
    let report = if view.endpoint.told { Report::clone(&report) } else { brief(&report) };
    Some((view.location.to_owned(), report))
}

/// Lays the reports side by side and marks each step that went worse than the same step of another database.
fn compare(reports: Vec<(String, Report)>) -> Vec<Row> {
    let step = |report: &Report, stage: Stage| {
        let step = report.steps.iter().find(|step| step.stage == stage);
        step.map_or((State::NotReached, 0.0), |step| (step.state, step.ms))
    };
    let best_of = |stage: Stage| reports.iter().filter_map(|(_, report)| badness(step(report, stage).0)).min();
    let best: Vec<Option<u8>> = Stage::ALL.iter().map(|&stage| best_of(stage)).collect();
    let row = |(location, report): (String, Report)| {
        let cells = Stage::ALL.iter().zip(&best).map(|(&stage, best)| {
            let (state, ms) = step(&report, stage);
            Cell { state, differs: badness(state) > *best, ms }
        });
        let cells = cells.collect();
        Row { location, report, cells }
    };
    reports.into_iter().map(row).collect()
}

/// What is skipped works as well as what passes; what was not reached only follows from the step that failed.
fn badness(state: State) -> Option<u8> {
    match state {
        State::Pass | State::Skip => Some(0),
        State::Warn => Some(1),
        State::Fail => Some(2),
        State::NotReached => None,
    }
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
    out.truncate(out.trim_end_matches(' ').len());
    out.push('\n');
    for (at, stage) in Stage::ALL.iter().enumerate() {
        let _ = write!(out, "{:WIDTH$}", stage.name());
        for row in rows {
            let cell = &row.cells[at];
            let _ = write!(out, " {}{:<11}", if cell.differs { '*' } else { ' ' }, word(cell.state));
        }
        out.truncate(out.trim_end_matches(' ').len());
        out.push('\n');
    }
    if rows.iter().any(|row| row.cells.iter().any(|cell| cell.differs)) {
        out.push_str("\n* worse here than elsewhere\n");
    }
    out
}

fn json(rows: &[Row]) -> String {
    let databases = rows.iter().map(|row| {
        // a report of ours is JSON that can be read back
        let report = serde_json::from_str::<serde_json::Value>(&without_version(&diagnosis::json(&row.report)))
            .unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::Step;

    fn report(states: &[State]) -> (String, Report) {
        let steps = Stage::ALL.iter().zip(states).map(|(&stage, &state)| Step {
            stage,
            state,
            ms: 0.0,
            tried: String::new(),
            says: String::new(),
            evidence: Vec::new(),
        });
        ("/x".into(), Report { database: String::new(), steps: steps.collect(), failure: None, warnings: Vec::new() })
    }

    fn marks(reports: &[&[State]]) -> Vec<Vec<usize>> {
        let rows = compare(reports.iter().map(|states| report(states)).collect());
        let marked = |row: &Row| (0..row.cells.len()).filter(|&at| row.cells[at].differs).collect();
        rows.iter().map(marked).collect()
    }

    #[test]
    fn the_step_that_went_worse_stands_out_and_not_what_follows_from_it() {
        use State::{Fail, NotReached, Pass, Skip, Warn};
        assert_eq!(marks(&[&[Pass, Pass, Skip], &[Pass, Fail, NotReached]]), [vec![], vec![1]]);
        assert_eq!(marks(&[&[Pass, Warn], &[Pass, Fail], &[Skip, Pass]]), [vec![1], vec![1], vec![]]);
        assert_eq!(marks(&[&[Fail, NotReached], &[Fail, NotReached]]), [[0; 0], []], "no difference");
        assert_eq!(marks(&[&[Fail, NotReached]]), [[0; 0]], "nothing to compare with");
    }
}
