//! Files that are missing, foreign, replaced; and what opening one must leave alone.

use std::fs;
use std::sync::Arc;

use super::{ORIGINAL, Place, code};
use crate::database::{Cause, Create, NotStored, Refusal, Service, Services, Stage, Table, Target};

fn errno(error: &crate::database::Error) -> Option<i32> {
    match &error.cause {
        Cause::Sqlite { errno, .. } => *errno,
        _ => None,
    }
}

#[test]
fn a_missing_file_is_never_created_unless_asked() {
    let place = Place::new();
    let error = place.connect().err().unwrap();
    assert_eq!((error.stage, code(&error), errno(&error)), (Stage::Reach, 14, Some(2)));
    assert!(error.to_string().contains(place.path().to_str().unwrap()), "{error}");
    assert!(!place.path().exists());
    place.connect_to("stuff", Create::File).unwrap();
    assert!(place.path().exists());
}

#[test]
fn paths_that_lead_to_no_file_say_why() {
    let place = Place::new();
    fs::create_dir(place.path()).unwrap();
    let error = place.connect().err().unwrap();
    assert_eq!((error.stage, errno(&error)), (Stage::Reach, Some(21)));
    fs::remove_dir(place.path()).unwrap();
    std::os::unix::fs::symlink(place.path(), place.path()).unwrap();
    let error = place.connect().err().unwrap();
    assert_eq!((error.stage, errno(&error)), (Stage::Reach, Some(40)));
}

#[test]
fn a_file_that_is_no_database_does_not_speak() {
    for content in [&b"<!DOCTYPE html><p>not a database, though longer than its header would be</p>"[..], &[0x1f; 9000]]
    {
        let place = Place::new();
        fs::write(place.path(), content).unwrap();
        let error = place.connect().err().unwrap();
        assert_eq!((error.stage, code(&error)), (Stage::Speaks, 26));
        assert_eq!(fs::read(place.path()).unwrap(), content);
    }
}

#[test]
fn a_schema_that_this_sqlite_cannot_read_does_not_speak() {
    let place = Place::with(&format!(
        "{ORIGINAL} PRAGMA writable_schema = ON; \
         UPDATE sqlite_master SET sql = 'CREATE TABLE stuff (id INTEGER PRIMARY KEY) FROBNICATE';"
    ));
    let error = place.connect().err().unwrap();
    assert_eq!((error.stage, code(&error)), (Stage::Speaks, 11));
}

#[test]
fn an_administrators_file_keeps_its_journal_and_its_bytes() {
    let place = Place::with(ORIGINAL);
    let before = fs::read(place.path()).unwrap();
    let mut connection = place.connect().unwrap();
    connection.page(None, 20).unwrap();
    connection.ping().unwrap();
    assert_eq!(fs::read(place.path()).unwrap(), before);
    let mut other = place.connect_to("other", Create::File).unwrap();
    other.create_table().unwrap();
    assert_eq!(place.shell("PRAGMA journal_mode"), "delete\n");
    assert!(!place.beside("-wal").exists());
}

#[test]
fn our_own_file_has_a_write_ahead_log() {
    let (place, _connection) = Place::ours();
    assert_eq!(place.shell("PRAGMA journal_mode"), "wal\n");
}

#[test]
fn many_who_create_the_same_file_at_once_agree() {
    let place = Place::new();
    let made: Vec<_> = std::thread::scope(|scope| {
        let makers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = place.connect_to("stuff", Create::File).unwrap();
                    let made = connection.create_table();
                    connection.insert("a", "b").unwrap();
                    made
                })
            })
            .collect();
        makers.into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
    for error in made.into_iter().filter_map(Result::err) {
        assert_eq!(error.stage, Stage::Schema, "{error}");
    }
    assert_eq!(place.shell("SELECT count(*) FROM stuff; PRAGMA journal_mode"), "8\nwal\n");
}

