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

use crate::config::Resolved;
use crate::database::{Error, Target};
use engine::{generic, password_file};

pub use catalogue::explain;
pub use engine::changes::{Change, Changes};
pub use engine::examiner::Examiner;
pub use engine::kind::{Circumstances, Diagnosis, Entry};
pub use host::process::Who;
pub use report::json::json;
pub use report::log_line::log_line;
pub use report::monitor;
pub use report::text::{Colour, afterwards, headline, instruction, one_line, text};
pub use report::{Finding, Report, State, Step, Verdict};

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
