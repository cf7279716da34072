//! httpd's scoreboard: what each worker of the server does at this moment. It is shared memory that others write
//! meanwhile, so every number here is an estimate, read one field at a time.

use super::bindings::{self, scoreboard, worker_score};

/// How many threads of this child are busy with a request or connection, of whatever kind. 0 where httpd keeps no
/// scoreboard, or has given this child's row to another already (a child that ends gracefully serves nobody new).
pub fn busy_threads_of_this_child() -> u32 {
    let pid = std::process::id();
    // SAFETY: httpd sets the pointer before it forks children and never frees what it points to; the limits are those
    // that the arrays were made with; other processes only change plain numbers in them, read here once each.
    unsafe {
        let Some(board) = bindings::ap_scoreboard_image.as_ref() else { return 0 };
        let Some(row) = (0..limit((*board.global).server_limit)).find(|row| pid_of(board, *row) == pid) else {
            return 0;
        };
        let mine = |worker: &&*mut worker_score| u32::try_from((&raw const (***worker).pid).read_volatile()) == Ok(pid);
        let threads: Vec<_> =
            (0..limit((*board.global).thread_limit)).map(|at| (*board.servers.add(row)).add(at)).collect();
        let busy =
            threads.iter().filter(mine).filter(|worker| is_busy((&raw const (***worker).status).read_volatile()));
        u32::try_from(busy.count()).unwrap_or(u32::MAX)
    }
}

/// The children of a server whose children have one thread each (prefork).
#[derive(Debug, Clone, Copy, Default)]
pub struct Children {
    /// Those that serve, or will in a moment.
    pub alive: u32,
    /// Those that wait for a connection.
    pub idle: u32,
}

/// What the children of the whole server do.
pub fn children_of_the_server() -> Children {
    let mut children = Children::default();
    // SAFETY: as in `busy_threads_of_this_child`; every row has a first worker.
    unsafe {
        let Some(board) = bindings::ap_scoreboard_image.as_ref() else { return children };
        for row in 0..limit((*board.global).server_limit) {
            let status = i32::from((&raw const (**board.servers.add(row)).status).read_volatile());
            children.alive += u32::from(status != bindings::SERVER_DEAD && status != bindings::SERVER_GRACEFUL);
            children.idle += u32::from(status == bindings::SERVER_READY);
        }
    }
    children
}

/// # Safety
/// `row` is below the board's server_limit.
unsafe fn pid_of(board: &scoreboard, row: usize) -> u32 {
    // SAFETY: the caller's promise; see `busy_threads_of_this_child`.
    u32::try_from(unsafe { (&raw const (*board.parent.add(row)).pid).read_volatile() }).unwrap_or(0)
}

fn limit(number: std::ffi::c_int) -> usize {
    usize::try_from(number).unwrap_or(0)
}

/// Reads, writes, keeps a connection, logs, looks a name up or closes (scoreboard.h).
fn is_busy(status: u8) -> bool {
    (bindings::SERVER_BUSY_READ..=bindings::SERVER_CLOSING).contains(&i32::from(status))
}
