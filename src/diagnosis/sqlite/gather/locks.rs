//! Who holds a lock on a file: the kernel's list, /proc/locks (proc(5)). SQLite's own answer is only "locked".

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

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
    /// It belongs to this very server: the same program, and parent or child of ours or of the same parent.
    pub ours: bool,
}

/// The processes that hold POSIX or OFD locks on one of these files (device and inode as stat(2) gives them).
pub fn holders(root: &Path, inodes: &[(u64, u64)]) -> Vec<Holder> {
    let text = fs::read_to_string(root.join("proc/locks")).unwrap_or_default();
    let mut found: Vec<Holder> = Vec::new();
    for (pid, write) in parse(&text, inodes) {
        match found.iter_mut().find(|holder| holder.pid == pid) {
            Some(holder) => holder.write |= write,
            None => {
                let stopped = status(root, pid, "State:").is_some_and(|state| state.starts_with('T'));
                found.push(Holder { pid, command: command(root, pid), write, stopped, ours: is_ours(root, pid) });
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
        let others = parse(&text, &[inode]).into_iter().map(|(pid, _)| pid).filter(|pid| *pid != std::process::id());
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

/// (pid, write lock) of each lock that is held; waiting ones ("->") are not.
fn parse(text: &str, inodes: &[(u64, u64)]) -> Vec<(u32, bool)> {
    text.lines()
        .filter_map(|line| {
            // 1: POSIX  ADVISORY  WRITE 1234 08:01:5678 1073741824 1073742335
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, kind, _, access, pid, place, ..] = fields[..] else { return None };
            let posix = kind == "POSIX" || kind == "OFDLCK";
            (posix && inodes.iter().any(|inode| place_is(place, *inode))).then_some(())?;
            Some((pid.parse().ok()?, access == "WRITE"))
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
        assert_eq!(parse(text, &[(device, 5678)]), [(1234, true), (8, false)]);
        assert_eq!(parse(text, &[(rustix::fs::makedev(8, 2), 5678)]), []);
    }
}
