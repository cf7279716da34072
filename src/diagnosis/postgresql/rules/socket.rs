//! Reading a Unix socket that could not be connected to. libpq has one text for all of it; the way to the
//! socket, component by component, and the sockets that are there instead, tell the causes apart.

use std::path::{Path, PathBuf};

use super::reach::describe;
use crate::database::postgresql::settings::Host;
use crate::diagnosis::host::path::{Need, Obstacle, Trouble, first_obstacle};
use crate::diagnosis::host::path_fixes::cure;
use crate::diagnosis::host::process::Who;
use crate::diagnosis::host::shell::word as shell;
use crate::diagnosis::host::{labels, mounts};
use crate::diagnosis::postgresql::evidence::neighbours::SocketFile;
use crate::diagnosis::postgresql::evidence::surroundings::{Refusal, Surroundings};
use crate::diagnosis::postgresql::rules::refused::{not_on_this_machine, start, start_command};
use crate::diagnosis::postgresql::server_commands;
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, Fix, FixKind, Then};

/// The socket at `path` did not take our connection.
pub fn read(subject: &Subject, path: &Path, refusal: Refusal, around: &Surroundings, who: &Who) -> Finding {
    let dir = path.parent().unwrap_or(Path::new("/"));
    if let Some(found) = file_for_directory(subject, dir) {
        return found;
    }
    // sun_path of <sys/un.h>, less its NUL
    if path.as_os_str().len() > 107 {
        return too_long(subject, path);
    }
    let obstacle = first_obstacle(path, Need::Socket, who);
    match (&obstacle, refusal) {
        (Some(obstacle), _) => blocked(subject, dir, obstacle, around, who),
        (None, Refusal::Errno(libc::ECONNREFUSED)) => nobody_listens(subject, path, around),
        (None, Refusal::Errno(libc::EACCES | libc::EPERM)) => denied(path, who),
        (None, Refusal::Errno(libc::EAGAIN) | Refusal::TimedOut(_)) => queue_full(subject, path),
        (None, Refusal::Errno(libc::EMFILE | libc::ENFILE)) => super::reach::no_descriptor(subject, refusal),
        (None, Refusal::Errno(libc::EAFNOSUPPORT)) => super::reach::no_family(subject, "AF_UNIX", around),
        (None, Refusal::Errno(libc::ENAMETOOLONG | libc::EINVAL)) => too_long(subject, path),
        (None, _) => {
            finding("DBT0433", format!("Connecting to the socket {} failed: {}", path.display(), describe(refusal)))
                .maybe(FixKind::Shell, subject.server_shell(), start_command(subject, around), Then::None)
        }
    }
}

/// `host=` names the socket file itself.
fn file_for_directory(subject: &Subject, dir: &Path) -> Option<Finding> {
    let name = dir.file_name()?.to_str()?;
    let port = name.strip_prefix(".s.PGSQL.")?.parse::<u16>().ok()?;
    let parent = dir.parent()?.to_owned();
    Some(
        finding(
            "DBT0428",
            format!("The host is the socket file {}; what is wanted is the directory it is in", dir.display()),
        )
        .sure(FixKind::Httpd, subject.httpd_place(), directive(subject, &parent, port), Then::Reload),
    )
}

/// The configured database at another socket.
fn directive(subject: &Subject, dir: &Path, port: u16) -> String {
    subject.directive(|settings| {
        if let Some(host) = settings.hosts.get_mut(subject.host_index) {
            (host.host, host.hostaddr, host.port) = (Host::SocketDir(dir.to_owned()), None, port);
        }
    })
}

fn over_tcp(subject: &Subject) -> String {
    subject.directive(|settings| {
        if let Some(host) = settings.hosts.get_mut(subject.host_index) {
            (host.host, host.hostaddr) = (Host::Address([127, 0, 0, 1].into()), None);
        }
    })
}

