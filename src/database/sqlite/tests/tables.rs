//! Tables as they should be, and as they are found in the wild.

use super::{ORIGINAL, Place, code};
use crate::database::{Cause, Create, Stage, WriteError};

#[test]
fn what_is_inserted_is_listed_newest_first_and_seen_by_others() {
    let place = Place::with(ORIGINAL);
    let mut connection = place.connect().unwrap();
    let texts =
        [("a", "b"), ("'; DROP TABLE stuff; --", "\"<script>"), ("\u{1F600}\u{1F468}\u{200D}\u{1F469}", "שלום\r\n\t")];
    for (number, (stuff, things)) in texts.into_iter().enumerate() {
        assert_eq!(connection.insert(stuff, things).unwrap(), number as i64 + 1);
    }
    let page = connection.page(None, 20).unwrap();
    assert!(!page.more);
    let listed: Vec<_> = page.rows.iter().map(|row| (row.id, row.stuff, row.things)).collect();
    assert_eq!(listed, [(3, texts[2].0, texts[2].1), (2, texts[1].0, texts[1].1), (1, "a", "b")]);
    assert_eq!(place.shell("SELECT count(*), max(things) FROM stuff"), "3|שלום\r\n\t\n");
    assert_eq!(connection.about().product, "SQLite");
    assert_eq!(connection.about().role, "root");
}

#[test]
fn a_thousand_rows_are_paged_by_key_without_gap_or_repetition() {
    let place = Place::with(&format!(
        "{ORIGINAL} WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) \
         INSERT INTO stuff SELECT i * 3, i, 'x' FROM n;"
    ));
    let mut connection = place.connect().unwrap();
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = connection.page(before, 7).unwrap();
        seen.extend(page.rows.iter().map(|row| row.id));
        if !page.more {
            break;
        }
        assert_eq!(page.rows.len(), 7);
        before = seen.last().copied();
    }
    let expected: Vec<i64> = (1..=1000).rev().map(|i| i * 3).collect();
    assert_eq!(seen, expected);
    assert!(connection.page(Some(i64::MIN), 7).unwrap().rows.is_empty());
    assert!(connection.page(Some(3), 7).unwrap().rows.is_empty());
    assert!(!connection.page(Some(24), 7).unwrap().more, "exactly seven are left");
}

#[test]
fn a_missing_table_or_column_is_an_error_of_the_schema() {
    for sql in [
        "CREATE TABLE other (id INTEGER PRIMARY KEY)",
        "CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT)",
        "CREATE TABLE stuff (number INTEGER PRIMARY KEY, stuff TEXT, things TEXT)",
    ] {
        let place = Place::with(sql);
        let mut connection = place.connect().unwrap();
        let error = connection.page(None, 20).unwrap_err();
        assert_eq!((error.stage, code(&error)), (Stage::Schema, 1), "{sql}");
        assert!(connection.ping().is_err_and(|error| error.stage == Stage::Schema), "{sql}");
        assert!(!connection.usable(), "{sql}: another connection may find what was made meanwhile");
    }
    let place = Place::with("CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT)");
    let mut connection = place.connect().unwrap();
    let WriteError::NotSaved(error) = connection.insert("a", "b").unwrap_err() else { panic!("it is not saved") };
    assert_eq!(error.stage, Stage::Schema);
}

#[test]
fn ids_that_nobody_assigns_are_reported_and_nothing_is_left_behind() {
    for declared in ["INT PRIMARY KEY", "SERIAL PRIMARY KEY", "INTEGER", "INTEGER PRIMARY KEY DESC"] {
        let place = Place::with(&format!("CREATE TABLE stuff (id {declared}, stuff TEXT, things TEXT)"));
        let mut connection = place.connect().unwrap();
        let WriteError::NotSaved(error) = connection.insert("a", "b").unwrap_err() else { panic!("{declared}") };
        assert_eq!(error.stage, Stage::Schema, "{declared}");
        assert!(matches!(&error.cause, Cause::Driver(text) if text.contains("INTEGER PRIMARY KEY")), "{error}");
        assert_eq!(place.shell("SELECT count(*) FROM stuff"), "0\n", "{declared}");
        assert!(connection.page(None, 20).unwrap().rows.is_empty());
        place.shell("INSERT INTO stuff (stuff, things) VALUES ('a', 'b')");
        assert_eq!(connection.page(None, 20).unwrap_err().stage, Stage::Schema, "{declared}: not hidden");
    }
}

