//! Commands that find the server which listens on a port, whoever started it: Debian's clusters by their own
//! tool, any other by its process, whose working directory is the data directory.

use super::reach::Surroundings;
use super::subject::Subject;

/// Shell text that runs `body` for the server on `port`, with $p its process, $d its data directory, $o its
/// owner and `ask SETTING` for a setting of its (by `postgres -C`, which needs no login).
pub fn for_server(port: u16, body: &str) -> String {
    format!(
        "for p in $(pgrep -x postgres) $(pgrep -x postmaster); do d=$(readlink /proc/$p/cwd) || continue; \
         [ \"$(sed -n 1p \"$d/postmaster.pid\" 2>/dev/null)\" = $p ] && [ \"$(sed -n 4p \"$d/postmaster.pid\")\" = {port} ] || continue; \
         o=$(stat -c %U \"$d\"); ask() {{ s=$1; eval \"set -- $(cat \"$d/postmaster.opts\")\"; runuser -u \"$o\" -- \"$@\" -C \"$s\"; }}; {body}; done"
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
