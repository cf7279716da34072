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
    let strangers: Vec<&Holder> = evidence.files.holders.iter().filter(|holder| !holder.ours).collect();
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

fn name(holder: &Holder) -> String {
    match holder.command.is_empty() {
        true => format!("process {}", holder.pid),
        false => format!("process {} ({})", holder.pid, holder.command),
    }
}

/// Ends the programs that hold the lock: SQLite rolls back what they had not committed.
fn end(holders: &[&Holder]) -> Fix {
    let kills: Vec<String> = holders
        .iter()
        .map(|holder| format!("kill {}{}", if holder.stopped { "-KILL " } else { "" }, holder.pid))
        .collect();
    path_fixes::shell(kills.join("\n"), Then::None)
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
    let cause = format!(
        "{} lies on {kind}, where locks fail: /proc/locks shows nobody who holds one",
        evidence.files.path.display()
    );
    verdict(stage_of(evidence, Stage::Read), id::NO_LOCKS, cause, Vec::new(), excluded(evidence))
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
