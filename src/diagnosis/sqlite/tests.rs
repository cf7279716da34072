//! The ladder on real files. What needs another user than root is in tests/faults.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Detail, Resolved};
use crate::database::{Limits, Setting, Stage, Table, Target, parse};
use crate::diagnosis::engine::kind::Circumstances;
use crate::diagnosis::examine;
use crate::diagnosis::report::text;
use crate::diagnosis::report::{Report, State, Verdict};

struct Site {
    dir: tempfile::TempDir,
    settings: Resolved,
}

impl Site {
    fn new(sql: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.db");
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        Self { settings: settings(&path), dir }
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("site.db")
    }

    fn check(&self) -> Report {
        let circumstances = Circumstances {
            location: "/dbtest".into(),
            children: 4,
            on_request: true,
            writes: true,
            root: "/".into(),
            within: Duration::from_secs(10),
        };
        examine(&self.settings.target, &self.settings, &circumstances)
    }

    /// Checks, compares, applies the first fix if it is SQL, and checks again.
    fn cured_by_sql(&self, id: &str, stage: Stage) {
        let report = self.check();
        let failure = report.failure.as_ref().unwrap_or_else(|| panic!("no failure:\n{}", shown(&report)));
        assert_eq!((failure.id, report.failed_at()), (id, Some(stage)), "{}", shown(&report));
        let fix = failure.fixes.first().unwrap_or_else(|| panic!("no fix:\n{}", shown(&report)));
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        connection.execute_batch(&fix.text).unwrap_or_else(|error| panic!("{error}\n{}", fix.text));
        let report = self.check();
        assert_eq!(report.verdict(), Verdict::Pass, "{}", shown(&report));
    }
}

fn shown(report: &Report) -> String {
    text::text(report, crate::diagnosis::report::text::Colour::Never)
}

fn settings(path: &Path) -> Resolved {
    let setting = Setting { state_dir: Path::new("/"), password: None };
    let target: Arc<dyn Target> = parse(&format!("sqlite:{}", path.display()), &setting).unwrap();
    let second = Duration::from_secs(1);
    Resolved {
        target,
        is_default_database: false,
        password_file: None,
        no_password: None,
        table: Arc::new(Table::default()),
        page_size: 20,
        read_only: false,
        create_table: false,
        detail: Detail::Full,
        limits: Limits { connect: second, query: second, wait: second },
        connections: 1,
        max_body: 65536,
        origins: Vec::new(),
    }
}

const TABLE: &str = "CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff VARCHAR(255) NOT NULL, things TEXT NOT NULL);";

#[test]
fn a_healthy_database_passes_and_twenty_checks_leave_it_as_it_was() {
    for mode in ["delete", "wal"] {
        let site = Site::new(&format!(
            "PRAGMA journal_mode = {mode}; {} INSERT INTO stuff VALUES (1, 'a', 'b');",
            TABLE.replace("PRIMARY KEY", "PRIMARY KEY AUTOINCREMENT")
        ));
        let before = state(&site);
        for _ in 0..20 {
            let report = site.check();
            assert_eq!(report.verdict(), Verdict::Pass, "{}", shown(&report));
            assert!(report.steps.iter().all(|step| matches!(step.state, State::Pass | State::Skip)));
        }
        assert!(state(&site) == before, "a check changed a file in mode {mode}");
    }
}

/// Files with their bytes and modes.
fn state(site: &Site) -> Vec<(String, u32, Vec<u8>)> {
    use std::os::unix::fs::PermissionsExt;
    let mut found: Vec<_> = std::fs::read_dir(site.dir.path())
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            (entry.file_name().to_string_lossy().into_owned(), mode, std::fs::read(entry.path()).unwrap())
        })
        .collect();
    found.sort();
    found
}

