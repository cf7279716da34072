//! Locks: who holds them, and file systems that have none.

use rusqlite::ffi;

use super::super::catalogue as id;
use super::super::evidence::Evidence;
use super::{Verdict, excluded, httpd, maybe, primary, sql, stage_of, verdict};
use crate::database::Stage;
use crate::diagnosis::host::path_fixes;
use crate::diagnosis::report::{Finding, Fix, Then};
use crate::diagnosis::sqlite::gather::locks::Holder;

/// Somebody holds a lock for too long.
pub fn busy(evidence: &Evidence) -> Option<Verdict> {
    let primary = primary(evidence)?;
    if primary != ffi::SQLITE_BUSY && primary != ffi::SQLITE_LOCKED {
        return None;
    }
    let stage = match stage_of(evidence, Stage::Write) {
        Stage::Write => Stage::Write,
        // the very first statement already reads
        _ => Stage::Read,
    };
    let id = if stage == Stage::Write { id::WRITE_LOCKED } else { id::READ_LOCKED };
    let path = evidence.files.path.display();
    let what = if stage == Stage::Write { "written" } else { "read" };
    let strangers = in_the_way(evidence);
    if evidence.held_unseen == Some(true) && strangers.is_empty() {
        let cause = format!(
            "{path} cannot be {what}: it is locked by a process that cannot be seen from here, in another container or on the host"
        );
        let excluded =
            vec!["a file system that does not lock: the kernel tells of a lock, and of no process here".into()];
        return Some(verdict(stage, id, cause, vec![look_on_the_host(evidence)], excluded));
    }
    if strangers.is_empty() && evidence.files.holders.is_empty() && evidence.files.network().is_some() {
        return Some(no_locks(evidence));
    }
    if strangers.is_empty() {
        let cause = match evidence.files.holders.is_empty() {
            true => format!(
                "{path} was locked and could not be {what} in time; nobody who holds the lock can be seen from here by now"
            ),
            false => format!(
                "{path} cannot be {what}: other requests of this server hold it for longer than a request waits"
            ),
        };
        let fixes = vec![maybe(httpd("DBTestTimeout query=15s")), maybe(sql(evidence, "PRAGMA journal_mode=WAL;"))];
        return Some(verdict(stage, id, cause, fixes, excluded(evidence)));
    }
    let names: Vec<String> = strangers.iter().map(|holder| name(holder)).collect();
    let cause = format!("{path} cannot be {what}: it is locked by {}", names.join(", "));
    let excluded = vec![
        "this server's own requests: none of them holds the lock".to_owned(),
        "a network file system: the kernel names a holder on this machine".to_owned(),
    ];
    Some(verdict(stage, id, cause, vec![end(&strangers)], excluded))
}

/// The programs that hold the lock. With a write-ahead log, who only has the database open or reads is in nobody's way.
fn in_the_way(evidence: &Evidence) -> Vec<&Holder> {
    let logged = evidence.files.has("-wal").is_some();
    let strangers = || evidence.files.holders.iter().filter(|holder| !holder.ours);
    let writers: Vec<&Holder> = strangers().filter(|holder| holder.write).collect();
    if logged && !writers.is_empty() { writers } else { strangers().collect() }
}

/// Where all processes can be seen.
fn look_on_the_host(evidence: &Evidence) -> Fix {
    let inodes: Vec<String> =
        evidence.files.seen.iter().chain(&evidence.files.neighbours).map(|seen| format!(":{} ", seen.inode)).collect();
    let mut fix = path_fixes::shell(
        format!(
            "grep -E '{}' /proc/locks | awk '{{ print $5 }}' | sort -u | xargs -r ps -o pid,user,args -p",
            inodes.join("|")
        ),
        Then::None,
    );
    fix.place = "in a shell on the host of this container: the processes that hold the lock".into();
    maybe(fix)
}

fn name(holder: &Holder) -> String {
    /// As much of a command line as says which program it is.
    const SHOWN: usize = 60;
    let words: Vec<&str> = holder.command.split_whitespace().collect();
    let command: String = words.join(" ").chars().take(SHOWN).collect();
    match command.is_empty() {
        true => format!("process {}", holder.pid),
        false => format!("process {} ({command})", holder.pid),
    }
}

