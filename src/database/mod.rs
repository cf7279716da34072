//! One interface over every database the module can speak to.
//!
//! A *kind* (SQLite, PostgreSQL) reads what the administrator wrote into a *target*; a target opens
//! *connections*; a *service* shares the connections of one child among its requests. Nothing above
//! this module knows which database it talks to. A third kind is one more file and one more line in
//! [`KINDS`].

mod admission;
mod batch;
mod error;
mod login;
#[cfg(test)]
mod model;
pub mod postgresql;
mod rows;
mod service;
mod shared;
pub mod sqlite;
mod stall_limit;
mod sync;
mod table;
pub mod text;
mod wait_queue;

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

pub use admission::Children;
pub use error::{Cause, Error, ServerError, Stage, WriteError};
pub use login::LoginRefusal;
pub use rows::{MOST_TEXT, Row, Rows};
pub use service::{NotStored, Refusal, Service, Services, spent};
pub use shared::Shared;
pub use table::Table;

/// Every kind of database, in the order in which they are asked whether a text is theirs.
pub static KINDS: &[&dyn Kind] = &[&sqlite::Sqlite, &postgresql::Postgresql];

/// The rows of one page, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    pub rows: Rows,
    /// Whether rows older than the last of `rows` exist.
    pub more: bool,
    /// How long the database took to answer.
    pub took: Duration,
}

/// What answered: shown to the visitor, and so free of secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// "PostgreSQL" or "SQLite".
    pub product: &'static str,
    /// As the server gives it, e.g. "15.18".
    pub version: String,
    /// Database name, or the path of the SQLite file.
    pub database: String,
    /// Host and port, socket directory, or "this machine".
    pub host: String,
    /// The role that the database knows us by; for SQLite the operating system's user.
    pub role: String,
    /// How the bytes travel: "Unix socket", "TCP, not encrypted", "TLSv1.3", "file".
    pub transport: String,
}

/// How long each thing may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// From resolving the name to a session that is ready.
    pub connect: Duration,
    /// One statement, from sending to the last byte of its answer.
    pub query: Duration,
    /// Waiting for a connection that other requests of this child hold.
    pub wait: Duration,
}

/// A kind of database.
pub trait Kind: Sync {
    /// The name in messages and reports: "sqlite", "postgresql".
    fn name(&self) -> &'static str;

    /// Whether `text` is written in this kind's syntax (by its scheme, say). The first kind to say yes parses it.
    fn recognises(&self, text: &str) -> bool;

    /// Reads `text` into a target without touching network or disk.
    fn parse(&self, text: &str, setting: &Setting) -> Result<Arc<dyn Target>, ParseError>;
}

/// What else a target needs to know from the configuration.
#[derive(Debug, Clone)]
pub struct Setting<'a> {
    /// Relative SQLite paths start here.
    pub state_dir: &'a std::path::Path,
    /// From DBTestPasswordFile; a text that holds a password as well is a contradiction.
    pub password: Option<&'a Secret>,
}

/// A mistake in a database URL or connection string: what is wrong, and what to write instead.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{problem}{}{hint}", if hint.is_empty() { "" } else { ": " })]
pub struct ParseError {
    /// Never holds a password.
    pub problem: String,
    /// What to type; empty when the problem says it all.
    pub hint: String,
}

/// One database as configured: everything needed to connect, resolved once.
pub trait Target: Any + Debug + Send + Sync {
    /// [`Kind::name`] of the kind that made it.
    fn kind(&self) -> &'static str;

    /// The target as a URL that may be shown and logged: secrets masked.
    fn masked(&self) -> String;

    /// Whether the text held a password in the clear (then configtest warns).
    fn has_inline_password(&self) -> bool;

    /// What is wrong with it that can be known offline, as this process: files that are missing or unreadable.
    /// Each is a message that stands alone. Runs at configtest, as root, and must create nothing.
    fn check_offline(&self) -> Vec<String>;

    /// What is legal in the text but hardly meant, such as a template's placeholder: configtest warns of it. Each is
    /// a message that stands alone. Looks at nothing but the text.
    fn suspicions(&self) -> Vec<String> {
        Vec::new()
    }

    /// That a password is sent to another machine which has not proved who it is, as a message that stands alone:
    /// configtest warns of it.
    fn unproved(&self) -> Option<String> {
        None
    }

    /// The file behind the target, if it is one: configtest compares it with the DocumentRoots.
    fn file(&self) -> Option<&std::path::Path>;

    /// The statement that creates the table, to show before it is run.
    fn create_statement(&self, table: &Table) -> String;

    /// Whether rows that wait for the same connection are better inserted together, by
    /// [`Connection::insert_together`].
    fn commits_together(&self) -> bool {
        false
    }

    /// Opens a connection, within `limits.connect`. Never creates a database unless `create` says so.
    fn connect(&self, table: &Table, limits: &Limits, create: Create) -> Result<Box<dyn Connection>, Error>;
}

/// Whether connecting may create what is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Create {
    /// Open what is there, or fail.
    Never,
    /// An SQLite file that does not exist is created, empty. PostgreSQL ignores it.
    File,
}

/// An open connection. Every call ends within the limits that it was opened with.
pub trait Connection: Send {
    /// What answered.
    fn about(&self) -> &About;

    /// The newest `size` rows with an id below `before` (all, without one).
    fn page(&mut self, before: Option<i64>, size: u32) -> Result<Page, Error>;

    /// Inserts one row and commits it; returns its id once it is durable.
    fn insert(&mut self, stuff: &str, things: &str) -> Result<i64, WriteError>;

    /// Inserts several rows, which may be committed together: each has its own answer, and one that fails never
    /// drags another down. An error of the whole holds for every row.
    fn insert_together(&mut self, rows: &[(&str, &str)]) -> Result<Vec<Result<i64, WriteError>>, WriteError> {
        Ok(rows.iter().map(|(stuff, things)| self.insert(stuff, things)).collect())
    }

    /// Creates the table; it is an error if it exists.
    fn create_table(&mut self) -> Result<(), Error>;

    /// Drops the table, if it exists, and creates it.
    fn reset_table(&mut self) -> Result<(), Error>;

    /// A cheap proof that the database answers.
    fn ping(&mut self) -> Result<(), Error>;

    /// False once the connection broke: it is to be dropped and replaced.
    fn usable(&self) -> bool;
}

/// A text that must never be shown: a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Only for the code that hands it to the database.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Reads a DBTestDatabase value with the kind that recognises it.
pub fn parse(text: &str, setting: &Setting) -> Result<Arc<dyn Target>, ParseError> {
    match KINDS.iter().find(|kind| kind.recognises(text)) {
        Some(kind) => kind.parse(text, setting),
        None => Err(text::of_no_kind(text)),
    }
}
