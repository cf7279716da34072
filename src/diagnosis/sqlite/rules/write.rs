//! Writing: space, limits, constraints, triggers.

use rusqlite::ffi;

use super::super::catalogue as id;
use super::super::evidence::Evidence;
use super::limits::limit_fix;
use super::{Verdict, excluded, maybe, primary, size, sql, stage_of, verdict};
use crate::database::Stage;
use crate::diagnosis::host::path_fixes;
use crate::diagnosis::host::shell::quote;
use crate::diagnosis::report::{Finding, Fix, Then};
use crate::diagnosis::sqlite::gather::probe::{Blame, Insert};
use crate::diagnosis::sqlite::rules::rebuild::{self, Change};

/// Less than this is not enough for a commit of one row: a page of journal, a page of the file, a page of slack.
const NOTHING: u64 = 16 * 1024;

/// SQLITE_CONSTRAINT_DATATYPE, since 3.37: newer than the headers that the driver was made from.
const CONSTRAINT_DATATYPE: i32 = 19 | 12 << 8;

/// Less than this is worth a word.
const LITTLE: u64 = 8 * 1024 * 1024;

/// No room: on the disk, within a limit, in the database, among the numbers.
pub fn space(evidence: &Evidence) -> Option<Verdict> {
    let full = primary(evidence) == Some(ffi::SQLITE_FULL);
    let io = primary(evidence) == Some(ffi::SQLITE_IOERR);
    let errno = evidence.errno();
    let free = evidence.files.space.map(|space| space.free);
    let no_room = free.is_some_and(|free| free < NOTHING);
    let stage = stage_of(evidence, Stage::Durable);
    // a limit below the size of the file itself is met at the latest when a row is committed
    let limited = evidence.file_size_is_short()
        && (io || full || evidence.failure.is_none() && !evidence.read_only && is_past(evidence));
    if limited || matches!(errno, Some(libc::EFBIG | libc::EDQUOT)) {
        return Some(limit(evidence, errno));
    }
    if no_room && (full || io || evidence.failure.is_none() && !evidence.read_only) {
        return Some(disk_full(evidence, stage));
    }
    if errno == Some(libc::ENOSPC) {
        return Some(disk_full(evidence, stage));
    }
    if !full {
        return None;
    }
    let schema = evidence.schema.as_ref();
    if let Some(schema) =
        schema.filter(|schema| schema.autoincrement && schema.sequence.max(schema.greatest) == Some(i64::MAX))
    {
        let table = evidence.table.quoted();
        let name = schema.name().replace('\'', "''");
        let text = format!(
            "UPDATE {table} SET [id] = (SELECT coalesce(max([id]), 0) + 1 FROM {table} WHERE [id] < {max}) WHERE [id] = {max};\n\
             UPDATE sqlite_sequence SET seq = (SELECT coalesce(max([id]), 0) FROM {table}) WHERE name = '{name}';",
            max = i64::MAX
        );
        let cause = format!("AUTOINCREMENT of {} has given its last id, {}", evidence.table, i64::MAX);
        return Some(verdict(stage, id::IDS_EXHAUSTED, cause, vec![maybe(sql(evidence, text))], excluded(evidence)));
    }
    let at_most = evidence.session.as_ref().is_some_and(|session| session.pages >= session.most_pages);
    if at_most {
        let cause = format!("{} has reached max_page_count", evidence.files.path.display());
        let fix = maybe(sql(evidence, "VACUUM;"));
        return Some(verdict(stage, id::DATABASE_FULL, cause, vec![fix], excluded(evidence)));
    }
    // the room may have been made in the meantime, or a journal needs more than is left
    Some(disk_full(evidence, stage))
}

/// The database is as large already as a file may be.
fn is_past(evidence: &Evidence) -> bool {
    let size = evidence.files.seen.as_ref().map_or(0, |seen| seen.size);
    evidence.who.file_size.is_some_and(|limit| size >= limit)
}

