//! An open SQLite file.
//!
//! Before and after each statement its files are compared with those that were opened (see `files`).

mod deadline;
pub mod files;
mod insert;
mod parting;
mod turnstile;

use std::borrow::Cow;
use std::cell::Cell;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{Connection as Driver, OpenFlags};

use self::deadline::{Deadline, wait_for_lock};
pub use self::files::Files;
use self::files::inode;
use self::turnstile::Turnstile;
use super::fault;
use super::statements::Statements;
use crate::database::{
    About, Cause, Connection, Create, Error, Limits, MOST_TEXT, Page, Row, Rows, Stage, Table, WriteError,
};

/// Steps of SQLite's machine between two looks at the clock: far below a millisecond, and more than a page takes.
const STEPS: i32 = 1000;

/// A connection.
pub struct Open {
    driver: Driver,
    path: PathBuf,
    /// The files that are open.
    files: Arc<Files>,
    statements: Statements,
    table: Table,
    limit: Duration,
    deadline: Deadline,
    about: About,
    broken: Cell<bool>,
    /// Whether SQLite assigns `id`; asked again when the schema changed.
    id_is_rowid: Cell<Option<bool>>,
}

impl Open {
    /// Opens the file and reads its schema.
    pub fn new(path: &Path, table: &Table, limits: &Limits, create: Create) -> Result<Self, Error> {
        let doing = || format!("opening {}", path.display());
        let c_path = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| fault::io(Stage::Config, doing(), rustix::io::Errno::INVAL))?;
        // SQLite follows links before it names the files beside
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let turnstile = Turnstile::of(&real);
        let alone = turnstile.alone();
        let (driver, opened) = open_file(path, &c_path, create)
            .map_err(|error| fault::with_errno(fault::error(Stage::Reach, doing(), &error, limits.connect), path))?;
        let deadline = Deadline::new();
        let open = Self {
            about: about(path),
            statements: Statements::new(table),
            table: table.clone(),
            driver,
            path: path.to_owned(),
            files: Arc::new(Files::new(&real, c_path, opened, turnstile)),
            limit: limits.query,
            deadline: deadline.clone(),
            broken: Cell::new(false),
            id_is_rowid: Cell::new(None),
        };
        open.deadline.set(limits.connect);
        open.prepare_session(deadline).map_err(|error| {
            let stage = fault::stage_of_opening(&error);
            fault::with_errno(fault::error(stage, open.doing("reading the schema of"), &error, limits.connect), path)
        })?;
        // the schema was read: from here on the log is open too
        open.files.look();
        drop(alone);
        Ok(open)
    }

    /// Settings of the session, and the first look at the file: whether it is a database at all.
    fn prepare_session(&self, deadline: Deadline) -> rusqlite::Result<()> {
        // a connection that fails leaves the files as they were: closing would copy the pages of a log that may belong
        // to another file into this one, and so damage what was whole
        self.driver.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        self.driver.progress_handler(STEPS, Some(move || deadline.is_over()))?;
        self.driver.busy_handler(Some(wait_for_lock))?;
        // an acknowledged row survives a power cut
        self.driver.pragma_update(None, "synchronous", "FULL")?;
        if cfg!(target_os = "macos") {
            // there, fsync alone leaves the row in the drive's cache
            self.driver.pragma_update(None, "fullfsync", true)?;
        }
        self.driver.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))?;
        self.driver.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map(drop)
    }

    fn doing(&self, what: &str) -> String {
        format!("{what} {}", self.path.display())
    }

    fn error(&self, stage: Stage, what: &str, cause: Cause) -> Error {
        Error { stage, doing: self.doing(what), cause }
    }

    /// Notes what an error means for the connection, and makes it evidence.
    fn fault(&self, stage: Stage, what: &str, error: &rusqlite::Error) -> Error {
        if fault::breaks(error) {
            self.broken.set(true);
        }
        fault::with_errno(fault::error(stage, self.doing(what), error, self.limit), &self.path)
    }

    /// The statement, from the connection's cache.
    fn prepare(&self, sql: &str, what: &str) -> Result<rusqlite::CachedStatement<'_>, Error> {
        self.driver.prepare_cached(sql).map_err(|error| self.schema_fault(what, &error))
    }

    /// What SQLite refuses before it runs a statement is a matter of table and columns, or of the file. A connection
    /// that misses something is not used again: it remembers the schema, and does not see that a file was overwritten
    /// by another that has counted as many changes.
    fn schema_fault(&self, what: &str, error: &rusqlite::Error) -> Error {
        let stage = if fault::is_plain(error) { Stage::Schema } else { fault::stage_of_opening(error) };
        if stage == Stage::Schema {
            self.broken.set(true);
        }
        self.fault(stage, what, error)
    }

    /// A statement that failed while it ran. After a change of the schema SQLite prepares it again by itself, and
    /// what that finds missing comes up here.
    fn run_fault(&self, stage: Stage, what: &str, sql: &str, error: &rusqlite::Error) -> Error {
        if fault::is_plain(error)
            && let Err(again) = self.driver.prepare(sql)
        {
            return self.schema_fault(what, &again);
        }
        self.fault(stage, what, error)
    }

    /// Whether SQLite assigns the ids of this table.
    fn id_is_rowid(&self) -> rusqlite::Result<bool> {
        if let Some(known) = self.id_is_rowid.get() {
            return Ok(known);
        }
        let names = (self.table.name(), self.table.schema().unwrap_or("main"));
        let is = self.driver.query_row(self.statements.id_is_rowid, names, |row| row.get(0))?;
        self.id_is_rowid.set(Some(is));
        Ok(is)
    }

    /// The rows, and whether more were left out since their texts are long.
    fn rows(&self, greatest: i64, size: u32) -> Result<(Rows, bool), Error> {
        let what = "reading the table in";
        let mut statement = self.prepare(&self.statements.page, what)?;
        let mut read = || {
            let mut found = Rows::with_capacity(size as usize + 1);
            let mut rows = statement.query((greatest, i64::from(size) + 1))?;
            while let Some(row) = rows.next()? {
                if found.text_bytes() > MOST_TEXT {
                    return Ok((found, true));
                }
                let (stuff, things) = (text(row.get_ref(1)?), text(row.get_ref(2)?));
                found.push(Row { id: row.get(0)?, stuff: &stuff, things: &things });
            }
            Ok((found, false))
        };
        read().map_err(|error| {
            // an id that is no number is a matter of how the table was declared
            let stage = if fault::is_sqlites(&error) { Stage::Read } else { Stage::Schema };
            self.run_fault(stage, what, &self.statements.page, &error)
        })
    }

    /// Rows without an id are on no page: say so rather than hide them.
    fn refuse_orphans(&self) -> Result<(), Error> {
        let what = "reading the table in";
        let mut statement = self.prepare(&self.statements.orphan, what)?;
        match statement.exists([]) {
            Ok(false) => Ok(()),
            Ok(true) => Err(self.error(Stage::Schema, what, Cause::Driver(self.without_id()))),
            Err(error) => Err(self.fault(Stage::Read, what, &error)),
        }
    }

    fn without_id(&self) -> String {
        format!("a row of {} has no id: only a column declared INTEGER PRIMARY KEY gets one from SQLite", self.table)
    }

    fn run(&self, sql: &str, what: &str) -> Result<(), Error> {
        self.driver.execute_batch(sql).map_err(|error| self.fault(Stage::Write, what, &error))
    }

    /// Ends a transaction that failed. SQLite may have ended it by itself.
    fn roll_back(&self) {
        if !self.driver.is_autocommit() && self.driver.execute_batch("ROLLBACK").is_err() {
            self.broken.set(true);
        }
    }

    /// Runs `work` in one transaction that holds the write lock from the start.
    fn transaction(&self, what: &str, work: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        self.run("BEGIN IMMEDIATE", what)?;
        work().and_then(|()| self.run("COMMIT", what)).inspect_err(|_| self.roll_back())
    }

    /// A database without any table is ours to set up: with a write-ahead log, readers and the writer do not wait
    /// for one another. A database that somebody made keeps the mode it has.
    fn set_up_if_new(&self, what: &str) -> Result<(), Error> {
        let end = Instant::now() + self.limit;
        loop {
            let set_up = self.driver.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get::<_, i64>(0));
            let set_up = set_up.and_then(|tables| match tables {
                0 => self.driver.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())),
                _ => Ok(()),
            });
            match set_up {
                // SQLite does not wait for this lock by itself
                Err(error) if fault::is_busy(&error) && Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                set_up => return set_up.map_err(|error| self.fault(Stage::Write, what, &error)),
            }
        }
    }

    fn exists(&self, what: &str) -> Result<bool, Error> {
        self.driver
            .query_row(&self.statements.exists, [self.table.name()], |row| row.get::<_, i64>(0))
            .map(|count| count > 0)
            .map_err(|error| self.schema_fault(what, &error))
    }
}

