//! Who holds a lock on a file: the kernel's list, /proc/locks (proc(5)). SQLite's own answer is only "locked".

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Flock, FlockType, fcntl_getlk};

/// A process that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub pid: u32,
    /// Its command line, "sqlite3 /srv/app.db"; empty where it may not be seen.
    pub command: String,
    /// A write lock, and not one that only readers share.
    pub write: bool,
    /// It is stopped (Ctrl-Z, SIGSTOP): it ends only when it is killed.
    pub stopped: bool,
    /// It reads from a write-ahead log: what is in it cannot be put into the file meanwhile.
    pub reads_log: bool,
    /// It belongs to this very server: the same program, and parent or child of ours or of the same parent.
    pub ours: bool,
}

/// The processes that hold POSIX or OFD locks on one of these files (device and inode as stat(2) gives them).
pub fn holders(root: &Path, inodes: &[(u64, u64)]) -> Vec<Holder> {
    let text = fs::read_to_string(root.join("proc/locks")).unwrap_or_default();
    let mut found: Vec<Holder> = Vec::new();
    for Lock { pid, write, reads_log } in parse(&text, inodes) {
        match found.iter_mut().find(|holder| holder.pid == pid) {
            Some(holder) => {
                holder.write |= write;
                holder.reads_log |= reads_log;
            }
            None => {
                let stopped = status(root, pid, "State:").is_some_and(|state| state.starts_with('T'));
                let (command, ours) = (command(root, pid), is_ours(root, pid));
                found.push(Holder { pid, command, write, stopped, reads_log, ours });
            }
        }
    }
    found
}

/// Whether one and the same other process has a read lock on the file whenever it is looked at within this time.
pub fn is_read_throughout(root: &Path, inode: (u64, u64), within: Duration) -> bool {
    let ends = Instant::now() + within;
    let mut readers: Option<HashSet<u32>> = None;
    loop {
        let text = fs::read_to_string(root.join("proc/locks")).unwrap_or_default();
        let others = parse(&text, &[inode]).into_iter().map(|lock| lock.pid).filter(|pid| *pid != std::process::id());
        let now: HashSet<u32> = others.collect();
        let still = match readers {
            Some(before) => &before & &now,
            None => now,
        };
        if still.is_empty() || Instant::now() >= ends {
            return !still.is_empty();
        }
        readers = Some(still);
        thread::sleep(Duration::from_millis(3));
    }
}

/// A line of /proc/locks.
#[derive(Debug, PartialEq, Eq)]
struct Lock {
    pid: u32,
    write: bool,
    reads_log: bool,
}

/// The locks that readers of a write-ahead log hold, in its -shm file (sqlite.org/walformat.html, "WAL Locks"): all other
/// locks of SQLite lie elsewhere.
const READ_MARKS: std::ops::RangeInclusive<u64> = 123..=127;

/// Each lock that is held; waiting ones ("->") are not.
fn parse(text: &str, inodes: &[(u64, u64)]) -> Vec<Lock> {
    text.lines()
        .filter_map(|line| {
            // 1: POSIX  ADVISORY  WRITE 1234 08:01:5678 1073741824 1073742335
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, kind, _, access, pid, place, start, ..] = fields[..] else { return None };
            let posix = kind == "POSIX" || kind == "OFDLCK";
            (posix && inodes.iter().any(|inode| place_is(place, *inode))).then_some(())?;
            let reads_log = start.parse().is_ok_and(|start| READ_MARKS.contains(&start));
            Some(Lock { pid: pid.parse().ok()?, write: access == "WRITE", reads_log })
        })
        .collect()
}

