//! Reading a TCP connection that did not come about: the errno of each address, and what this machine
//! itself can say about the server (see [`crate::diagnosis::postgresql::evidence::neighbours`]).

use std::net::SocketAddr;

use crate::diagnosis::host::unit;
use crate::diagnosis::postgresql::evidence::surroundings::{Refusal, Surroundings};
use crate::diagnosis::postgresql::rules::own_ends::{is_without_ipv6, no_ipv6, no_port_left};
use crate::diagnosis::postgresql::rules::queue;
use crate::diagnosis::postgresql::rules::refused::refused;
use crate::diagnosis::postgresql::server_commands;
use crate::diagnosis::postgresql::subject::{Place, Subject};
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, Fix, FixKind, Then};

/// Every address was tried, none accepted: `attempts` has at least one.
pub fn tcp(subject: &Subject, attempts: &[(SocketAddr, Refusal)], around: &Surroundings) -> Finding {
    // an address of a family that this machine does not have says nothing about the server
    let telling = attempts.iter().find(|(address, refusal)| !is_without_ipv6(*address, *refusal, around));
    let Some((address, refusal)) = telling.or(attempts.first()).copied() else {
        return finding("DBT0419", format!("No address of {} could be tried", subject.server()));
    };
    let many = attempts.len() > 1;
    let all = |errno| attempts.iter().all(|(_, refusal)| *refusal == Refusal::Errno(errno));
    let mut found = if many && attempts.iter().any(|(_, r)| *r == Refusal::Errno(libc::ECONNREFUSED)) {
        refused(subject, attempts, around)
    } else {
        match refusal {
            Refusal::Errno(libc::ECONNREFUSED) => refused(subject, attempts, around),
            _ if is_without_ipv6(address, refusal, around) => no_ipv6(subject, address, around),
            Refusal::Errno(libc::EACCES) => forbidden(subject, address, around),
            Refusal::Errno(libc::EPERM) => filtered_here(subject, address, around),
            Refusal::Errno(libc::ENETUNREACH) => no_route(subject, attempts),
            Refusal::Errno(libc::EHOSTUNREACH | libc::EHOSTDOWN) => host_unreachable(subject, address),
            Refusal::Errno(libc::EADDRNOTAVAIL) => no_port_left(subject, address, around),
            Refusal::Errno(libc::EMFILE | libc::ENFILE) => no_descriptor(subject, refusal),
            Refusal::Errno(libc::ETIMEDOUT) | Refusal::TimedOut(_)
                if subject.local && around.neighbours.waiting(subject.port) > 0 =>
            {
                queue::full(subject, around.neighbours.waiting(subject.port))
            }
            // systemd drops the packets, which mostly is not an error of connect(2)
            Refusal::Errno(libc::ETIMEDOUT) | Refusal::TimedOut(_) => {
                denied_by_unit(address, refusal, around).unwrap_or_else(|| silent(subject, address, refusal))
            }
            Refusal::Errno(libc::EAFNOSUPPORT) if address.is_ipv4() => no_family(subject, "AF_INET", around),
            Refusal::Errno(libc::EAFNOSUPPORT) => no_route(subject, attempts),
            Refusal::Errno(errno) => other(subject, address, errno),
        }
    };
    if many && !all(libc::ECONNREFUSED) {
        let each: Vec<String> =
            attempts.iter().map(|(address, refusal)| format!("{}: {}", address.ip(), describe(*refusal))).collect();
        found.cause = format!("{} ({})", found.cause, each.join(", "));
    }
    found
}

/// One of several servers was passed over, and another is used.
pub fn other_server_gone(subject: &Subject, what: &str) -> Finding {
    finding("DBT0415", format!("One of the servers is not there; {} is used instead: {what}", subject.server())).maybe(
        FixKind::Shell,
        "a root shell on that server's machine (is it running, and where does it listen?)",
        "ss -ltnp | grep -i postgres || systemctl status --no-pager 'postgresql*'",
        Then::None,
    )
}

/// An errno or a time, for a sentence.
pub fn describe(refusal: Refusal) -> String {
    match refusal {
        Refusal::Errno(errno) => std::io::Error::from_raw_os_error(errno).to_string(),
        Refusal::TimedOut(limit) => format!("no answer within {limit:?}"),
    }
}

