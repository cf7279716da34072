//! A second connection beside the page's, opened like it: SQLite's own view of the file, and the write that is
//! rolled back. Two connections of one process to one file are SQLite's everyday business: it keeps the
//! locks of a process together by inode.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, ffi};

use super::schema::Schema;
use crate::database::{Cause, Limits, Table};

/// Steps of SQLite's machine between two looks at the clock.
const STEPS: i32 = 1000;

/// quick_check cannot be interrupted in older versions: only files of at most so many pages are checked.
pub const CHECKED_PAGES: i64 = 4000;

/// A probe that is open.
pub struct Probe {
    connection: Connection,
    ends: Instant,
}

/// What SQLite says of the file.
#[derive(Debug, Clone, Default)]
pub struct Session {
    /// sqlite3_db_readonly(): opened for reading only, though writing was asked for.
    pub read_only: bool,
    pub journal_mode: String,
    pub synchronous: i64,
    pub page_size: i64,
    pub pages: i64,
    pub most_pages: i64,
    pub encoding: String,
    pub auto_vacuum: i64,
    /// The first line of quick_check; `None` when it was not run.
    pub quick_check: Option<String>,
}

/// What happened to the row that was inserted and rolled back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Insert {
    /// It was there, with this id.
    Done(Option<i64>),
    /// Nothing failed, and no row was there.
    Ignored,
}

/// What the write would do without one of the table's rules: proves which rule it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blame {
    /// Without this trigger the row goes in.
    Trigger(String),
    /// Without this unique index the row goes in.
    Index(String),
    /// Without CHECK the row goes in.
    Check,
    /// Neither, or both at once.
    Unclear,
}

impl Probe {
    /// Opens the file. Never creates it.
    pub fn open(path: &Path, limits: &Limits, within: Duration) -> Result<Self, Cause> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|error| cause(&error))?;
        let ends = Instant::now() + within;
        let prepare = || {
            connection.busy_timeout(limits.query.min(within))?;
            connection.progress_handler(STEPS, Some(move || Instant::now() > ends))?;
            connection.pragma_update(None, "synchronous", "FULL")
        };
        prepare().map_err(|error| cause(&error))?;
        Ok(Self { connection, ends })
    }

    /// What SQLite says of the file.
    pub fn session(&self) -> Result<Session, Cause> {
        let read = || -> rusqlite::Result<Session> {
            let pages = self.number("page_count")?;
            Ok(Session {
                read_only: self.connection.is_readonly("main")?,
                journal_mode: self.word("journal_mode")?,
                synchronous: self.number("synchronous")?,
                page_size: self.number("page_size")?,
                pages,
                most_pages: self.number("max_page_count")?,
                encoding: self.word("encoding")?,
                auto_vacuum: self.number("auto_vacuum")?,
                quick_check: None,
            })
        };
        read().map_err(|error| cause(&error))
    }

    /// quick_check, if the file is small enough for it to end soon.
    pub fn quick_check(&self, pages: i64) -> Option<Result<String, Cause>> {
        let small = pages <= CHECKED_PAGES && Instant::now() < self.ends;
        small.then(|| {
            let check = self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
            check.map_err(|error| cause(&error))
        })
    }

    pub fn schema(&self, table: &Table, page_size: u32) -> Result<Schema, Cause> {
        Schema::read(&self.connection, table, page_size).map_err(|error| cause(&error))
    }

    /// BEGIN IMMEDIATE; INSERT; ROLLBACK: readers go on meanwhile, and other writers wait no longer than that takes.
    pub fn write(&self, table: &Table) -> Result<Insert, Cause> {
        self.run("BEGIN IMMEDIATE").map_err(|error| cause(&error))?;
        let inserted = self.insert(table).map_err(|error| cause(&error));
        // SQLite itself ends the transaction when the disk is full
        if !self.connection.is_autocommit() {
            self.run("ROLLBACK").map_err(|error| cause(&error))?;
        }
        inserted
    }

    fn insert(&self, table: &Table) -> rusqlite::Result<Insert> {
        let sql = format!("INSERT INTO {} ([stuff], [things]) VALUES (?1, ?2)", table.quoted());
        // a value that no UNIQUE can have met, short enough for every CHECK of a length
        let stuff = format!("dbtest check {}", std::process::id());
        if self.connection.execute(&sql, (stuff, "rolled back"))? == 0 {
            return Ok(Insert::Ignored);
        }
        let sql = format!("SELECT [id] FROM {} WHERE rowid = last_insert_rowid()", table.quoted());
        // a table WITHOUT ROWID or a view has no rowid to ask by
        Ok(Insert::Done(self.connection.query_row(&sql, [], |row| row.get(0)).unwrap_or(None)))
    }

    /// Which rule refuses the row: each is taken away in a transaction that is rolled back.
    pub fn blame(&self, table: &Table, schema: &Schema) -> Blame {
        let goes_in_without = |kind: &str, name: &str| {
            self.goes_in(table, Some(&format!("DROP {kind} {}", crate::diagnosis::sqlite::sql_words::quoted(name))))
        };
        for trigger in schema.insert_triggers() {
            if goes_in_without("TRIGGER", &trigger.name) {
                return Blame::Trigger(trigger.name.clone());
            }
        }
        for index in &schema.indexes {
            if goes_in_without("INDEX", &index.name) {
                return Blame::Index(index.name.clone());
            }
        }
        let without_checks = self.connection.pragma_update(None, "ignore_check_constraints", true).is_ok();
        let goes_in = without_checks && self.goes_in(table, None);
        let _ = self.connection.pragma_update(None, "ignore_check_constraints", false);
        if goes_in { Blame::Check } else { Blame::Unclear }
    }

    /// The one trigger without which SQLite would make sense of the INSERT; nothing is locked or written.
    pub fn only_a_trigger_refuses(&self, table: &Table, schema: &Schema) -> Option<String> {
        let [trigger] = schema.insert_triggers()[..] else { return None };
        let sql = format!("INSERT INTO {} ([stuff], [things]) VALUES (?1, ?2)", table.quoted());
        let understood = || self.connection.prepare(&sql).is_ok();
        if understood() {
            return None;
        }
        self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).ok()?;
        let without = understood();
        self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true).ok()?;
        without.then(|| trigger.name.clone())
    }

    /// Whether the row goes in once these statements are run. Nothing stays.
    pub fn goes_in_after(&self, table: &Table, statements: &str) -> bool {
        self.goes_in(table, Some(statements))
    }

    fn goes_in(&self, table: &Table, first: Option<&str>) -> bool {
        let tried = self
            .run("BEGIN IMMEDIATE")
            .and_then(|()| first.map_or(Ok(()), |sql| self.run(sql)))
            .and_then(|()| self.insert(table));
        if !self.connection.is_autocommit() && self.run("ROLLBACK").is_err() {
            return false;
        }
        matches!(tried, Ok(Insert::Done(_)))
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.execute_batch(sql)
    }

    fn number(&self, pragma: &str) -> rusqlite::Result<i64> {
        self.connection.pragma_query_value(None, pragma, |row| row.get(0))
    }

    fn word(&self, pragma: &str) -> rusqlite::Result<String> {
        self.connection.pragma_query_value(None, pragma, |row| row.get(0))
    }
}

