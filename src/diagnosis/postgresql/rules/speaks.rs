//! Reading the first bytes of a server that accepted the connection but did not answer an SSLRequest as
//! PostgreSQL does (one byte, S or N): what is it that listens there?

use std::time::Duration;

use crate::diagnosis::postgresql::evidence::surroundings::Surroundings;
use crate::diagnosis::postgresql::rules::queue;
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, Fix, FixKind, Then};

/// What came instead of S or N.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Silence {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The end of the stream, or a reset, and whether a TLS handshake without SSLRequest is answered there.
    Closed { tls_only: bool },
    /// Nothing within this time, and whether a TLS handshake without SSLRequest is answered there.
    Nothing { within: Duration, tls_only: bool },
}

/// A protocol known by how it begins.
struct Foreign {
    id: &'static str,
    name: &'static str,
    usual_port: &'static str,
}

fn protocol(bytes: &[u8]) -> Option<Foreign> {
    let known = |id, name, usual_port| Some(Foreign { id, name, usual_port });
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(64)]).into_owned();
    // a peer that sends S first answers "TLS? yes" in PostgreSQL's own words: the rest decides
    if text.starts_with("SSH-") || text.starts_with("SH-") {
        return known("DBT0503", "an SSH server", "22");
    }
    if text.starts_with("HTTP/") || text.trim_start().starts_with("<!DOCTYPE") || text.trim_start().starts_with("<html")
    {
        return known("DBT0501", "a web server (HTTP)", "80 or 8080");
    }
    // MySQL: 3 bytes of length, a sequence number 0, then protocol 10 or an error packet
    if bytes.len() >= 5 && bytes[3] == 0 && (bytes[4] == 10 || bytes[4] == 0xff) {
        return known("DBT0502", "MySQL or MariaDB", "3306");
    }
    if text.starts_with("-ERR") || text.starts_with("-NOAUTH") || text.starts_with("+PONG") || text.starts_with("+OK") {
        return known("DBT0504", "Redis, POP3 or another line-based server", "6379");
    }
    if text.starts_with("220") || text.starts_with("421") || text.starts_with("554") {
        return known("DBT0505", "a mail or FTP server", "25 or 21");
    }
    // a TLS alert (21) or handshake record (22), version 3.x
    if bytes.len() >= 2 && (bytes[0] == 0x15 || bytes[0] == 0x16) && bytes[1] == 3 {
        return known("DBT0506", "a server that speaks TLS only (HTTPS, or a TLS proxy)", "443");
    }
    None
}

/// The peer did not speak PostgreSQL's protocol.
pub fn read(subject: &Subject, silence: &Silence, around: &Surroundings) -> Finding {
    let server = subject.server();
    match silence {
        Silence::Bytes(bytes) => match protocol(bytes) {
            Some(Foreign { id, name, usual_port }) => elsewhere(
                subject,
                around,
                finding(id, format!("{server} is {name}, not PostgreSQL"))
                    .not(format!("not a PostgreSQL fault: the first bytes were \"{}\" (usual port {usual_port})", shown(bytes))),
            ),
            None => elsewhere(
                subject,
                around,
                finding("DBT0509", format!("{server} speaks a protocol that is not PostgreSQL's"))
                    .not(format!("PostgreSQL answers an SSLRequest with the one byte S or N, not with \"{}\"", shown(bytes))),
            ),
        },
        Silence::Closed { tls_only: true } | Silence::Nothing { tls_only: true, .. } => elsewhere(
            subject,
            around,
            finding("DBT0506", format!("{server} speaks TLS only (HTTPS, or a TLS proxy), not PostgreSQL"))
                .not("a TLS handshake without PostgreSQL's SSLRequest is answered, the SSLRequest is not"),
        ),
        Silence::Closed { .. } => elsewhere(
            subject,
            around,
            finding(
                "DBT0507",
                format!(
                    "{server} accepts connections and closes them at once: a load balancer, tunnel or port forwarder without a server behind it, or one that expects the PROXY protocol"
                ),
            )
            .not("not PostgreSQL: it would have answered the SSLRequest with S or N before closing"),
        )
        .maybe(
            FixKind::Shell,
            subject.server_shell(),
            "systemctl start postgresql",
            Then::None,
        ),
        Silence::Nothing { within, .. } => elsewhere(
            subject,
            around,
            finding(
                "DBT0508",
                format!(
                    "{server} accepts the connection and then says nothing ({within:?}): a hung server, or a forwarder with nothing behind it{}",
                    queue::words(if subject.local { around.neighbours.waiting(subject.port) } else { 0 })
                ),
            )
            .not("not a firewall that drops packets: the connection itself came about")
            .maybe(
                FixKind::Shell,
                format!("{} (who listens there, and how is it? STAT T: stopped by a signal)", subject.server_shell()),
                queue::look(subject),
                Then::None,
            ),
        ),
    }
}

