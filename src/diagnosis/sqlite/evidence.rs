//! Everything that is known before a verdict is given. [`super::judge`] reads it and nothing else.

use std::time::{Duration, Instant};

use crate::config::Resolved;
use crate::database::{Cause, Create, Error, Stage, Table, Target};
use crate::diagnosis::host::process::Who;
use crate::diagnosis::sqlite::gather::files::Files;
use crate::diagnosis::sqlite::gather::header::{self, Header};
use crate::diagnosis::sqlite::gather::locks;
use crate::diagnosis::sqlite::gather::probe::{Blame, Insert, Probe, Session};
use crate::diagnosis::sqlite::gather::renamed::{self, Mended};
use crate::diagnosis::sqlite::gather::schema::Schema;
use crate::diagnosis::sqlite::gather::strange::{self, Strange};

/// A failure: where it was met, and what came back.
#[derive(Debug)]
pub struct Failure {
    pub stage: Stage,
    pub cause: Cause,
}

/// What is known.
#[derive(Debug)]
pub struct Evidence {
    pub who: Who,
    pub files: Files,
    pub table: Table,
    pub read_only: bool,
    /// Whether a write is tried, to be rolled back.
    pub writes: bool,
    /// The statement that would create the table.
    pub create: String,
    /// The first failure that was met.
    pub failure: Option<Failure>,
    /// The first bytes of the file, read only when SQLite refused it.
    pub header: Option<Header>,
    pub session: Option<Session>,
    pub schema: Option<Schema>,
    pub inserted: Option<Insert>,
    pub blame: Option<Blame>,
    /// The trigger that is to blame with a name put right, proved to let the row in.
    pub mended: Option<Mended>,
    /// How long each step took.
    pub took: Vec<(Stage, Duration)>,
    /// The object of the schema that this library does not understand, when the file is whole otherwise.
    pub strange: Option<Strange>,
    /// What the file says without the -wal beside it, when it says nothing sensible with it.
    pub without_wal: Option<bool>,
    /// Whether the lock that is in the way belongs to a process that cannot be seen from here; `None` when unknown.
    pub held_unseen: Option<bool>,
    /// Descriptors that this process has open.
    pub open_files: u64,
    /// How many rows the page showed.
    pub rows: Option<usize>,
}

impl Evidence {
    /// Looks from outside only.
    pub fn outside(who: Who, target: &dyn Target, settings: &Resolved) -> Self {
        let path = target.file().unwrap_or(std::path::Path::new("/"));
        let start = Instant::now();
        let files = Files::look(path, settings.read_only, &who);
        Self {
            files,
            who,
            table: (*settings.table).clone(),
            read_only: settings.read_only,
            writes: true,
            create: target.create_statement(&settings.table),
            failure: None,
            header: None,
            session: None,
            schema: None,
            inserted: None,
            blame: None,
            mended: None,
            took: vec![(Stage::Resolve, start.elapsed())],
            without_wal: None,
            strange: None,
            held_unseen: None,
            open_files: 0,
            rows: None,
        }
    }

    /// Notes the failure that the page met.
    pub fn met(mut self, error: &Error, settings: &Resolved) -> Self {
        let (limits, page_size) = (&settings.limits, settings.page_size);
        self.failure = Some(Failure { stage: error.stage, cause: copy(&error.cause) });
        self.look_closer();
        if self.code() == Some(rusqlite::ffi::SQLITE_ERROR) && self.files.file.is_none() {
            // a missing table and a missing column have the same code: the schema tells
            let Ok(probe) = Probe::open(&self.files.path, limits, limits.connect) else { return self };
            self.schema = probe.schema(&self.table, page_size).ok();
            let trigger = self.schema.as_ref().and_then(|schema| probe.only_a_trigger_refuses(&self.table, schema));
            if let (Some(trigger), Some(failure)) = (trigger, &mut self.failure) {
                self.blame = Some(Blame::Trigger(trigger));
                failure.stage = Stage::Write;
            }
        }
        self
    }