#[test]
fn a_replaced_file_is_noticed_in_both_journal_modes() {
    for mode in ["DELETE", "WAL"] {
        let place = Place::with(&format!("PRAGMA journal_mode = {mode}; {ORIGINAL}"));
        let mut connection = place.connect().unwrap();
        connection.insert("old", "").unwrap();
        let new = place.beside(".new");
        super::shell(&new, &format!("{ORIGINAL} INSERT INTO stuff VALUES (5, 'new', '')"));
        fs::rename(&new, place.path()).unwrap();
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(place.beside(suffix));
        }
        assert!(matches!(connection.insert("lost", ""), Err(crate::database::WriteError::NotSaved(_))), "{mode}");
        assert!(!connection.usable(), "{mode}");
        assert!(connection.page(None, 20).is_err(), "{mode}");
        drop(connection);
        let rows = place.connect().unwrap().page(None, 20).unwrap().rows;
        assert_eq!(rows.iter().map(|row| row.stuff).collect::<Vec<_>>(), ["new"], "{mode}");
        assert_eq!(place.shell("SELECT stuff FROM stuff; PRAGMA integrity_check"), "new\nok\n", "{mode}");
    }
}

#[test]
fn configtest_says_what_is_missing_and_creates_nothing() {
    let place = Place::new();
    let says = |path: &std::path::Path| super::File::new(path.to_owned()).check_offline().join("\n");
    assert!(says(&place.path()).contains("DBTEST_INIT"));
    assert!(!place.path().exists());
    let nowhere = place.directory.path().join("no/such/a.db");
    let missing = format!("the directory {} does not", place.directory.path().join("no").display());
    assert!(says(&nowhere).contains(&missing), "{}", says(&nowhere));
    assert!(says(place.directory.path()).contains("is a directory"));
    place.shell(ORIGINAL);
    assert_eq!(says(&place.path()), "");
}

/// The service of a child for the place's database.
fn service(place: &Place, create: Create) -> Arc<Service> {
    let target: Arc<dyn Target> = Arc::new(super::File::new(place.path()));
    Services::new(1, Box::new(|| 1)).get(&target, &Arc::new(Table::default()), super::LIMITS, 1, create)
}

#[test]
fn the_default_database_and_its_table_are_made_on_first_use_by_whichever_child_is_first() {
    let place = Place::new();
    std::thread::scope(|scope| {
        for number in 0..6 {
            let place = &place;
            scope.spawn(move || {
                let service = service(place, Create::File);
                match number % 2 {
                    0 => drop(service.page(None, 20).unwrap()),
                    _ => drop(service.insert("a", "b").unwrap()),
                }
            });
        }
    });
    assert_eq!(place.shell("SELECT count(*) FROM stuff"), "3\n");
    let child = service(&place, Create::File);
    child.insert("c", "d").unwrap();
    // removed under a running server: made again, and nothing is acknowledged that nobody sees
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(place.beside(suffix)).unwrap();
    }
    assert_eq!(child.insert("e", "f").unwrap(), 1);
    assert_eq!(place.shell("SELECT stuff FROM stuff"), "e\n");
}

#[test]
fn a_named_database_is_not_made_by_using_it() {
    let place = Place::new();
    assert!(
        matches!(service(&place, Create::Never).page(None, 1), Err(Refusal::Database(error)) if error.stage == Stage::Reach)
    );
    assert!(!place.path().exists());
    fs::write(place.path(), "").unwrap();
    assert!(
        matches!(service(&place, Create::Never).insert("a", "b"), Err(NotStored::NotSaved(error)) if error.stage == Stage::Schema)
    );
    assert_eq!(fs::metadata(place.path()).unwrap().len(), 0);
}

#[test]
fn after_a_file_was_replaced_the_next_request_has_the_new_one() {
    for mode in ["DELETE", "WAL"] {
        let place = Place::with(&format!("PRAGMA journal_mode = {mode}; {ORIGINAL}"));
        let child = service(&place, Create::Never);
        child.insert("old", "").unwrap();
        for round in 0..2 {
            let new = place.beside(".new");
            super::shell(&new, &format!("{ORIGINAL} INSERT INTO stuff VALUES (5, 'new', '')"));
            fs::rename(&new, place.path()).unwrap();
            for suffix in ["-wal", "-shm"] {
                let _ = fs::remove_file(place.beside(suffix));
            }
            match round {
                0 => assert_eq!(child.page(None, 20).unwrap().rows.get(0).unwrap().stuff, "new", "{mode}"),
                _ => assert_eq!(child.insert("x", "").unwrap(), 6, "{mode}"),
            }
        }
        assert_eq!(place.shell("SELECT group_concat(stuff) FROM stuff"), "new,x\n", "{mode}");
    }
}