/// "08:01:5678": device numbers in hexadecimal, inode in decimal. Btrfs and overlay show other devices here than
/// in stat(2), so that the inode alone must do when no device fits.
fn place_is(place: &str, (device, inode): (u64, u64)) -> bool {
    let mut parts = place.split(':');
    let (Some(major), Some(minor), Some(number)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let same_device = u32::from_str_radix(major, 16) == Ok(rustix::fs::major(device))
        && u32::from_str_radix(minor, 16) == Ok(rustix::fs::minor(device));
    let anonymous = rustix::fs::major(device) == 0;
    number.parse() == Ok(inode) && (same_device || anonymous)
}

/// Whether the kernel lists the locks of every process here: those of processes outside of a container's own list of
/// processes are left out of its /proc/locks. The first namespace has a number of its own (PROC_PID_INIT_INO).
pub fn all_are_seen(root: &Path) -> bool {
    fs::read_link(root.join("proc/self/ns/pid")).is_ok_and(|link| link.as_os_str() == "pid:[4026531836]")
}

/// Whether a process that this one cannot see holds a lock that keeps it from writing: the kernel, asked for a lock
/// that is in the way (F_GETLK, which takes none), tells that there is one, and no process. `None` when it cannot be asked.
pub fn is_held_unseen(database: &Path, shared_memory: Option<&Path>) -> Option<bool> {
    // sqlite3.c: PENDING_BYTE, RESERVED_BYTE and the SHARED range; in a write-ahead log's -shm, WAL_WRITE_LOCK
    let ranges: &[(u64, u64)] =
        if shared_memory.is_some() { &[(120, 1)] } else { &[(0x4000_0000, 1), (0x4000_0001, 1), (0x4000_0002, 510)] };
    let path = shared_memory.unwrap_or(database);
    super::header::with_file(path, |file| {
        ranges.iter().any(|(start, length)| {
            let wanted = Flock { start: *start, length: *length, ..Flock::from(FlockType::WriteLock) };
            fcntl_getlk(file, &wanted).is_ok_and(|found| found.is_some_and(|lock| lock.pid.is_none()))
        })
    })
}

fn command(root: &Path, pid: u32) -> String {
    let place = root.join("proc").join(pid.to_string());
    let line = fs::read(place.join("cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).trim_end_matches('\0').replace('\0', " ");
    if line.is_empty() { fs::read_to_string(place.join("comm")).unwrap_or_default().trim().to_owned() } else { line }
}

fn is_ours(root: &Path, pid: u32) -> bool {
    let own = std::process::id();
    let parent = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs());
    // a process whose parent is pid 1 has no siblings worth the name
    pid == own || (parent > 1 && (pid == parent || parent_of(root, pid) == Some(parent)))
}

fn parent_of(root: &Path, pid: u32) -> Option<u32> {
    status(root, pid, "PPid:")?.parse().ok()
}

/// A row of /proc/PID/status.
fn status(root: &Path, pid: u32, row: &str) -> Option<String> {
    let text = fs::read_to_string(root.join("proc").join(pid.to_string()).join("status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(row)).map(|value| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_read_and_waiters_left_out() {
        let text = "1: POSIX  ADVISORY  WRITE 1234 08:01:5678 1073741824 1073742335\n\
                    1: -> POSIX  ADVISORY  READ 99 08:01:5678 1073741824 1073741824\n\
                    2: FLOCK  ADVISORY  WRITE 7 08:01:5678 0 EOF\n\
                    3: OFDLCK ADVISORY  READ 8 08:01:5678 0 EOF\n\
                    4: POSIX  ADVISORY  READ 9 08:01:1 0 EOF\n";
        let device = rustix::fs::makedev(8, 1);
        let lock = |pid, write| Lock { pid, write, reads_log: false };
        assert_eq!(parse(text, &[(device, 5678)]), [lock(1234, true), lock(8, false)]);
        let reader = "1: POSIX  ADVISORY  READ 7 08:01:5678 124 124\n";
        assert_eq!(parse(reader, &[(device, 5678)]), [Lock { pid: 7, write: false, reads_log: true }]);
        assert_eq!(parse(text, &[(rustix::fs::makedev(8, 2), 5678)]), []);
    }
}
