//! A child's own column. It is its own while its process lives; whoever needs one takes over that of a dead child.

use std::sync::atomic::Ordering;

use rustix::process::{Pid, test_kill_process};

use super::Tally;
use super::counted::Held;

/// A column for the process; none if there are more children than there were to be.
pub fn claim(tally: &Tally, pid: u32) -> Option<usize> {
    let columns = 0..tally.layout.children;
    let column = columns.clone().find(|column| owner(tally, *column) == pid).or_else(|| {
        columns.clone().find(|column| {
            let before = owner(tally, *column);
            let word = tally.word(tally.layout.pid(*column));
            !is_alive(before)
                && word.compare_exchange(before.into(), pid.into(), Ordering::SeqCst, Ordering::SeqCst).is_ok()
        })
    })?;
    empty(tally, column);
    Some(column)
}

/// Gives back what dead children hold of one database.
pub fn bury_the_dead(tally: &Tally, entry: usize, what: Held) {
    for (column, at) in tally.layout.held(entry, what).enumerate() {
        if tally.word(at).load(Ordering::SeqCst) > 0 && !is_alive(owner(tally, column)) {
            tally.word(at).store(0, Ordering::SeqCst);
        }
    }
}

fn owner(tally: &Tally, column: usize) -> u32 {
    u32::try_from(tally.word(tally.layout.pid(column)).load(Ordering::SeqCst)).unwrap_or(0)
}

fn empty(tally: &Tally, column: usize) {
    for entry in 0..tally.names.len() {
        for what in Held::ALL {
            tally.word(tally.layout.held(entry, what).start + column).store(0, Ordering::SeqCst);
        }
    }
}

/// Whether there is such a process. One that may not be asked is there.
fn is_alive(pid: u32) -> bool {
    match i32::try_from(pid).ok().and_then(Pid::from_raw) {
        Some(pid) => test_kill_process(pid) != Err(rustix::io::Errno::SRCH),
        None => false,
    }
}
