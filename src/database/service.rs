//! The connections of one child to one database, shared fairly among its requests.
//!
//! A child makes its [`Services`] after the fork and never drops them: under prefork the child's clean-up
//! runs inside a signal handler, where closing a connection could lock or block. The kernel closes them.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{About, Cause, Connection, Create, Error, Limits, Page, Row, Table, Target, WriteError};

/// What a request that is turned away is told to wait before it asks again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Rows that an export reads at a time: it holds no connection while its client is slow.
const EXPORT_ROWS: u32 = 200;

/// How long a health check's answer stands.
const PING_EVERY: Duration = Duration::from_secs(1);

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// Too many requests of this child wait already, or this one waited its time: 503.
    #[error("the database is busy")]
    Busy { retry_after: Duration },
    /// The database failed.
    #[error("{0}")]
    Database(Arc<Error>),
    /// The request whose answer this one was to share panicked: 500.
    #[error("the request that was to answer this one panicked")]
    Panicked,
}

/// Why a row was not acknowledged, and whether it is in the table all the same.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotStored {
    /// Never begun: 503.
    #[error("the database is busy")]
    Busy { retry_after: Duration },
    /// The row is certainly not in the table.
    #[error("not saved: {0}")]
    NotSaved(Arc<Error>),
    /// It may be in the table, or not.
    #[error("perhaps saved: {0}")]
    Unknown(Arc<Error>),
}

/// The services of one child.
pub struct Services {
    all: Mutex<Vec<Arc<Service>>>,
}

impl Services {
    /// For a child that serves `threads_per_child` requests at a time. Starts nothing, opens nothing.
    pub fn new(_threads_per_child: u32) -> Self {
        Self { all: Mutex::new(Vec::new()) }
    }

    /// The service for these settings: the same one for the same target and table (the same `Arc`s) with equal
    /// `limits`, `connections` and `create`. With [`Create::File`] it makes a missing SQLite file and a missing
    /// table on first use.
    pub fn get(
        &self,
        target: &Arc<dyn Target>,
        table: &Arc<Table>,
        limits: Limits,
        connections: u32,
        create: Create,
    ) -> Arc<Service> {
        let mut all = lock(&self.all);
        let same = |service: &&Arc<Service>| {
            Arc::ptr_eq(&service.target, target)
                && Arc::ptr_eq(&service.table, table)
                && service.limits == limits
                && service.connections == connections
                && service.create == create
        };
        if let Some(service) = all.iter().find(same) {
            return Arc::clone(service);
        }
        let service = Arc::new(Service::new(target, table, limits, connections, create));
        all.push(Arc::clone(&service));
        service
    }
}

/// The connections of this child to one database.
pub struct Service {
    target: Arc<dyn Target>,
    table: Arc<Table>,
    limits: Limits,
    connections: u32,
    create: Create,
    pool: Mutex<Pool>,
    freed: Condvar,
    about: Mutex<Option<Arc<About>>>,
    pinged: Mutex<Option<(Instant, Result<(), Refusal>)>>,
}

#[derive(Default)]
struct Pool {
    busy: u32,
    idle: Vec<Box<dyn Connection>>,
}

/// One of the connections, held by a request. Dropping it frees the place; the connection in it goes with it.
struct Held<'a> {
    service: &'a Service,
    connection: Option<Box<dyn Connection>>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let broken = self.connection.take_if(|connection| std::thread::panicking() || !connection.usable());
        let mut pool = lock(&self.service.pool);
        pool.busy -= 1;
        pool.idle.extend(self.connection.take());
        drop(pool);
        self.service.freed.notify_one();
        drop(broken);
    }
}

impl Service {
    fn new(target: &Arc<dyn Target>, table: &Arc<Table>, limits: Limits, connections: u32, create: Create) -> Self {
        Self {
            target: Arc::clone(target),
            table: Arc::clone(table),
            limits,
            connections: connections.max(1),
            create,
            pool: Mutex::default(),
            freed: Condvar::new(),
            about: Mutex::new(None),
            pinged: Mutex::new(None),
        }
    }

    /// Runs `work` on a connection, idle or newly opened. If an idle one turns out to have died, `work`
    /// runs once more on a fresh one: so it must only read.
    pub fn with<T>(&self, mut work: impl FnMut(&mut dyn Connection) -> Result<T, Error>) -> Result<T, Refusal> {
        let mut held = self.hold().ok_or(Refusal::Busy { retry_after: RETRY_AFTER })?;
        self.attempt(&mut held, &mut work).map_err(|error| Refusal::Database(Arc::new(error)))
    }

