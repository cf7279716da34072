//! A server that does not take connections from its queue: the kernel made them, and nobody accepts. pgpool with all of
//! its children in use is one, and so is a process that was stopped. When the queue is full the kernel drops what comes,
//! which looks like a firewall.

use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

/// " ; 3 connections wait …", where somebody waits.
pub fn words(waiting: usize) -> String {
    match waiting {
        0 => String::new(),
        _ => format!(
            "; {waiting} connections wait in its queue: it takes none (pgpool with all of num_init_children in use, a stopped process, or too much to do)"
        ),
    }
}

/// The queue is full: not even a connection comes about.
pub fn full(subject: &Subject, waiting: usize) -> Finding {
    finding(
        "DBT0418",
        format!("{} takes no connections from its queue, which is full{}", subject.server(), words(waiting)),
    )
    .maybe(
        FixKind::Shell,
        format!("{} (who listens there, and how is it? STAT T: stopped by a signal)", subject.server_shell()),
        look(subject),
        Then::None,
    )
    .not(format!(
        "not a firewall: /proc/net/tcp shows {waiting} connections that it let through, waiting on port {}",
        subject.port
    ))
}

/// Shows the process that listens.
pub fn look(subject: &Subject) -> String {
    format!(
        "ss -ltnp 'sport = :{0}'; ps -o pid,stat,args -p \"$(ss -ltnpH 'sport = :{0}' | grep -o 'pid=[0-9]*' | cut -d= -f2 | paste -sd, -)\"",
        subject.port
    )
}
