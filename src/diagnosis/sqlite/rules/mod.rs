//! From evidence to a cause and its fix. Pure: nothing here looks at anything but [`Evidence`], and nothing is
//! decided by a message's wording.
//!
//! SQLite's codes are coarse: 14 has nine causes, 8 has six, and its errno is that of a second try. So what the
//! file system says of each part of the path comes first, the code second.

mod damage;
mod files;
mod limits;
mod locks;
mod obstacles;
pub mod rebuild;
mod relocate;
mod storage;
mod table;
#[cfg(test)]
mod tests;
mod write;

use rusqlite::ffi;

use super::catalogue as id;
use super::evidence::Evidence;
use crate::database::Stage;
use crate::diagnosis::report::{Finding, Fix, FixKind, Then};

/// A verdict: the step that it belongs to, and why.
#[derive(Debug)]
pub struct Verdict {
    pub stage: Stage,
    pub finding: Finding,
}

/// A way to read evidence: `None` when it is not what this one knows.
type Reading = fn(&Evidence) -> Option<Verdict>;

/// In the order in which they are asked.
const READINGS: &[Reading] = &[
    files::path,
    files::limits,
    files::rights,
    damage::format,
    table::schema,
    locks::busy,
    write::space,
    write::constraints,
    locks::broken,
    damage::corrupt,
    table::refused,
    write::failed,
];

/// What failed, and why; `None` when nothing did.
pub fn judge(evidence: &Evidence) -> Option<Verdict> {
    let read = READINGS.iter().find_map(|reading| reading(evidence));
    read.or_else(|| evidence.failure.as_ref().map(|_| unknown(evidence)))
}

/// What works but should be known.
pub fn warnings(evidence: &Evidence) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(storage::two_names(evidence));
    found.extend(storage::only_the_file(evidence));
    found.extend(write::nearly_full(evidence));
    found.extend(locks::network(evidence));
    found.extend(locks::log_too_large(evidence));
    found.extend(storage::in_memory(evidence));
    found.extend(table::not_text(evidence));
    found
}

/// Nothing is known but the step and what came back.
fn unknown(evidence: &Evidence) -> Verdict {
    let (stage, said) = match &evidence.failure {
        Some(failure) => (failure.stage, failure.cause.to_string()),
        None => (Stage::Session, String::new()),
    };
    let id = match evidence.code().map(|code| code & 0xff) {
        Some(ffi::SQLITE_CANTOPEN) => id::CANNOT_OPEN,
        Some(ffi::SQLITE_READONLY) if stage == Stage::Session => id::OPENED_READ_ONLY,
        Some(ffi::SQLITE_READONLY) => id::WRITE_REFUSED,
        _ => crate::diagnosis::engine::generic::id(stage),
    };
    let cause = format!("{} at step {}: {said}", evidence.files.path.display(), stage.name());
    verdict(stage, id, cause, Vec::new(), excluded(evidence))
}

fn verdict(
    stage: Stage,
    id: &'static str,
    cause: impl Into<String>,
    fixes: Vec<Fix>,
    excluded: Vec<String>,
) -> Verdict {
    Verdict { stage, finding: Finding { id, cause: cause.into(), fixes, excluded } }
}

/// The stage that was met, at least `first`: what is found before it came to that belongs to the earlier step.
fn stage_of(evidence: &Evidence, otherwise: Stage) -> Stage {
    evidence.failure.as_ref().map_or(otherwise, |failure| failure.stage)
}

/// What the evidence excludes, for causes that are not about rights.
fn excluded(evidence: &Evidence) -> Vec<String> {
    let mut list = Vec::new();
    let who = &evidence.who;
    if evidence.files.seen.is_some() && evidence.files.obstacles().is_empty() {
        list.push(format!("permissions: {} may use the file and its directory", who.user));
    }
    list.extend(who.selinux_excluded().map(String::from));
    if let Some(space) = evidence.files.space.filter(|space| space.free > 0) {
        list.push(format!("a full disk: {} free", size(space.free)));
    }
    if evidence.files.holders.is_empty() && evidence.files.sees_all_locks && primary(evidence) != Some(ffi::SQLITE_BUSY)
    {
        list.push("a lock: /proc/locks, which shows those of all processes here, has none on these files".into());
    }
    list
}

/// Statements for sqlite3, run as the server's user.
fn sql(evidence: &Evidence, text: impl Into<String>) -> Fix {
    let path = crate::diagnosis::host::shell::quote(&evidence.files.path);
    let place = format!("sqlite3 as the server's user: {} sqlite3 {path}", evidence.who.run_as());
    Fix { sure: true, kind: FixKind::Sql, place, text: text.into(), then: Then::None }
}

/// A directive in the Location.
fn httpd(text: impl Into<String>) -> Fix {
    Fix {
        sure: true,
        kind: FixKind::Httpd,
        place: "inside this Location".into(),
        text: text.into(),
        then: Then::Reload,
    }
}

/// The directive that names another file.
fn name_file(path: &std::path::Path) -> Fix {
    httpd(format!("DBTestDatabase \"sqlite:{}\"", encoded(path)))
}

/// A path as it stands in a URL: only what would be read otherwise is encoded.
fn encoded(path: &std::path::Path) -> String {
    path.to_string_lossy().replace('%', "%25").replace('?', "%3F").replace('"', "%22").replace('\\', "%5C")
}

fn maybe(mut fix: Fix) -> Fix {
    fix.sure = false;
    fix
}

/// Bytes for people: "1.2 GiB".
fn size(bytes: u64) -> String {
    let units = [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} bytes"),
    }
}

/// SQLite's primary code of the failure.
fn primary(evidence: &Evidence) -> Option<i32> {
    evidence.code().map(|code| code & 0xff)
}
