//! PostgreSQL, and the poolers that speak its protocol.
//!
//! The protocol is tokio-postgres', without its runtime: no thread is started in httpd's children. Everything around
//! it is ours, since each step needs a deadline and an answer of its own when it fails:
//!
//! - `settings`: what the administrator wrote.
//! - `resolve`, `socket`, `tls` (and `certificate`), `negotiate`: the steps to a session, one function each. The diagnosis uses the same.
//! - `open`: several hosts and kinds of encryption, in libpq's order.
//! - `wire`, `drive`: the driver's futures over a blocking socket. `startup` listens in.
//! - `exchange`, `framing`: the same stream without the driver, for the table's own statements.
//! - `statements`, `connection`: the table.
//! - `failure`: errors.

mod auth_request;
pub mod certificate;
pub mod connection;
pub mod deadline;
pub mod drive;
pub mod exchange;
pub mod failure;
mod framing;
pub mod negotiate;
pub mod open;
mod policy;
pub mod resolve;
pub mod settings;
pub mod socket;
pub mod startup;
mod statements;
pub mod tls;
pub mod wire;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{Connection, Create, Error, Kind, Limits, ParseError, Setting, Table, Target};
use connection::PgConnection;
use deadline::Deadline;
use open::{Attempts, Opened};
use settings::{Host, PgSettings, SslMode};

/// The kind.
pub struct Postgresql;

impl Kind for Postgresql {
    fn name(&self) -> &'static str {
        "postgresql"
    }

    fn recognises(&self, text: &str) -> bool {
        settings::recognises(text)
    }

    fn parse(&self, text: &str, setting: &Setting) -> Result<Arc<dyn Target>, ParseError> {
        Ok(Arc::new(PgTarget::new(settings::parse(text, setting)?)))
    }
}

/// A database on a PostgreSQL server.
#[derive(Debug)]
pub struct PgTarget {
    settings: Arc<PgSettings>,
    /// A pooler is in between: named statements are not used.
    pooled: Arc<AtomicBool>,
}

impl PgTarget {
    pub fn new(settings: PgSettings) -> Self {
        Self { settings: Arc::new(settings), pooled: Arc::default() }
    }

    /// What was configured.
    pub fn settings(&self) -> &PgSettings {
        &self.settings
    }

    /// Opens a session, with every attempt that failed on the way.
    pub fn open(&self, limits: &Limits) -> Result<Opened, Attempts> {
        open::open(&self.settings, Deadline::after(limits.connect))
    }

    /// The page's connection over a session, whoever opened it.
    pub fn connection(&self, opened: Opened, table: &Table, limits: &Limits) -> PgConnection {
        PgConnection::new(opened, Arc::clone(&self.settings), Arc::clone(&self.pooled), table, limits)
    }
}

impl Target for PgTarget {
    fn kind(&self) -> &'static str {
        Postgresql.name()
    }

    fn masked(&self) -> String {
        self.settings.masked()
    }

    fn has_inline_password(&self) -> bool {
        self.settings.inline_password
    }

    /// What was hardly meant, and certificate files that cannot be read. As root: whether the child may read them is
    /// seen when it connects.
    fn check_offline(&self) -> Vec<String> {
        let named = self.settings.hosts.iter().filter_map(|host| match &host.host {
            Host::SocketDir(dir) if !dir.exists() => Some(dir.display()),
            _ => None,
        });
        let mut problems: Vec<String> = named
            .map(|dir| {
                format!("the socket's directory {dir} does not exist: a server that is not started has made none, or it is another")
            })
            .collect();
        if self.settings.sslmode != SslMode::Disable
            && let Err(error) = tls::context(&self.settings)
        {
            problems.push(format!("{}: {}", error.doing, error.cause));
        }
        problems
    }

    fn suspicions(&self) -> Vec<String> {
        self.settings.suspicions()
    }

    fn unproved(&self) -> Option<String> {
        self.settings.unproved()
    }

    fn file(&self) -> Option<&Path> {
        None
    }

    fn create_statement(&self, table: &Table) -> String {
        statements::create(table)
    }

    fn commits_together(&self) -> bool {
        // what a commit costs is its wait for the server's disk, whatever the number of rows
        true
    }

    fn connect(&self, table: &Table, limits: &Limits, _: Create) -> Result<Box<dyn Connection>, Error> {
        match self.open(limits) {
            Ok(opened) => Ok(Box::new(self.connection(opened, table, limits))),
            Err(attempts) => Err(attempts.into_error()),
        }
    }
}

#[cfg(test)]
#[path = "../../../tests/support/postgresql/mod.rs"]
pub mod support;

#[cfg(test)]
mod tests;
