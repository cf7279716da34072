//! A process of its own, as the server's User and Group: for what `httpd -t -D …` must try as the server would, while
//! httpd itself runs as root and must stay as it is.

use std::io;

use super::bindings;

/// Runs `work` in a forked process that has become the server's user, and returns its exit status. Started by
/// anybody but root, the process keeps the user it has.
pub fn as_server_user(work: impl FnOnce() -> i32) -> io::Result<i32> {
    // SAFETY: `httpd -t` has one thread, so the child may do anything.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let status = match become_server_user() {
                Ok(()) => super::guard::guard(1, work),
                Err(error) => {
                    eprintln!("mod_dbtest: cannot become the server's User and Group: {error}");
                    1
                }
            };
            // SAFETY: ends this process without running what httpd registered for its own end.
            unsafe { libc::_exit(status) }
        }
        child => wait(child),
    }
}

fn become_server_user() -> io::Result<()> {
    let done = |result: libc::c_int| if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // SAFETY: plain system calls; the user's name ends in NUL (mod_unixd's default is "#-1", never NULL, but checked).
    unsafe {
        if libc::geteuid() != 0 {
            return Ok(());
        }
        let config = &raw const bindings::ap_unixd_config;
        done(libc::setgid((*config).group_id))?;
        let name = (*config).user_name;
        if name.is_null() {
            done(libc::setgroups(0, std::ptr::null()))?;
        } else {
            done(libc::initgroups(name, (*config).group_id as _))?;
        }
        done(libc::setuid((*config).user_id))
    }
}

fn wait(child: libc::pid_t) -> io::Result<i32> {
    let mut status = 0;
    loop {
        // SAFETY: our own child; status is ours.
        match unsafe { libc::waitpid(child, &raw mut status, 0) } {
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            -1 => return Err(io::Error::last_os_error()),
            _ if libc::WIFEXITED(status) => return Ok(libc::WEXITSTATUS(status)),
            _ => return Ok(1),
        }
    }
}

/// The server's User and Group.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
}

/// Who the children of this server are.
pub fn server_identity() -> Identity {
    // SAFETY: httpd fills this before any hook of ours runs, and changes it only while it reads its configuration.
    unsafe {
        let config = &raw const bindings::ap_unixd_config;
        Identity { uid: (*config).user_id, gid: (*config).group_id }
    }
}
