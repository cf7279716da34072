//! The connections of one child to one database, shared fairly among its requests.
//!
//! A child makes its [`Services`] after the fork and never drops them: under prefork the child's clean-up
//! runs inside a signal handler, where closing a connection could lock or block. The kernel closes them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::batch::{Answers, Batches, Unanswered};
use super::stall_limit::{self, StallLimit};
use super::sync::lock;
use super::wait_queue::{Busy, Permit, WaitQueue};
use super::{Cause, Connection, Create, Error, Limits, Page, Row, Stage, Table, Target, WriteError};

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

impl From<Busy> for Refusal {
    fn from(_: Busy) -> Self {
        Self::Busy { retry_after: RETRY_AFTER }
    }
}

impl From<Unanswered> for Refusal {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Busy => Busy.into(),
            Unanswered::Panicked => Self::Panicked,
        }
    }
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

impl From<WriteError> for NotStored {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::NotSaved(error) => Self::NotSaved(Arc::new(error)),
            WriteError::Unknown(error) => Self::Unknown(Arc::new(error)),
        }
    }
}

impl From<Unanswered> for NotStored {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Busy => Self::Busy { retry_after: RETRY_AFTER },
            Unanswered::Panicked => Self::Unknown(Arc::new(Error {
                stage: Stage::Write,
                doing: "inserting together with other requests".into(),
                cause: Cause::Driver("the request that inserted for all panicked".into()),
            })),
        }
    }
}

/// The services of one child.
pub struct Services {
    all: Mutex<Vec<Arc<Service>>>,
    limit: Arc<StallLimit>,
    threads: u32,
}

impl Services {
    /// For a child that serves `threads` requests at a time, of which `busy` counts those that are served just now, by
    /// whatever. Starts nothing, opens nothing.
    pub fn new(threads: u32, busy: Box<stall_limit::Busy>) -> Self {
        Self { all: Mutex::default(), limit: Arc::new(StallLimit::new(threads, busy)), threads }
    }

    /// The service for these settings: the same one for the same target and table (the same `Arc`s) with equal
    /// `limits`, `connections` and `create`. No more than a quarter of the child's threads have a
    /// connection, whatever `connections` says: a database that hangs must leave the others alone. With [`Create::File`] it makes a missing SQLite file and a missing
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
        let service = Arc::new(Service {
            target: Arc::clone(target),
            table: Arc::clone(table),
            limits,
            connections,
            create,
            alone: self.threads == 1,
            queue: WaitQueue::new(connections, &self.limit),
            idle: Mutex::default(),
            pinged: Mutex::default(),
            pings: Batches::new(),
            writes: Batches::binding(),
        });
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
    /// The child serves one request at a time.
    alone: bool,
    queue: WaitQueue,
    idle: Mutex<Vec<Box<dyn Connection>>>,
    /// When the last health check began, and its answer.
    pinged: Mutex<Option<(Instant, Result<(), Refusal>)>>,
    pings: Batches<(), (), Result<(), Refusal>>,
    writes: Batches<(), (String, String), Result<i64, NotStored>>,
}

/// A connection in use. When the work with it panics, it is dropped: nobody knows what state it is in.
struct Held<'a> {
    service: &'a Service,
    connection: Option<Box<dyn Connection>>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && connection.usable()
            && !std::thread::panicking()
        {
            lock(&self.service.idle).push(connection);
        }
    }
}

impl Service {
    /// Runs `work` on a connection, idle or newly opened. If an idle one turns out to have died, `work`
    /// runs once more on a fresh one: so it must only read.
    pub fn with<T>(&self, work: impl FnMut(&mut dyn Connection) -> Result<T, Error>) -> Result<T, Refusal> {
        let mut permit = self.queue.take(self.deadline())?;
        self.read(&mut permit, work)
    }

    /// As [`Service::with`], in a permit that was taken before.
    pub(super) fn read<T>(
        &self,
        permit: &mut Permit<'_>,
        work: impl FnMut(&mut dyn Connection) -> Result<T, Error>,
    ) -> Result<T, Refusal> {
        self.attempt(permit, work).map_err(|error| Refusal::Database(Arc::new(error)))
    }

    /// Inserts one row; its id once it is durable. Where a commit costs much (SQLite's waits for the disk), the
    /// rows that wait are committed together; each succeeds or fails by itself.
    pub fn insert(&self, stuff: &str, things: &str) -> Result<i64, NotStored> {
        if self.alone || !self.target.commits_together() {
            let permit = self.queue.take(self.deadline());
            let mut permit = permit.map_err(|_| NotStored::Busy { retry_after: RETRY_AFTER })?;
            return self.attempt(&mut permit, |connection| connection.insert(stuff, things)).map_err(NotStored::from);
        }
        let row = (stuff.to_owned(), things.to_owned());
        let answer = self.writes.answer(&self.queue, (), row, self.deadline(), |permit, rows| {
            let rows: Vec<_> = rows.iter().map(|(stuff, things)| (stuff.as_str(), things.as_str())).collect();
            match self.attempt(permit, |connection| connection.insert_together(&rows)) {
                Ok(each) => Answers::Each(each.into_iter().map(|answer| answer.map_err(NotStored::from)).collect()),
                Err(error) => Answers::All(Err(error.into())),
            }
        });
        answer.unwrap_or_else(|why| Err(why.into()))
    }