fn forbidden(subject: &Subject, address: SocketAddr, around: &Surroundings) -> Finding {
    let target = address.ip();
    if let Some(domain) = around.confined.as_deref().filter(|_| around.route_allows != Some(false)) {
        return forbidden_by_selinux(subject, domain, around);
    }
    finding(
        "DBT0407",
        format!(
            "This machine may not connect to {target}: a prohibiting route, a security module or a broadcast address (EACCES)"
        ),
    )
    .maybe(
        FixKind::Shell,
        "a root shell on this machine (ip route get shows the route that prohibits)",
        format!("ip route del prohibit {target}"),
        Then::None,
    )
}

/// SELinux lets a domain connect to ports by their labels. Which port has which is in the policy, not to be read here.
fn forbidden_by_selinux(subject: &Subject, domain: &str, around: &Surroundings) -> Finding {
    let port = subject.port;
    let boolean = "setsebool -P httpd_can_network_connect_db 1";
    let label = format!(
        "semanage port -a -t postgresql_port_t -p tcp {port} || semanage port -m -t postgresql_port_t -p tcp {port}"
    );
    let (why, text) = match (port, around.database_boolean) {
        (5432, _) => ("the boolean httpd_can_network_connect_db is off".to_owned(), boolean.to_owned()),
        (_, Some(true)) => (format!("port {port} has not the label postgresql_port_t"), label),
        (_, _) => (
            format!("port {port} has not the label postgresql_port_t, or httpd_can_network_connect_db is off"),
            format!("{boolean}\n{label}"),
        ),
    };
    let route_allows = around.route_allows == Some(true);
    let fix = Fix {
        // the label of a port that belongs to another service is not narrow
        sure: route_allows && (port == 5432 || !has_another_label(port)),
        kind: FixKind::Shell,
        place: "a root shell on this machine".into(),
        text,
        then: Then::None,
    };
    let found = finding(
        "DBT0406",
        format!("SELinux does not let {domain} connect to {} over the network: {why}", subject.server()),
    )
    .fix(fix);
    match route_allows {
        true => found.not("not a route that forbids it: a UDP socket connects to the same address"),
        false => found,
    }
}

/// Ports that the reference policy labels for other services.
fn has_another_label(port: u16) -> bool {
    matches!(port, 0..=1023 | 3128 | 3306 | 5353 | 6379 | 8000 | 8008 | 8009 | 8080 | 8118 | 8123 | 8443 | 9000 | 10001..=10010 | 11211)
}

/// A file of httpd's own unit forbids the address, and nothing came back from it.
fn denied_by_unit(address: SocketAddr, refusal: Refusal, around: &Surroundings) -> Option<Finding> {
    let (name, ip) = (around.unit.as_ref()?, address.ip());
    let denied = unit::denies(&around.unit_settings, ip)?;
    let cause = format!(
        "The unit {name} may not connect to {ip}: IPAddressDeny={} in {} ({})",
        denied.value,
        denied.file.display(),
        describe(refusal)
    );
    let text = unit::drop_in(name, &format!("IPAddressAllow={ip}"));
    Some(finding("DBT0436", cause).sure(FixKind::Shell, "a root shell on this machine", text, Then::Restart))
}

fn filtered_here(subject: &Subject, address: SocketAddr, around: &Surroundings) -> Finding {
    let (ip, port) = (address.ip(), subject.port);
    if let Some(found) = denied_by_unit(address, Refusal::Errno(libc::EPERM), around) {
        return found;
    }
    finding(
        "DBT0412",
        format!("A firewall rule of this machine itself forbids connections to {ip} port {port} (EPERM)"),
    )
    .maybe(
        FixKind::Shell,
        "a root shell on this machine (nft list ruleset shows the rule in the output chain)",
        server_commands::accept_rule("OUTPUT", "-d", ip, port),
        Then::None,
    )
    .not("not PostgreSQL and not the network: no packet left this machine")
}

