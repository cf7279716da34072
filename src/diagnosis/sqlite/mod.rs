//! The diagnosis of SQLite: gather evidence from inside this process, judge it, and show it as a ladder.
//!
//! The steps do not each try something of their own: the page's own connection is opened, read, and a row is
//! inserted beside it and rolled back. Where that fails, what the file system says decides which step the failure
//! belongs to, since SQLite itself cannot tell. Nothing is created or changed.

mod catalogue;
mod evidence;
mod gather;
mod rules;
mod sql_words;
#[cfg(test)]
mod tests;

use super::report::{Finding, FixKind, Report, State, Step};
use super::{Circumstances, Diagnosis, Who};
use crate::config::Resolved;
use crate::database::{Error, Stage, Target};
use crate::diagnosis::host::path::Trouble;
use crate::diagnosis::host::policy::Policy;
use crate::diagnosis::host::sandbox::Sandbox;
use crate::diagnosis::host::shell::quote;
use crate::diagnosis::report::builder::{Climb, Trial};
use crate::diagnosis::report::text::section;
use evidence::Evidence;

/// The table is there, and something else is amiss with it.
pub const IS_ABOUT_COLUMNS: [&str; 5] = [
    catalogue::NO_COLUMN,
    catalogue::ID_NOT_ASSIGNED,
    catalogue::NOT_A_TABLE,
    catalogue::GENERATED,
    catalogue::TRIGGER_REFUSES,
];

/// The diagnosis of SQLite.
pub static DIAGNOSIS: Diagnosis = Diagnosis { kind: "sqlite", ladder: climb, quick, entries: &[catalogue::ENTRIES] };

fn quick(error: &Error, target: &dyn Target, settings: &Resolved) -> Finding {
    let who = Who::look_below(std::path::Path::new("/"));
    let evidence = Evidence::outside(who, target, settings).met(error, settings);
    match rules::judge(&evidence) {
        Some(verdict) => verdict.finding,
        None => crate::diagnosis::engine::generic::finding(error),
    }
}

fn climb(target: &dyn Target, settings: &Resolved, circumstances: &Circumstances) -> Report {
    let climb = Climb::begin(target.masked(), circumstances.within);
    let who = Trial::begin(Stage::Who);
    let looked = Who::look_below(&circumstances.root);
    let who = looked.step(who);
    let evidence = Evidence::outside(looked, target, settings);
    if settings.is_default_database && is_yet_to_be_made(&evidence) {
        return unmade(climb, who, &evidence, target);
    }
    let evidence = evidence.inside(target, settings, climb.remaining(), circumstances.writes);
    let mut report = report(climb, who, &evidence, target);
    if report.failure.is_none() {
        let policy = Policy::of(&evidence.who);
        report.warnings.extend(policy.and_then(|policy| policy.file(&evidence.files.path, &evidence.who)));
        let sandbox = Sandbox::foretold(&evidence.who.root, evidence.who.unit.as_deref());
        report.warnings.extend(sandbox.and_then(|sandbox| sandbox.file(&evidence.files.real)));
    }
    for finding in report.failure.iter_mut().chain(&mut report.warnings) {
        name_location(finding, &circumstances.location);
    }
    report
}

/// "inside this Location" by its name.
fn name_location(finding: &mut Finding, location: &str) {
    for fix in finding.fixes.iter_mut().filter(|fix| fix.kind == FixKind::Httpd) {
        fix.place = fix.place.replace("this Location", &section(location));
    }
}

/// The module's own file, which the first visitor makes: its directory is there and may be written.
fn is_yet_to_be_made(evidence: &Evidence) -> bool {
    let files = &evidence.files;
    let absent = files.file.as_ref().is_some_and(|found| found.trouble == Trouble::Missing && found.is_last());
    absent && files.directory.is_none()
}

fn unmade(mut climb: Climb, who: Step, evidence: &Evidence, target: &dyn Target) -> Report {
    climb.add(config(evidence, target));
    climb.add(who);
    let resolve = Trial::begin(Stage::Resolve);
    let path = evidence.files.path.display();
    climb.add(resolve.pass(format!("{path} is not there yet: the first visitor makes it, and may")));
    for stage in Stage::ALL.into_iter().filter(|stage| *stage > Stage::Resolve) {
        climb.add(Trial::begin(stage).skip("the database is made by the first visitor; a check makes nothing"));
    }
    climb.finish()
}

