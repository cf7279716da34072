//! Reading a TCP connection that did not come about: the errno of each address, and what this machine
//! itself can say about the server (see [`super::neighbours`]).

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::draft::{Draft, finding};
use super::neighbours::Neighbours;
use super::subject::{Place, Subject};
use crate::database::postgresql::settings::{Host, SslMode};
use crate::diagnosis::{Finding, FixKind, Then};

/// How one address answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// errno of connect(2) or socket(2).
    Errno(i32),
    /// No answer within this time.
    TimedOut(Duration),
}

/// What else is known on this machine.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    pub neighbours: Neighbours,
    /// Those of `neighbours.likely_ports()` that answered as PostgreSQL does.
    pub postgres_ports: BTreeSet<u16>,
    /// /sys/fs/selinux/enforce is 1.
    pub selinux_enforcing: bool,
    /// /proc/self/attr/current.
    pub domain: String,
}

/// Every address was tried, none accepted: `attempts` has at least one.
pub fn tcp(subject: &Subject, attempts: &[(SocketAddr, Refusal)], around: &Surroundings) -> Finding {
    let Some((address, refusal)) = attempts.first().copied() else {
        return finding("DBT0419", format!("No address of {} could be tried", subject.server()));
    };
    let many = attempts.len() > 1;
    let all = |errno| attempts.iter().all(|(_, refusal)| *refusal == Refusal::Errno(errno));
    let mut found = if many && attempts.iter().any(|(_, r)| *r == Refusal::Errno(libc::ECONNREFUSED)) {
        refused(subject, attempts, around)
    } else {
        match refusal {
            Refusal::Errno(libc::ECONNREFUSED) => refused(subject, attempts, around),
            Refusal::Errno(libc::EACCES) => forbidden(subject, address, around),
            Refusal::Errno(libc::EPERM) => filtered_here(subject, address),
            Refusal::Errno(libc::ENETUNREACH) => no_route(subject, attempts),
            Refusal::Errno(libc::EHOSTUNREACH | libc::EHOSTDOWN) => host_unreachable(subject, address),
            Refusal::Errno(libc::EADDRNOTAVAIL) => no_port_left(subject, address),
            Refusal::Errno(libc::EMFILE | libc::ENFILE) => no_descriptor(subject, refusal),
            Refusal::Errno(libc::ETIMEDOUT) | Refusal::TimedOut(_) => silent(subject, address, refusal),
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

/// An errno or a time, for a sentence.
pub fn describe(refusal: Refusal) -> String {
    match refusal {
        Refusal::Errno(errno) => std::io::Error::from_raw_os_error(errno).to_string(),
        Refusal::TimedOut(limit) => format!("no answer within {limit:?}"),
    }
}

fn refused(subject: &Subject, attempts: &[(SocketAddr, Refusal)], around: &Surroundings) -> Finding {
    let neighbours = &around.neighbours;
    let addresses: Vec<IpAddr> = attempts.iter().map(|(address, _)| address.ip()).collect();
    let port = subject.port;
    if !subject.local {
        return refused_elsewhere(subject);
    }
    if let Some(address) = addresses.iter().find(|address| neighbours.accepts(**address, port)) {
        return reset_by_filter(subject, *address);
    }
    let elsewhere = neighbours.addresses_of(port);
    if let Some(listens) = elsewhere.first() {
        return other_address(subject, &addresses, *listens);
    }
    if neighbours.living().any(|socket| socket.port == port) {
        return only_socket(subject, &addresses);
    }
    let configured_here = neighbours.clusters.iter().any(|(_, _, p)| *p == port)
        || neighbours.sockets.iter().any(|socket| socket.port == port && socket.lock && !socket.alive);
    if !configured_here && !around.postgres_ports.is_empty() {
        return wrong_port(subject, around);
    }
    stopped(subject, around)
}

/// A process listens just there, and the connection is refused all the same.
fn reset_by_filter(subject: &Subject, address: IpAddr) -> Finding {
    let from = subject.seen_as.unwrap_or(address);
    finding(
        "DBT0414",
        format!(
            "A firewall of this machine rejects connections to {address} port {}, where a server does listen",
            subject.port
        ),
    )
    .maybe(
        FixKind::Shell,
        "a root shell on this machine (nft list ruleset shows the rule)",
        accept_rule("INPUT", "-s", from, subject.port),
        Then::None,
    )
    .not("not a stopped server and not a wrong port: /proc/net/tcp shows the port open on this very address")
}

/// PostgreSQL runs, but on another port.
fn wrong_port(subject: &Subject, around: &Surroundings) -> Finding {
    let ports: Vec<String> = around.postgres_ports.iter().map(u16::to_string).collect();
    let mut found = finding(
        "DBT0402",
        format!(
            "Nothing listens on port {} of {}; PostgreSQL on this machine listens on port {}",
            subject.port,
            subject.machine(),
            ports.join(", ")
        ),
    )
    .not("not a stopped server: PostgreSQL answers here on another port")
    .not("not a firewall: the refusal came at once, from this machine itself");
    let single = around.postgres_ports.len() == 1;
    for port in &around.postgres_ports {
        let text = subject.directive_with_port(*port);
        found = if single {
            found.sure(FixKind::Httpd, subject.httpd_place(), text, Then::Reload)
        } else {
            found.maybe(FixKind::Httpd, subject.httpd_place(), text, Then::Reload)
        };
    }
    let (text, then) = (start_command(subject, around), Then::None);
    found.maybe(FixKind::Shell, subject.server_shell(), text, then)
}

/// The port listens on another of this machine's addresses.
fn other_address(subject: &Subject, tried: &[IpAddr], listens: IpAddr) -> Finding {
    let tried_text = tried.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" and ");
    let index = subject.host_index;
    let text = subject.directive(|settings| {
        if let Some(host) = settings.hosts.get_mut(index) {
            // keep the name that a certificate is compared with; change only where we connect
            match &host.host {
                Host::Name(_) if settings.sslmode >= SslMode::VerifyFull => {
                    host.hostaddr = Some(listens);
                }
                _ => {
                    host.hostaddr = None;
                    host.host = Host::Address(listens);
                }
            }
        }
    });
    finding(
        "DBT0403",
        format!("Port {} listens on {listens} of this machine, not on {tried_text}, which was tried", subject.port),
    )
    .sure(FixKind::Httpd, subject.httpd_place(), text, Then::Reload)
    .maybe(FixKind::PostgresqlConf, subject.conf_place(), "listen_addresses = '*'", Then::Restart)
    .not(format!("not a stopped server and not a wrong port: port {} is open on {listens}", subject.port))
}

/// The server runs, but only its Unix socket is open.
fn only_socket(subject: &Subject, addresses: &[IpAddr]) -> Finding {
    let loopback = addresses.iter().all(IpAddr::is_loopback);
    let listen = if loopback { "listen_addresses = 'localhost'" } else { "listen_addresses = '*'" };
    finding(
        "DBT0404",
        format!(
            "PostgreSQL runs here with the socket of port {}, but listens on no TCP address that was tried",
            subject.port
        ),
    )
    .sure(FixKind::PostgresqlConf, subject.conf_place(), listen, Then::Restart)
    .not("not a stopped server: its Unix socket is alive")
}

fn stopped(subject: &Subject, around: &Surroundings) -> Finding {
    let mut found = finding(
        "DBT0401",
        format!("PostgreSQL is not running: nothing on this machine listens on port {}", subject.port),
    )
    .sure(FixKind::Shell, subject.server_shell(), start_command(subject, around), Then::None)
    .not("not a firewall: the refusal came at once, from this machine itself")
    .not("not a password or pg_hba.conf: no server was reached");
    if around.neighbours.living().count() == 0 {
        found =
            found.not("not a wrong port: no PostgreSQL socket and no usual PostgreSQL port is open on this machine");
    }
    for socket in around.neighbours.living() {
        let text = subject.directive(|settings| {
            if let Some(host) = settings.hosts.get_mut(subject.host_index) {
                (host.host, host.hostaddr, host.port) = (Host::SocketDir(socket.dir.clone()), None, socket.port);
            }
        });
        found = found.maybe(FixKind::Httpd, subject.httpd_place(), text, Then::Reload);
    }
    if let Some(why) = why_it_does_not_start(around) {
        found.cause.push_str(&why);
    }
    found
}

/// A server that will not start says so in its own log only.
fn why_it_does_not_start(around: &Surroundings) -> Option<String> {
    let (version, name, _) = around.neighbours.clusters.first()?;
    Some(format!("; if it will not start, the reason is in /var/log/postgresql/postgresql-{version}-{name}.log"))
}

/// The command that starts the server: Debian's own where Debian's clusters are, else systemd's unit.
pub fn start_command(subject: &Subject, around: &Surroundings) -> String {
    let clusters = &around.neighbours.clusters;
    let ours = clusters.iter().find(|(_, _, port)| *port == subject.port);
    match ours {
        Some((version, name, _)) => format!("pg_ctlcluster {version} {name} start"),
        None => "systemctl start postgresql".into(),
    }
}

fn refused_elsewhere(subject: &Subject) -> Finding {
    finding(
        "DBT0405",
        format!(
            "{} refused the connection: on that machine nothing listens on this port and address, or its firewall rejects us",
            subject.server()
        ),
    )
    .maybe(FixKind::Shell, subject.server_shell(), "systemctl start postgresql", Then::None)
    .maybe(FixKind::PostgresqlConf, subject.conf_place(), "listen_addresses = '*'", Then::Restart)
    .maybe(FixKind::Httpd, subject.httpd_place(), subject.directive_with_port(5432), Then::Reload)
    .not("not a firewall that drops packets: the answer came at once")
    .not("not a password or pg_hba.conf: no server was reached")
}

fn forbidden(subject: &Subject, address: SocketAddr, around: &Surroundings) -> Finding {
    let target = address.ip();
    if around.selinux_enforcing {
        let port = subject.port;
        let boolean = "setsebool -P httpd_can_network_connect_db 1";
        let found = finding(
            "DBT0406",
            format!(
                "SELinux forbids this httpd (domain {}) to connect to {} over the network",
                if around.domain.is_empty() { "unknown" } else { &around.domain },
                subject.server()
            ),
        )
        .not("not pg_hba.conf and not the firewall: connect(2) itself was denied with EACCES, SELinux is enforcing");
        return if port == 5432 {
            found.sure(FixKind::Shell, "a root shell on this machine", boolean, Then::None)
        } else {
            let label = format!(
                "{boolean} && (semanage port -a -t postgresql_port_t -p tcp {port} || semanage port -m -t postgresql_port_t -p tcp {port})"
            );
            found.sure(FixKind::Shell, "a root shell on this machine", label, Then::None)
        };
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
    .not("not SELinux: /sys/fs/selinux/enforce does not say 1")
    .not("not PostgreSQL: no packet left this machine")
}

fn filtered_here(subject: &Subject, address: SocketAddr) -> Finding {
    let (ip, port) = (address.ip(), subject.port);
    finding(
        "DBT0412",
        format!("A firewall rule of this machine itself forbids connections to {ip} port {port} (EPERM)"),
    )
    .maybe(
        FixKind::Shell,
        "a root shell on this machine (nft list ruleset shows the rule in the output chain)",
        accept_rule("OUTPUT", "-d", ip, port),
        Then::None,
    )
    .not("not PostgreSQL and not the network: no packet left this machine")
}

fn accept_rule(chain: &str, side: &str, ip: IpAddr, port: u16) -> String {
    let tool = if ip.is_ipv4() { "iptables" } else { "ip6tables" };
    format!("{tool} -I {chain} -p tcp {side} {ip} --dport {port} -j ACCEPT")
}

fn no_route(subject: &Subject, attempts: &[(SocketAddr, Refusal)]) -> Finding {
    let only_v6 = attempts.iter().all(|(address, _)| address.is_ipv6());
    let family = if only_v6 {
        "; it has IPv6 addresses only, and this machine has no IPv6 route"
    } else {
        "; ip route get shows what is missing"
    };
    let found = finding("DBT0408", format!("This machine has no route to {}{family}", subject.server()))
        .not("not PostgreSQL: no packet left this machine")
        .not("not a firewall: the kernel itself knows no way (ENETUNREACH)");
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
        accept_rule("INPUT", "-s", subject.seen_as.unwrap_or(ip), port),
        Then::None,
    )
    .not("not PostgreSQL: no server was reached, so neither pg_hba.conf nor the password matters yet")
}

fn no_port_left(subject: &Subject, address: SocketAddr) -> Finding {
    finding(
        "DBT0410",
        format!(
            "This machine has no free local port left for connections to {} (EADDRNOTAVAIL); ss -s counts them",
            address.ip()
        ),
    )
    .sure(
        FixKind::Shell,
        "a root shell on this machine",
        "printf 'net.ipv4.ip_local_port_range = 15000 60999\\nnet.ipv4.tcp_tw_reuse = 1\\n' \
         >/etc/sysctl.d/60-mod-dbtest.conf && sysctl -p /etc/sysctl.d/60-mod-dbtest.conf",
        Then::None,
    )
    .not(format!("not PostgreSQL: no packet left for {}", subject.server()))
}

pub fn no_descriptor(subject: &Subject, refusal: Refusal) -> Finding {
    finding(
        "DBT0411",
        format!("httpd has no file descriptor left for a connection to {}: {}", subject.server(), describe(refusal)),
    )
    .sure(
        FixKind::Shell,
        "a root shell on this machine (systemd unit apache2 on Debian, httpd elsewhere)",
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
        format!("{} does not answer at all ({}): a firewall drops the packets", subject.server(), describe(refusal)),
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
    .not("not a stopped server: that would refuse at once")
    .not("not a silent server: the connection itself did not come about (compare DBT0508)")
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
    .not("not pg_hba.conf and not the password: no server was reached")
}

/// The Unix socket of the configured server, where TCP was asked for.
pub fn place_is_loopback(subject: &Subject) -> bool {
    matches!(&subject.place, Place::Tcp { address: Some(address), .. } if address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::super::neighbours::SocketFile;
    use super::super::subject::tests::over_tcp;
    use super::*;

    fn attempt(address: &str, errno: i32) -> (SocketAddr, Refusal) {
        (SocketAddr::new(address.parse().unwrap(), 5432), Refusal::Errno(errno))
    }

    fn socket(port: u16, alive: bool, lock: bool) -> SocketFile {
        SocketFile { dir: "/run/postgresql".into(), port, alive, file: true, lock }
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
        around.neighbours.listening.push(("10.0.0.5".parse().unwrap(), 5432));
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
        assert_eq!(id(libc::EADDRNOTAVAIL), "DBT0410");
        assert_eq!(id(libc::EMFILE), "DBT0411");
        assert_eq!(id(libc::EPERM), "DBT0412");
        assert_eq!(id(libc::ETIMEDOUT), "DBT0413");
        assert_eq!(id(libc::EINVAL), "DBT0419");
    }

    #[test]
    fn selinux_is_named_when_it_enforces() {
        let around = Surroundings { selinux_enforcing: true, domain: "httpd_t".into(), ..Surroundings::default() };
        let found = tcp(&over_tcp(), &[attempt("127.0.0.1", libc::EACCES)], &around);
        assert_eq!(found.id, "DBT0406");
        assert_eq!(found.fixes[0].text, "setsebool -P httpd_can_network_connect_db 1");
    }
}
