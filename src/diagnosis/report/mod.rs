//! What an examination found: the ladder's steps, the verdict, the fixes. One value, shown as HTML,
//! text and JSON in the same words.

pub mod builder;
pub mod effect;
pub mod finding;
pub mod json;
pub mod log_line;
pub mod monitor;
pub mod text;

use effect::Price;
use serde::Serialize;

use crate::database::Stage;

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Pass,
    Fail,
    /// It works, and somebody should know something.
    Warn,
    /// It could not be proved, or means nothing here; `says` has the reason.
    Skip,
    /// An earlier step failed.
    #[serde(rename = "not reached")]
    NotReached,
}

/// One rung of the ladder.
#[derive(Debug, Clone)]
pub struct Step {
    pub stage: Stage,
    pub state: State,
    /// Milliseconds it took.
    pub ms: f64,
    /// The same thing as a command that one can paste into a shell; empty if there is none.
    pub tried: String,
    /// One line for a person: what was proved, or what came back, verbatim.
    pub says: String,
    /// Every fact behind it: ("sqlstate", "28000"), ("routine", "auth_failed"), ("errno", "EACCES"), …
    pub evidence: Vec<(&'static str, String)>,
}

/// How a fix is applied, and so what its text holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum FixKind {
    /// One line that becomes the first of pg_hba.conf.
    #[serde(rename = "pg_hba")]
    PgHba,
    /// One line that becomes the first of pg_ident.conf.
    #[serde(rename = "pg_ident")]
    PgIdent,
    /// Statements for psql as a superuser in the database concerned; for SQLite, for sqlite3 as the server's user.
    #[serde(rename = "sql")]
    Sql,
    /// Commands for root on the machine in `place`.
    #[serde(rename = "shell")]
    Shell,
    /// The directive as it must stand inside the Location.
    #[serde(rename = "httpd")]
    Httpd,
    /// `name = value`.
    #[serde(rename = "postgresql.conf")]
    PostgresqlConf,
    /// A `"user" "secret"` line for the user list, an hba line, or `key = value` with its section in `place`.
    #[serde(rename = "pgbouncer")]
    Pgbouncer,
}

/// What must be done for a fix to take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Then {
    Reload,
    Restart,
    None,
}

/// Something to do, exactly as it is to be typed. A secret that we cannot know is written `<PASSWORD>`;
/// nothing else is left to fill in.
#[derive(Debug, Clone)]
pub struct Fix {
    /// The evidence leaves one cause, and this is its cure. Whether that makes it "do this": [`Fix::is_sure`].
    pub sure: bool,
    pub kind: FixKind,
    /// Which file on which machine, psql in which database, which shell. A shell fix on the machine of the
    /// database names "PostgreSQL" here, one on the pooler's "PgBouncer": that is whom `then` concerns.
    pub place: String,
    pub text: String,
    pub then: Then,
}

/// Whom a fix's `then` concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concerns {
    Httpd,
    Postgresql,
    Pgbouncer,
}

impl Fix {
    /// What it does to others, what that costs, and how it is taken back.
    pub fn price(&self) -> Price {
        effect::price(self.kind, &self.text)
    }

    /// "Do this": its cause is certain, and it takes nothing away from anybody.
    pub fn is_sure(&self) -> bool {
        self.sure && self.price().effect.is_narrow()
    }

    /// Which server is to be reloaded or restarted.
    pub fn concerns(&self) -> Concerns {
        match self.kind {
            FixKind::Httpd => Concerns::Httpd,
            FixKind::Pgbouncer => Concerns::Pgbouncer,
            FixKind::PgHba | FixKind::PgIdent | FixKind::Sql | FixKind::PostgresqlConf => Concerns::Postgresql,
            FixKind::Shell if self.place.contains("PgBouncer") => Concerns::Pgbouncer,
            FixKind::Shell if self.place.contains("PostgreSQL") => Concerns::Postgresql,
            FixKind::Shell => Concerns::Httpd,
        }
    }
}

/// Why a step failed (or warns), and what to do.
#[derive(Debug, Clone)]
pub struct Finding {
    /// "DBT0312": stable, has its entry in the catalogue.
    pub id: &'static str,
    /// A headline that stands alone.
    pub cause: String,
    /// A sure one first.
    pub fixes: Vec<Fix>,
    /// The look-alikes that it is not, and how that is known.
    pub excluded: Vec<String>,
}

/// The outcome of one examination.
#[derive(Debug, Clone)]
pub struct Report {
    /// The target, secrets masked.
    pub database: String,
    pub steps: Vec<Step>,
    /// The failure that stopped the ladder.
    pub failure: Option<Finding>,
    /// What works but should be known, most serious first.
    pub warnings: Vec<Finding>,
}

/// The word that sums a report up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Pass,
    Warn,
    Fail,
}

impl Report {
    pub fn verdict(&self) -> Verdict {
        if self.failure.is_some() {
            Verdict::Fail
        } else if self.warnings.is_empty() {
            Verdict::Pass
        } else {
            Verdict::Warn
        }
    }

    /// The stage of the step that failed.
    pub fn failed_at(&self) -> Option<Stage> {
        self.steps.iter().find(|step| step.state == State::Fail).map(|step| step.stage)
    }

    /// The finding that a headline is made of: the failure, else the first warning.
    pub fn main_finding(&self) -> Option<&Finding> {
        self.failure.as_ref().or(self.warnings.first())
    }
}
