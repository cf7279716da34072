//! What becomes of a connection whose files were removed or replaced.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;

use super::Open;
use super::files::{Files, State};
use crate::database::{Cause, Error, Stage, WriteError};

/// For copying a log, which waits for readers, however little time a statement has.
const COPYING: Duration = Duration::from_secs(2);

impl Open {
    /// Before each statement: the files must still be those that the path names, and the clock starts.
    pub(super) fn begin(&self, stage: Stage) -> Result<(), Error> {
        self.deadline.set(self.limit);
        match self.files.look() {
            State::Same => Ok(()),
            state => {
                self.give_up();
                Err(self.parted(stage, state))
            }
        }
    }

    /// Writes, and looks whether what was committed is where the path leads: not if a file was removed or replaced
    /// meanwhile.
    pub(super) fn write<T>(&self, work: impl FnOnce() -> Result<T, WriteError>) -> Result<T, WriteError> {
        let pass = self.files.turnstile.shared();
        // not while another copies the log of files that we have not noticed the end of
        self.begin(Stage::Write).map_err(WriteError::NotSaved)?;
        let answer = work();
        let state = self.files.look();
        drop(pass);
        match state {
            State::Same => answer,
            _ if self.give_up() || answer.is_err() => answer,
            _ => Err(WriteError::Unknown(self.parted(Stage::Write, state))),
        }
    }

    fn parted(&self, stage: Stage, state: State) -> Error {
        self.error(stage, "using", Cause::Driver(what_happened(state).into()))
    }

    /// The files that it holds, to be looked at from elsewhere.
    pub fn files(&self) -> Arc<Files> {
        Arc::clone(&self.files)
    }

    /// Whether the files are not those of the path any more. Then what can be saved of them is, and the connection is
    /// only good for closing.
    pub fn has_parted(&self) -> bool {
        let parted = self.files.look() != State::Same;
        if parted {
            self.give_up();
        }
        parted
    }

    /// Whether its log was removed in the very moment in which it was opened. Then it is only good for closing.
    pub fn lacks_its_log(&self) -> bool {
        let mode = self.driver.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0));
        let reads_only = self.driver.is_readonly(rusqlite::MAIN_DB).unwrap_or(true);
        let lacks = mode.is_ok_and(|mode| mode == "wal") && !reads_only && !self.files.has_log();
        if lacks {
            self.give_up();
        }
        lacks
    }

    /// Parts from files that are not those of the path any more. True: all that was committed over this connection is
    /// in the file all the same. That can be had where the log was removed and nobody has begun another: we still have
    /// it open, and copy it into the database.
    fn give_up(&self) -> bool {
        self.broken.set(true);
        let pass = self.files.turnstile.alone();
        // whoever opens the file next begins another log: what is not copied by then is lost
        self.deadline.set(self.limit.max(COPYING));
        let copied = self.files.look() == State::LogRemoved && self.copy_log();
        self.files.remove_stale_index();
        drop(pass);
        // what a log of somebody else's may have replaced must not be written by closing either; a connection that
        // cannot take even this is closed as it is
        let _ = self.driver.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        copied
    }

    /// Copies all of the log into the database. Negative counts: there is no log, the journal is another.
    fn copy_log(&self) -> bool {
        let all = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        let copied = self.driver.query_row("PRAGMA wal_checkpoint(FULL)", [], all);
        copied.is_ok_and(|(busy, pages, copied)| busy == 0 && pages == copied)
    }
}

/// What became of the files, for the log.
fn what_happened(state: State) -> &'static str {
    match state {
        State::Same | State::DatabaseGone => "the file was removed, or replaced by another, while it was open",
        State::LogRemoved | State::LogReplaced => {
            "the file's write-ahead log (-wal, -shm) was removed, or replaced by another, while it was open"
        }
    }
}
