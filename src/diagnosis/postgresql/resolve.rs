//! Reading a host name that did not become an address.

use super::draft::{Draft, finding};
use super::subject::{Place, Subject};
use crate::database::postgresql::settings::Host;
use crate::diagnosis::{Finding, FixKind, Then};

/// getaddrinfo failed with `code`. `known` are the names in /etc/hosts; `listens` tells that a PostgreSQL on
/// this machine listens on the port that is configured.
pub fn read(subject: &Subject, code: i32, text: &str, known: &[String], listens: bool) -> Finding {
    let Place::Tcp { host, .. } = &subject.place else {
        return finding("DBT0304", format!("The address could not be made out: {text}"));
    };
    if let Some(found) = not_a_name(subject, host) {
        return found;
    }
    match code {
        libc::EAI_AGAIN => cannot_ask(subject, host),
        libc::EAI_NONAME | libc::EAI_NODATA | -9 => no_such_name(subject, host, known, listens),
        _ => finding("DBT0304", format!("Looking up the host name {host} failed: {text}"))
            .maybe(
                FixKind::Shell,
                "a root shell on this machine",
                "cat /etc/resolv.conf /etc/nsswitch.conf",
                Then::None,
            )
            .not("not PostgreSQL: no address of it is known yet"),
    }
}

/// The resolver took longer than a connection may.
pub fn too_slow(subject: &Subject) -> Finding {
    let host = match &subject.place {
        Place::Tcp { host, .. } => host.as_str(),
        Place::Socket(_) => "",
    };
    cannot_ask(subject, host)
}

/// Characters that no host name has: a port, a URL, blanks.
fn not_a_name(subject: &Subject, host: &str) -> Option<Finding> {
    let bad = host.find(|c: char| c.is_whitespace() || c.is_control() || ":/@?#\"'".contains(c))?;
    let stripped =
        host.trim().trim_start_matches("http://").trim_start_matches("https://").trim_start_matches("postgresql://");
    let name = stripped.split(['/', ':', '@']).next().unwrap_or_default().trim().to_owned();
    let port = stripped
        .split(':')
        .nth(1)
        .and_then(|rest| rest.split('/').next())
        .and_then(|port| port.trim().parse::<u16>().ok());
    let text = subject.directive(|settings| {
        if let Some(place) = settings.hosts.get_mut(subject.host_index) {
            place.host = Host::Name(name);
            place.port = port.unwrap_or(place.port);
        }
    });
    Some(
        finding(
            "DBT0303",
            format!(
                "\"{}\" is not a host name: it has a character at place {} that no name has",
                host.escape_debug(),
                bad + 1
            ),
        )
        .sure(FixKind::Httpd, subject.httpd_place(), text, Then::Reload)
        .not("not DNS: no name server could know such a name"),
    )
}

fn cannot_ask(subject: &Subject, host: &str) -> Finding {
    finding(
        "DBT0302",
        format!("The host name {host} could not be looked up: the name servers of this machine do not answer"),
    )
    .maybe(
        FixKind::Shell,
        "a root shell on this machine (starts httpd after the network and the name service)",
        "u=apache2; systemctl cat $u >/dev/null 2>&1 || u=httpd; mkdir -p /etc/systemd/system/$u.service.d && \
             printf '[Unit]\\nWants=network-online.target\\nAfter=network-online.target nss-lookup.target\\n' \
             >/etc/systemd/system/$u.service.d/mod-dbtest.conf && systemctl daemon-reload",
        Then::Restart,
    )
    .maybe(
        FixKind::Shell,
        "a root shell on this machine (shows the name servers that are asked)",
        format!("cat /etc/resolv.conf; getent ahosts {}", super::quote::shell(host)),
        Then::None,
    )
    .not(format!("not a name that does not exist: nobody could be asked whether {host} exists (EAI_AGAIN)"))
    .not(format!("not PostgreSQL: no address of {} is known yet", subject.server()))
}

fn no_such_name(subject: &Subject, host: &str, known: &[String], listens: bool) -> Finding {
    let near = known.iter().find(|name| name.as_str() != host && distance(name, host) <= 2);
    let to = |host: &str| {
        subject.directive(|settings| {
            if let Some(place) = settings.hosts.get_mut(subject.host_index) {
                place.host = host.parse().map_or_else(|_| Host::Name(host.to_owned()), Host::Address);
            }
        })
    };
    let mut found =
        finding("DBT0301", format!("The host name {host} does not exist, neither in DNS nor in /etc/hosts"))
            .not("not a name server that is down: it answered, and does not know the name");
    if let Some(near) = near {
        found.cause.push_str(&format!("; {near} does"));
        found = found.sure(FixKind::Httpd, subject.httpd_place(), to(near), Then::Reload);
    }
    if listens {
        found.cause.push_str(&format!("; a PostgreSQL on this machine listens on port {}", subject.port));
        let text = to("127.0.0.1");
        found = if near.is_none() {
            found.sure(FixKind::Httpd, subject.httpd_place(), text, Then::Reload).maybe(
                FixKind::Shell,
                "a root shell on this machine",
                format!("echo '127.0.0.1 {host}' >>/etc/hosts"),
                Then::None,
            )
        } else {
            found.maybe(FixKind::Httpd, subject.httpd_place(), text, Then::Reload)
        };
    }
    if found.fixes.is_empty() {
        found = found.maybe(
            FixKind::Shell,
            "a root shell on this machine (shows what the resolver is asked with; then correct the name, or add it to /etc/hosts)",
            format!("getent ahosts {}; cat /etc/resolv.conf", super::quote::shell(host)),
            Then::None,
        );
    }
    found
}

/// Edits from one word to the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut previous = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = previous + usize::from(x != *y);
            previous = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(previous + 1);
        }
    }
    row[b.len()]
}

/// The names in the text of /etc/hosts.
pub fn names_in_hosts(hosts: &str) -> Vec<String> {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.flat_map(|line| line.split_whitespace().skip(1)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::subject::tests::over_tcp;
    use super::*;

    fn at(host: &str) -> Subject {
        Subject { place: Place::Tcp { host: host.into(), address: None }, ..over_tcp() }
    }

    #[test]
    fn cannot_ask_is_not_does_not_exist() {
        assert_eq!(read(&at("db.example"), libc::EAI_AGAIN, "", &[], false).id, "DBT0302");
        assert_eq!(read(&at("db.example"), libc::EAI_NONAME, "", &[], false).id, "DBT0301");
        assert_eq!(read(&at("db.example"), libc::EAI_FAIL, "", &[], false).id, "DBT0304");
    }

    #[test]
    fn what_is_no_name_is_not_blamed_on_dns() {
        assert_eq!(read(&at("localhost:7432"), libc::EAI_NONAME, "", &[], false).id, "DBT0303");
        assert_eq!(read(&at("localhost "), libc::EAI_AGAIN, "", &[], false).id, "DBT0303");
    }

    #[test]
    fn a_name_that_is_nearly_known_is_the_sure_fix() {
        let found = read(&at("localhots"), libc::EAI_NONAME, "", &["localhost".into()], false);
        assert!(found.fixes[0].sure);
        assert_eq!(distance("localhots", "localhost"), 2);
    }
}
