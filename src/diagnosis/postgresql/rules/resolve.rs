//! Reading a host name that did not become an address.

use crate::database::postgresql::settings::Host;
use crate::database::text::nearest;
use crate::diagnosis::host::shell::word as shell;
use crate::diagnosis::postgresql::evidence::names::{Answer, Names};
use crate::diagnosis::postgresql::subject::{Place, Subject};
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

/// getaddrinfo failed with `code`.
pub fn read(subject: &Subject, code: i32, text: &str, names: &Names) -> Finding {
    let Place::Tcp { host, .. } = &subject.place else {
        return finding("DBT0304", format!("The address could not be made out: {text}"));
    };
    if let Some(found) = not_a_name(subject, host).or_else(|| kept_from_the_answer(subject, host, names)) {
        return found;
    }
    match code {
        libc::EAI_AGAIN => cannot_ask(host, names),
        libc::EAI_NONAME | libc::EAI_NODATA | -9 => no_such_name(subject, host, names),
        _ => finding("DBT0304", format!("Looking up the host name {host} failed: {text}")).maybe(
            FixKind::Shell,
            "a root shell on this machine",
            "cat /etc/resolv.conf /etc/nsswitch.conf",
            Then::None,
        ),
    }
}

/// The resolver took longer than a connection may.
pub fn too_slow(subject: &Subject, names: &Names) -> Finding {
    let host = match &subject.place {
        Place::Tcp { host, .. } => host.as_str(),
        Place::Socket(_) => "",
    };
    kept_from_the_answer(subject, host, names).unwrap_or_else(|| cannot_ask(host, names))
}

/// The resolver's own files are in the way.
fn kept_from_the_answer(subject: &Subject, host: &str, names: &Names) -> Option<Finding> {
    if let Some(unreadable) = &names.unreadable {
        let mut found = finding(
            "DBT0306",
            format!(
                "The host name {host} could not be looked up: {}; root, who may, can look it up",
                unreadable.sentence
            ),
        );
        found.fixes.extend(unreadable.fix.clone());
        return Some(found);
    }
    let (stop, addresses) = (names.stops_before_dns.as_ref()?, names.in_dns()?);
    let address = addresses.first()?;
    let text = subject.directive(|settings| {
        if let Some(place) = settings.hosts.get_mut(subject.host_index) {
            place.hostaddr = Some(*address);
        }
    });
    Some(
        finding(
            "DBT0305",
            format!(
                "DNS knows {host} ({address}), but /etc/nsswitch.conf keeps programs from asking it (hosts: {stop})"
            ),
        )
        .sure(FixKind::Httpd, subject.httpd_place(), text, Then::Reload)
        .maybe(
            FixKind::Shell,
            "a root shell on this machine (for every program: the old line is kept in nsswitch.conf.bak)",
            "sed -i.bak 's/^hosts:.*/hosts: files dns/' /etc/nsswitch.conf",
            Then::None,
        )
        .not(format!("not a name that DNS does not know: {}", names.answers())),
    )
}

/// Characters that no host name has: a port, a URL, blanks.
fn not_a_name(subject: &Subject, host: &str) -> Option<Finding> {
    let bad = host.find(|c: char| c.is_whitespace() || c.is_control() || ":/@?#\"'".contains(c));
    let Some(bad) = bad else { return not_well_formed(host) };
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
        .sure(FixKind::Httpd, subject.httpd_place(), text, Then::Reload),
    )
}

/// What no name server can know: an address with a slip in it, labels that DNS does not have (RFC 1035, 2.3.4).
fn not_well_formed(host: &str) -> Option<Finding> {
    let name = host.strip_suffix('.').unwrap_or(host);
    let what = if name.chars().all(|c| c.is_ascii_digit() || c == '.') {
        "an IPv4 address is four numbers from 0 to 255"
    } else if name.split('.').any(str::is_empty) {
        "a part between two dots is empty"
    } else if name.split('.').any(|label| label.len() > 63) {
        "a part between two dots is longer than 63 bytes"
    } else {
        return None;
    };
    Some(finding("DBT0303", format!("\"{}\" is neither a host name nor an address: {what}", host.escape_debug())))
}

fn cannot_ask(host: &str, names: &Names) -> Finding {
    let silent = names.servers.iter().all(|(_, answer)| matches!(answer, Answer::Silent | Answer::Refused));
    let (what, said) = match (names.servers.is_empty(), silent) {
        _ if !names.looked => ("the resolver got no answer", String::new()),
        (true, _) => ("/etc/resolv.conf names no name server", String::new()),
        (false, true) => ("no name server of this machine answers", format!(" ({})", names.answers())),
        (false, false) => ("the resolver got no useful answer", format!(" ({})", names.answers())),
    };
    let found = finding("DBT0302", format!("The host name {host} could not be looked up: {what}{said}")).maybe(
        FixKind::Shell,
        "a root shell on this machine (shows the name servers that are asked)",
        format!("cat /etc/resolv.conf; timeout 10 getent ahosts {}", shell(host)),
        Then::None,
    );
    if !silent {
        return found;
    }
    found.maybe(
        FixKind::Shell,
        "a root shell on this machine (if it fails after a boot only: starts httpd after the network and the name service)",
        "u=apache2; systemctl cat $u >/dev/null 2>&1 || u=httpd; mkdir -p /etc/systemd/system/$u.service.d && \
             printf '[Unit]\\nWants=network-online.target\\nAfter=network-online.target nss-lookup.target\\n' \
             >/etc/systemd/system/$u.service.d/mod-dbtest.conf && systemctl daemon-reload",
        Then::Restart,
    )
}

