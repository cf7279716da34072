//! SQLite for real: files in a directory of the test's own, other processes that hold locks, other users.

mod files;
mod locks;
mod tables;
mod users;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::target::File;
use crate::database::{Cause, Connection, Create, Error, Limits, Table, Target};

const LIMITS: Limits =
    Limits { connect: Duration::from_millis(500), query: Duration::from_millis(500), wait: Duration::from_millis(500) };

/// A directory with a place for a database in it.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// With a database made by the sqlite3 shell, as an administrator would.
    fn with(sql: &str) -> Self {
        let place = Self::new();
        place.shell(sql);
        place
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("a.db")
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        self.directory.path().join(format!("a.db{suffix}"))
    }

    fn shell(&self, sql: &str) -> String {
        shell(&self.path(), sql)
    }

    fn connect(&self) -> Result<Box<dyn Connection>, Error> {
        self.connect_to("stuff", Create::Never)
    }

    fn connect_to(&self, table: &str, create: Create) -> Result<Box<dyn Connection>, Error> {
        File::new(self.path()).connect(&Table::parse(table).unwrap(), &LIMITS, create)
    }

    /// A database made by the module itself.
    fn ours() -> (Self, Box<dyn Connection>) {
        let place = Self::new();
        let mut connection = place.connect_to("stuff", Create::File).unwrap();
        connection.create_table().unwrap();
        (place, connection)
    }
}

const ORIGINAL: &str =
    "CREATE TABLE stuff (id INTEGER NOT NULL, stuff VARCHAR(255) NOT NULL, things TEXT NOT NULL, PRIMARY KEY (id));";

fn shell(path: &Path, sql: &str) -> String {
    let output = Command::new("sqlite3").arg("-bail").arg(path).arg(sql).output().unwrap();
    assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The extended result code of an error.
fn code(error: &Error) -> i32 {
    match &error.cause {
        Cause::Sqlite { code, .. } => *code,
        other => panic!("not SQLite's: {other:?}"),
    }
}