/// Why nothing was written.
const NOT_ASKED: &str = "not tried: whoever only looks changes nothing";

/// The ladder as a person reads it. Pure.
fn report(mut climb: Climb, who: Step, evidence: &Evidence, target: &dyn Target) -> Report {
    let verdict = rules::judge(evidence);
    let failed = verdict.as_ref().map(|verdict| verdict.stage);
    let mut steps = vec![config(evidence, target), who];
    steps.extend([Stage::Resolve, Stage::Reach, Stage::Speaks].map(|stage| passed(evidence, stage)));
    for (stage, why) in [
        (Stage::Tls, "SQLite is a file: nothing is sent anywhere"),
        (Stage::Admitted, "SQLite has no server that lets in or turns away"),
        (Stage::Authenticated, "SQLite has no users of its own"),
    ] {
        steps.push(Trial::begin(stage).skip(why));
    }
    steps.extend([Stage::Session, Stage::Schema].map(|stage| passed(evidence, stage)));
    steps.push(
        Trial::begin(Stage::Privileges).skip("SQLite has no privileges: the rights of the file are all there is"),
    );
    steps.push(passed(evidence, Stage::Read));
    if evidence.read_only || !evidence.writes {
        let why = if evidence.read_only { "DBTestReadOnly is On: nothing is ever written" } else { NOT_ASKED };
        for stage in [Stage::Write, Stage::Durable] {
            steps.push(Trial::begin(stage).skip(why));
        }
    } else {
        steps.extend([Stage::Write, Stage::Durable].map(|stage| passed(evidence, stage)));
    }
    for step in steps {
        match failed {
            Some(stage) if step.stage == stage => break,
            _ => climb.add(step),
        }
    }
    match verdict {
        Some(verdict) => climb.fail(failure(evidence, verdict.stage), verdict.finding),
        None => {
            for finding in rules::warnings(evidence) {
                climb.warn(finding);
            }
            climb.finish()
        }
    }
}

fn config(evidence: &Evidence, target: &dyn Target) -> Step {
    let mut trial = Trial::begin(Stage::Config);
    trial.fact("path", evidence.files.path.display());
    trial.fact("table", &evidence.table);
    if evidence.files.real != evidence.files.path {
        trial.fact("real_path", evidence.files.real.display());
    }
    trial.pass(format!("{}, table {}", target.masked(), evidence.table))
}