    /// Inserts one row; its id once it is durable.
    pub fn insert(&self, stuff: &str, things: &str) -> Result<i64, NotStored> {
        let mut held = self.hold().ok_or(NotStored::Busy { retry_after: RETRY_AFTER })?;
        let insert = |connection: &mut dyn Connection| connection.insert(stuff, things);
        self.attempt(&mut held, insert).map_err(|error| match error {
            WriteError::NotSaved(error) => NotStored::NotSaved(Arc::new(error)),
            WriteError::Unknown(error) => NotStored::Unknown(Arc::new(error)),
        })
    }

    /// See [`Connection::page`].
    pub fn page(&self, before: Option<i64>, size: u32) -> Result<Page, Refusal> {
        self.with(|connection| connection.page(before, size))
    }

    /// See [`Connection::create_table`].
    pub fn create_table(&self) -> Result<(), Refusal> {
        self.with(|connection| connection.create_table())
    }

    /// Whether the database answers: asks it at most once a second, and tells everybody else the same.
    pub fn ping(&self) -> Result<(), Refusal> {
        let mut pinged = lock(&self.pinged);
        if let Some((at, answer)) = &*pinged
            && at.elapsed() < PING_EVERY
        {
            return answer.clone();
        }
        let answer = self.with(|connection| connection.ping());
        *pinged = Some((Instant::now(), answer.clone()));
        answer
    }

    /// Hands every row to `each`, newest first, until it returns false. Rows are read a few at a time by key, so
    /// that a slow client holds neither a connection nor a snapshot.
    pub fn export(&self, each: &mut dyn FnMut(&Row) -> bool) -> Result<(), Refusal> {
        let mut before = None;
        loop {
            let page = self.page(before, EXPORT_ROWS)?;
            for row in &page.rows {
                if !each(row) {
                    return Ok(());
                }
            }
            match page.rows.last() {
                Some(last) if page.more => before = Some(last.id),
                _ => return Ok(()),
            }
        }
    }

    /// What answered when a connection was last opened; none before the first.
    pub fn about(&self) -> Option<Arc<About>> {
        lock(&self.about).clone()
    }

    /// Runs `work` on the held connection; once more on a fresh one if an idle one had died and nothing was done.
    fn attempt<T, E: Attempted>(
        &self,
        held: &mut Held<'_>,
        mut work: impl FnMut(&mut dyn Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        if let Some(idle) = &mut held.connection {
            match work(&mut **idle) {
                Err(error) if !idle.usable() && error.may_repeat() => held.connection = None,
                answer => return answer,
            }
        }
        let fresh = held.connection.insert(self.open().map_err(E::before)?);
        work(&mut **fresh)
    }

    fn hold(&self) -> Option<Held<'_>> {
        let until = Instant::now() + self.limits.wait;
        let mut pool = lock(&self.pool);
        while pool.busy >= self.connections {
            let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            pool = self.freed.wait_timeout(pool, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        pool.busy += 1;
        let connection = pool.idle.pop();
        Some(Held { service: self, connection })
    }

    /// Opens a connection and remembers what answered.
    fn open(&self) -> Result<Box<dyn Connection>, Error> {
        let connection = self.target.connect(&self.table, &self.limits, self.create)?;
        *lock(&self.about) = Some(Arc::new(connection.about().clone()));
        Ok(connection)
    }
}

/// An error of a piece of work, as far as repeating it is concerned.
trait Attempted {
    /// Whether the work did certainly nothing, so that it may be done again.
    fn may_repeat(&self) -> bool;

    /// No connection could be opened.
    fn before(error: Error) -> Self;
}

impl Attempted for Error {
    fn may_repeat(&self) -> bool {
        // what timed out would only time out again
        !matches!(self.cause, Cause::TimedOut(_))
    }

    fn before(error: Error) -> Self {
        error
    }
}

impl Attempted for WriteError {
    fn may_repeat(&self) -> bool {
        matches!(self, WriteError::NotSaved(error) if error.may_repeat())
    }

    fn before(error: Error) -> Self {
        WriteError::NotSaved(error)
    }
}

/// The data behind a lock. No one panics while he holds one of ours, so there is no poison to heed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
