//! Whether the files behind a connection are still those that its path names.
//!
//! SQLite keeps its descriptors, and in WAL mode does not notice that a file was removed or replaced: it goes on
//! acknowledging rows that nobody else will ever see, since whoever opens the path afterwards gets other files. So
//! device and inode of all three (the database, its -wal, its -shm) are compared before each statement, and after each
//! that wrote: three stats, some microseconds.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::turnstile::Turnstile;

/// Device and inode.
type Inode = (u64, u64);

/// The files of one connection.
pub struct Files {
    database: CString,
    opened: Option<Inode>,
    log: Side,
    index: Side,
    /// Between those who write and those who part from the files.
    pub turnstile: Turnstile,
}

/// A file that SQLite keeps beside the database in WAL mode: there from the moment when it is first needed until the
/// last connection closes.
struct Side {
    path: CString,
    seen: Mutex<Option<Inode>>,
}

/// What became of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// They are those that were opened.
    Same,
    /// The database itself was removed or replaced.
    DatabaseGone,
    /// The write-ahead log or its index was removed, and nobody has made another: our descriptors alone still know
    /// what it holds.
    LogRemoved,
    /// Others have made a log of their own since.
    LogReplaced,
}

impl Files {
    /// For a file whose path named `opened` when it was opened. `real` is the path without links: SQLite follows them
    /// before it names the files beside.
    pub fn new(real: &Path, database: CString, opened: Option<Inode>, turnstile: Turnstile) -> Self {
        let beside = |end: &str| {
            let name = [real.as_os_str().as_bytes(), end.as_bytes()].concat();
            // the path itself held no NUL
            Side { path: CString::new(name).unwrap_or_default(), seen: Mutex::new(None) }
        };
        Self { database, opened, log: beside("-wal"), index: beside("-shm"), turnstile }
    }

    /// Whether the path leads to the database that was opened.
    pub fn is_at(&self, path: &Path) -> bool {
        let found = rustix::fs::stat(path).ok().map(|found| (found.st_dev, found.st_ino));
        self.opened.is_some() && found == self.opened
    }

    /// Looks at all of them. A log that was not there before is taken for the one that the next statement uses.
    pub fn look(&self) -> State {
        if self.opened.is_none() || inode(&self.database) != self.opened {
            return State::DatabaseGone;
        }
        match self.log.look().max(self.index.look()) {
            Change::None => State::Same,
            Change::Removed => State::LogRemoved,
            Change::Replaced => State::LogReplaced,
        }
    }

    /// Whether a log and its index were there when they were looked at.
    pub fn has_log(&self) -> bool {
        [&self.log, &self.index].iter().all(|side| side.seen().is_some())
    }

    /// Removes the index of a log that was removed: whoever opens the file next would take it for that of a new log.
    pub fn remove_stale_index(&self) {
        if inode(&self.log.path).is_none() && self.index.look() == Change::None {
            // perhaps somebody was quicker
            let _ = rustix::fs::unlink(&self.index.path);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    None,
    Removed,
    Replaced,
}

impl Side {
    fn seen(&self) -> MutexGuard<'_, Option<Inode>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) -> Change {
        let mut seen = self.seen();
        match (*seen, inode(&self.path)) {
            (None, found) => {
                *seen = found;
                Change::None
            }
            (seen, found) if seen == found => Change::None,
            (_, None) => Change::Removed,
            _ => Change::Replaced,
        }
    }
}

/// Device and inode of the file that the path names now; none if there is none.
pub fn inode(path: &CString) -> Option<Inode> {
    rustix::fs::stat(path).ok().map(|found| (found.st_dev, found.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_file_may_come_but_not_go_nor_change() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let side = |end: &str| directory.path().join(format!("a.db{end}"));
        let write = |path: &Path| std::fs::write(path, "").unwrap();
        write(&path);
        let c_path = CString::new(path.as_os_str().as_bytes()).unwrap();
        let opened = inode(&c_path);
        let files = || Files::new(&path, c_path.clone(), opened, Turnstile::of(&path));
        let (one, other) = (files(), files());
        assert_eq!(one.look(), State::Same);
        write(&side("-wal"));
        write(&side("-shm"));
        assert_eq!((one.look(), other.look()), (State::Same, State::Same));
        std::fs::remove_file(side("-shm")).unwrap();
        assert_eq!(one.look(), State::LogRemoved);
        write(&side("-new"));
        std::fs::rename(side("-new"), side("-wal")).unwrap();
        assert_eq!(one.look(), State::LogReplaced);
        write(&side("-new"));
        std::fs::rename(side("-new"), &path).unwrap();
        assert_eq!(one.look(), State::DatabaseGone);
    }
}