/// The server could not make a process for us: an error in the protocol of old, as plain text after E.
/// The text is not authenticated: it came before TLS and before any password.
pub fn error_at_first(subject: &Subject, text: &str) -> Finding {
    finding(
        "DBT0510",
        format!(
            "{} is PostgreSQL, but cannot start a process for the connection: \"{}\"",
            subject.server(),
            text.trim()
        ),
    )
    // the text may be in any language: whether a limit or the memory stopped it, the machine itself knows
    .maybe(
        FixKind::Shell,
        format!(
            "{} (shows whether it is the memory or the limits of PostgreSQL's user and unit)",
            subject.server_shell()
        ),
        "free -m; for p in $(pgrep -o -u postgres -x postgres); do grep processes /proc/$p/limits; done; \
         systemctl show -p TasksCurrent,TasksMax 'postgresql*.service'",
        Then::None,
    )
    .maybe(
        FixKind::Shell,
        format!("{} (if it is a limit)", subject.server_shell()),
        "for p in $(pgrep -o -u postgres -x postgres); do prlimit --pid $p --nproc=unlimited; done; \
         for u in $(systemctl list-units --plain --no-legend 'postgresql*.service' | cut -d' ' -f1); do \
         systemctl set-property $u TasksMax=infinity; done",
        Then::None,
    )
    .not("not a foreign protocol: E and a text is how PostgreSQL reports a failed fork")
}

/// requirepeer: another user's process is behind the socket.
pub fn not_whom_we_meant(subject: &Subject, text: &str) -> Finding {
    let found =
        finding("DBT0511", format!("The process behind {} is not whom requirepeer names: {text}", subject.server()))
            .not("not the password: none was sent to a stranger");
    found.maybe(
        FixKind::Httpd,
        format!("{} (if that process is to be trusted)", subject.httpd_place()),
        subject.directive(|settings| settings.requirepeer = None),
        Then::Reload,
    )
}

fn elsewhere(subject: &Subject, around: &Surroundings, mut found: Finding) -> Finding {
    let others: Vec<u16> = around.postgres_ports.iter().copied().filter(|port| *port != subject.port).collect();
    match others[..] {
        [port] if subject.local => {
            found.cause.push_str(&format!("; PostgreSQL on this machine listens on port {port}"));
            let neighbours = &around.neighbours;
            found = found.fix(Fix {
                sure: neighbours.is_port_trusted(port),
                kind: FixKind::Httpd,
                place: format!("{}{}", subject.httpd_place(), neighbours.whose_port(port)),
                text: subject.directive_with_port(port),
                then: Then::Reload,
            });
        }
        [] if subject.port != 5432 => {
            let text = subject.directive_with_port(5432);
            found = found.maybe(FixKind::Httpd, subject.httpd_place(), text, Then::Reload);
        }
        _ => {
            for port in others {
                let text = subject.directive_with_port(port);
                found = found.maybe(FixKind::Httpd, subject.httpd_place(), text, Then::Reload);
            }
        }
    }
    found
}

/// The first bytes as they may be shown.
fn shown(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(48)].escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::postgresql::subject::tests::over_tcp;

    fn id_of(bytes: &[u8]) -> &'static str {
        read(&over_tcp(), &Silence::Bytes(bytes.to_vec()), &Surroundings::default()).id
    }

    #[test]
    fn protocols_are_known_by_their_first_bytes() {
        assert_eq!(id_of(b"HTTP/1.1 400 Bad Request\r\n"), "DBT0501");
        assert_eq!(id_of(b"J\0\0\0\x0a8.0.36\0"), "DBT0502");
        assert_eq!(id_of(b"E\0\0\0\xffj\x04Host '10.0.0.1' is not allowed"), "DBT0502");
        assert_eq!(id_of(b"SSH-2.0-OpenSSH_9.2p1\r\n"), "DBT0503");
        assert_eq!(id_of(b"-ERR unknown command\r\n"), "DBT0504");
        assert_eq!(id_of(b"220 mail.example.org ESMTP\r\n"), "DBT0505");
        assert_eq!(id_of(&[0x15, 3, 1, 0, 2, 2, 70]), "DBT0506");
        assert_eq!(id_of(b"\x00\x01\x02\x03"), "DBT0509");
    }

    #[test]
    fn the_port_of_the_one_postgresql_here_is_the_sure_fix() {
        let around = Surroundings { postgres_ports: [5433].into(), ..Surroundings::default() };
        let found = read(&over_tcp(), &Silence::Closed { tls_only: false }, &around);
        assert_eq!(found.id, "DBT0507");
        assert!(found.fixes[0].sure);
    }
}
