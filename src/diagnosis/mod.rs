//! The ladder of checks, the evidence each step leaves, and the causes and fixes read from it.
//!
//! A kind of database brings a [`Diagnosis`]: its ladder, its reading of a failure that the page itself
//! met, and its part of the catalogue. One line in [`DIAGNOSES`] adds it; a kind without one is examined
//! through what every connection can do ([`generic`]).

mod catalogue;
mod engine;
mod host;

mod postgresql;
mod report;
mod sqlite;
#[cfg(test)]
mod testing;

use std::sync::Arc;
use std::time::Duration;

use crate::config::Resolved;
use crate::database::{Error, Target};
use engine::{generic, password_file};

pub use catalogue::{Entry, explain};
pub use engine::changes::{Change, Changes};
pub use engine::examiner::Examiner;
pub use host::process::Who;
pub use report::builder::{Climb, Trial};
pub use report::json::json;
pub use report::monitor;
pub use report::text::{Colour, afterwards, headline, instruction, on_one_line, one_line, text};
pub use report::{Finding, Fix, FixKind, Report, State, Step, Then, Verdict};

/// What an examination must know beside the settings.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// "/dbtest": in messages.
    pub location: String,
    /// MaxRequestWorkers' number of child processes, for the capacity arithmetic.
    pub children: u32,
    /// May probes run that leave a FATAL line in the server's log? Only when a person asked and the connection failed.
    pub on_request: bool,
    /// May it write, to roll it back? Not for a stranger's GET, which changes nothing and burns no id.
    pub writes: bool,
    /// Where /proc, /sys and /etc are: "/" but for tests that feed evidence from a fixture.
    pub root: std::path::PathBuf,
    /// All of it ends by then.
    pub within: Duration,
}

/// Examines one kind of database.
pub type Ladder = fn(&dyn Target, &Resolved, &Circumstances) -> Report;

/// Names a failure that the page met, from the error alone: quick, opens nothing.
pub type Quick = fn(&Error, &dyn Target, &Resolved) -> Finding;

/// All that one kind of database brings to the diagnosis.
pub struct Diagnosis {
    /// [`crate::database::Kind::name`].
    pub kind: &'static str,
    pub ladder: Ladder,
    pub quick: Quick,
    /// Its part of the catalogue.
    pub entries: &'static [&'static [Entry]],
}

/// Every kind's diagnosis.
static DIAGNOSES: &[&Diagnosis] = &[&sqlite::DIAGNOSIS, &postgresql::DIAGNOSIS];

fn diagnosis(kind: &str) -> &'static Diagnosis {
    DIAGNOSES.iter().find(|diagnosis| diagnosis.kind == kind).copied().unwrap_or(&generic::DIAGNOSIS)
}

/// Climbs the ladder of the target's kind, from inside this process. Ends within `circumstances.within`,
/// changes nothing, creates nothing.
pub fn examine(target: &Arc<dyn Target>, settings: &Resolved, circumstances: &Circumstances) -> Report {
    let report = (diagnosis(target.kind()).ladder)(target.as_ref(), settings, circumstances);
    password_file::explain(report, settings)
}

/// Names a failure of the page's own read or write, with the id that the ladder would give as far as the
/// error alone can tell.
pub fn quick(error: &Error, target: &Arc<dyn Target>, settings: &Resolved) -> Finding {
    password_file::instead(Some(error.stage), settings)
        .unwrap_or_else(|| (diagnosis(target.kind()).quick)(error, target.as_ref(), settings))
}

/// Whether creating the table is the cure: SQLite's error alone does not tell a missing table from a missing column.
pub fn names_missing_table(finding: &Finding) -> bool {
    !sqlite::IS_ABOUT_COLUMNS.contains(&finding.id)
}

/// One line for the error log: id, Location, step, cause, first fix. Free of secrets and control characters.
pub fn log_line(finding: &Finding, step: crate::database::Stage, location: &str) -> String {
    let mut line = format!("{} {location}: step {}: {}", finding.id, step.name(), finding.cause);
    if let Some(fix) = finding.fixes.first() {
        line.push_str("; ");
        match on_one_line(fix) {
            Some(text) => {
                line.push_str(&instruction(fix));
                line.push(' ');
                line.push_str(&text);
                let then = afterwards(fix);
                if !then.is_empty() {
                    line.push_str(", ");
                    line.push_str(then);
                }
            }
            None => line.push_str(&format!(
                "what to do has several lines: {}/check shows them",
                location.trim_end_matches('/')
            )),
        }
    }
    one_line(&line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Stage;

    #[test]
    fn a_log_line_is_one_line_with_id_location_step_cause_and_fix() {
        let finding = Finding {
            id: "DBT0451",
            cause: "www-data may not\nenter /srv".into(),
            fixes: vec![Fix {
                sure: true,
                kind: FixKind::Shell,
                place: "on this machine".into(),
                text: "chmod o+x /srv".into(),
                then: Then::Restart,
            }],
            excluded: Vec::new(),
        };
        assert_eq!(
            log_line(&finding, Stage::Reach, "/dbtest"),
            "DBT0451 /dbtest: step reach: www-data may not enter /srv; do this, as root, on this machine: \
             chmod o+x /srv, then restart httpd (apachectl restart; a graceful one is not enough)"
        );
    }

    #[test]
    fn several_commands_are_logged_as_one_line_that_means_the_same_or_not_at_all() {
        let line = |kind: FixKind, text: &str| {
            let fix = Fix { sure: true, kind, place: "here".into(), text: text.into(), then: Then::None };
            let finding = Finding { id: "DBT0351", cause: "c".into(), fixes: vec![fix], excluded: Vec::new() };
            log_line(&finding, Stage::Reach, "/dbtest")
        };
        let two = line(FixKind::Shell, "chmod g+rwxs /d\nrunuser -u www-data -- sqlite3 /d/a.db");
        assert!(two.ends_with(": chmod g+rwxs /d && runuser -u www-data -- sqlite3 /d/a.db"), "{two}");
        let sql = line(FixKind::Sql, "GRANT a TO b;\nGRANT c TO d;");
        assert!(sql.ends_with(": GRANT a TO b; GRANT c TO d;"), "{sql}");
        for text in ["cat >f <<E\nx\nE", "for f in *; do\nrm $f\ndone", "echo 'a\nb'", "a || b\nc"] {
            let line = line(FixKind::Shell, text);
            assert!(line.ends_with("; what to do has several lines: /dbtest/check shows them"), "{line}");
        }
    }
}
