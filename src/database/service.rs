//! The connections of one child to one database, shared fairly among its requests.
//!
//! A child makes its [`Services`] after the fork and never drops them: under prefork the child's clean-up
//! runs inside a signal handler, where closing a connection could lock or block. The kernel closes them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::admission::{Admission, Count};
use super::batch::{Answers, Batches, Unanswered};
use super::stall_limit::{self, StallLimit};
use super::sync::lock;
use super::wait_queue::{Busy, Permit, WaitQueue};
use super::{Cause, Connection, Create, Error, Limits, Page, Row, Stage, Table, Target, WriteError};

mod attempt;
pub mod spent;

use crate::tally::{Entry, Held, Holding, Kept};
use attempt::Open;

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
    admission: Arc<Admission>,
    threads: u32,
    /// The exports of this child.
    exports: Arc<AtomicU32>,
}

/// An export that runs; over when dropped.
pub struct Export {
    here: Arc<AtomicU32>,
    _counted: Kept,
}

impl Export {
    fn among(here: &Arc<AtomicU32>, most: u32, entry: &Arc<Entry>) -> Option<Self> {
        let before = here.fetch_add(1, Ordering::SeqCst);
        // leaves when dropped, also at once
        let export = Self { here: Arc::clone(here), _counted: entry.keep(Held::Exporting) };
        (before < most).then_some(export)
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        self.here.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Services {
    /// For a child that serves `threads` requests at a time, of which `busy` counts those that are served just now, by
    /// whatever. Starts nothing, opens nothing.
    pub fn new(threads: u32, busy: Box<stall_limit::Busy>) -> Self {
        let (limit, admission) = (StallLimit::new(threads, busy), Admission::new(u32::MAX, None));
        Self {
            all: Mutex::default(),
            limit: Arc::new(limit),
            admission: Arc::new(admission),
            threads,
            exports: Arc::default(),
        }
    }

    /// The child is one of a server that serves `workers` requests at a time; `children` counts its children, where
    /// each has one thread.
    pub fn in_server(self, workers: u32, children: Box<Count>) -> Self {
        let children = (self.threads == 1).then_some(children);
        Self { admission: Arc::new(Admission::new(workers, children)), ..self }
    }

    /// Room for one more check, which takes as long as the database likes: all children together run as many as half
    /// of the requests that may be at work.
    pub fn try_check<'a>(&self, entry: &'a Entry) -> Option<Holding<'a>> {
        self.admission.try_aside(entry, Held::Checking)
    }

    /// Room for one more export, which takes as long as its client likes: a quarter of a child's threads at most, and
    /// of the whole server as many as of checks.
    pub fn try_export(&self, entry: &Arc<Entry>) -> Option<Export> {
        let here = Export::among(&self.exports, self.limit.at_work_at_most(), entry)?;
        self.admission.has_room(entry, Held::Exporting).then_some(here)
    }

    /// [`Services::counted`] that nobody else counts.
    #[cfg(test)]
    pub fn get(
        &self,
        target: &Arc<dyn Target>,
        table: &Arc<Table>,
        limits: Limits,
        connections: u32,
        create: Create,
    ) -> Arc<Service> {
        self.counted(target, table, limits, connections, create, &crate::tally::private())
    }

    /// The service for these settings, which counts in `entry`: the same one for the same target and table (the same `Arc`s) with equal
    /// `limits`, `connections` and `create`. No more than a quarter of the child's threads have a
    /// connection, whatever `connections` says: a database that hangs must leave the others alone. With [`Create::File`] it makes a missing SQLite file and a missing
    /// table on first use.
    pub fn counted(
        &self,
        target: &Arc<dyn Target>,
        table: &Arc<Table>,
        limits: Limits,
        connections: u32,
        create: Create,
        entry: &Arc<Entry>,
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
            admission: Arc::clone(&self.admission),
            entry: Arc::clone(entry),
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
    admission: Arc<Admission>,
    /// What all children count of this database.
    entry: Arc<Entry>,
    idle: Mutex<Vec<Open>>,
    /// When the last health check began, and its answer.
    pinged: Mutex<Option<(Instant, Result<(), Refusal>)>>,
    pings: Batches<(), (), Result<(), Refusal>>,
    writes: Batches<(), (String, String), Result<i64, NotStored>>,
}

impl Service {
    /// Runs `work` on a connection, idle or newly opened. If an idle one turns out to have died, `work`
    /// runs once more on a fresh one: so it must only read.
    pub fn with<T>(&self, work: impl FnMut(&mut dyn Connection) -> Result<T, Error>) -> Result<T, Refusal> {
        spent::waiting(|| {
            let mut permit = self.queue.take(self.deadline())?;
            self.read(&mut permit, work)
        })
    }

    /// As [`Service::with`], in a permit that was taken before.
    pub(super) fn read<T>(
        &self,
        permit: &mut Permit<'_>,
        work: impl FnMut(&mut dyn Connection) -> Result<T, Error>,
    ) -> Result<T, Refusal> {
        let _working = self.admit()?;
        self.attempt(permit, work).map_err(|error| Refusal::Database(Arc::new(error)))
    }

    /// Inserts one row; its id once it is durable. Where a commit costs much (SQLite's waits for the disk), the
    /// rows that wait are committed together; each succeeds or fails by itself.
    pub fn insert(&self, stuff: &str, things: &str) -> Result<i64, NotStored> {
        spent::waiting(|| self.insert_alone_or_together(stuff, things))
    }

    fn insert_alone_or_together(&self, stuff: &str, things: &str) -> Result<i64, NotStored> {
        if self.alone || !self.target.commits_together() {
            let permit = self.queue.take(self.deadline());
            let mut permit = permit.map_err(|_| NotStored::Busy { retry_after: RETRY_AFTER })?;
            let _working = self.admit().map_err(|_| NotStored::Busy { retry_after: RETRY_AFTER })?;
            return self.attempt(&mut permit, |connection| connection.insert(stuff, things)).map_err(NotStored::from);
        }
        let row = (stuff.to_owned(), things.to_owned());
        let answer = self.writes.answer(&self.queue, (), row, self.deadline(), |permit, rows| {
            let Ok(_working) = self.admit() else {
                return Answers::All(Err(NotStored::Busy { retry_after: RETRY_AFTER }));
            };
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
        let _working = self.admit()?;
        self.afresh(&mut permit, |connection| connection.create_table())
            .map_err(|error: Error| Refusal::Database(Arc::new(error)))
    }

    /// Whether the database answers: asks it at most once a second, and tells everybody else the same.
    pub fn ping(&self) -> Result<(), Refusal> {
        if let Some(answer) = self.last_ping() {
            return answer;
        }
        let answer = self.pings.answer(&self.queue, (), (), self.deadline(), |permit, _| {
            // those who waited while another asked have its answer
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

    /// Lets a request of this child to the database: as one of all that the server has.
    fn admit(&self) -> Result<Holding<'_>, Busy> {
        self.admission.admit(&self.entry, self.deadline())
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
}

#[cfg(test)]
mod tests;