/// Ends the programs that hold the lock: SQLite rolls back what they had not committed.
fn end(holders: &[&Holder]) -> Fix {
    let kills: Vec<String> = holders
        .iter()
        .map(|holder| format!("kill {}{}", if holder.stopped { "-KILL " } else { "" }, holder.pid))
        .collect();
    let mut fix = path_fixes::shell(kills.join("\n"), Then::None);
    fix.place.push_str("; it ends the program, which may be at work: what it has not committed is rolled back");
    maybe(fix)
}

/// The file system cannot lock, or cannot share memory.
pub fn broken(evidence: &Evidence) -> Option<Verdict> {
    match evidence.code()? {
        ffi::SQLITE_IOERR_SHMMAP
        | ffi::SQLITE_IOERR_SHMOPEN
        | ffi::SQLITE_IOERR_SHMSIZE
        | ffi::SQLITE_IOERR_SHMLOCK
            if evidence.files.space.is_none_or(|space| space.free > 0) =>
        {
            let kind = evidence.files.mount.as_ref().map_or("this kind of file system", |(kind, _)| kind.as_str());
            let cause = format!(
                "{} is in WAL mode, whose shared memory does not work on {kind}",
                evidence.files.path.display()
            );
            let fix = sql(evidence, "PRAGMA locking_mode=EXCLUSIVE;\nPRAGMA journal_mode=DELETE;");
            Some(verdict(stage_of(evidence, Stage::Read), id::NO_SHARED_MEMORY, cause, vec![fix], excluded(evidence)))
        }
        ffi::SQLITE_IOERR_LOCK
        | ffi::SQLITE_IOERR_UNLOCK
        | ffi::SQLITE_IOERR_RDLOCK
        | ffi::SQLITE_IOERR_CHECKRESERVEDLOCK => Some(no_locks(evidence)),
        _ => None,
    }
}

fn no_locks(evidence: &Evidence) -> Verdict {
    let kind = evidence.files.mount.as_ref().map_or("this kind of file system", |(kind, _)| kind.as_str());
    let path = evidence.files.path.display();
    let cause = match primary(evidence) {
        Some(ffi::SQLITE_BUSY) => format!(
            "{path} lies on {kind} and is locked: by another machine that uses it, or because locks fail there; who holds one there cannot be seen from here"
        ),
        _ => format!("{path} lies on {kind}, where locks fail"),
    };
    verdict(stage_of(evidence, Stage::Read), id::NO_LOCKS, cause, Vec::new(), excluded(evidence))
}

/// A log that cannot be put into the file.
pub fn log_too_large(evidence: &Evidence) -> Option<Finding> {
    /// Less is what a busy day leaves behind.
    const LARGE: u64 = 64 * 1024 * 1024;
    let files = &evidence.files;
    let (database, log) = (files.seen.as_ref()?.size, files.has("-wal")?.size);
    if log < LARGE || log < database.saturating_mul(4) {
        return None;
    }
    let readers: Vec<&Holder> = files.holders.iter().filter(|holder| holder.reads_log && !holder.ours).collect();
    let path = files.path.display();
    let mut cause =
        format!("the write-ahead log of {path} has {}, the database {}", super::size(log), super::size(database));
    let fixes = if readers.is_empty() {
        vec![maybe(sql(evidence, "PRAGMA wal_checkpoint(TRUNCATE);"))]
    } else {
        let names: Vec<String> = readers.iter().map(|holder| name(holder)).collect();
        cause.push_str(&format!(
            ": {} reads an old state (a transaction that is not ended) and keeps it from being put into the file",
            names.join(", ")
        ));
        vec![end(&readers)]
    };
    Some(Finding { id: id::LOG_TOO_LARGE, cause, fixes, excluded: Vec::new() })
}

/// A network file system works until two machines use it.
pub fn network(evidence: &Evidence) -> Option<Finding> {
    let kind = evidence.files.network()?;
    let wal = evidence.session.as_ref().is_some_and(|session| session.journal_mode.eq_ignore_ascii_case("wal"));
    // virtio's and FUSE's local file systems share one machine's locks well enough without WAL
    if !wal && !["nfs", "nfs4", "cifs", "smb3", "9p"].contains(&kind) {
        return None;
    }
    let mode = if wal { ", in WAL mode, which only works within one machine" } else { "" };
    let cause = format!("{} lies on {kind}{mode}", evidence.files.path.display());
    let fixes = if wal { vec![maybe(sql(evidence, "PRAGMA journal_mode=DELETE;"))] } else { Vec::new() };
    Some(Finding { id: id::WAL_ON_NETWORK, cause, fixes, excluded: Vec::new() })
}