    /// See [`Connection::page`].
    pub fn page(&self, before: Option<i64>, size: u32) -> Result<Page, Refusal> {
        self.with(|connection| connection.page(before, size))
    }

    /// See [`Connection::create_table`]. On a fresh connection, and once: an idle one that has died would leave open
    /// whether the table was made.
    pub fn create_table(&self) -> Result<(), Refusal> {
        let mut permit = self.queue.take(self.deadline())?;
        // one idle connection less, or the database would have one more than it was given
        drop(lock(&self.idle).pop());
        let held = Held { service: self, connection: None };
        self.afresh(held, &mut permit, |connection| connection.create_table())
            .map_err(|error: Error| Refusal::Database(Arc::new(error)))
    }

    /// Whether the database answers: asks it at most once a second, and tells everybody else the same.
    pub fn ping(&self) -> Result<(), Refusal> {
        if let Some(answer) = self.last_ping() {
            return answer;
        }
        let answer = self.pings.answer(&self.queue, (), (), self.deadline(), |permit, _| {
            // those who waited while another asked have his answer
            Answers::All(self.last_ping().unwrap_or_else(|| {
                let began = Instant::now();
                let answer = self.read(permit, |connection| connection.ping());
                *lock(&self.pinged) = Some((began, answer.clone()));
                answer
            }))
        });
        answer.unwrap_or_else(|why| Err(why.into()))
    }

    /// The answer of the last health check, while it stands.
    fn last_ping(&self) -> Option<Result<(), Refusal>> {
        let pinged = lock(&self.pinged);
        pinged.as_ref().filter(|(began, _)| began.elapsed() < PING_EVERY).map(|(_, answer)| answer.clone())
    }

    /// Hands every row to `each`, newest first, until it returns false. Rows are read a few at a time by key, so
    /// that a slow client holds neither a connection nor a snapshot.
    pub fn export(&self, each: &mut dyn FnMut(Row<'_>) -> bool) -> Result<(), Refusal> {
        let mut before = None;
        loop {
            let page = self.page(before, EXPORT_ROWS)?;
            for row in page.rows.iter() {
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

    /// Whether nobody else can want anything at the same time.
    pub(super) fn is_alone(&self) -> bool {
        self.alone
    }

    pub(super) fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    /// When a request that arrives now has waited long enough.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.limits.wait
    }

    /// Runs `work` on an idle connection or a fresh one; if an idle one had died, or failed by how it was opened, and
    /// nothing was done, on a fresh one again.
    fn attempt<T, E: Attempted>(
        &self,
        permit: &mut Permit<'_>,
        mut work: impl FnMut(&mut dyn Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut held = Held { service: self, connection: lock(&self.idle).pop() };
        if let Some(idle) = &mut held.connection {
            match work(&mut **idle) {
                Err(error) if !idle.usable() && error.may_repeat() => held.connection = None,
                answer => {
                    // on a connection that still stands, what failed is the statement
                    if answer.is_err() && !idle.usable() {
                        permit.failed();
                    }
                    return answer;
                }
            }
        }
        self.afresh(held, permit, work)
    }

    /// Runs `work` on a fresh connection.
    fn afresh<T, E: Attempted>(
        &self,
        mut held: Held<'_>,
        permit: &mut Permit<'_>,
        mut work: impl FnMut(&mut dyn Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let fresh = match self.open() {
            Ok(connection) => held.connection.insert(connection),
            Err(error) => {
                permit.failed();
                return Err(E::before(error));
            }
        };
        let answer = work(&mut **fresh);
        if answer.is_err() && !fresh.usable() {
            permit.failed();
        }
        answer
    }

    /// Opens a connection.
    fn open(&self) -> Result<Box<dyn Connection>, Error> {
        let mut connection = self.target.connect(&self.table, &self.limits, self.create)?;
        if self.create == Create::File {
            provide_table(&mut *connection)?;
        }
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
        // what timed out would only time out again, here or (query_canceled, lock_not_available) at the server
        match &self.cause {
            Cause::TimedOut(_) => false,
            Cause::Server(error) => !matches!(error.code.as_str(), "57014" | "55P03"),
            _ => true,
        }
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

/// Creates the table if it is missing.
fn provide_table(connection: &mut dyn Connection) -> Result<(), Error> {
    match connection.ping() {
        Err(error) if error.stage == Stage::Schema => match connection.create_table() {
            // another child was quicker, or it is there and not as it should be
            Err(error) if error.stage == Stage::Schema => connection.ping(),
            made => made,
        },
        answer => answer,
    }
}

#[cfg(test)]
mod tests;