fn disk_full(evidence: &Evidence, stage: Stage) -> Verdict {
    let files = &evidence.files;
    let (kind, point) =
        files.mount.as_ref().map_or(("?", files.directory()), |(kind, point)| (kind.as_str(), point.as_path()));
    let left = files.space.map_or(0, |space| space.free);
    let cause = format!(
        "the disk is full: {} left on {} ({kind}), where {} is",
        size(left),
        point.display(),
        files.path.display()
    );
    let mut list = Vec::new();
    if files.seen.is_some() && files.obstacles().is_empty() {
        list.push(format!("permissions: {} may use the file and its directory", evidence.who.user));
    }
    if let Some(session) = &evidence.session {
        list.push(format!("max_page_count: {} of {} pages", session.pages, session.most_pages));
    }
    verdict(stage, id::DISK_FULL, cause, more_room(evidence), list)
}

/// What gives this file system more room.
fn more_room(evidence: &Evidence) -> Vec<Fix> {
    let Some((kind, point)) = &evidence.files.mount else { return Vec::new() };
    let total = evidence.files.space.map_or(0, |space| space.total);
    let point_word = quote(point);
    if kind == "tmpfs" {
        // twice its size, and at least 64 MiB
        let bytes = (total * 2).max(64 << 20);
        return vec![in_namespace(evidence, &format!("mount -o remount,size={bytes} {point_word}"))];
    }
    let mut fixes = Vec::new();
    if kind.starts_with("ext") && evidence.files.space.is_some_and(|space| space.reserved > LITTLE) {
        fixes
            .push(maybe(path_fixes::shell(format!("tune2fs -m 0 \"$(findmnt -no SOURCE {point_word})\""), Then::None)));
    }
    let largest = format!("du -xah {point_word} 2>/dev/null | sort -rh | head -n 30");
    fixes.push(maybe(path_fixes::shell(largest, Then::None)));
    fixes
}

/// More inodes for a tmpfs; what holds them elsewhere.
pub fn more_inodes(evidence: &Evidence) -> Vec<Fix> {
    let Some((kind, point)) = &evidence.files.mount else { return Vec::new() };
    let point = quote(point);
    if kind == "tmpfs" {
        let inodes = evidence.files.space.map_or(0, |space| space.all_inodes) * 2 + 10_000;
        return vec![in_namespace(evidence, &format!("mount -o remount,nr_inodes={inodes} {point}"))];
    }
    let largest = format!("du -x --inodes {point} 2>/dev/null | sort -rn | head -n 30");
    vec![maybe(path_fixes::shell(largest, Then::None))]
}

/// A mount command that reaches httpd's own view of the file system.
fn in_namespace(evidence: &Evidence, command: &str) -> Fix {
    let parent = &evidence.who.parent;
    // how much it shall be is for the administrator to say
    maybe(path_fixes::shell(format!("nsenter --target {parent} --mount -- {command}"), Then::None))
}

fn limit(evidence: &Evidence, errno: Option<i32>) -> Verdict {
    let stage = stage_of(evidence, Stage::Durable);
    let user = &evidence.who.user;
    if errno == Some(libc::EDQUOT) {
        let cause = format!("the disk quota of {user} is used up");
        let fix = maybe(path_fixes::shell(
            format!("setquota -u {} 0 0 0 0 -a", crate::diagnosis::host::shell::word(user)),
            Then::None,
        ));
        return verdict(stage, id::SIZE_LIMIT, cause, vec![fix], excluded(evidence));
    }
    let limit =
        evidence.who.file_size.map_or_else(|| "a limit".to_owned(), |limit| format!("the limit of {limit} bytes"));
    let cause =
        format!("this process may not write a file past {limit} (ulimit -f, LimitFSIZE), which SQLite's files reach");
    let fix = maybe(limit_fix(&evidence.who, "LimitFSIZE", "fsize", "unlimited"));
    verdict(stage, id::SIZE_LIMIT, cause, vec![fix], excluded(evidence))
}