#[test]
fn an_id_that_a_trigger_assigns_is_the_id() {
    let place = Place::with(
        "CREATE TABLE stuff (id INT PRIMARY KEY, stuff TEXT, things TEXT); \
         CREATE TRIGGER t AFTER INSERT ON stuff BEGIN UPDATE stuff SET id = 700 + rowid WHERE rowid = new.rowid; END;",
    );
    let mut connection = place.connect().unwrap();
    assert_eq!(connection.insert("a", "b").unwrap(), 701);
    assert_eq!(place.shell("SELECT id FROM stuff"), "701\n");
}

#[test]
fn a_table_that_changes_while_it_is_open_is_looked_at_again() {
    let place = Place::with(ORIGINAL);
    let mut connection = place.connect().unwrap();
    assert_eq!(connection.insert("a", "b").unwrap(), 1);
    place.shell("DROP TABLE stuff");
    assert_eq!(connection.page(None, 20).unwrap_err().stage, Stage::Schema);
    place.shell(ORIGINAL);
    assert_eq!(connection.insert("c", "d").unwrap(), 1);
    assert_eq!(connection.page(None, 20).unwrap().rows.get(0).unwrap().stuff, "c");
}

#[test]
fn what_constraints_and_triggers_refuse_is_not_saved() {
    for (extra, expected) in [
        (", created TEXT NOT NULL", Some(1299)),
        (", UNIQUE (stuff)", Some(2067)),
        (", CHECK (length(stuff) > 100)", Some(275)),
        ("); CREATE TRIGGER t BEFORE INSERT ON stuff BEGIN SELECT RAISE(ABORT, 'no'); END; --", Some(1811)),
        ("); CREATE TRIGGER t BEFORE INSERT ON stuff BEGIN SELECT RAISE(IGNORE); END; --", None),
    ] {
        let place =
            Place::with(&format!("CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT, things TEXT{extra})"));
        let mut connection = place.connect().unwrap();
        if expected == Some(2067) {
            connection.insert("a", "b").unwrap();
        }
        let WriteError::NotSaved(error) = connection.insert("a", "b").unwrap_err() else { panic!("{extra}") };
        assert_eq!(error.stage, Stage::Write, "{extra}");
        assert_eq!(expected, expected.map(|_| code(&error)), "{extra}");
        assert!(connection.usable(), "{extra}");
    }
}

#[test]
fn whatever_a_column_holds_is_shown() {
    let place = Place::with(
        "CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff, things); \
         INSERT INTO stuff VALUES (1, x'ff41', CAST(x'6100c3' AS TEXT)), (2, 12, 1.5), (3, NULL, 'ok');",
    );
    let rows = place.connect().unwrap().page(None, 20).unwrap().rows;
    let shown: Vec<_> = rows.iter().map(|row| (row.stuff, row.things)).collect();
    assert_eq!(shown, [("", "ok"), ("12", "1.5"), ("\u{fffd}A", "a\0\u{fffd}")]);
}

#[test]
fn our_own_table_counts_characters_and_is_created_once() {
    let (place, mut connection) = Place::ours();
    connection.insert(&"\u{1F600}".repeat(255), "").unwrap();
    let WriteError::NotSaved(error) = connection.insert(&"x".repeat(256), "").unwrap_err() else { panic!("saved") };
    assert_eq!(code(&error), 275);
    let error = connection.create_table().unwrap_err();
    assert_eq!(error.stage, Stage::Schema);
    assert_eq!(place.shell("SELECT count(*) FROM stuff"), "1\n");
    connection.reset_table().unwrap();
    assert_eq!(place.shell("SELECT count(*) FROM stuff"), "0\n");
    assert_eq!(connection.insert("a", "b").unwrap(), 1);
}

