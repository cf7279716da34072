//! The ladder of checks, the evidence each step leaves, and the causes and fixes read from it.

mod catalogue;
mod report;

use std::time::Duration;

use crate::config::Resolved;
use crate::database::Target;

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
    /// Where /proc, /sys and /etc are: "/" but for tests that feed evidence from a fixture.
    pub root: std::path::PathBuf,
    /// All of it ends by then.
    pub within: Duration,
}

/// Examines one kind of database.
pub type Ladder = fn(&dyn Target, &Resolved, &Circumstances) -> Report;
