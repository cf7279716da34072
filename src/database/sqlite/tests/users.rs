//! Files and directories that the server's user may not read or write. The test process is root, whom no mode
//! stops: so each case runs again in a process of the user "nobody".

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::{LIMITS, ORIGINAL, Place};
use crate::database::{Cause, Create, Error, Table, Target, WriteError};

const NOBODY: u32 = 65534;
const AS_NOBODY: &str = "DBTEST_AS_NOBODY";

/// Not a case of its own: what the cases below run as nobody. Says how connecting, reading and writing went.
#[test]
fn child() {
    let Some(path) = std::env::var_os(AS_NOBODY) else { return };
    println!("<{}>", story(Path::new(&path)));
}

fn story(path: &Path) -> String {
    let told = |error: &Error| match &error.cause {
        Cause::Sqlite { code, errno, .. } => format!("{} {code} {errno:?}", error.stage.name()),
        other => format!("{} {other}", error.stage.name()),
    };
    let mut connection = match super::File::new(path.into()).connect(&Table::default(), &LIMITS, Create::Never) {
        Ok(connection) => connection,
        Err(error) => return format!("connect: {}", told(&error)),
    };
    let read = connection.page(None, 20).map_or_else(|error| told(&error), |page| page.rows.len().to_string());
    let written = match connection.insert("a", "b") {
        Ok(id) => format!("id {id}"),
        Err(WriteError::NotSaved(error)) => format!("not saved, {}", told(&error)),
        Err(WriteError::Unknown(error)) => format!("unknown, {}", told(&error)),
    };
    format!("{}: read {read}; wrote {written}", connection.about().role)
}

/// What the user nobody sees of the place's database.
fn as_nobody(place: &Place) -> String {
    let output = Command::new("/proc/self/exe")
        .args(["--exact", "database::sqlite::tests::users::child", "--nocapture"])
        .env(AS_NOBODY, place.path())
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let story = text.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    story.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr))).0.to_owned()
}

/// A database of one row whose directory and file have these owners and modes.
fn place(mode: &str, directory: (u32, u32), file: (u32, u32)) -> Place {
    let place = Place::with(&format!("PRAGMA journal_mode = {mode}; {ORIGINAL} INSERT INTO stuff VALUES (1, 'a', '')"));
    for (path, (owner, mode)) in [(place.path(), file), (place.directory.path().to_owned(), directory)] {
        chown(&path, Some(owner), Some(owner)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    place
}

#[test]
fn what_modes_forbid_is_told_by_step_code_and_errno() {
    let ours = (NOBODY, 0o755);
    let cases = [
        ("DELETE", ours, (NOBODY, 0o644), "nobody: read 1; wrote id 2"),
        ("WAL", ours, (NOBODY, 0o644), "nobody: read 1; wrote id 2"),
        // file readable, not writable
        ("DELETE", ours, (0, 0o644), "nobody: read 1; wrote not saved, write 8 None"),
        // file not readable
        ("DELETE", ours, (0, 0o600), "connect: reach 14 Some(13)"),
        // directory not searchable
        ("DELETE", (0, 0o700), (NOBODY, 0o644), "connect: reach 14 Some(13)"),
        // directory not writable: the journal cannot be made …
        ("DELETE", (0, 0o755), (NOBODY, 0o644), "nobody: read 1; wrote not saved, write 1544 None"),
        // … and with a write-ahead log not even reading works
        ("WAL", (0, 0o755), (NOBODY, 0o644), "connect: reach 1544 None"),
    ];
    for (mode, directory, file, expected) in cases {
        let place = place(mode, directory, file);
        assert_eq!(as_nobody(&place), expected, "{mode} {directory:?} {file:?}");
    }
}

#[test]
fn side_files_of_another_user_are_a_matter_of_reach() {
    let place = place("WAL", (NOBODY, 0o755), (NOBODY, 0o644));
    fs::write(place.beside("-shm"), [0; 32768]).unwrap();
    fs::write(place.beside("-wal"), "").unwrap();
    for suffix in ["-wal", "-shm"] {
        fs::set_permissions(place.beside(suffix), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let story = as_nobody(&place);
    assert!(story.starts_with("connect: reach 14"), "{story}");
}
