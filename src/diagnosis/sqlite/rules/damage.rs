//! Files that are no database, or a damaged one.

use std::path::PathBuf;

use rusqlite::ffi;

use super::super::catalogue as id;
use super::super::evidence::Evidence;
use super::{Verdict, excluded, maybe, primary, sql, verdict};
use crate::database::Stage;
use crate::diagnosis::host::path_fixes;
use crate::diagnosis::host::shell::{quote, word};
use crate::diagnosis::report::{Fix, Then};
use crate::diagnosis::sqlite::gather::header::Header;

/// The file is not an SQLite database of a format that this library knows.
pub fn format(evidence: &Evidence) -> Option<Verdict> {
    let path = evidence.files.path.display();
    let no_schema = evidence.schema.as_ref().is_some_and(|schema| schema.tables.is_empty());
    let zero = evidence.files.seen.as_ref().is_some_and(|seen| seen.size == 0) && evidence.files.has("-wal").is_none();
    let reached = evidence.failure.is_some() && evidence.files.file.is_none();
    if zero && (no_schema || reached) {
        return Some(empty(evidence));
    }
    evidence.failure.as_ref()?;
    let (id, cause, fixes) = match evidence.header.as_ref()? {
        Header::Sqlite { write_version, read_version, .. } if *write_version > 2 || *read_version > 2 => (
            id::NEWER_FORMAT,
            format!(
                "{path} has format {write_version} for writing and {read_version} for reading; SQLite {} knows 1 and 2",
                rusqlite::version()
            ),
            vec![set_versions(evidence)],
        ),
        Header::Other(what) => {
            (id::NOT_A_DATABASE, format!("{path} is no SQLite database: {what}"), replace(evidence, what))
        }
        Header::Short(length) => (
            id::TRUNCATED,
            format!("{path} was cut off: {length} bytes are less than the header of a database"),
            fresh(evidence),
        ),
        Header::Random => (
            id::ENCRYPTED,
            format!("{path} looks encrypted: its first bytes have no order, as SQLCipher's and SEE's have"),
            fresh(evidence),
        ),
        Header::Unknown(bytes) => (
            id::NOT_A_DATABASE,
            format!("{path} is no SQLite database: it begins with \"{}\"", bytes.escape_ascii()),
            fresh(evidence),
        ),
        Header::Empty | Header::Sqlite { .. } => return None,
    };
    Some(verdict(Stage::Speaks, id, cause, fixes, excluded(evidence)))
}

fn empty(evidence: &Evidence) -> Verdict {
    let cause = format!("{} is empty (0 bytes): it was never made a database", evidence.files.path.display());
    let fix = sql(evidence, format!("{};", evidence.create));
    verdict(Stage::Speaks, id::EMPTY, cause, vec![fix], excluded(evidence))
}

/// A new database in place of what is no database; the old file stays beside it.
fn fresh(evidence: &Evidence) -> Vec<Fix> {
    vec![maybe(path_fixes::shell(set_aside(evidence, &create(evidence)), Then::None))]
}

/// What makes the real database out of what is there.
fn replace(evidence: &Evidence, what: &str) -> Vec<Fix> {
    let path = quote(&evidence.files.real);
    let old = quote(&aside(evidence));
    let user = evidence.who.run_as();
    let unpack = |program: &str| set_aside(evidence, &format!("{program} < {old} | {user} tee {path} > /dev/null"));
    let text = if what.contains("gzip") {
        unpack("gunzip -c")
    } else if what.contains("bzip2") {
        unpack("bunzip2 -c")
    } else if what.contains("with xz") {
        unpack("xz -dc")
    } else if what.contains("zstd") {
        unpack("zstd -dc")
    } else if what.contains("dump in SQL") {
        set_aside(evidence, &format!("{user} sqlite3 {path} < {old}"))
    } else {
        let mut fixes = fresh(evidence);
        if what.contains("git-lfs") {
            let directory = quote(evidence.files.directory());
            let pull = path_fixes::shell(format!("cd {directory} && git lfs pull"), Then::None);
            fixes.insert(0, maybe(pull));
        }
        return fixes;
    };
    vec![path_fixes::shell(text, Then::None)]
}

fn create(evidence: &Evidence) -> String {
    let user = evidence.who.run_as();
    let statement = word(&format!("{};", evidence.create));
    format!("{user} sqlite3 {} {statement}", quote(&evidence.files.real))
}

/// Commands that put the file aside, and then `command` to make a new one.
fn set_aside(evidence: &Evidence, command: &str) -> String {
    format!("mv {} {}\n{command}", quote(&evidence.files.real), quote(&aside(evidence)))
}