fn blocked(subject: &Subject, dir: &Path, obstacle: &Obstacle, around: &Surroundings, who: &Who) -> Finding {
    let temporary = dir.starts_with("/tmp") || dir.starts_with("/var/tmp");
    let missing = matches!(obstacle.trouble, Trouble::Missing | Trouble::Dangling(_));
    // no host was named, and the packages' directory is not there: their server makes it when it starts
    let by_default = subject.settings.hosts.get(subject.host_index).is_none_or(|host| host.host == Host::LocalSocket);
    if missing && temporary && by_default && !around.neighbours.living().any(|socket| socket.dir == dir) {
        return no_socket(subject, Path::new("/run/postgresql"), around);
    }
    if missing && temporary && mounts::private_tmp(&who.mounts).is_some() {
        return private_tmp(subject, dir);
    }
    match &obstacle.trouble {
        Trouble::Missing | Trouble::Dangling(_) if obstacle.is_last() => no_socket(subject, dir, around),
        Trouble::Missing | Trouble::Dangling(_) => no_directory(subject, dir, obstacle, around, who),
        Trouble::Selinux(_) | Trouble::Refused => denied(&obstacle.real, who),
        Trouble::TooLong => too_long(subject, &obstacle.path),
        Trouble::WrongType(_) | Trouble::NotADirectory(_) => {
            let found = finding("DBT0430", format!("{}: no PostgreSQL socket can be there", obstacle.sentence(who)))
                .not("not a stopped server: what is there is no socket");
            elsewhere(subject, around, found)
        }
        _ => {
            let last = obstacle.is_last();
            let id = if last { "DBT0426" } else { "DBT0425" };
            let mut found = finding(id, format!("{} (the socket of PostgreSQL)", obstacle.sentence(who)))
                .not("not a stopped server and not pg_hba.conf: the file system keeps us from the socket");
            if last {
                found = found.sure(
                    FixKind::PostgresqlConf,
                    subject.conf_place(),
                    "unix_socket_permissions = 0777",
                    Then::Restart,
                );
            }
            if let Some(mut fix) = cure(std::slice::from_ref(obstacle), who) {
                fix.sure = !last;
                found.fixes.push(fix);
            }
            found
        }
    }
}

/// The directory is there, the socket is not.
fn no_socket(subject: &Subject, dir: &Path, around: &Surroundings) -> Finding {
    let port = subject.port;
    let neighbours = &around.neighbours;
    let deleted = neighbours
        .sockets
        .iter()
        .any(|socket| socket.port == port && socket.alive && !socket.file && socket.dir == dir);
    if deleted {
        return socket_deleted(subject, dir, around);
    }
    let configured = neighbours.clusters.iter().any(|(_, _, p)| *p == port);
    let others: Vec<&SocketFile> = neighbours.living().collect();
    if !others.is_empty() && !configured {
        let names: Vec<String> = others
            .iter()
            .map(|socket| socket.dir.join(format!(".s.PGSQL.{}", socket.port)).display().to_string())
            .collect();
        let strange = others.iter().all(|socket| !neighbours.is_trusted(socket.owner));
        let what = if strange { "something" } else { "PostgreSQL" };
        let found = finding(
            "DBT0422",
            format!("There is no socket for port {port} in {}; {what} listens at {}", dir.display(), names.join(", ")),
        );
        return elsewhere(subject, around, found);
    }
    if neighbours.accepts([127, 0, 0, 1].into(), port) {
        return finding(
            "DBT0434",
            format!("PostgreSQL listens on TCP port {port}, but has no Unix socket in {}", dir.display()),
        )
        .fix(by_tcp(subject, around))
        .maybe(
            FixKind::PostgresqlConf,
            subject.conf_place(),
            format!("unix_socket_directories = '{}'", dir.display()),
            Then::Restart,
        )
        .not(format!("not a stopped server: /proc/net/tcp shows port {port} open"));
    }
    if !configured && neighbours.installed == Some(false) {
        return not_on_this_machine(subject, around);
    }
    finding(
        "DBT0421",
        format!(
            "PostgreSQL is not running: {} has no socket for port {port}, and nothing listens there",
            dir.display()
        ),
    )
    .fix(start(subject, around))
}

/// Points to the sockets that are alive: the best one is sure if it is alone.
fn elsewhere(subject: &Subject, around: &Surroundings, mut found: Finding) -> Finding {
    let neighbours = &around.neighbours;
    let living: Vec<&SocketFile> = neighbours.living().collect();
    let single = living.len() == 1;
    for socket in living.into_iter().take(6) {
        let text = directive(subject, &socket.dir, socket.port);
        let trusted = neighbours.is_trusted(socket.owner);
        let whose = if trusted { String::new() } else { neighbours.whose(socket.owner) };
        let place = format!("{}{whose}", subject.httpd_place());
        found = found.fix(Fix { sure: single && trusted, kind: FixKind::Httpd, place, text, then: Then::Reload });
    }
    found
}

/// The same server by TCP, where its port is open.
fn by_tcp(subject: &Subject, around: &Surroundings) -> Fix {
    Fix {
        sure: around.neighbours.is_port_trusted(subject.port),
        kind: FixKind::Httpd,
        place: format!("{}{}", subject.httpd_place(), around.neighbours.whose_port(subject.port)),
        text: over_tcp(subject),
        then: Then::Reload,
    }
}