#[test]
fn a_schema_is_one_of_the_connection() {
    let place = Place::with(ORIGINAL);
    assert_eq!(place.connect_to("main.stuff", Create::Never).unwrap().insert("a", "b").unwrap(), 1);
    let error = place.connect_to("app.stuff", Create::Never).unwrap().page(None, 1).unwrap_err();
    assert_eq!(error.stage, Stage::Schema);
}

#[test]
fn a_statement_ends_when_its_time_is_over() {
    let place = Place::with(
        "CREATE VIEW stuff AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
         SELECT i AS id, 'a' AS stuff, 'b' AS things FROM n;",
    );
    let mut connection = place.connect().unwrap();
    let started = std::time::Instant::now();
    let error = connection.page(None, 20).unwrap_err();
    assert!(matches!(error.cause, Cause::TimedOut(limit) if limit == super::LIMITS.query), "{error}");
    assert!(started.elapsed() < super::LIMITS.query * 3);
    assert!(connection.usable());
}

/// Inserts three rows together, the second of them "bad": which were saved, and what is in the table.
fn together(place: &Place) -> (Vec<bool>, String) {
    let mut connection = place.connect().unwrap();
    let rows = [("a", "1"), ("bad", "2"), ("c", "3")];
    let answers = connection.insert_together(&rows).unwrap();
    for (answer, (stuff, _)) in answers.iter().zip(rows) {
        if let Ok(id) = answer {
            assert_eq!(place.shell(&format!("SELECT stuff FROM stuff WHERE id = {id}")), format!("{stuff}\n"));
        }
    }
    assert!(connection.usable());
    (answers.iter().map(Result::is_ok).collect(), place.shell("SELECT group_concat(stuff) FROM stuff"))
}

#[test]
fn of_rows_inserted_together_none_drags_another_down() {
    for (extra, bad) in [
        ("", true),
        (", CHECK (stuff <> 'bad')", false),
        // undoes the whole transaction
        (", CONSTRAINT c UNIQUE (things) ON CONFLICT ROLLBACK); INSERT INTO stuff VALUES (100, 'old', '2'); --", false),
        (
            "); CREATE TRIGGER t BEFORE INSERT ON stuff WHEN new.stuff = 'bad' BEGIN SELECT RAISE(IGNORE); END; --",
            false,
        ),
        (
            "); CREATE TRIGGER t BEFORE INSERT ON stuff WHEN new.stuff = 'bad' BEGIN SELECT RAISE(ROLLBACK, 'no'); END; --",
            false,
        ),
    ] {
        let place =
            Place::with(&format!("CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT, things TEXT{extra})"));
        let (saved, stored) = together(&place);
        assert_eq!(saved, [true, bad, true], "{extra}");
        let stored: Vec<_> = stored.trim().split(',').filter(|stuff| *stuff != "old").collect();
        assert_eq!(stored, if bad { vec!["a", "bad", "c"] } else { vec!["a", "c"] }, "{extra}");
    }
    // a commit that fails, and ids that nobody assigns
    let place = Place::with("CREATE TABLE stuff (id INT PRIMARY KEY, stuff TEXT, things TEXT)");
    assert_eq!(together(&place), (vec![false; 3], "\n".into()));
}

#[test]
fn rows_inserted_together_cost_one_commit() {
    let (_place, mut connection) = Place::ours();
    let rows = [("a", "b"); 200];
    let synced = |connection: &mut Box<dyn crate::database::Connection>, together: bool| {
        let started = std::time::Instant::now();
        let answers = match together {
            true => connection.insert_together(&rows).unwrap(),
            false => rows.iter().map(|(stuff, things)| connection.insert(stuff, things)).collect(),
        };
        assert!(answers.iter().all(Result::is_ok));
        started.elapsed()
    };
    assert!(synced(&mut connection, true) < synced(&mut connection, false));
    assert_eq!(connection.page(None, 500).unwrap().rows.len(), 400);
}