impl Connection for Open {
    fn about(&self) -> &About {
        &self.about
    }

    fn page(&mut self, before: Option<i64>, size: u32) -> Result<Page, Error> {
        let started = Instant::now();
        self.begin(Stage::Read)?;
        let greatest = match before {
            None => i64::MAX,
            Some(i64::MIN) => return Ok(Page::default()),
            Some(before) => before - 1,
        };
        let (mut rows, cut) = self.rows(greatest, size)?;
        let is_rowid = self.id_is_rowid();
        if !is_rowid.map_err(|error| self.fault(Stage::Read, "reading the schema of", &error))? {
            self.refuse_orphans()?;
        }
        let more = cut || rows.len() > size as usize;
        rows.truncate(size as usize);
        Ok(Page { rows, more, took: started.elapsed() })
    }

    fn insert(&mut self, stuff: &str, things: &str) -> Result<i64, WriteError> {
        self.write(|| self.insert_one(stuff, things))
    }

    fn insert_together(&mut self, rows: &[(&str, &str)]) -> Result<Vec<Result<i64, WriteError>>, WriteError> {
        if let [(stuff, things)] = rows {
            return self.insert(stuff, things).map(|id| vec![Ok(id)]);
        }
        self.write(|| self.insert_all(rows))
    }

    fn create_table(&mut self) -> Result<(), Error> {
        let what = "creating the table in";
        self.begin(Stage::Write)?;
        self.set_up_if_new(what)?;
        self.transaction(what, || {
            if self.exists(what)? {
                return Err(self.error(
                    Stage::Schema,
                    what,
                    Cause::Driver(format!("there is a table {} already", self.table)),
                ));
            }
            self.run(&self.statements.create, what)
        })
    }

