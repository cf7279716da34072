//! The connections of this process to one file, which must agree on the files beside it.
//!
//! Within a process SQLite maps a database's -shm once, for all its connections. One that still holds an -shm which was
//! removed makes every connection that is opened later share it, while other processes make a new one: from then on two
//! groups would write into one log without knowing of each other. So whoever opens a file first closes what is left of
//! connections that were parted from it, idle ones of other requests too.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

use super::connection::files::State;
use super::connection::{Files, Open};
use crate::database::{About, Cause, Connection, Create, Error, Limits, Page, Stage, Table, WriteError};

/// None once another request closed it.
type Slot = Mutex<Option<Open>>;

/// A connection, as others see it.
struct Known {
    files: Arc<Files>,
    slot: Weak<Slot>,
}

/// Every connection of this process. The processes that httpd forks have none yet.
static ALL: Mutex<Vec<Known>> = Mutex::new(Vec::new());

/// How often to look whether a connection that is in use has become free.
const PAUSE: Duration = Duration::from_millis(2);

/// A connection that another request of this process may close when its files are gone.
pub struct Handle {
    slot: Arc<Slot>,
    about: About,
}

impl Handle {
    /// Opens the file, once no connection of this process holds files that were beside it before.
    pub fn open(path: &Path, table: &Table, limits: &Limits, create: Create) -> Result<Self, Error> {
        let end = Instant::now() + limits.connect;
        let open = loop {
            close_parted(path, end)?;
            let open = Open::new(path, table, limits, create)?;
            if !open.lacks_its_log() || Instant::now() >= end {
                break open;
            }
        };
        let about = open.about().clone();
        let files = open.files();
        let slot = Arc::new(Mutex::new(Some(open)));
        let mut all = all();
        all.retain(|known| known.slot.strong_count() > 0);
        all.push(Known { files, slot: Arc::downgrade(&slot) });
        Ok(Self { slot, about })
    }

    /// What is done with the connection, unless it was closed.
    fn with<T>(&self, stage: Stage, work: impl FnOnce(&mut Open) -> T) -> Result<T, Error> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_mut().map(work).ok_or_else(|| Error {
            stage,
            doing: format!("using {}", self.about.database),
            cause: Cause::Driver("the files beside it were removed, and so the connection was closed".into()),
        })
    }
}

fn all() -> MutexGuard<'static, Vec<Known>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Closes the connections of this process to the file that hold others beside it than its path now leads to.
fn close_parted(path: &Path, end: Instant) -> Result<(), Error> {
    let all: Vec<_> =
        all().iter().filter_map(|known| Some((Arc::clone(&known.files), known.slot.upgrade()?))).collect();
    let parted = all.into_iter().filter(|(files, _)| files.is_at(path) && files.look() != State::Same);
    let mut left: Vec<_> = parted.map(|(_, slot)| slot).collect();
    loop {
        left.retain(|slot| !close(slot));
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(Error {
                stage: Stage::Reach,
                doing: format!("opening {}", path.display()),
                cause: Cause::Driver(
                    "its write-ahead log was removed or replaced while another request was using it".into(),
                ),
            });
        }
        std::thread::sleep(PAUSE);
    }
}

/// Closes a parted connection. False: it is in use.
fn close(slot: &Slot) -> bool {
    let mut slot = match slot.try_lock() {
        Ok(slot) => slot,
        Err(TryLockError::Poisoned(slot)) => slot.into_inner(),
        Err(TryLockError::WouldBlock) => return false,
    };
    if slot.as_ref().is_some_and(Open::has_parted) {
        *slot = None;
    }
    true
}

impl Drop for Handle {
    /// Closes while others can still see it: a connection that is being closed still holds the -shm.
    fn drop(&mut self) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Connection for Handle {
    fn about(&self) -> &About {
        &self.about
    }

    fn page(&mut self, before: Option<i64>, size: u32) -> Result<Page, Error> {
        self.with(Stage::Read, |open| open.page(before, size))?
    }

    fn insert(&mut self, stuff: &str, things: &str) -> Result<i64, WriteError> {
        self.with(Stage::Write, |open| open.insert(stuff, things)).map_err(WriteError::NotSaved)?
    }

    fn insert_together(&mut self, rows: &[(&str, &str)]) -> Result<Vec<Result<i64, WriteError>>, WriteError> {
        self.with(Stage::Write, |open| open.insert_together(rows)).map_err(WriteError::NotSaved)?
    }

    fn create_table(&mut self) -> Result<(), Error> {
        self.with(Stage::Write, Open::create_table)?
    }

    fn reset_table(&mut self) -> Result<(), Error> {
        self.with(Stage::Write, Open::reset_table)?
    }

    fn ping(&mut self) -> Result<(), Error> {
        self.with(Stage::Read, Open::ping)?
    }

    fn usable(&self) -> bool {
        self.with(Stage::Read, |open| open.usable()).unwrap_or(false)
    }
}
