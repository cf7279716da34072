//! Several reports at once, as text, as JSON, and as a monitoring plugin prints them (Nagios, Icinga, Naemon, checkmk:
//! monitoring-plugins.org/doc/guidelines.html).

use std::fmt::Write as _;

use super::text::one_line;
use super::{Report, State, Verdict};
use crate::diagnosis::report::text::Colour;

/// How they are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    Json,
    Nagios,
}

/// What was found at one place.
#[derive(Debug)]
pub enum Checked {
    Report(Box<Report>),
    /// It was not checked: why.
    Not(String),
}

impl Checked {
    fn verdict(&self) -> Option<Verdict> {
        match self {
            Checked::Report(report) => Some(report.verdict()),
            Checked::Not(_) => None,
        }
    }

    fn milliseconds(&self) -> f64 {
        match self {
            Checked::Report(report) => report.steps.iter().map(|step| step.ms).sum(),
            Checked::Not(_) => 0.0,
        }
    }
}

impl Form {
    /// The exit status where nothing could be asked at all; prints what a machine expects on standard output.
    pub fn nothing_known(self, why: &str) -> i32 {
        match self {
            Form::Text => 1,
            Form::Json => {
                println!("{}", serde_json::json!({"schema": SCHEMA, "verdict": "unknown", "error": why, "places": []}));
                1
            }
            Form::Nagios => {
                println!("DBTEST UNKNOWN - {}", plain(why));
                3
            }
        }
    }
}

/// The version of the JSON's shape.
const SCHEMA: u32 = 1;

/// All of it, ending in a line end.
pub fn show(checked: &[(String, Checked)], form: Form, colour: Colour) -> String {
    match form {
        Form::Text => as_text(checked, colour),
        Form::Json => as_json(checked),
        Form::Nagios => as_nagios(checked),
    }
}

