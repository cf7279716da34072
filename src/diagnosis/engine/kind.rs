//! What one kind of database brings to the diagnosis, and what every examination is given.

use std::time::Duration;

use crate::config::Resolved;
use crate::database::{Error, Target};
use crate::diagnosis::report::{Finding, Report};

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

/// One kind of finding.
#[derive(Debug)]
pub struct Entry {
    /// "DBT0312". First digit pair after DBT: the stage (01 config, 02 who … 14 durable, 15 capacity).
    pub id: &'static str,
    /// What has happened, in one line.
    pub title: &'static str,
    /// What it means for the administrator.
    pub meaning: &'static str,
    /// The evidence it is known by.
    pub recognised: &'static str,
    /// What cures it, in general terms; the finding itself has the exact text.
    pub fixes: &'static str,
}