    /// Opens, reads and writes (to roll back) as the page does, up to the first failure.
    pub fn inside(mut self, target: &dyn Target, settings: &Resolved, within: Duration, writes: bool) -> Self {
        self.writes = writes;
        let ends = Instant::now() + within;
        let left = || ends.saturating_duration_since(Instant::now());
        if let Err(failure) = self.climb(target, settings, &left) {
            self.failure = Some(failure);
            self.look_closer();
        }
        self
    }

    fn climb(&mut self, target: &dyn Target, settings: &Resolved, left: &dyn Fn() -> Duration) -> Result<(), Failure> {
        if self.file_size_is_deadly() {
            // the kernel would kill this process at the first write past the limit
            let errno = Some(libc::EFBIG);
            let message = "not tried: a write past the limit would end this process".into();
            let cause = Cause::Sqlite { code: rusqlite::ffi::SQLITE_IOERR_WRITE, message, errno };
            return Err(Failure { stage: Stage::Write, cause });
        }
        let limits = &settings.limits;
        let own = |error: Error| Failure { stage: error.stage, cause: error.cause };
        let connecting = Instant::now();
        let mut connection = target.connect(&self.table, limits, Create::Never).map_err(own)?;
        self.took.push((Stage::Reach, connecting.elapsed()));
        let at = |stage| move |cause| Failure { stage, cause };

        let start = Instant::now();
        let path = &self.files.path;
        let probe = Probe::open(path, limits, left()).map_err(at(Stage::Reach))?;
        let mut session = probe.session().map_err(at(Stage::Session))?;
        self.took.push((Stage::Session, start.elapsed()));

        let start = Instant::now();
        session.quick_check = match probe.quick_check(session.pages) {
            Some(Ok(line)) => Some(line),
            // whatever it is, reading the rows will meet it or not
            Some(Err(_)) | None => None,
        };
        self.session = Some(session);
        self.took.push((Stage::Speaks, start.elapsed()));

        let start = Instant::now();
        self.schema = Some(probe.schema(&self.table, settings.page_size).map_err(at(Stage::Schema))?);
        self.took.push((Stage::Schema, start.elapsed()));

        let start = Instant::now();
        let page = connection.page(None, settings.page_size).map_err(own)?;
        self.rows = Some(page.rows.len());
        self.took.push((Stage::Read, start.elapsed()));
        if self.read_only || !self.writes {
            return Ok(());
        }

        let start = Instant::now();
        let inserted = probe.write(&self.table);
        self.took.push((Stage::Write, start.elapsed()));
        let rule = match &inserted {
            Err(Cause::Sqlite { code, .. }) => is_a_rule(*code),
            other => matches!(other, Ok(Insert::Ignored)),
        };
        if let Some(schema) = self.schema.as_ref().filter(|_| rule) {
            let blame = probe.blame(&self.table, schema);
            if let Blame::Trigger(name) = &blame {
                self.mended =
                    renamed::mended(schema, name).filter(|mended| probe.goes_in_after(&self.table, &mended.statements));
            }
            self.blame = Some(blame);
        }
        self.inserted = Some(inserted.map_err(at(Stage::Write))?);
        self.commit_may_begin(limits.query.min(left())).map_err(at(Stage::Write))
    }

    /// In rollback mode a commit waits for every reader. Whether one reads for as long as a statement may take is seen in
    /// the kernel's list: to try it would lock out everybody else meanwhile.
    fn commit_may_begin(&self, within: Duration) -> Result<(), Cause> {
        let in_wal_mode = self.session.as_ref().is_some_and(|session| session.journal_mode == "wal");
        let Some(seen) = self.files.seen.as_ref().filter(|_| !in_wal_mode) else { return Ok(()) };
        if !locks::is_read_throughout(&self.who.root, (seen.device, seen.inode), within) {
            return Ok(());
        }
        let message = "database is locked: another process reads it without an end".into();
        Err(Cause::Sqlite { code: rusqlite::ffi::SQLITE_BUSY, message, errno: None })
    }

    /// A limit on the size of files so low that SQLite's own files do not fit, and a signal that nobody ignores.
    fn file_size_is_deadly(&self) -> bool {
        self.who.file_size_kills && self.file_size_is_short()
    }