/// 0 if all is well. As text and JSON else 1; as a plugin 1 for a warning, 2 for a failure, 3 for what is not known.
pub fn status(checked: &[(String, Checked)], form: Form) -> i32 {
    let worst = worst(checked);
    match form {
        Form::Nagios => worst as i32,
        _ => i32::from(matches!(worst, Level::Critical | Level::Unknown)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Ok = 0,
    Warning = 1,
    Critical = 2,
    Unknown = 3,
}

impl Level {
    fn of(checked: &Checked) -> Self {
        match checked.verdict() {
            Some(Verdict::Pass) => Level::Ok,
            Some(Verdict::Warn) => Level::Warning,
            Some(Verdict::Fail) => Level::Critical,
            None => Level::Unknown,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Level::Ok => "OK",
            Level::Warning => "WARNING",
            Level::Critical => "CRITICAL",
            Level::Unknown => "UNKNOWN",
        }
    }
}

/// What one knows to have failed is worse than what one does not know.
fn worst(checked: &[(String, Checked)]) -> Level {
    let rank = |level: &Level| match level {
        Level::Ok => 0,
        Level::Warning => 1,
        Level::Unknown => 2,
        Level::Critical => 3,
    };
    checked.iter().map(|(_, checked)| Level::of(checked)).max_by_key(rank).unwrap_or(Level::Unknown)
}

fn as_text(checked: &[(String, Checked)], colour: Colour) -> String {
    let mut text = String::new();
    for (place, checked) in checked {
        // writing to a String cannot fail, here and below
        let _ = match checked {
            Checked::Report(report) => writeln!(text, "{place}\n{}", super::text::text(report, colour)),
            Checked::Not(why) => writeln!(text, "{place}\n{why}\n"),
        };
    }
    text
}

fn as_json(checked: &[(String, Checked)]) -> String {
    let places: Vec<serde_json::Value> = checked
        .iter()
        .map(|(place, checked)| match checked {
            Checked::Report(report) => {
                let report: serde_json::Value = serde_json::from_str(&super::json::json(report)).unwrap_or_default();
                serde_json::json!({"location": place, "report": report})
            }
            Checked::Not(why) => serde_json::json!({"location": place, "error": why}),
        })
        .collect();
    let verdict = match worst(checked) {
        Level::Ok => "pass",
        Level::Warning => "warn",
        Level::Critical => "fail",
        Level::Unknown => "unknown",
    };
    let document = serde_json::json!({
        "schema": SCHEMA, "version": env!("CARGO_PKG_VERSION"), "verdict": verdict, "places": places,
    });
    format!("{document}\n")
}

/// The first line is what a monitor shows and mails; the times after the bar are what it draws.
fn as_nagios(checked: &[(String, Checked)]) -> String {
    let level = worst(checked);
    let count = |wanted: Level| checked.iter().filter(|(_, checked)| Level::of(checked) == wanted).count();
    let mut text = format!("DBTEST {} - ", level.word());
    let told: Vec<&(String, Checked)> = checked.iter().filter(|(_, checked)| Level::of(checked) == level).collect();
    match (level, told.first()) {
        (Level::Ok, _) | (_, None) => {
            let _ = write!(text, "{} of {} checked, all pass", count(Level::Ok), checked.len());
        }
        (_, Some((place, checked))) => {
            let _ = write!(text, "{}", plain(&line(place, checked)));
            if told.len() > 1 {
                let _ = write!(text, " (and {} more)", told.len() - 1);
            }
        }
    }
    text.push_str(" |");
    for (place, checked) in checked.iter().filter(|(_, checked)| checked.verdict().is_some()) {
        let label = plain(place).replace(['\'', '='], "_");
        let _ = write!(text, " '{label}'={:.1}ms;;;0", checked.milliseconds());
    }
    text.push('\n');
    for (place, checked) in checked {
        let _ = writeln!(text, "{}: {}", Level::of(checked).word(), plain(&line(place, checked)));
    }
    text
}

fn line(place: &str, checked: &Checked) -> String {
    let report = match checked {
        Checked::Not(why) => return format!("{place}: {why}"),
        Checked::Report(report) => report,
    };
    match report.main_finding() {
        None => {
            let passed = report.steps.iter().filter(|step| step.state == State::Pass).count();
            format!("{place}: {passed} steps pass, {}", report.database)
        }
        Some(finding) => {
            let at = report.failed_at().map_or(String::new(), |stage| format!(" at {}", stage.name()));
            format!("{place}{at}: {} {}", finding.id, finding.cause)
        }
    }
}

/// One line without the bar that begins the figures.
fn plain(text: &str) -> String {
    one_line(text).replace('|', "/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Stage;
    use crate::diagnosis::report::{Finding, Step};

    fn report(failed: bool, warned: bool) -> Checked {
        let finding = || Finding {
            id: "DBT0712",
            cause: "a 'pipe' | and\na line".into(),
            fixes: Vec::new(),
            excluded: Vec::new(),
        };
        let step = |stage, state| Step {
            stage,
            state,
            ms: 1.25,
            tried: String::new(),
            says: String::new(),
            evidence: Vec::new(),
        };
        Checked::Report(Box::new(Report {
            database: "sqlite:/x".into(),
            steps: vec![
                step(Stage::Who, State::Pass),
                step(Stage::Admitted, if failed { State::Fail } else { State::Pass }),
            ],
            failure: failed.then(finding),
            warnings: if warned { vec![finding()] } else { Vec::new() },
        }))
    }

    fn places(checked: Vec<Checked>) -> Vec<(String, Checked)> {
        checked.into_iter().zip(1..).map(|(checked, number)| (format!("/d{number}"), checked)).collect()
    }

    #[test]
    fn a_plugin_says_one_line_figures_and_the_agreed_status() {
        let not = || Checked::Not("not made yet".into());
        for (checked, first, code, simple) in [
            (vec![report(false, false)], "DBTEST OK - 1 of 1 checked, all pass | '/d1'=2.5ms;;;0", 0, 0),
            (
                vec![report(false, false), report(false, true)],
                "DBTEST WARNING - /d2: DBT0712 a 'pipe' / and a line | '/d1'=2.5ms;;;0 '/d2'=2.5ms;;;0",
                1,
                0,
            ),
            (
                vec![report(true, false), not(), report(true, false)],
                "DBTEST CRITICAL - /d1 at admitted: DBT0712 a 'pipe' / and a line (and 1 more) | '/d1'=2.5ms;;;0 \
                 '/d3'=2.5ms;;;0",
                2,
                1,
            ),
            (vec![report(false, true), not()], "DBTEST UNKNOWN - /d2: not made yet | '/d1'=2.5ms;;;0", 3, 1),
            (vec![], "DBTEST UNKNOWN - 0 of 0 checked, all pass |", 3, 1),
        ] {
            let checked = places(checked);
            let text = show(&checked, Form::Nagios, Colour::Never);
            assert_eq!(text.lines().next(), Some(first));
            assert_eq!(text.lines().count(), 1 + checked.len(), "{text}");
            assert_eq!((status(&checked, Form::Nagios), status(&checked, Form::Text)), (code, simple), "{text}");
        }
    }

    #[test]
    fn json_holds_every_report_and_one_verdict() {
        let text = show(&places(vec![report(true, false), Checked::Not("why".into())]), Form::Json, Colour::Never);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["verdict"], "fail");
        assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(json["places"][0]["report"]["id"], "DBT0712");
        assert_eq!(json["places"][1]["error"], "why");
    }
}
