//! Locks that another process holds.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{LIMITS, ORIGINAL, Place, code};
use crate::database::{Stage, WriteError};

/// A sqlite3 shell that has run some statements and waits with what they locked.
struct Holder(Child);

impl Holder {
    fn new(place: &Place, sql: &str) -> Self {
        let mut shell =
            Command::new("sqlite3").arg(place.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        writeln!(shell.stdin.as_mut().unwrap(), "{sql}\nSELECT 'ready';").unwrap();
        let lines = BufReader::new(shell.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "ready"), "{sql}");
        Self(shell)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_lock_is_waited_for_until_the_limit_and_no_longer() {
    let place = Place::with(ORIGINAL);
    let mut connection = place.connect().unwrap();
    let holder = Holder::new(&place, "BEGIN EXCLUSIVE;");
    let started = Instant::now();
    let error = connection.page(None, 20).unwrap_err();
    assert_eq!((error.stage, code(&error) & 0xff), (Stage::Read, 5));
    assert!(matches!(connection.insert("a", "b"), Err(WriteError::NotSaved(error)) if code(&error) & 0xff == 5));
    let waited = started.elapsed();
    assert!(waited > LIMITS.query && waited < LIMITS.query * 4, "{waited:?}");
    assert!(connection.usable());
    drop(holder);
    connection.insert("a", "b").unwrap();
}

#[test]
fn a_lock_that_goes_in_time_is_no_error() {
    let place = Place::with(ORIGINAL);
    let mut connection = place.connect().unwrap();
    let holder = Holder::new(&place, "BEGIN IMMEDIATE; INSERT INTO stuff VALUES (9, 'theirs', '');");
    let releases = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        drop(holder);
    });
    assert_eq!(connection.insert("a", "b").unwrap(), 1);
    releases.join().unwrap();
}

#[test]
fn a_reader_elsewhere_blocks_the_writer_only_without_a_write_ahead_log() {
    for (mode, saved) in [("DELETE", false), ("WAL", true)] {
        let place =
            Place::with(&format!("PRAGMA journal_mode = {mode}; {ORIGINAL} INSERT INTO stuff VALUES (1, 'a', '')"));
        let mut connection = place.connect().unwrap();
        let _holder = Holder::new(&place, "BEGIN; SELECT * FROM stuff;");
        assert_eq!(connection.insert("b", "").is_ok(), saved, "{mode}");
        let rows = connection.page(None, 20).unwrap().rows.len();
        assert_eq!(rows, if saved { 2 } else { 1 }, "{mode}: what was refused is not there");
        assert!(connection.usable());
    }
}

#[test]
fn opening_a_locked_file_fails_at_read_within_the_limit() {
    let place = Place::with(ORIGINAL);
    let _holder = Holder::new(&place, "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT;");
    let started = Instant::now();
    let error = place.connect().err().unwrap();
    assert_eq!((error.stage, code(&error) & 0xff), (Stage::Read, 5));
    assert!(started.elapsed() < LIMITS.connect * 3);
}
