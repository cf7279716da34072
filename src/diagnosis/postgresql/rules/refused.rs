//! Reading a TCP connection that was refused: what this machine itself can say about who listens where.

use std::net::{IpAddr, SocketAddr};

use crate::database::postgresql::settings::{Host, SslMode};
use crate::diagnosis::postgresql::evidence::surroundings::{Refusal, Surroundings};
use crate::diagnosis::postgresql::server_commands;
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, Fix, FixKind, Then};

/// At least one address refused the connection.
pub fn refused(subject: &Subject, attempts: &[(SocketAddr, Refusal)], around: &Surroundings) -> Finding {
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
        return other_address(subject, &addresses, *listens, around);
    }
    if let Some(socket) = neighbours.living().find(|socket| socket.port == port) {
        return only_socket(subject, &addresses, neighbours.is_trusted(socket.owner));
    }
    let configured_here = neighbours.clusters.iter().any(|(_, _, p)| *p == port)
        || neighbours.sockets.iter().any(|socket| socket.port == port && socket.lock && !socket.alive);
    if !configured_here && !around.postgres_ports.is_empty() {
        return wrong_port(subject, around);
    }
    if !configured_here && neighbours.installed == Some(false) {
        return not_on_this_machine(subject, around);
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
        server_commands::accept_rule("INPUT", "-s", from, subject.port),
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
    .not(format!("not a firewall: /proc/net/tcp shows nobody listening on port {}", subject.port));
    let single = around.postgres_ports.len() == 1;
    for port in &around.postgres_ports {
        let text = subject.directive_with_port(*port);
        let sure = single && around.neighbours.is_port_trusted(*port);
        let place = format!("{}{}", subject.httpd_place(), around.neighbours.whose_port(*port));
        found = found.fix(Fix { sure, kind: FixKind::Httpd, place, text, then: Then::Reload });
    }
    found
}

/// The port listens on another of this machine's addresses.
fn other_address(subject: &Subject, tried: &[IpAddr], listens: IpAddr, around: &Surroundings) -> Finding {
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
    .fix(Fix {
        sure: around.neighbours.is_port_trusted(subject.port),
        kind: FixKind::Httpd,
        place: format!("{}{}", subject.httpd_place(), around.neighbours.whose_port(subject.port)),
        text,
        then: Then::Reload,
    })
    .maybe(
        FixKind::PostgresqlConf,
        format!("{} (opens the port to the network: pg_hba.conf must say to whom)", subject.conf_place()),
        "listen_addresses = '*'",
        Then::Restart,
    )
    .not(format!("not a stopped server: /proc/net/tcp shows port {} open on {listens}", subject.port))
}

/// The server runs, but only its Unix socket is open.
fn only_socket(subject: &Subject, addresses: &[IpAddr], trusted: bool) -> Finding {
    // exactly the addresses that were tried, beside the loopback
    let named: Vec<String> = addresses.iter().filter(|ip| !ip.is_loopback()).map(IpAddr::to_string).collect();
    let listen: Vec<String> = std::iter::once("localhost".to_owned()).chain(named).collect();
    let text = format!("listen_addresses = '{}'", listen.join(","));
    finding(
        "DBT0404",
        format!(
            "PostgreSQL runs here with the socket of port {}, but listens on no TCP address that was tried",
            subject.port
        ),
    )
    .fix(Fix { sure: trusted, kind: FixKind::PostgresqlConf, place: subject.conf_place(), text, then: Then::Restart })
    .not("not a stopped server: /proc/net/unix shows a process listening on its Unix socket")
}

fn stopped(subject: &Subject, around: &Surroundings) -> Finding {
    let neighbours = &around.neighbours;
    let mut found = finding(
        "DBT0401",
        format!("PostgreSQL is not running: nothing on this machine listens on port {}", subject.port),
    )
    .fix(start(subject, around))
    .not(format!("not a firewall: /proc/net/tcp shows nobody listening on port {}", subject.port));
    for socket in neighbours.living() {
        let text = subject.directive(|settings| {
            if let Some(host) = settings.hosts.get_mut(subject.host_index) {
                (host.host, host.hostaddr, host.port) = (Host::SocketDir(socket.dir.clone()), None, socket.port);
            }
        });
        let whose = if neighbours.is_trusted(socket.owner) { String::new() } else { neighbours.whose(socket.owner) };
        found = found.maybe(FixKind::Httpd, format!("{}{whose}", subject.httpd_place()), text, Then::Reload);
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

/// Starting the server is sure where it is known that it runs here, on this very port.
pub fn start(subject: &Subject, around: &Surroundings) -> Fix {
    Fix {
        sure: around.neighbours.clusters.iter().any(|(_, _, port)| *port == subject.port),
        kind: FixKind::Shell,
        place: subject.server_shell(),
        text: start_command(subject, around),
        then: Then::None,
    }
}

/// No PostgreSQL runs here, none is installed: "localhost" is not where it is. In a container that is the rule.
pub fn not_on_this_machine(subject: &Subject, around: &Surroundings) -> Finding {
    let neighbours = &around.neighbours;
    let here = if neighbours.container { "this container" } else { "this machine" };
    let mut found = finding(
        "DBT0417",
        format!(
            "{} is {here} itself, and no PostgreSQL runs or is installed in it{}",
            subject.server(),
            if neighbours.container { ": the server is on the host or in another container" } else { "" }
        ),
    )
    .not(format!("not a firewall: /proc/net/tcp shows nobody listening on port {}", subject.port));
    let to = |address: IpAddr| {
        subject.directive(|settings| {
            if let Some(host) = settings.hosts.get_mut(subject.host_index) {
                (host.host, host.hostaddr) = (Host::Address(address), None);
            }
        })
    };
    if let Some(gateway) = around.gateway {
        let seen = if around.gateway_speaks {
            "a PostgreSQL answers there"
        } else {
            "PostgreSQL must listen there: listen_addresses, pg_hba.conf"
        };
        let place = format!("{} (the host, as this container sees it; {seen})", subject.httpd_place());
        found = found.maybe(FixKind::Httpd, place, to(gateway), Then::Reload);
    }
    found
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
            "{} refused the connection: on that machine nothing listens on this port and address, or a firewall rejects us (that machine's, one between, or this machine's own)",
            subject.server()
        ),
    )
    .maybe(
        FixKind::Shell,
        format!("{} (shows which ports are open there, on which addresses)", subject.server_shell()),
        "ss -ltnp | grep -i postgres || systemctl status --no-pager 'postgresql*'",
        Then::None,
    )
    .maybe(
        FixKind::PostgresqlConf,
        format!("{} (if it listens on 127.0.0.1 only)", subject.conf_place()),
        "listen_addresses = '*'",
        Then::Restart,
    )
}
