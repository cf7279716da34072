//! Rows on their way in: one in one round trip, and those that wait in one round trip and one commit together.
//!
//! Between two Syncs the server runs everything in one transaction, so that rows sent so are all stored or none. When one
//! of them is refused nothing is stored, and each is sent again by itself: it alone fails.

use std::time::Instant;

use crate::database::{Cause, Error, Stage, WriteError};

use super::{Direct, Failed, PgConnection, Query, Value, columns, exchange, failure, number};

impl PgConnection {
    /// Inserts one row and commits it.
    pub(super) fn insert_one(&mut self, stuff: &str, things: &str) -> Result<i64, WriteError> {
        let answers = self.insert_in_one_transaction(&[(stuff, things)])?;
        match answers.into_iter().next().flatten().or_else(|| self.stored(stuff, things)) {
            Some(id) => Ok(id),
            None => Err(self.no_row()),
        }
    }

    /// Inserts rows, with one commit for all if none of them is refused.
    pub(super) fn insert_all(&mut self, rows: &[(&str, &str)]) -> Result<Vec<Result<i64, WriteError>>, WriteError> {
        let began = Instant::now();
        let proved = self.proved;
        if self.silent && rows.len() > 1 {
            // each is to be found again
            return Ok(self.one_by_one(rows, began));
        }
        match self.insert_in_one_transaction(rows) {
            Ok(ids) => {
                let alone = <&[_; 1]>::try_from(rows).ok().filter(|_| ids == [None]);
                match alone.and_then(|[(stuff, things)]| self.stored(stuff, things)) {
                    Some(id) => Ok(vec![Ok(id)]),
                    None => Ok(ids.into_iter().map(|id| id.ok_or_else(|| self.no_row())).collect()),
                }
            }
            // a session that has grown old fails for all of them: the caller tries a new one
            Err(WriteError::NotSaved(_)) if self.alive && rows.len() > 1 && !(proved && self.stale) => {
                Ok(self.one_by_one(rows, began))
            }
            Err(error) => Err(error),
        }
    }

    /// The id of a row that was just committed without being given back, if it can be found: by the sequence of the ids,
    /// when this session (a pooler's is not ours) has taken a number from it since, and that number's row has the texts.
    fn stored(&mut self, stuff: &str, things: &str) -> Option<i64> {
        self.silent = true;
        // a statement that fails would spoil a transaction that somebody looks on
        if self.session.control.with(|state| state.in_transaction) {
            return None;
        }
        let mut found = None;
        let texts = [Value::Text(stuff), Value::Text(things)];
        let result = self.query(Query::Stored, &texts, &mut |row| {
            found =
                columns(row).map(|[last, pid, id]| (last.and_then(number), pid.and_then(number), id.and_then(number)));
            true
        });
        let (last, pid, id): (Option<i64>, Option<i32>, Option<i64>) = found.filter(|_| result.is_ok())?;
        let ours = pid.is_some() && pid == self.session.startup.backend_pid && self.direct != Direct::No;
        let moved = last != std::mem::replace(&mut self.last_id, last);
        id.filter(|_| ours && moved)
    }

    /// Each for itself, for as long as all of them together may take.
    fn one_by_one(&mut self, rows: &[(&str, &str)], began: Instant) -> Vec<Result<i64, WriteError>> {
        let one = |&(stuff, things): &(&str, &str)| {
            if began.elapsed() >= self.limits.query {
                let cause = Cause::TimedOut(self.limits.query);
                return Err(WriteError::NotSaved(Error { stage: Stage::Write, doing: self.inserting(), cause }));
            }
            self.insert_one(stuff, things)
        };
        rows.iter().map(one).collect()
    }

    /// The ids in the order of the rows; None for one that the server neither gave back nor refused. After
    /// an error that is certain nothing is stored.
    fn insert_in_one_transaction(&mut self, rows: &[(&str, &str)]) -> Result<Vec<Option<i64>>, WriteError> {
        // a server that said goodbye meanwhile has certainly stored nothing
        if let Err(failure) = exchange::look(&self.session.control) {
            self.alive = false;
            return Err(WriteError::NotSaved(self.error(failure, Stage::Write, self.inserting())));
        }
        let values: Vec<_> = rows.iter().map(|(stuff, things)| [Value::Text(stuff), Value::Text(things)]).collect();
        let (mut ids, mut id) = (Vec::with_capacity(rows.len()), None);
        let result = self.query_all(Query::Insert, &values, &mut |row| match row {
            Some(row) => {
                id = columns(row).and_then(|[id]| number(id?));
                id.is_some()
            }
            None => {
                ids.push(id.take());
                true
            }
        });
        result.map_err(|failed| self.write_error(failed))?;
        self.last_id = ids.iter().flatten().last().copied().or(self.last_id);
        Ok(ids)
    }

    fn write_error(&self, failed: Failed) -> WriteError {
        let error = self.error(failed.failure, Stage::Write, self.inserting());
        let refused = match &error.cause {
            Cause::Server(error) => failure::is_certain(error, failed.completed),
            _ => !failed.sent,
        };
        if refused { WriteError::NotSaved(error) } else { WriteError::Unknown(error) }
    }

    fn no_row(&self) -> WriteError {
        WriteError::Unknown(Error { stage: Stage::Write, doing: self.inserting(), cause: Cause::NoRow })
    }

    fn inserting(&self) -> String {
        format!("inserting into table {}", self.table)
    }
}