#[test]
fn sixteen_writers_all_get_their_turn() {
    let (place, _connection) = Place::ours();
    // much longer than they need: this is about none being passed over for ever
    let limits = crate::database::Limits { query: std::time::Duration::from_secs(20), ..super::LIMITS };
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let target = super::File::new(place.path());
                let mut connection = target.connect(&Table::default(), &limits, Create::Never).unwrap();
                for _ in 0..10 {
                    connection.insert("a", "b").unwrap();
                }
            });
        }
    });
    assert_eq!(place.shell("SELECT count(*) FROM stuff"), "160\n");
}

/// Rows that somebody finds who opens the file afterwards.
fn stored(place: &Place) -> Vec<String> {
    place.shell("SELECT stuff FROM stuff ORDER BY id").lines().map(str::to_owned).collect()
}

#[test]
fn a_log_removed_under_running_children_costs_no_row() {
    let cases: [&[&str]; 3] = [&["-wal", "-shm"], &["-wal"], &["-shm"]];
    for (gone, moved) in cases.into_iter().flat_map(|gone| [(gone, false), (gone, true)]) {
        let (place, _) = Place::ours();
        let children = [(); 3].map(|()| service(&place, Create::Never));
        let mut expected = Vec::new();
        for round in 0..4 {
            for (number, child) in children.iter().enumerate() {
                let text = format!("{round}.{number}");
                child.insert(&text, "").unwrap();
                expected.push(text);
            }
            for end in gone {
                match moved {
                    true => fs::rename(place.beside(end), place.beside(".old")).unwrap(),
                    false => fs::remove_file(place.beside(end)).unwrap(),
                }
            }
            assert_eq!(children[round % 3].page(None, 20).unwrap().rows.len(), expected.len(), "{gone:?} {round}");
            children[(round + 1) % 3].ping().unwrap();
        }
        for child in &children {
            child.insert("last", "").unwrap();
            expected.push("last".into());
        }
        drop(children);
        assert_eq!(stored(&place), expected, "{gone:?}");
        assert_eq!(place.shell("PRAGMA integrity_check"), "ok\n", "{gone:?}");
    }
}

#[test]
fn a_log_that_others_made_anew_is_theirs_and_what_may_be_lost_is_not_called_saved() {
    let place = Place::with(&format!("PRAGMA journal_mode = WAL; {ORIGINAL}"));
    let mut old = place.connect().unwrap();
    old.insert("kept", "").unwrap();
    for end in ["-wal", "-shm"] {
        fs::remove_file(place.beside(end)).unwrap();
    }
    // another process, which goes on
    let mut other = Other::new(&place);
    other.run("CREATE TABLE other (x); INSERT INTO other VALUES (1);");
    let before = fs::read(place.path()).unwrap();
    assert!(old.page(None, 20).is_err() && !old.usable());
    assert!(matches!(old.insert("lost", ""), Err(crate::database::WriteError::NotSaved(_))));
    drop(old);
    assert_eq!(fs::read(place.path()).unwrap(), before, "our log is not written over theirs");
    let child = service(&place, Create::Never);
    child.insert("a", "b").unwrap();
    other.run("INSERT INTO other VALUES (2);");
    assert_eq!(place.shell("SELECT count(*) FROM other; PRAGMA integrity_check"), "2\nok\n");
}

/// Another process that has the database open.
struct Other {
    process: std::process::Child,
    answers: std::io::BufReader<std::process::ChildStdout>,
}

impl Other {
    fn new(place: &Place) -> Self {
        use std::process::{Command, Stdio};
        let mut shell = Command::new("sqlite3");
        let mut process =
            shell.arg("-batch").arg(place.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = std::io::BufReader::new(process.stdout.take().unwrap());
        Self { process, answers }
    }

    /// Runs statements to their end.
    fn run(&mut self, sql: &str) {
        use std::io::{BufRead, Write};
        writeln!(self.process.stdin.as_mut().unwrap(), "{sql}\nSELECT 'done';").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert_eq!(answer, "done\n", "{sql}");
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