#[test]
fn what_the_schema_lacks_is_cured_by_the_printed_sql() {
    for (sql, id, stage) in [
        ("CREATE TABLE other (a)", "DBT1050", Stage::Schema),
        ("CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT)", "DBT1051", Stage::Schema),
        ("CREATE TABLE stuff (stuff TEXT, things TEXT)", "DBT1051", Stage::Schema),
        ("CREATE TABLE stuff (id INTEGER PRIMARY KEY)", "DBT1051", Stage::Schema),
        ("CREATE TABLE stuff (id INT PRIMARY KEY, stuff TEXT, things TEXT)", "DBT1052", Stage::Schema),
        ("CREATE TABLE stuff (id SERIAL PRIMARY KEY NOT NULL, stuff TEXT, things TEXT)", "DBT1052", Stage::Schema),
        ("CREATE TABLE stuff (id BIGINT PRIMARY KEY, stuff TEXT, things TEXT) WITHOUT ROWID", "DBT1052", Stage::Schema),
        (
            "CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT, things TEXT AS (upper(stuff)))",
            "DBT1054",
            Stage::Schema,
        ),
        (
            "CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT, things TEXT, created DATETIME NOT NULL, n INT NOT NULL)",
            "DBT1351",
            Stage::Write,
        ),
        (
            "CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT CHECK (length(stuff) > 1000), things TEXT)",
            "DBT1352",
            Stage::Write,
        ),
        (
            "CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT, things TEXT); \
             CREATE TRIGGER audit AFTER INSERT ON stuff BEGIN INSERT INTO log VALUES (new.id); END",
            "DBT1354",
            Stage::Write,
        ),
        (
            "CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT, things TEXT); \
             CREATE TRIGGER no BEFORE INSERT ON stuff BEGIN SELECT RAISE(ABORT, 'no'); END",
            "DBT1354",
            Stage::Write,
        ),
        (
            "CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT, things TEXT); \
             CREATE TRIGGER \"go away\" BEFORE INSERT ON stuff BEGIN SELECT RAISE(IGNORE); END",
            "DBT1358",
            Stage::Write,
        ),
        (
            "CREATE TABLE stuff (id INTEGER PRIMARY KEY AUTOINCREMENT, stuff TEXT, things TEXT); \
             INSERT INTO stuff VALUES (9223372036854775807, 'a', 'b')",
            "DBT1357",
            Stage::Write,
        ),
    ] {
        eprintln!("{sql}");
        Site::new(sql).cured_by_sql(id, stage);
    }
}

#[test]
fn the_default_database_is_healthy_before_its_first_visitor() {
    let site = Site::new(TABLE);
    let mut settings = settings(&site.dir.path().join("default.db"));
    settings.is_default_database = true;
    let unmade = Site { settings, dir: site.dir };
    let report = unmade.check();
    assert_eq!(report.verdict(), Verdict::Pass, "{}", shown(&report));
    assert!(!unmade.dir.path().join("default.db").exists(), "a check made it");
}

#[test]
fn an_empty_file_is_told_from_a_missing_table() {
    let site = Site::new("");
    site.cured_by_sql("DBT0550", Stage::Speaks);
}

#[test]
fn what_is_no_database_is_told_by_its_first_bytes() {
    for (bytes, id) in [
        (&b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n"[..], "DBT0551"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "DBT0551"),
        (b"SQLite form", "DBT0554"),
    ] {
        let site = Site::new("");
        std::fs::write(site.path(), bytes).unwrap();
        let report = site.check();
        let failure = report.failure.as_ref().unwrap_or_else(|| panic!("{}", shown(&report)));
        assert_eq!((failure.id, report.failed_at()), (id, Some(Stage::Speaks)), "{}", shown(&report));
    }
}

#[test]
fn a_lock_names_its_holder() {
    let site = Site::new(TABLE);
    let holder = rusqlite::Connection::open(site.path()).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let report = site.check();
    let failure = report.failure.as_ref().unwrap();
    assert_eq!((failure.id, report.failed_at()), ("DBT1350", Some(Stage::Write)), "{}", shown(&report));
}

#[test]
fn a_path_that_leads_nowhere_is_told_part_by_part() {
    let site = Site::new(TABLE);
    for (path, id) in [
        ("missing.db", "DBT0351"),
        ("no/such/site.db", "DBT0350"),
        ("site.db/site.db", "DBT0353"),
        ("link", "DBT0354"),
        ("loop", "DBT0354"),
        ("sub", "DBT0450"),
        ("pipe", "DBT0451"),
    ] {
        let at = site.dir.path().join(path);
        match path {
            "link" => std::os::unix::fs::symlink("gone", &at).unwrap(),
            "loop" => std::os::unix::fs::symlink("loop", &at).unwrap(),
            "sub" => std::fs::create_dir(&at).unwrap(),
            "pipe" => rustix::fs::mknodat(rustix::fs::CWD, &at, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
                .unwrap(),
            _ => {}
        }
        let wrong = Site { settings: settings(&at), dir: tempfile::tempdir().unwrap() };
        let report = wrong.check();
        let failure = report.failure.as_ref().unwrap_or_else(|| panic!("{path}\n{}", shown(&report)));
        assert_eq!(failure.id, id, "{path}\n{}", shown(&report));
    }
}