fn no_such_name(subject: &Subject, host: &str, names: &Names) -> Finding {
    let to = |host: &str| {
        subject.directive(|settings| {
            if let Some(place) = settings.hosts.get_mut(subject.host_index) {
                place.host = host.parse().map_or_else(|_| Host::Name(host.to_owned()), Host::Address);
            }
        })
    };
    let where_not = match &names.stops_before_dns {
        Some(stop) => format!("is not in /etc/hosts, and DNS is not asked (/etc/nsswitch.conf: hosts: {stop})"),
        None => "does not exist, neither in DNS nor in /etc/hosts".to_owned(),
    };
    let mut found = finding("DBT0301", format!("The host name {host} {where_not}"));
    if let Some((_, Answer::NoAddress)) = names.servers.iter().find(|(_, answer)| *answer == Answer::NoAddress) {
        found.cause = format!("The host name {host} exists in DNS, but has no address");
    }
    if names.servers.iter().any(|(_, answer)| matches!(answer, Answer::NoSuchName | Answer::NoAddress)) {
        found = found.not(format!("not a name server that is down: {}", names.answers()));
    }
    let known = names.known.iter().map(String::as_str).filter(|name| *name != host && !only_digits_differ(name, host));
    if let Some(near) = nearest(host, known) {
        found.cause.push_str(&format!("; {near} does"));
        // this machine itself takes the password to nobody else; whose another name is, is not known
        found = match near {
            "localhost" => found.sure(FixKind::Httpd, subject.httpd_place(), to(near), Then::Reload),
            _ => found.maybe(FixKind::Httpd, subject.httpd_place(), to(near), Then::Reload),
        };
    }
    found.maybe(
        FixKind::Shell,
        "a root shell on this machine (shows what the resolver is asked with; then correct the name, or add it to DNS or /etc/hosts)",
        format!("cat /etc/resolv.conf; timeout 10 getent ahosts {}", shell(host)),
        Then::None,
    )
}

/// db1 and db2 are two machines, not one misspelt.
fn only_digits_differ(a: &str, b: &str) -> bool {
    let letters = |name: &str| name.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    letters(a) == letters(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::postgresql::subject::tests::over_tcp;

    fn at(host: &str) -> Subject {
        Subject { place: Place::Tcp { host: host.into(), address: None }, ..over_tcp() }
    }

    fn known(names: &[&str]) -> Names {
        Names { known: names.iter().map(|name| (*name).to_owned()).collect(), ..Names::default() }
    }

    #[test]
    fn cannot_ask_is_not_does_not_exist() {
        let id = |code| read(&at("db.example"), code, "", &Names::default()).id;
        assert_eq!(id(libc::EAI_AGAIN), "DBT0302");
        assert_eq!(id(libc::EAI_NONAME), "DBT0301");
        assert_eq!(id(libc::EAI_FAIL), "DBT0304");
    }

    #[test]
    fn what_is_no_name_is_not_blamed_on_dns() {
        assert_eq!(read(&at("localhost:7432"), libc::EAI_NONAME, "", &Names::default()).id, "DBT0303");
        assert_eq!(read(&at("localhost "), libc::EAI_AGAIN, "", &Names::default()).id, "DBT0303");
        for host in ["10.0.0.300", "10.0.0", "db..example", &format!("{}.example", "a".repeat(64))] {
            assert_eq!(read(&at(host), libc::EAI_NONAME, "", &Names::default()).id, "DBT0303", "{host}");
        }
        for host in ["db.example.", "7up.example", "db"] {
            assert_eq!(read(&at(host), libc::EAI_NONAME, "", &Names::default()).id, "DBT0301", "{host}");
        }
    }

    #[test]
    fn what_was_not_asked_is_not_said_to_be_unknown_there() {
        let names = Names { stops_before_dns: Some("dns is not in the line".into()), ..Names::default() };
        let found = read(&at("db.example"), libc::EAI_NONAME, "", &names);
        assert!(found.cause.contains("DNS is not asked"), "{}", found.cause);
    }

    #[test]
    fn a_slip_in_localhost_is_the_sure_fix_and_another_machine_never_is() {
        let found = read(&at("localhots"), libc::EAI_NONAME, "", &known(&["localhost"]));
        assert!(found.fixes[0].sure);
        for (host, name) in [("db", "web"), ("db1", "db2"), ("db", "dc")] {
            let found = read(&at(host), libc::EAI_NONAME, "", &known(&[name]));
            assert!(found.fixes.iter().all(|fix| !fix.sure), "{host} {name}");
            assert_eq!(found.cause.contains(&format!("; {name} does")), name == "dc", "{}", found.cause);
        }
    }

    #[test]
    fn a_name_server_that_said_nothing_excludes_nothing() {
        let found = read(&at("db.example"), libc::EAI_NONAME, "", &Names::default());
        assert!(found.excluded.is_empty(), "{:?}", found.excluded);
        let asked = Names { servers: vec![([10, 0, 0, 1].into(), Answer::NoSuchName)], ..Names::default() };
        assert_eq!(read(&at("db.example"), libc::EAI_NONAME, "", &asked).excluded.len(), 1);
    }

    #[test]
    fn what_dns_knows_is_not_said_to_be_unknown() {
        let names = Names {
            stops_before_dns: Some("files [notfound=return]".into()),
            servers: vec![([10, 0, 0, 1].into(), Answer::Addresses(vec![[10, 0, 0, 9].into()]))],
            ..Names::default()
        };
        let found = read(&at("db.corp.local"), libc::EAI_NONAME, "", &names);
        assert_eq!(found.id, "DBT0305");
    }
}