/// Every Linux has IPv4 and Unix sockets: a process that may not make one has a seccomp filter.
pub fn no_family(subject: &Subject, family: &str, around: &Surroundings) -> Finding {
    let set = unit::find(&around.unit_settings, &["RestrictAddressFamilies"]);
    let by = set.map_or_else(
        || "a seccomp filter, such as systemd's RestrictAddressFamilies=".to_owned(),
        |set| format!("RestrictAddressFamilies={} in {}", set.value, set.file.display()),
    );
    let name = around.unit.clone();
    let found = finding(
        "DBT0435",
        format!("httpd may not make a socket of the family {family} for {}: {by} (EAFNOSUPPORT)", subject.server()),
    )
    .not("not PostgreSQL and not the network: no socket came about");
    let place = "a root shell on this machine";
    match name {
        // a family that is named is added to a list of those allowed, and taken out of one of those forbidden
        Some(name) => {
            let text = unit::drop_in(&name, &format!("RestrictAddressFamilies={family}"));
            let fix = Fix { sure: set.is_some(), kind: FixKind::Shell, place: place.into(), text, then: Then::Restart };
            found.fix(fix)
        }
        None => found,
    }
}

fn no_route(subject: &Subject, attempts: &[(SocketAddr, Refusal)]) -> Finding {
    let only_v6 = attempts.iter().all(|(address, _)| address.is_ipv6());
    let family = if only_v6 {
        "; it has IPv6 addresses only, and this machine has no IPv6 route"
    } else {
        "; ip route get shows what is missing"
    };
    let found = finding("DBT0408", format!("This machine has no route to {}{family}", subject.server()))
        .not("not PostgreSQL and not a firewall: the kernel itself knows no way (ENETUNREACH), no packet left");
    let ip = attempts[0].0.ip();
    let length = if ip.is_ipv4() { 32 } else { 128 };
    found.maybe(
        FixKind::Shell,
        "a root shell on this machine (if the address is behind the default interface)",
        format!(
            "ip {} route add {ip}/{length} dev \"$(ls /sys/class/net | grep -v '^lo$' | head -n1)\"",
            if ip.is_ipv4() { "-4" } else { "-6" }
        ),
        Then::None,
    )
}

fn host_unreachable(subject: &Subject, address: SocketAddr) -> Finding {
    let (ip, port) = (address.ip(), subject.port);
    finding(
        "DBT0409",
        format!(
            "{} cannot be reached: a router or firewall on the way rejects it, or the machine is not there (EHOSTUNREACH)",
            subject.server()
        ),
    )
    .maybe(
        FixKind::Shell,
        format!("a root shell on {}, or the firewall in front of it", subject.machine()),
        server_commands::accept_rule("INPUT", "-s", subject.seen_as.unwrap_or(ip), port),
        Then::None,
    )
}

pub fn no_descriptor(subject: &Subject, refusal: Refusal) -> Finding {
    finding(
        "DBT0411",
        format!("httpd has no file descriptor left for a connection to {}: {}", subject.server(), describe(refusal)),
    )
    .maybe(
        FixKind::Shell,
        "a root shell on this machine (systemd unit apache2 on Debian, httpd elsewhere; a leak would come back)",
        "u=apache2; systemctl cat $u >/dev/null 2>&1 || u=httpd; mkdir -p /etc/systemd/system/$u.service.d && \
         printf '[Service]\\nLimitNOFILE=65536\\n' >/etc/systemd/system/$u.service.d/mod-dbtest.conf && \
         systemctl daemon-reload",
        Then::Restart,
    )
    .not("not PostgreSQL: the limit is of this process (/proc/self/limits)")
}

fn silent(subject: &Subject, address: SocketAddr, refusal: Refusal) -> Finding {
    let (ip, port) = (address.ip(), subject.port);
    let from = subject.seen_as.unwrap_or(ip);
    let tool = if ip.is_ipv4() { "iptables" } else { "ip6tables" };
    let place = if subject.local {
        "a root shell on this machine: its own firewall drops the packets (nft list ruleset)".to_owned()
    } else {
        format!("a root shell on {}; in a cloud, its security group", subject.machine())
    };
    finding(
        "DBT0413",
        format!(
            "{} does not answer at all ({}): a firewall or security group drops the packets, the machine is off, or the address is not the server's",
            subject.server(),
            describe(refusal)
        ),
    )
    .maybe(FixKind::Shell, place, format!("{tool} -I INPUT -p tcp -s {from} --dport {port} -j ACCEPT"), Then::None)
    .maybe(
        FixKind::Shell,
        format!("a root shell on {} (with ufw)", subject.machine()),
        format!("ufw allow proto tcp from {from} to any port {port}"),
        Then::None,
    )
    .maybe(
        FixKind::Shell,
        format!("a root shell on {} (with firewalld)", subject.machine()),
        format!("firewall-cmd --permanent --add-port={port}/tcp && firewall-cmd --reload"),
        Then::None,
    )
    .not("not a stopped PostgreSQL on a machine that is up: its kernel would refuse at once")
}