/// Whether the file is a whole database when the -wal beside it is left out of account: then that belongs to another
/// file. Asked only of a damaged one. SQLite closes the file of an immutable database without regard for the locks
/// that other connections of this process hold, so this connection is kept for ever; one for each damaged file.
pub fn is_whole_without_wal(path: &Path) -> Option<bool> {
    static KEPT: std::sync::Mutex<Vec<(std::path::PathBuf, Connection)>> = std::sync::Mutex::new(Vec::new());
    let mut kept = KEPT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !kept.iter().any(|(known, _)| known == path) {
        if kept.len() >= 8 {
            return None;
        }
        let encoded =
            percent_encoding::percent_encode(path.as_os_str().as_encoded_bytes(), percent_encoding::NON_ALPHANUMERIC);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(format!("file:{encoded}?immutable=1"), flags).ok()?;
        kept.push((path.to_owned(), connection));
    }
    let (_, connection) = kept.iter().find(|(known, _)| known == path)?;
    let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).ok()?;
    if pages > CHECKED_PAGES {
        return None;
    }
    let line = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    Some(line.is_ok_and(|line| line == "ok"))
}

/// SQLite's error as a cause: its extended code; the driver's own as text.
pub fn cause(error: &rusqlite::Error) -> Cause {
    match error {
        rusqlite::Error::SqliteFailure(code, message) if code.extended_code == ffi::SQLITE_INTERRUPT => {
            let _ = message;
            Cause::TimedOut(Duration::ZERO)
        }
        rusqlite::Error::SqliteFailure(code, message) => Cause::Sqlite {
            code: code.extended_code,
            message: message.clone().unwrap_or_else(|| code.to_string()),
            errno: None,
        },
        #[cfg(feature = "bundled-sqlite")] // the driver only has it for an SQLite that is surely new enough
        rusqlite::Error::SqlInputError { error, msg, .. } => {
            Cause::Sqlite { code: error.extended_code, message: msg.clone(), errno: None }
        }
        other => Cause::Driver(other.to_string()),
    }
}