/// Rules of the table that refuse the row, or drop it.
pub fn constraints(evidence: &Evidence) -> Option<Verdict> {
    if evidence.inserted == Some(Insert::Ignored) {
        return Some(ignored(evidence));
    }
    let failure = evidence.failure.as_ref().filter(|failure| failure.stage == Stage::Write)?;
    let code = evidence.code()?;
    let table = &evidence.table;
    let said = failure.cause.to_string();
    if let (Some(Blame::Trigger(name)), Some(mended)) = (&evidence.blame, &evidence.mended) {
        let cause = format!(
            "the trigger {name} of {table} leads to {}, which does not exist: a migration renamed it, and {} is meant ({said})",
            mended.missing, mended.meant
        );
        let anew = sql(evidence, format!("BEGIN IMMEDIATE;\n{}\nCOMMIT;", mended.statements));
        let fixes = vec![anew, drop_trigger(evidence, name)];
        return Some(verdict(Stage::Write, id::TRIGGER_REFUSES, cause, fixes, rule_excluded()));
    }
    if let Some(Blame::Trigger(name)) = &evidence.blame {
        let cause = format!("the trigger {name} of {table} refuses every row: {said}");
        return Some(verdict(
            Stage::Write,
            id::TRIGGER_REFUSES,
            cause,
            vec![drop_trigger(evidence, name)],
            rule_excluded(),
        ));
    }
    if let Some(Blame::Index(name)) = &evidence.blame {
        let broken = code & 0xff == ffi::SQLITE_ERROR;
        let (id, cause) = match broken {
            true => {
                (id::INDEX_BROKEN, format!("the index {name} of {table} uses what this SQLite does not have: {said}"))
            }
            false => (id::CONSTRAINT, format!("the unique index {name} of {table} refuses an ordinary row: {said}")),
        };
        let fix = maybe(sql(evidence, format!("DROP INDEX {};", crate::diagnosis::sqlite::sql_words::quoted(name))));
        return Some(verdict(Stage::Write, id, cause, vec![fix], rule_excluded()));
    }
    if code & 0xff != ffi::SQLITE_CONSTRAINT && code & 0xff != ffi::SQLITE_MISMATCH {
        return None;
    }
    let (id, cause, fixes) = match code {
        ffi::SQLITE_CONSTRAINT_NOTNULL => return Some(not_null(evidence, &said)),
        ffi::SQLITE_CONSTRAINT_CHECK => (
            id::CHECK,
            format!("a CHECK of {table} refuses an ordinary row: {said}"),
            rebuilt(evidence, &Change::WithoutChecks).into_iter().map(maybe).collect(),
        ),
        ffi::SQLITE_CONSTRAINT_TRIGGER => {
            (id::TRIGGER_REFUSES, format!("a trigger of {table} refuses the row: {said}"), Vec::new())
        }
        CONSTRAINT_DATATYPE => (
            id::CONSTRAINT,
            format!("{table} is STRICT and does not take text where the module writes text: {said}"),
            not_text_columns(evidence).into_iter().map(maybe).collect(),
        ),
        _ => (id::CONSTRAINT, format!("a constraint of {table} refuses the row: {said}"), Vec::new()),
    };
    Some(verdict(Stage::Write, id, cause, fixes, rule_excluded()))
}

/// In a STRICT table: the columns become such as take text.
fn not_text_columns(evidence: &Evidence) -> Vec<Fix> {
    let Some(schema) = &evidence.schema else { return Vec::new() };
    let odd = ["stuff", "things"].into_iter().find(|name| {
        schema.column(name).is_some_and(|column| !["TEXT", "ANY"].contains(&&*column.declared.to_uppercase()))
    });
    odd.map(|name| rebuilt(evidence, &Change::Plain(name, "TEXT"))).unwrap_or_default()
}

fn ignored(evidence: &Evidence) -> Verdict {
    let table = &evidence.table;
    let (name, fixes) = match &evidence.blame {
        Some(Blame::Trigger(name)) => (format!("the trigger {name}"), vec![drop_trigger(evidence, name)]),
        _ => ("a trigger".to_owned(), Vec::new()),
    };
    let cause = format!(
        "{name} of {table} drops every row without a word (RAISE(IGNORE)): an INSERT succeeds and stores nothing"
    );
    verdict(Stage::Write, id::TRIGGER_IGNORES, cause, fixes, rule_excluded())
}