fn aside(evidence: &Evidence) -> PathBuf {
    crate::diagnosis::sqlite::gather::files::beside(&evidence.files.real, ".set-aside")
}

/// The version bytes as this library writes them: harmless when only the bytes are new, of no use when the
/// format is.
fn set_versions(evidence: &Evidence) -> Fix {
    let path = quote(&evidence.files.real);
    let copy = quote(&crate::diagnosis::sqlite::gather::files::beside(&evidence.files.real, ".before"));
    maybe(path_fixes::shell(
        format!("cp -a {path} {copy}\nprintf '\\001\\001' | dd of={path} bs=1 seek=18 conv=notrunc status=none"),
        Then::None,
    ))
}

/// Pages that do not fit together.
pub fn corrupt(evidence: &Evidence) -> Option<Verdict> {
    let path = evidence.files.path.display();
    let said = evidence.session.as_ref().and_then(|session| session.quick_check.as_ref()).filter(|line| *line != "ok");
    if primary(evidence) != Some(ffi::SQLITE_CORRUPT) {
        let said = said?;
        let cause = format!("{path} is damaged: {said}");
        return Some(verdict(Stage::Speaks, id::DAMAGED, cause, vec![rescue(evidence)], excluded(evidence)));
    }
    if evidence.without_wal == Some(true) {
        let cause =
            format!("{path} is whole, and the write-ahead log beside it belongs to another file that was there before");
        return Some(verdict(Stage::Speaks, id::FOREIGN_WAL, cause, vec![without_wal(evidence)], excluded(evidence)));
    }
    if let Some(Header::Sqlite { page_size, pages, .. }) = evidence.header {
        let length = evidence.files.seen.as_ref().map_or(0, |seen| seen.size);
        let whole = u64::from(pages) * u64::from(page_size);
        if pages > 0 && length < whole && evidence.files.has("-wal").is_none_or(|wal| wal.size == 0) {
            let cause = format!("{path} was cut off: {length} bytes of the {whole} that its header counts");
            return Some(verdict(Stage::Speaks, id::TRUNCATED, cause, vec![rescue(evidence)], excluded(evidence)));
        }
    }
    if let Some(strange) = &evidence.strange {
        let cause = format!(
            "SQLite {} does not understand the {} {} in {path}, which a newer one has made; the file itself is whole: {}",
            rusqlite::version(),
            strange.kind,
            strange.name,
            strange.said
        );
        return Some(verdict(Stage::Speaks, id::NEWER_SCHEMA, cause, Vec::new(), excluded(evidence)));
    }
    let cause = format!("{path} is damaged{}", said.map(|line| format!(": {line}")).unwrap_or_default());
    Some(verdict(Stage::Speaks, id::DAMAGED, cause, vec![rescue(evidence)], excluded(evidence)))
}

/// The log, and the index to it, out of the way.
fn without_wal(evidence: &Evidence) -> Fix {
    let moves: Vec<String> = ["-wal", "-shm"]
        .iter()
        .filter_map(|end| evidence.files.has(end))
        .map(|seen| {
            let to = crate::diagnosis::sqlite::gather::files::beside(&seen.path, ".set-aside");
            format!("mv {} {}", quote(&seen.path), quote(&to))
        })
        .collect();
    path_fixes::shell(moves.join("\n"), Then::Restart)
}

/// What can still be read, in a new file; the old one stays beside it. `.dump` ends with ROLLBACK when it met
/// damage, which would undo it all.
fn rescue(evidence: &Evidence) -> Fix {
    let path = quote(&evidence.files.real);
    let old = aside(evidence);
    let user = evidence.who.run_as();
    let moves: Vec<String> = evidence
        .files
        .neighbours
        .iter()
        .filter_map(|seen| {
            let end = seen.path.to_string_lossy().strip_prefix(&*evidence.files.real.to_string_lossy())?.to_owned();
            Some(format!(
                "mv {} {}",
                quote(&seen.path),
                quote(&crate::diagnosis::sqlite::gather::files::beside(&old, &end))
            ))
        })
        .collect();
    let mut text = format!("mv {path} {}\n", quote(&old));
    for line in moves {
        text.push_str(&line);
        text.push('\n');
    }
    text.push_str(&format!("sqlite3 {} .dump | sed 's/^ROLLBACK;.*/COMMIT;/' | {user} sqlite3 {path}", quote(&old)));
    maybe(path_fixes::shell(text, Then::Restart))
}