fn step(stage: Stage, evidence: &Evidence, tried: String, says: String, facts: Vec<(&'static str, String)>) -> Step {
    Step { stage, state: State::Pass, ms: evidence.ms(stage), tried, says, evidence: facts }
}

/// A step that went well, with what it proved.
fn passed(evidence: &Evidence, stage: Stage) -> Step {
    let files = &evidence.files;
    let path = files.path.display();
    let session = evidence.session.as_ref();
    let tried = tried(evidence, stage);
    let (says, facts) = match stage {
        Stage::Resolve => {
            let real =
                if files.real == files.path { String::new() } else { format!(", which is {}", files.real.display()) };
            (format!("{path} is there{real}, and every directory above it may be entered"), Vec::new())
        }
        Stage::Reach => {
            let user = &evidence.who.user;
            let what = if evidence.read_only {
                "read the file"
            } else {
                "read and write the file, and create files beside it"
            };
            (format!("{user} may {what}"), files.facts())
        }
        Stage::Speaks => {
            let checked = match session.and_then(|session| session.quick_check.as_deref()) {
                Some(line) => format!("quick_check: {line}"),
                None => "too large to be checked page by page".to_owned(),
            };
            (format!("an SQLite database; {checked}"), vec![("library", rusqlite::version().to_owned())])
        }
        Stage::Session => match session {
            Some(session) => (
                format!(
                    "opened{}; journal mode {}, {} pages of {} bytes",
                    if session.read_only { " for reading" } else { " for reading and writing" },
                    session.journal_mode,
                    session.pages,
                    session.page_size
                ),
                vec![
                    ("journal_mode", session.journal_mode.clone()),
                    ("synchronous", session.synchronous.to_string()),
                    ("encoding", session.encoding.clone()),
                    ("auto_vacuum", session.auto_vacuum.to_string()),
                    ("db_readonly", session.read_only.to_string()),
                ],
            ),
            None => ("opened".to_owned(), Vec::new()),
        },
        Stage::Schema => {
            let schema = evidence.schema.as_ref();
            let columns: Vec<String> = schema
                .iter()
                .flat_map(|schema| &schema.columns)
                .map(|column| format!("{} {}", column.name, column.declared).trim_end().to_owned())
                .collect();
            (format!("the table {} has {}", evidence.table, columns.join(", ")), Vec::new())
        }
        Stage::Read => (format!("read {} rows, newest first", evidence.rows.unwrap_or(0)), Vec::new()),
        Stage::Write => ("a row was inserted and rolled back: nothing is left of it".to_owned(), Vec::new()),
        _ => (durable(evidence), durable_facts(evidence)),
    };
    step(stage, evidence, tried, says, facts)
}

fn durable(evidence: &Evidence) -> String {
    let free = evidence.files.space.map_or_else(String::new, |space| format!("; {} MiB free", space.free >> 20));
    format!(
        "each commit is synced to {}, the file that others see at this path{free}; not committed here, so that nothing is left",
        evidence.files.real.display()
    )
}

fn durable_facts(evidence: &Evidence) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(seen) = &evidence.files.seen {
        facts.push(("inode", seen.inode.to_string()));
    }
    facts.extend(evidence.session.as_ref().map(|session| ("synchronous", session.synchronous.to_string())));
    facts
}

/// The step that failed: what was tried, and what came back.
fn failure(evidence: &Evidence, stage: Stage) -> Step {
    let said = evidence.failure.as_ref().map(|failure| failure.cause.to_string());
    let mut facts = Vec::new();
    if let Some(failure) = &evidence.failure {
        facts.push(("met_at", failure.stage.name().to_owned()));
    }
    if let Some(code) = evidence.code() {
        facts.push(("sqlite_code", code.to_string()));
        facts.push(("sqlite_name", code_name(code).to_owned()));
    }
    if let Some(whole) = evidence.without_wal {
        facts.push(("whole_without_wal", whole.to_string()));
    }
    if let Some(session) = &evidence.session {
        facts.push(("db_readonly", session.read_only.to_string()));
        facts.push(("journal_mode", session.journal_mode.clone()));
    }
    for obstacle in evidence.files.obstacles().iter().take(1) {
        facts.extend(obstacle.facts());
    }
    if !facts.iter().any(|(name, _)| *name == "errno") {
        facts.extend(evidence.errno().map(|errno| ("errno", crate::diagnosis::host::path::errno_name(errno))));
    }
    facts.extend(evidence.files.facts());
    let holders: Vec<String> = evidence
        .files
        .holders
        .iter()
        .take(4)
        .map(|holder| {
            let kind = if holder.write { "write" } else { "read" };
            format!("process {} ({kind} lock): {}", holder.pid, holder.command)
        })
        .collect();
    if !holders.is_empty() {
        facts.push(("locked_by", holders.join("; ")));
    }
    let says = said.unwrap_or_else(|| "SQLite reports no error; the evidence shows one".to_owned());
    Step { state: State::Fail, ..step(stage, evidence, tried(evidence, stage), says, facts) }
}

/// The same as a command, run as the server's user.
fn tried(evidence: &Evidence, stage: Stage) -> String {
    let path = quote(&evidence.files.path);
    let user = evidence.who.run_as();
    let table = evidence.table.quoted();
    let sqlite =
        |statement: String| format!("{user} sqlite3 {path} {}", crate::diagnosis::host::shell::word(&statement));
    match stage {
        Stage::Resolve => format!("namei -l {path}"),
        Stage::Reach => {
            format!("{user} test -r {path} -a -w {path} && ls -la {}", quote(evidence.files.directory()))
        }
        Stage::Speaks => format!("head -c 16 {path}"),
        Stage::Session => sqlite("PRAGMA journal_mode".into()),
        Stage::Schema => sqlite(format!("PRAGMA table_xinfo({table})")),
        Stage::Read => sqlite(format!("SELECT id, stuff, things FROM {table} ORDER BY id DESC LIMIT 20")),
        Stage::Write => {
            sqlite(format!("BEGIN IMMEDIATE; INSERT INTO {table} (stuff, things) VALUES ('check', 'check'); ROLLBACK"))
        }
        Stage::Durable => format!("df -h {path}"),
        _ => String::new(),
    }
}

