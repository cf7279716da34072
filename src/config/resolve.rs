//! From what was written to what holds: every default filled in, the database read into a target. Pure, and so it
//! gives the same in the parent at configtest and in the child that serves.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::password::Password;
use super::settings::{Origin, Resolved, Set, Settings};
use crate::database::{self, Limits, ParseError, Setting};

/// The file of the default database, in the state directory.
const DEFAULT_DATABASE: &str = "sqlite:dbtest.sqlite";

/// The defaults of directives that are not set; docs/directives.md states the same.
pub mod default {
    use std::time::Duration;

    pub const PAGE_SIZE: u32 = 20;
    pub const CONNECTIONS: u32 = 1;
    pub const MAX_BODY: usize = 64 * 1024;
    pub const CONNECT: Duration = Duration::from_secs(3);
    pub const QUERY: Duration = Duration::from_secs(5);
    pub const WAIT: Duration = Duration::from_secs(1);
}

/// What defaults depend on.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Where DBTestStateDir is when it is not set.
    pub default_state_dir: PathBuf,
}

impl Environment {
    /// As this build of the module has it: beside the state of the httpd that it was built for.
    pub fn of_this_build() -> Self {
        Self { default_state_dir: env!("DBTEST_STATE_DIR").into() }
    }
}

/// A contradiction between directives, with the place of one of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", origin.as_ref().map_or(String::new(), |origin| format!(" ({origin})")))]
pub struct ConfigError {
    pub message: String,
    pub origin: Option<Origin>,
}

impl Settings {
    /// The module's own directory, which it makes itself.
    pub fn state_dir<'a>(&'a self, environment: &'a Environment) -> &'a Path {
        self.state_dir.as_ref().map_or(&*environment.default_state_dir, |dir| dir.value())
    }

    /// Fills in the defaults and reads the database into a target.
    pub fn resolve(&self, environment: &Environment) -> Result<Resolved, ConfigError> {
        let password = self.password.as_ref().map(Set::value);
        let setting = Setting { state_dir: self.state_dir(environment), password: password.and_then(Password::secret) };
        let text = self.database.as_ref().map_or(DEFAULT_DATABASE, |database| database.value());
        let target = database::parse(text, &setting).map_err(|error| self.wrong_database(&error))?;
        let value = |value: &Option<Set<Duration>>, default| value.as_ref().map_or(default, |time| *time.value());
        let no_password = match password {
            Some(Password::Missing { problem }) if target.has_inline_password() => {
                // a contradiction, as when it can be read; and so it is told
                return Err(self.wrong_database(&ParseError {
                    problem: "the password stands both here and in DBTestPasswordFile".into(),
                    hint: format!("take it out of DBTestDatabase ({problem})"),
                }));
            }
            Some(Password::Missing { problem }) => Some(problem.clone()),
            _ => None,
        };
        Ok(Resolved {
            target,
            no_password,
            is_default_database: self.database.is_none(),
            password_file: self.password_file.as_ref().map(|file| file.value().clone()),
            table: self.table.as_ref().map_or_else(Arc::default, |table| Arc::new(table.value().clone())),
            page_size: self.page_size.as_ref().map_or(default::PAGE_SIZE, |size| *size.value()),
            read_only: self.read_only.as_ref().is_some_and(|on| *on.value()),
            create_table: self.create_table.as_ref().is_some_and(|on| *on.value()),
            detail: self.detail.as_ref().map(|detail| detail.value().clone()).unwrap_or_default(),
            limits: Limits {
                connect: value(&self.timeout_connect, default::CONNECT),
                query: value(&self.timeout_query, default::QUERY),
                wait: value(&self.timeout_wait, default::WAIT),
            },
            connections: self.connections.as_ref().map_or(default::CONNECTIONS, |count| *count.value()),
            max_body: self.max_body.as_ref().map_or(default::MAX_BODY, |size| *size.value()),
            origins: self.origins.as_ref().map(|origins| origins.value().clone()).unwrap_or_default(),
        })
    }

    fn wrong_database(&self, error: &ParseError) -> ConfigError {
        let file = match &self.password_file {
            Some(file) => format!("; DBTestPasswordFile is at {}", file.origin()),
            None => String::new(),
        };
        ConfigError {
            message: format!("DBTestDatabase: {error}{file}"),
            origin: self.database.as_ref().map(|database| database.origin().clone()),
        }
    }
}