    fn reset_table(&mut self) -> Result<(), Error> {
        let what = "dropping and creating the table in";
        self.begin(Stage::Write)?;
        self.set_up_if_new(what)?;
        self.transaction(what, || {
            self.run(&self.statements.drop, what)?;
            self.run(&self.statements.create, what)
        })
    }

    fn ping(&mut self) -> Result<(), Error> {
        let what = "reading the table in";
        self.begin(Stage::Read)?;
        let mut statement = self.prepare(&self.statements.ping, what)?;
        let read = statement.exists([]);
        read.map(drop).map_err(|error| self.run_fault(Stage::Read, what, &self.statements.ping, &error))
    }

    fn usable(&self) -> bool {
        // What SQLite opened for reading only stays so, and with a write-ahead log every later connection of this process
        // shares its view of the -shm file: it is not kept until the next request
        !self.broken.get() && self.driver.is_autocommit() && !self.driver.is_readonly("main").unwrap_or(true)
    }
}

/// Opens with every flag said: the default ones would create a file for a misspelt name and take `file:` URIs.
/// The inode is that of the file that was opened: it is looked at before and after, until both agree.
fn open_file(path: &Path, c_path: &CString, create: Create) -> rusqlite::Result<(Driver, Option<(u64, u64)>)> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if create == Create::File {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    loop {
        let before = inode(c_path);
        let driver = Driver::open_with_flags(path, flags)?;
        let after = inode(c_path);
        if before.is_none() || before == after {
            return Ok((driver, after));
        }
    }
}

/// A column as text, whatever it holds: SQLite lets a column hold any type, and text that is not UTF-8. A page that
/// shows such a row helps more than one that refuses to.
fn text(value: ValueRef<'_>) -> Cow<'_, str> {
    match value {
        ValueRef::Null => Cow::Borrowed(""),
        ValueRef::Integer(number) => number.to_string().into(),
        ValueRef::Real(number) => number.to_string().into(),
        // the lossy reading takes several times as long, byte by byte
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
        }
    }
}

fn about(path: &Path) -> About {
    About {
        product: "SQLite",
        version: rusqlite::version().to_owned(),
        database: path.display().to_string(),
        host: "this machine".into(),
        role: user(),
        transport: "file".into(),
    }
}

/// The name of the user that this process runs as. Only from /etc/passwd: a directory service that hangs must not
/// hang the request that wants to say who it is.
fn user() -> String {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("uid {uid}"))
}