/// The name of a result code (sqlite.org/rescode.html), for those that are met here.
fn code_name(code: i32) -> &'static str {
    use rusqlite::ffi;
    let names = [
        (ffi::SQLITE_READONLY_DIRECTORY, "SQLITE_READONLY_DIRECTORY"),
        (ffi::SQLITE_READONLY_ROLLBACK, "SQLITE_READONLY_ROLLBACK"),
        (ffi::SQLITE_READONLY_DBMOVED, "SQLITE_READONLY_DBMOVED"),
        (ffi::SQLITE_READONLY_RECOVERY, "SQLITE_READONLY_RECOVERY"),
        (ffi::SQLITE_READONLY_CANTINIT, "SQLITE_READONLY_CANTINIT"),
        (ffi::SQLITE_READONLY_CANTLOCK, "SQLITE_READONLY_CANTLOCK"),
        (ffi::SQLITE_BUSY_SNAPSHOT, "SQLITE_BUSY_SNAPSHOT"),
        (ffi::SQLITE_BUSY_RECOVERY, "SQLITE_BUSY_RECOVERY"),
        (ffi::SQLITE_IOERR_WRITE, "SQLITE_IOERR_WRITE"),
        (ffi::SQLITE_IOERR_READ, "SQLITE_IOERR_READ"),
        (ffi::SQLITE_IOERR_FSYNC, "SQLITE_IOERR_FSYNC"),
        (ffi::SQLITE_IOERR_DELETE, "SQLITE_IOERR_DELETE"),
        (ffi::SQLITE_IOERR_LOCK, "SQLITE_IOERR_LOCK"),
        (ffi::SQLITE_IOERR_SHMMAP, "SQLITE_IOERR_SHMMAP"),
        (ffi::SQLITE_IOERR_SHMSIZE, "SQLITE_IOERR_SHMSIZE"),
        (ffi::SQLITE_IOERR_SHMOPEN, "SQLITE_IOERR_SHMOPEN"),
        (ffi::SQLITE_CONSTRAINT_NOTNULL, "SQLITE_CONSTRAINT_NOTNULL"),
        (ffi::SQLITE_CONSTRAINT_CHECK, "SQLITE_CONSTRAINT_CHECK"),
        (ffi::SQLITE_CONSTRAINT_UNIQUE, "SQLITE_CONSTRAINT_UNIQUE"),
        (ffi::SQLITE_CONSTRAINT_TRIGGER, "SQLITE_CONSTRAINT_TRIGGER"),
        (ffi::SQLITE_CONSTRAINT_FOREIGNKEY, "SQLITE_CONSTRAINT_FOREIGNKEY"),
    ];
    if let Some((_, name)) = names.iter().find(|(known, _)| *known == code) {
        return name;
    }
    match code & 0xff {
        ffi::SQLITE_ERROR => "SQLITE_ERROR",
        ffi::SQLITE_PERM => "SQLITE_PERM",
        ffi::SQLITE_BUSY => "SQLITE_BUSY",
        ffi::SQLITE_LOCKED => "SQLITE_LOCKED",
        ffi::SQLITE_READONLY => "SQLITE_READONLY",
        ffi::SQLITE_IOERR => "SQLITE_IOERR",
        ffi::SQLITE_CORRUPT => "SQLITE_CORRUPT",
        ffi::SQLITE_FULL => "SQLITE_FULL",
        ffi::SQLITE_CANTOPEN => "SQLITE_CANTOPEN",
        ffi::SQLITE_CONSTRAINT => "SQLITE_CONSTRAINT",
        ffi::SQLITE_MISMATCH => "SQLITE_MISMATCH",
        ffi::SQLITE_NOTADB => "SQLITE_NOTADB",
        _ => "see sqlite.org/rescode.html",
    }
}
