//! Between the processes of one server: who writes, and who parts from files that were removed.
//!
//! A row that a writer of the old files commits after another child has copied the old log into the database would be
//! lost, or worse, copied over newer rows later. So a write is made under a shared lock, and the copying under an
//! exclusive one. It is an flock(2) of the database's *directory*: one of the database file would take SQLite's own
//! locks with it when it is closed. Where it cannot be had in time (a directory that may not be read, a file system
//! without locks, a stranger who holds it) all goes on without: it only narrows what is rare.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};

/// How long to wait for it.
const LIMIT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_micros(500);

/// The lock that the connections to one file share.
#[derive(Clone)]
pub struct Turnstile(Option<Arc<OwnedFd>>);

/// Held until dropped.
pub struct Pass(Option<Arc<OwnedFd>>);

impl Turnstile {
    /// For the file that the path leads to.
    pub fn of(path: &Path) -> Self {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = path.parent().and_then(|directory| open(directory, flags, Mode::empty()).ok());
        Self(directory.map(Arc::new))
    }

    /// Together with other writers.
    pub fn shared(&self) -> Pass {
        self.pass(FlockOperation::NonBlockingLockShared)
    }

    /// Alone.
    pub fn alone(&self) -> Pass {
        self.pass(FlockOperation::NonBlockingLockExclusive)
    }

    fn pass(&self, operation: FlockOperation) -> Pass {
        let end = Instant::now() + LIMIT;
        let held = self.0.as_ref().filter(|directory| {
            loop {
                match flock(directory, operation) {
                    Ok(()) => return true,
                    Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < end => std::thread::sleep(PAUSE),
                    Err(_) => return false,
                }
            }
        });
        Pass(held.cloned())
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(directory) = &self.0 {
            // it cannot fail on a descriptor that holds a lock
            let _ = flock(directory, FlockOperation::Unlock);
        }
    }
}
