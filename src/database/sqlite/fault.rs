//! SQLite's errors as evidence: which step, by the extended result code alone.

use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::ffi;

use crate::database::{Cause, Error, Stage, WriteError};

/// The extended result code and message of an error; none for those that the driver raises itself.
fn code(error: &rusqlite::Error) -> Option<(i32, String)> {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => {
            let message = message.clone().unwrap_or_else(|| code.to_string());
            Some((code.extended_code, message))
        }
        #[cfg(feature = "bundled-sqlite")] // the driver only has it for an SQLite that is surely new enough
        rusqlite::Error::SqlInputError { error, msg, .. } => Some((error.extended_code, msg.clone())),
        _ => None,
    }
}

/// Whether it was SQLite that refused, rather than the driver, which could make no sense of a value.
pub fn is_sqlites(error: &rusqlite::Error) -> bool {
    code(error).is_some()
}

/// Whether it is SQLITE_ERROR without more: before a statement runs, something that it names is missing.
pub fn is_plain(error: &rusqlite::Error) -> bool {
    code(error).is_some_and(|(code, _)| code == ffi::SQLITE_ERROR)
}

/// The error of a step. `limit` is how long it was allowed to take: the deadline ends a statement by interrupting it.
pub fn error(stage: Stage, doing: String, error: &rusqlite::Error, limit: Duration) -> Error {
    let cause = match code(error) {
        Some((ffi::SQLITE_INTERRUPT, _)) => Cause::TimedOut(limit),
        Some((code, message)) => Cause::Sqlite { code, message, errno: None },
        None => Cause::Driver(error.to_string()),
    };
    Error { stage, doing, cause }
}

/// Adds the errno that SQLite does not hand out: what the operating system says of the same path now. SQLite's
/// own would mislead, since it retries read-only and keeps the second answer.
pub fn with_errno(mut error: Error, path: &Path) -> Error {
    if let Cause::Sqlite { code, errno, .. } = &mut error.cause
        && *code & 0xff == ffi::SQLITE_CANTOPEN
    {
        *errno = errno_of(path);
    }
    error
}

/// Why this process cannot open `path` for reading and writing, without opening it (see the trap in `mod.rs`).
fn errno_of(path: &Path) -> Option<i32> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    let access = accessat(CWD, path, Access::READ_OK | Access::WRITE_OK, AtFlags::EACCESS);
    match access {
        Err(errno) => Some(errno.raw_os_error()),
        Ok(()) if path.is_dir() => Some(rustix::io::Errno::ISDIR.raw_os_error()),
        Ok(()) => None,
    }
}

/// The step that a failure to read the schema, the first thing done with an open file, belongs to.
pub fn stage_of_opening(error: &rusqlite::Error) -> Stage {
    match code(error).map_or(0, |(code, _)| code) {
        code if matches!(code & 0xff, ffi::SQLITE_NOTADB | ffi::SQLITE_CORRUPT) => Stage::Speaks,
        // a hot journal that must be rolled back first
        ffi::SQLITE_READONLY_ROLLBACK => Stage::Read,
        // the file's -wal or -shm, or the directory they are to be made in
        code if matches!(code & 0xff, ffi::SQLITE_CANTOPEN | ffi::SQLITE_READONLY) => Stage::Reach,
        _ => Stage::Read,
    }
}

/// Whether the error is about the connection's files rather than about the statement: a new connection may do better.
/// One that SQLite opened for reading only stays so for ever, whatever becomes of the file's rights.
pub fn breaks(error: &rusqlite::Error) -> bool {
    let code = code(error).map_or(0, |(code, _)| code & 0xff);
    matches!(
        code,
        ffi::SQLITE_READONLY
            | ffi::SQLITE_PERM
            | ffi::SQLITE_IOERR
            | ffi::SQLITE_CORRUPT
            | ffi::SQLITE_NOTADB
            | ffi::SQLITE_CANTOPEN
    )
}

/// Whether another connection's lock is in the way.
pub fn is_busy(error: &rusqlite::Error) -> bool {
    code(error).is_some_and(|(code, _)| code & 0xff == ffi::SQLITE_BUSY)
}

/// A failed write. SQLite rolls back what fails, except where the very last step of a commit did and the
/// disk may hold the row all the same.
pub fn write_error(driver: &rusqlite::Error, error: Error) -> WriteError {
    let doubtful = matches!(
        code(driver).map_or(0, |(code, _)| code),
        ffi::SQLITE_IOERR_FSYNC
            | ffi::SQLITE_IOERR_DIR_FSYNC
            | ffi::SQLITE_IOERR_DELETE
            | ffi::SQLITE_IOERR_TRUNCATE
            | ffi::SQLITE_IOERR_UNLOCK
            | ffi::SQLITE_IOERR_CLOSE
    );
    if doubtful { WriteError::Unknown(error) } else { WriteError::NotSaved(error) }
}

/// What the operating system said of a path.
pub fn io(stage: Stage, doing: String, errno: rustix::io::Errno) -> Error {
    Error { stage, doing, cause: Cause::Io(io::Error::from(errno)) }
}