fn not_null(evidence: &Evidence, said: &str) -> Verdict {
    let table = &evidence.table;
    let Some(schema) = &evidence.schema else {
        let cause = format!("{table} demands a value for a column that the module does not fill: {said}");
        return verdict(Stage::Write, id::NOT_NULL, cause, Vec::new(), rule_excluded());
    };
    let columns: Vec<(&str, &'static str)> =
        schema.demanding().iter().map(|column| (column.name.as_str(), default_of(&column.declared))).collect();
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let cause = format!(
        "{table} demands a value for {}, NOT NULL without a default, which the module does not fill",
        names.join(" and ")
    );
    let fixes = rebuilt(evidence, &Change::Defaults(&columns));
    verdict(Stage::Write, id::NOT_NULL, cause, fixes, rule_excluded())
}

/// A harmless default for a type, by SQLite's own rules of affinity (sqlite.org/datatype3.html, §3.1).
fn default_of(declared: &str) -> &'static str {
    let declared = declared.to_uppercase();
    let holds = |part: &str| declared.contains(part);
    if holds("INT") {
        "0"
    } else if holds("DATE") || holds("TIME") {
        "CURRENT_TIMESTAMP"
    } else if holds("CHAR") || holds("CLOB") || holds("TEXT") || declared.is_empty() {
        "''"
    } else if holds("BLOB") {
        "x''"
    } else {
        "0"
    }
}

fn rebuilt(evidence: &Evidence, change: &Change) -> Vec<Fix> {
    let text = evidence.schema.as_ref().and_then(|schema| rebuild::statements(schema, change));
    text.map(|text| sql(evidence, text)).into_iter().collect()
}

fn drop_trigger(evidence: &Evidence, name: &str) -> Fix {
    // whoever made it wanted it
    maybe(sql(evidence, format!("DROP TRIGGER {};", crate::diagnosis::sqlite::sql_words::quoted(name))))
}

fn rule_excluded() -> Vec<String> {
    vec!["rights, space and locks: the write lock was had, and the statement ran".into()]
}

/// Errors of the disk, and what is left.
pub fn failed(evidence: &Evidence) -> Option<Verdict> {
    let code = evidence.code()?;
    let failure = evidence.failure.as_ref()?;
    let path = evidence.files.path.display();
    let said = failure.cause.to_string();
    let at = |id, cause: String, fixes| Some(verdict(failure.stage, id, cause, fixes, excluded(evidence)));
    match code {
        ffi::SQLITE_READONLY_DBMOVED => {
            let cause = format!(
                "{path} was removed or replaced while httpd had it open; the next request opens what is there now"
            );
            at(id::REPLACED, cause, Vec::new())
        }
        ffi::SQLITE_IOERR_GETTEMPPATH => {
            let cause = format!("SQLite finds no directory where {} may keep temporary files", evidence.who.user);
            at(id::NO_TEMP, cause, vec![temporary_directory(evidence)])
        }
        _ if code & 0xff == ffi::SQLITE_IOERR => {
            let id = if failure.stage == Stage::Write { id::WRITE_FAILED } else { id::READ_FAILED };
            let dmesg = maybe(path_fixes::shell("dmesg --level=err,warn | tail -n 30", Then::None));
            at(id, format!("the disk gave an error on {path}: {said}"), vec![dmesg])
        }
        _ => None,
    }
}

/// A directory for SQLite's temporary files, made known to httpd.
fn temporary_directory(evidence: &Evidence) -> Fix {
    let (user, group) = (
        crate::diagnosis::host::shell::word(&evidence.who.user),
        crate::diagnosis::host::shell::word(&evidence.who.group),
    );
    let directory = "/var/lib/dbtest-tmp";
    let make = format!("install -d -o {user} -g {group} -m 2770 {directory}");
    let tell = match &evidence.who.unit {
        Some(unit) => format!(
            "mkdir -p /etc/systemd/system/{unit}.d\n\
             printf '[Service]\\nEnvironment=SQLITE_TMPDIR={directory}\\n' >> /etc/systemd/system/{unit}.d/dbtest.conf\n\
             systemctl daemon-reload"
        ),
        None => format!("printf 'export SQLITE_TMPDIR={directory}\\n' >> /etc/apache2/envvars"),
    };
    path_fixes::shell(format!("{make}\n{tell}"), Then::Restart)
}

/// Little room is left.
pub fn nearly_full(evidence: &Evidence) -> Option<Finding> {
    let space = evidence.files.space?;
    // a small disk is not a full one
    if evidence.read_only || space.free >= LITTLE || space.free * 10 > space.total {
        return None;
    }
    let cause = format!("{} are left where {} is", size(space.free), evidence.files.path.display());
    Some(Finding { id: id::NEARLY_FULL, cause, fixes: more_room(evidence), excluded: Vec::new() })
}
