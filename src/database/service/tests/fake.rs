//! A database that does as it is told.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::database::{
    About, Cause, Connection, Create, Error, Limits, Page, Row, Rows, Stage, Table, Target, WriteError,
};

/// The database: what it was asked, and how it is to behave.
#[derive(Debug, Default)]
pub struct Database {
    pub opened: AtomicU32,
    pub asked: AtomicU32,
    /// Milliseconds that each query takes.
    pub slow: AtomicU64,
    /// Queries wait until this is false again.
    hangs: Mutex<bool>,
    released: Condvar,
    /// Raised by each restart: connections of an earlier number have died.
    pub restarts: AtomicU32,
    pub refuses: AtomicBool,
    /// Whether rows are to be inserted together.
    pub groups: AtomicBool,
    /// Rows that were committed.
    pub rows: AtomicU64,
}

impl Database {
    /// Hangs as soon as this many more rows are stored.
    pub fn hang_after(&self, rows: u64) {
        let end = self.rows.load(Ordering::SeqCst) + rows;
        while self.rows.load(Ordering::SeqCst) < end {
            thread::yield_now();
        }
        self.hang(true);
    }

    pub fn hang(&self, hangs: bool) {
        *self.hangs.lock().unwrap() = hangs;
        self.released.notify_all();
    }
}

#[derive(Debug)]
pub struct Fake(pub Arc<Database>);

impl Target for Fake {
    fn kind(&self) -> &'static str {
        "fake"
    }
    fn masked(&self) -> String {
        "fake:".into()
    }
    fn has_inline_password(&self) -> bool {
        false
    }
    fn check_offline(&self) -> Vec<String> {
        Vec::new()
    }
    fn file(&self) -> Option<&Path> {
        None
    }
    fn create_statement(&self, _: &Table) -> String {
        String::new()
    }
    fn commits_together(&self) -> bool {
        self.0.groups.load(Ordering::SeqCst)
    }
    fn connect(&self, _: &Table, _: &Limits, _: Create) -> Result<Box<dyn Connection>, Error> {
        self.0.opened.fetch_add(1, Ordering::SeqCst);
        if self.0.refuses.load(Ordering::SeqCst) {
            return Err(error(Stage::Reach));
        }
        let database = Arc::clone(&self.0);
        Ok(Box::new(Open { born: database.restarts.load(Ordering::SeqCst), database, about: about(), alive: true }))
    }
}

struct Open {
    database: Arc<Database>,
    born: u32,
    about: About,
    alive: bool,
}

fn about() -> About {
    let text = String::new;
    About { product: "Fake", version: "1".into(), database: text(), host: text(), role: text(), transport: text() }
}

pub fn error(stage: Stage) -> Error {
    Error { stage, doing: "asking".into(), cause: Cause::Closed }
}

impl Open {
    fn ask(&mut self) -> Result<u64, Error> {
        self.database.asked.fetch_add(1, Ordering::SeqCst);
        let rows = self.database.rows.load(Ordering::SeqCst);
        thread::sleep(Duration::from_millis(self.database.slow.load(Ordering::SeqCst)));
        let hangs = self.database.hangs.lock().unwrap();
        drop(self.database.released.wait_while(hangs, |hangs| *hangs).unwrap());
        if self.born != self.database.restarts.load(Ordering::SeqCst) {
            self.alive = false;
            return Err(error(Stage::Read));
        }
        Ok(rows)
    }
}

impl Connection for Open {
    fn about(&self) -> &About {
        &self.about
    }
    fn page(&mut self, before: Option<i64>, size: u32) -> Result<Page, Error> {
        let rows = i64::try_from(self.ask()?).unwrap();
        let newest = before.map_or(rows, |before| before - 1);
        let rows = (1..=newest).rev().take(size as usize);
        let rows: Rows = rows.map(|id| Row { id, stuff: "", things: "" }).collect();
        Ok(Page { more: rows.last().is_some_and(|last| last.id > 1), rows, took: Duration::ZERO })
    }
    fn insert(&mut self, _: &str, things: &str) -> Result<i64, WriteError> {
        self.ask().map_err(if things == "sent" { WriteError::Unknown } else { WriteError::NotSaved })?;
        Ok(self.database.rows.fetch_add(1, Ordering::SeqCst) as i64 + 1)
    }
    fn insert_together(&mut self, rows: &[(&str, &str)]) -> Result<Vec<Result<i64, WriteError>>, WriteError> {
        self.ask().map_err(WriteError::NotSaved)?;
        let insert = |(_, things): &(&str, &str)| match *things {
            "bad" => Err(WriteError::NotSaved(error(Stage::Write))),
            _ => Ok(self.database.rows.fetch_add(1, Ordering::SeqCst) as i64 + 1),
        };
        Ok(rows.iter().map(insert).collect())
    }
    fn create_table(&mut self) -> Result<(), Error> {
        Ok(())
    }
    fn reset_table(&mut self) -> Result<(), Error> {
        Ok(())
    }
    fn ping(&mut self) -> Result<(), Error> {
        self.ask().map(drop)
    }
    fn usable(&self) -> bool {
        self.alive
    }
}
