//! Commands that find the server which listens on a port, whoever started it: Debian's clusters by their own
//! tool, any other by its process, whose working directory is the data directory.

use std::net::IpAddr;
use std::path::Path;

use super::subject::Subject;
use crate::diagnosis::host::shell::word as shell;
use crate::diagnosis::postgresql::evidence::surroundings::Surroundings;
use crate::diagnosis::report::{Fix, FixKind, Then};

/// Shell text that runs `body` for the server on `port`, with $p its process, $d its data directory, $o its
/// owner and `ask SETTING` for a setting of its (by `postgres -C`, which needs no login).
pub fn for_server(port: u16, body: &str) -> String {
    format!(
        "for p in $(pgrep -x postgres) $(pgrep -x postmaster); do d=$(readlink /proc/$p/cwd) || continue; \
         [ \"$(sed -n 1p \"$d/postmaster.pid\" 2>/dev/null)\" = $p ] && [ \"$(sed -n 4p \"$d/postmaster.pid\")\" = {port} ] || continue; \
         o=$(stat -c %U \"$d\"); ask() {{ s=$1; eval \"set -- $(cat \"$d/postmaster.opts\")\"; runuser -u \"$o\" -- \"$@\" -C \"$s\"; }}; {body}; done"
    )
}

/// A rule that lets packets to or from a port through, before all others.
pub fn accept_rule(chain: &str, side: &str, ip: IpAddr, port: u16) -> String {
    let tool = if ip.is_ipv4() { "iptables" } else { "ip6tables" };
    format!("{tool} -I {chain} -p tcp {side} {ip} --dport {port} -j ACCEPT")
}

/// Shows the end of the server's log, and ends where there is none.
pub const LOG: &str = "f=$(ls -t /var/log/postgresql/*.log /var/lib/pgsql/data/log/* /var/lib/pgsql/*/data/log/* 2>/dev/null | head -n 1); \
     if [ -n \"$f\" ]; then tail -n 50 \"$f\"; else journalctl --no-pager -n 50 -t postgres -t postgresql; fi";

/// A look at the server's log, in this shell: a candidate, since it only shows.
pub fn log(place: String) -> Fix {
    Fix { sure: false, kind: FixKind::Shell, place, text: LOG.into(), then: Then::None }
}

/// Starts the server that left `socket` behind when it died. Its lock file, which root may read, names the data
/// directory. A dead process that nobody has buried (in a container without init) still has its number, and
/// keeps a new server from starting: then, and only if no process of the old server lives, its files go.
pub fn start_left_over(subject: &Subject, socket: &Path, around: &Surroundings) -> String {
    let ours = around.neighbours.clusters.iter().find(|(_, _, port)| *port == subject.port);
    if let Some((version, name, _)) = ours {
        return format!("pg_ctlcluster {version} {name} start");
    }
    let socket = shell(&socket.display().to_string());
    format!(
        "d=$(sed -n 2p {socket}.lock) && o=$(stat -c %U \"$d\"); case $(ps -o stat= -p \"$(sed -n 1p \"$d/postmaster.pid\")\") in Z*) \
         readlink /proc/[0-9]*/cwd | grep -qxF \"$d\" || rm -f \"$d/postmaster.pid\" {socket} {socket}.lock;; esac; \
         for b in /usr/lib/postgresql/$(cat \"$d/PG_VERSION\")/bin /usr/pgsql-$(cat \"$d/PG_VERSION\")/bin /usr/bin; do \
         if [ -x $b/pg_ctl ]; then runuser -u \"$o\" -- $b/pg_ctl -D \"$d\" -l /dev/null -w start; break; fi; done"
    )
}

/// Restarts the server that runs on the subject's port.
pub fn restart(subject: &Subject, around: &Surroundings) -> String {
    let ours = around.neighbours.clusters.iter().find(|(_, _, port)| *port == subject.port);
    match ours {
        Some((version, name, _)) => format!("pg_ctlcluster {version} {name} restart"),
        None => for_server(
            subject.port,
            "b=$(dirname \"$(readlink /proc/$p/exe)\"); runuser -u \"$o\" -- \"$b/pg_ctl\" -D \"$d\" -l /dev/null -w restart",
        ),
    }
}
