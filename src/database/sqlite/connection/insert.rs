//! Inserting: one row, or several in one commit.

use rusqlite::StatementStatus;

use super::{Open, fault};
use crate::database::{Cause, Error, Stage, WriteError};

const WHAT: &str = "inserting into the table in";

impl Open {
    fn assigns_ids(&self) -> Result<bool, WriteError> {
        self.id_is_rowid().map_err(|error| WriteError::NotSaved(self.schema_fault("reading the schema of", &error)))
    }

    pub(super) fn insert_one(&self, stuff: &str, things: &str) -> Result<i64, WriteError> {
        if self.assigns_ids()? { self.insert_numbered(stuff, things) } else { self.insert_other(stuff, things) }
    }

    /// Inserts several rows, in one commit where that can be.
    pub(super) fn insert_all(&self, rows: &[(&str, &str)]) -> Result<Vec<Result<i64, WriteError>>, WriteError> {
        if self.assigns_ids()?
            && let Some(answers) = self.insert_in_one_transaction(rows)?
        {
            return Ok(answers);
        }
        let mut answers = Vec::with_capacity(rows.len());
        for (stuff, things) in rows {
            match self.insert_in_time(stuff, things) {
                // nothing is done yet, and a new connection may do better
                Err(error) if answers.is_empty() && self.broken.get() => return Err(error),
                answer => answers.push(answer),
            }
        }
        Ok(answers)
    }

    /// One of several rows that share the time of one statement.
    fn insert_in_time(&self, stuff: &str, things: &str) -> Result<i64, WriteError> {
        if self.deadline.is_over() {
            return Err(WriteError::NotSaved(self.error(Stage::Write, WHAT, Cause::TimedOut(self.limit))));
        }
        self.insert_one(stuff, things)
    }

    /// Inserts all rows and commits once. A row that a constraint refuses undoes itself alone. None if one of them
    /// undid the others with it, or the commit (deferred constraints): then nothing is stored.
    fn insert_in_one_transaction(
        &self,
        rows: &[(&str, &str)],
    ) -> Result<Option<Vec<Result<i64, WriteError>>>, WriteError> {
        self.run("BEGIN IMMEDIATE", WHAT).map_err(WriteError::NotSaved)?;
        let mut answers = Vec::with_capacity(rows.len());
        for (stuff, things) in rows {
            answers.push(self.insert_numbered(stuff, things));
            if self.driver.is_autocommit() {
                return Ok(None);
            }
        }
        let Err(error) = self.driver.execute_batch("COMMIT") else { return Ok(Some(answers)) };
        let error = self.write_fault(&error);
        self.roll_back();
        if let WriteError::Unknown(_) = error { Err(error) } else { Ok(None) }
    }

    /// Inserts where SQLite assigns the id: one statement, which is its own transaction.
    fn insert_numbered(&self, stuff: &str, things: &str) -> Result<i64, WriteError> {
        let mut statement = self.prepare(&self.statements.insert, WHAT).map_err(WriteError::NotSaved)?;
        let seen = statement.get_status(StatementStatus::RePrepare);
        let inserted = statement.execute((stuff, things)).map_err(|error| {
            fault::write_error(&error, self.run_fault(Stage::Write, WHAT, &self.statements.insert, &error))
        })?;
        if statement.get_status(StatementStatus::RePrepare) != seen {
            self.id_is_rowid.set(None);
        }
        if inserted == 0 {
            return Err(WriteError::NotSaved(self.ignored()));
        }
        Ok(self.driver.last_insert_rowid())
    }

    /// Inserts where something else assigns the id, or nothing: looks before it commits.
    fn insert_other(&self, stuff: &str, things: &str) -> Result<i64, WriteError> {
        self.run("BEGIN IMMEDIATE", WHAT).map_err(WriteError::NotSaved)?;
        let looked = self.insert_numbered(stuff, things).and_then(|rowid| {
            let id = self.driver.query_row(&self.statements.id_of, [rowid], |row| row.get::<_, Option<i64>>(0));
            match id {
                Ok(Some(id)) => Ok(id),
                Ok(None) => {
                    Err(WriteError::NotSaved(self.error(Stage::Schema, WHAT, Cause::Driver(self.without_id()))))
                }
                Err(error) => Err(WriteError::NotSaved(self.fault(Stage::Write, WHAT, &error))),
            }
        });
        let id = looked.inspect_err(|_| self.roll_back())?;
        self.driver.execute_batch("COMMIT").map_err(|error| {
            let error = self.write_fault(&error);
            self.roll_back();
            error
        })?;
        Ok(id)
    }

    fn ignored(&self) -> Error {
        self.error(Stage::Write, WHAT, Cause::Driver(format!("a trigger of {} ignored the row", self.table)))
    }

    fn write_fault(&self, error: &rusqlite::Error) -> WriteError {
        fault::write_error(error, self.fault(Stage::Write, WHAT, error))
    }
}