    /// The limit on the size of files is nearer than a write needs.
    pub fn file_size_is_short(&self) -> bool {
        /// A -shm file is 32 KiB long, and no page is longer than 64 KiB.
        const ROOM: u64 = 64 * 1024;
        let largest = self.files.seen.iter().chain(&self.files.neighbours).map(|seen| seen.size).max().unwrap_or(0);
        self.who.file_size.is_some_and(|limit| limit < largest.saturating_add(ROOM))
    }

    fn look_closer(&mut self) {
        self.open_files = match std::fs::read_dir(self.who.root.join("proc/self/fd")) {
            Ok(entries) => entries.count() as u64,
            // not even this could be opened
            Err(error) if error.raw_os_error() == Some(libc::EMFILE) => u64::MAX / 2,
            Err(_) => 0,
        };
        self.look_at_header();
        let busy = self.code().is_some_and(|code| code & 0xff == rusqlite::ffi::SQLITE_BUSY);
        if busy && self.files.holders.iter().all(|holder| holder.ours) {
            let shared_memory = self.files.has("-shm").map(|seen| seen.path.clone());
            self.held_unseen = locks::is_held_unseen(&self.files.real, shared_memory.as_deref());
        }
        let damaged = self.code().is_some_and(|code| code & 0xff == rusqlite::ffi::SQLITE_CORRUPT);
        if damaged {
            self.strange = strange::strange_statement(&self.files.real);
        }
        if damaged && self.strange.is_none() && self.files.has("-wal").is_some_and(|wal| wal.size > 0) {
            self.without_wal = crate::diagnosis::sqlite::gather::probe::is_whole_without_wal(&self.files.real);
        }
    }

    /// Only for a file that SQLite cannot use (see [`header`]).
    fn look_at_header(&mut self) {
        let Some(Failure { cause: Cause::Sqlite { code, .. }, .. }) = &self.failure else { return };
        let refused = [rusqlite::ffi::SQLITE_NOTADB, rusqlite::ffi::SQLITE_CORRUPT, rusqlite::ffi::SQLITE_READONLY];
        let odd = refused.contains(&(code & 0xff)) && self.files.file.is_none();
        if odd {
            self.header = header::read(&self.files.real);
        }
    }

    /// SQLite's extended code of the failure.
    pub fn code(&self) -> Option<i32> {
        match &self.failure.as_ref()?.cause {
            Cause::Sqlite { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// What the operating system said, where it is known.
    pub fn errno(&self) -> Option<i32> {
        match &self.failure.as_ref()?.cause {
            Cause::Sqlite { errno, .. } => *errno,
            Cause::Io(error) => error.raw_os_error(),
            _ => None,
        }
    }

    /// The time a step took.
    pub fn ms(&self, stage: Stage) -> f64 {
        self.took.iter().find(|(each, _)| *each == stage).map_or(0.0, |(_, took)| took.as_secs_f64() * 1000.0)
    }
}

/// Whether a code says that a rule of the table refused the row, or that a rule is broken itself.
fn is_a_rule(code: i32) -> bool {
    use rusqlite::ffi;
    matches!(code & 0xff, ffi::SQLITE_CONSTRAINT | ffi::SQLITE_ERROR | ffi::SQLITE_MISMATCH)
}

/// [`Cause`] holds an `io::Error`, which cannot be cloned; its errno can.
fn copy(cause: &Cause) -> Cause {
    match cause {
        Cause::Sqlite { code, message, errno } => {
            Cause::Sqlite { code: *code, message: message.clone(), errno: *errno }
        }
        Cause::Io(error) => match error.raw_os_error() {
            Some(errno) => Cause::Io(std::io::Error::from_raw_os_error(errno)),
            None => Cause::Driver(error.to_string()),
        },
        Cause::TimedOut(limit) => Cause::TimedOut(*limit),
        Cause::Closed => Cause::Closed,
        Cause::NoRow => Cause::NoRow,
        Cause::Login(refusal) => Cause::Login(refusal.clone()),
        Cause::Malformed(bytes) => Cause::Malformed(bytes.clone()),
        other => Cause::Driver(other.to_string()),
    }
}
