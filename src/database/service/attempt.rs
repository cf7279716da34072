//! One piece of work on a connection: on an idle one or a fresh one, repeated where that is harmless, timed and counted.

use super::super::sync::lock;
use super::super::wait_queue::Permit;
use super::super::{Cause, Connection, Create, Error, Stage, WriteError};
use super::{Service, spent};
use crate::tally::{Held, Kept, Timer};

/// An open connection, counted while it is.
pub struct Open {
    connection: Box<dyn Connection>,
    _counted: Kept,
}

/// A connection in use. When the work with it panics, it is dropped: nobody knows what state it is in.
struct InUse<'a> {
    service: &'a Service,
    open: Option<Open>,
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        if let Some(open) = self.open.take()
            && open.connection.usable()
            && !std::thread::panicking()
        {
            lock(&self.service.idle).push(open);
        }
    }
}

/// What came of an attempt.
struct Outcome<T, E> {
    answer: Result<T, E>,
    /// Whether the connection is broken, or could not be opened.
    broken: bool,
}

impl Service {
    /// Runs `work` on an idle connection or a fresh one; if an idle one had died, or failed by how it was opened, and
    /// nothing was done, on a fresh one again.
    pub(super) fn attempt<T, E: Attempted>(
        &self,
        permit: &mut Permit<'_>,
        mut work: impl FnMut(&mut dyn Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut held = InUse { service: self, open: lock(&self.idle).pop() };
        if let Some(idle) = &mut held.open {
            let outcome = self.timed(&mut *idle.connection, &mut work);
            match &outcome.answer {
                Err(error) if outcome.broken && error.may_repeat() => held.open = None,
                _ => return self.note(permit, outcome),
            }
        }
        let outcome = self.on_a_fresh_one(held, work);
        self.note(permit, outcome)
    }

    /// Runs `work` once, on a fresh connection.
    pub(super) fn afresh<T, E: Attempted>(
        &self,
        permit: &mut Permit<'_>,
        work: impl FnMut(&mut dyn Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        // one idle connection less, or the database would have one more than it was given
        drop(lock(&self.idle).pop());
        let outcome = self.on_a_fresh_one(InUse { service: self, open: None }, work);
        self.note(permit, outcome)
    }

    fn on_a_fresh_one<T, E: Attempted>(
        &self,
        mut held: InUse<'_>,
        mut work: impl FnMut(&mut dyn Connection) -> Result<T, E>,
    ) -> Outcome<T, E> {
        match self.open() {
            Ok(open) => self.timed(&mut *held.open.insert(open).connection, &mut work),
            Err(error) => Outcome { answer: Err(E::before(error)), broken: true },
        }
    }

    fn timed<T, E: Attempted>(
        &self,
        connection: &mut dyn Connection,
        work: &mut impl FnMut(&mut dyn Connection) -> Result<T, E>,
    ) -> Outcome<T, E> {
        let (answer, took) = spent::at_the_database(|| work(connection));
        self.entry.timed(Timer::Query, took);
        // on a connection that still stands, what failed is the statement
        Outcome { broken: answer.is_err() && !connection.usable(), answer }
    }

    /// Tells the other requests of this child, and the other children, how the database is.
    fn note<T, E: Attempted>(&self, permit: &mut Permit<'_>, outcome: Outcome<T, E>) -> Result<T, E> {
        if outcome.broken {
            permit.failed();
        }
        let silent = outcome.broken && outcome.answer.as_ref().is_err_and(Attempted::is_silence);
        self.entry.came_to(outcome.answer.is_ok(), silent);
        outcome.answer
    }

    /// Opens a connection.
    fn open(&self) -> Result<Open, Error> {
        let (opened, took) = spent::at_the_database(|| self.target.connect(&self.table, &self.limits, self.create));
        self.entry.timed(Timer::Connect, took);
        let mut open = Open { connection: opened?, _counted: self.entry.keep(Held::Connected) };
        if self.create == Create::File {
            provide_table(&mut *open.connection)?;
        }
        Ok(open)
    }
}

/// An error of a piece of work, as far as repeating it is concerned.
pub trait Attempted {
    /// Whether the work did certainly nothing, so that it may be done again.
    fn may_repeat(&self) -> bool;

    /// Whether the database said nothing in all its time.
    fn is_silence(&self) -> bool;

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

    fn is_silence(&self) -> bool {
        matches!(self.cause, Cause::TimedOut(_))
    }

    fn before(error: Error) -> Self {
        error
    }
}

impl Attempted for WriteError {
    fn may_repeat(&self) -> bool {
        matches!(self, WriteError::NotSaved(error) if error.may_repeat())
    }

    fn is_silence(&self) -> bool {
        let (WriteError::NotSaved(error) | WriteError::Unknown(error)) = self;
        error.is_silence()
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