fn other(subject: &Subject, address: SocketAddr, errno: i32) -> Finding {
    finding(
        "DBT0419",
        format!("Connecting to {} failed: {}", subject.server(), std::io::Error::from_raw_os_error(errno)),
    )
    .maybe(
        FixKind::Shell,
        "a root shell on this machine",
        format!("ip route get {}; nft list ruleset; journalctl -k -n 50", address.ip()),
        Then::None,
    )
}

/// The Unix socket of the configured server, where TCP was asked for.
pub fn place_is_loopback(subject: &Subject) -> bool {
    matches!(&subject.place, Place::Tcp { address: Some(address), .. } if address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::postgresql::evidence::neighbours::{Listener, Neighbours, SocketFile};
    use crate::diagnosis::postgresql::subject::tests::over_tcp;

    fn attempt(address: &str, errno: i32) -> (SocketAddr, Refusal) {
        (SocketAddr::new(address.parse().unwrap(), 5432), Refusal::Errno(errno))
    }

    fn socket(port: u16, alive: bool, lock: bool) -> SocketFile {
        SocketFile { dir: "/run/postgresql".into(), port, alive, file: true, lock, owner: Some(0) }
    }

    #[test]
    fn refused_means_stopped_elsewhere_or_another_port_by_what_listens() {
        let attempts = [attempt("127.0.0.1", libc::ECONNREFUSED)];
        let mut around = Surroundings::default();
        assert_eq!(tcp(&over_tcp(), &attempts, &around).id, "DBT0401");
        around.postgres_ports.insert(5433);
        let found = tcp(&over_tcp(), &attempts, &around);
        assert_eq!((found.id, found.fixes[0].sure), ("DBT0402", true));
        around.neighbours.sockets.push(socket(5432, true, true));
        assert_eq!(tcp(&over_tcp(), &attempts, &around).fixes[0].text, "listen_addresses = 'localhost'");
        around.neighbours.listening.push(Listener { address: "10.0.0.5".parse().unwrap(), port: 5432, owner: 0 });
        assert_eq!(tcp(&over_tcp(), &attempts, &around).id, "DBT0403");
    }

    #[test]
    fn a_cluster_that_is_configured_here_is_stopped_not_elsewhere() {
        let mut around = Surroundings::default();
        around.postgres_ports.insert(5433);
        around.neighbours.clusters.push(("15".into(), "main".into(), 5432));
        let found = tcp(&over_tcp(), &[attempt("127.0.0.1", libc::ECONNREFUSED)], &around);
        assert_eq!((found.id, found.fixes[0].text.as_str()), ("DBT0401", "pg_ctlcluster 15 main start"));
    }

    #[test]
    fn each_errno_has_its_finding() {
        let id = |errno| tcp(&over_tcp(), &[attempt("203.0.113.5", errno)], &Surroundings::default()).id;
        assert_eq!(id(libc::EACCES), "DBT0407");
        assert_eq!(id(libc::ENETUNREACH), "DBT0408");
        assert_eq!(id(libc::EHOSTUNREACH), "DBT0409");
        assert_eq!(id(libc::EADDRNOTAVAIL), "DBT0419", "nobody counted the ports");
        assert_eq!(id(libc::EMFILE), "DBT0411");
        assert_eq!(id(libc::EPERM), "DBT0412");
        assert_eq!(id(libc::ETIMEDOUT), "DBT0413");
        assert_eq!(id(libc::EINVAL), "DBT0419");
    }

    #[test]
    fn no_address_of_ours_is_told_from_no_port_left() {
        let with = |address: &str, neighbours| {
            let around = Surroundings { neighbours, ..Surroundings::default() };
            tcp(&over_tcp(), &[attempt(address, libc::EADDRNOTAVAIL)], &around)
        };
        let far: SocketAddr = "203.0.113.5:5432".parse().unwrap();
        let full = Neighbours { port_range: Some((40000, 40001)), connections: vec![far; 2], ..Neighbours::default() };
        assert_eq!(with("203.0.113.5", full).id, "DBT0410");
        let listener = |owner| Listener { address: "127.0.0.1".parse().unwrap(), port: 5432, owner };
        let here =
            |owner| Neighbours { listening: vec![listener(owner)], trusted: [0].into(), ..Neighbours::default() };
        let found = with("::1", here(0));
        assert_eq!((found.id, found.fixes[0].sure), ("DBT0416", true));
        assert!(found.fixes[0].text.contains("//127.0.0.1/"), "{}", found.fixes[0].text);
        assert!(!with("::1", here(1001)).fixes[0].sure, "another user's process would get the password");
    }

    #[test]
    fn what_another_user_runs_is_never_sure_and_its_owner_is_named() {
        let mut around = Surroundings { postgres_ports: [5433].into(), ..Surroundings::default() };
        around.neighbours.listening.push(Listener { address: "127.0.0.1".parse().unwrap(), port: 5433, owner: 1001 });
        around.neighbours.names.insert(1001, "carol".into());
        let found = tcp(&over_tcp(), &[attempt("127.0.0.1", libc::ECONNREFUSED)], &around);
        assert!(!found.fixes[0].sure && found.fixes[0].place.contains("user carol, uid 1001"), "{:?}", found.fixes[0]);
    }

    #[test]
    fn a_full_queue_of_this_machines_is_no_firewall() {
        let silent = [(SocketAddr::from(([127, 0, 0, 1], 5432)), Refusal::TimedOut(std::time::Duration::from_secs(1)))];
        let mut around = Surroundings::default();
        assert_eq!(tcp(&over_tcp(), &silent, &around).id, "DBT0413");
        around.neighbours.queues.insert(5432, 129);
        assert_eq!(tcp(&over_tcp(), &silent, &around).id, "DBT0418");
    }

    #[test]
    fn silence_is_the_units_where_its_files_deny_the_address() {
        let set =
            |name: &str, value: &str| unit::Setting { file: "/a.conf".into(), name: name.into(), value: value.into() };
        let silent = [(SocketAddr::from(([192, 0, 2, 1], 5432)), Refusal::TimedOut(std::time::Duration::from_secs(1)))];
        let mut around = Surroundings { unit: Some("apache2.service".into()), ..Surroundings::default() };
        around.unit_settings.push(set("IPAddressDeny", "192.0.2.0/24"));
        let found = tcp(&over_tcp(), &silent, &around);
        assert_eq!((found.id, found.fixes[0].sure), ("DBT0436", true));
        assert!(found.fixes[0].text.contains("IPAddressAllow=192.0.2.1"), "{found:?}");
        around.unit_settings.push(set("IPAddressAllow", "192.0.2.1"));
        assert_eq!(tcp(&over_tcp(), &silent, &around).id, "DBT0413", "it is allowed: somebody else drops the packets");
    }

    #[test]
    fn selinux_is_named_where_the_route_allows_it() {
        let refused = |around: &Surroundings| tcp(&over_tcp(), &[attempt("127.0.0.1", libc::EACCES)], around);
        let confined =
            |route_allows| Surroundings { confined: Some("httpd_t".into()), route_allows, ..Surroundings::default() };
        let found = refused(&confined(Some(true)));
        assert_eq!((found.id, found.fixes[0].sure), ("DBT0406", true));
        assert_eq!(found.fixes[0].text, "setsebool -P httpd_can_network_connect_db 1");
        assert!(!refused(&confined(None)).fixes[0].sure, "nothing excludes a route");
        assert_eq!(refused(&confined(Some(false))).id, "DBT0407", "UDP is refused as well: a route");
        assert_eq!(refused(&Surroundings::default()).id, "DBT0407");
    }
}