fn no_directory(subject: &Subject, dir: &Path, obstacle: &Obstacle, around: &Surroundings, who: &Who) -> Finding {
    let found = finding("DBT0420", format!("The directory of the socket is not there: {}", obstacle.sentence(who)));
    let mut found = elsewhere(subject, around, found);
    if found.fixes.is_empty() {
        if around.neighbours.accepts([127, 0, 0, 1].into(), subject.port) {
            return found.fix(by_tcp(subject, around));
        }
        let quoted = shell(&dir.display().to_string());
        found = found.maybe(
            FixKind::Shell,
            subject.server_shell(),
            format!("install -d -o postgres -g postgres -m 2775 {quoted} && {}", start_command(subject, around)),
            Then::None,
        );
    }
    found
}

fn socket_deleted(subject: &Subject, dir: &Path, around: &Surroundings) -> Finding {
    let found = finding(
        "DBT0423",
        format!(
            "PostgreSQL runs, but its socket for port {} was deleted from {} (by a cleaner of /tmp, say)",
            subject.port,
            dir.display()
        ),
    )
    .sure(FixKind::Shell, subject.server_shell(), server_commands::restart(subject, around), Then::None)
    .not("not a stopped server: /proc/net/unix shows the process listening on a socket that has no file any more");
    if around.neighbours.accepts([127, 0, 0, 1].into(), subject.port) {
        return found.fix(Fix { sure: false, ..by_tcp(subject, around) });
    }
    found
}

fn private_tmp(subject: &Subject, dir: &Path) -> Finding {
    let found = finding(
        "DBT0429",
        format!("httpd has a /tmp of its own (systemd's PrivateTmp) and cannot see the socket in {}", dir.display()),
    )
    .sure(FixKind::PostgresqlConf, subject.conf_place(), "unix_socket_directories = '/run/postgresql'", Then::Restart)
    .not("not a stopped server: psql in your own shell finds the socket, since it sees another /tmp");
    let text = directive(subject, &PathBuf::from("/run/postgresql"), subject.port);
    found.maybe(FixKind::Httpd, format!("{} (after that)", subject.httpd_place()), text, Then::Reload)
}

/// The socket file is there, but the process behind it is not.
fn nobody_listens(subject: &Subject, path: &Path, around: &Surroundings) -> Finding {
    finding("DBT0424", format!("The socket {} is left over: no server listens on it", path.display()))
        .sure(
            FixKind::Shell,
            subject.server_shell(),
            server_commands::start_left_over(subject, path, around),
            Then::None,
        )
        .not("not a permission: the kernel let us as far as the socket (ECONNREFUSED)")
}

/// Modes allow it; a security module does not.
fn denied(path: &Path, who: &Who) -> Finding {
    let dir = path.parent().unwrap_or(path);
    match (who.confined_type(), &who.apparmor) {
        (Some(domain), _) => finding(
            "DBT0427",
            format!("SELinux does not let {domain} connect to the socket {}, though its modes would", path.display()),
        )
        .sure(FixKind::Shell, "a root shell on this machine", labels::tree(labels::SOCKET, dir), Then::None)
        .maybe(FixKind::Shell, "a root shell on this machine", "ausearch -m avc -ts recent", Then::None),
        (None, profile) => finding(
            "DBT0427",
            format!(
                "{} refuses the socket {}, though its modes would not",
                profile.as_ref().map_or("A security module".into(), |profile| format!("AppArmor's profile {profile}")),
                path.display()
            ),
        )
        .maybe(
            FixKind::Shell,
            "a root shell on this machine",
            format!(
                "echo '{} rw,' >>/etc/apparmor.d/local/usr.sbin.apache2 && apparmor_parser -r /etc/apparmor.d/usr.sbin.apache2",
                path.display()
            ),
            Then::None,
        ),
    }
    .not("not the modes of the directories or of the socket: they allow it")
}

fn queue_full(subject: &Subject, path: &Path) -> Finding {
    finding(
        "DBT0431",
        format!(
            "The server behind {} takes no connections from its queue: it is overloaded or stopped (SIGSTOP)",
            path.display()
        ),
    )
    .maybe(FixKind::Shell, subject.server_shell(), "pkill -CONT -x postgres", Then::None)
    .not("not a stopped service: a process listens on the socket")
}

fn too_long(subject: &Subject, path: &Path) -> Finding {
    let text = over_tcp(subject);
    finding(
        "DBT0432",
        format!(
            "The path of the socket, {}, is longer than the 107 bytes that a Unix socket's address can hold",
            path.display()
        ),
    )
    .maybe(FixKind::PostgresqlConf, subject.conf_place(), "unix_socket_directories = '/run/postgresql'", Then::Restart)
    .maybe(FixKind::Httpd, subject.httpd_place(), text, Then::Reload)
}
