//! Connections made beside the page's own, to learn what its failure alone does not say: the same startup
//! packet changed in one thing, a TLS handshake with another root certificate, another database of the same
//! server. Only after a failure, and those that may leave a line in the server's log only when a person asked.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::{answer, question};
use crate::database::postgresql::PgTarget;
use crate::database::postgresql::certificate::Peer;
use crate::database::postgresql::deadline::Deadline;
use crate::database::postgresql::negotiate::{Login, SslReply, connect_socket, ssl_request, start};
use crate::database::postgresql::open::Attempt;
use crate::database::postgresql::settings::{PgSettings, RootCert, SslMode};
use crate::database::postgresql::socket::Address;
use crate::database::postgresql::startup::Startup;
use crate::database::postgresql::tls;
use crate::database::postgresql::wire::Transport;
use crate::database::{Cause, Limits, Stage, Table};
use crate::diagnosis::postgresql::evidence::facts::{Facts, Relation};
use crate::diagnosis::postgresql::evidence::neighbours::Neighbours;
use crate::diagnosis::postgresql::evidence::{LARGE, Probes, fields};
use crate::diagnosis::postgresql::subject::Subject;

/// A probe that has had no answer by then learns nothing.
const PATIENCE: Duration = Duration::from_millis(700);

/// Which ports of this machine answer an SSLRequest as PostgreSQL does.
pub fn postgres_ports(neighbours: &Neighbours, but: u16) -> BTreeSet<u16> {
    let speaks = |port: &u16| {
        let ip = neighbours.addresses_of(*port).into_iter().next().map(|ip| match ip {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            ip => ip,
        });
        let Some(ip) = ip else { return false };
        speaks_postgresql(SocketAddr::new(ip, *port))
    };
    neighbours.likely_ports().into_iter().filter(|port| *port != but).take(8).filter(speaks).collect()
}

/// Does it answer an SSLRequest as PostgreSQL does? Sends nothing else.
pub fn speaks_postgresql(address: SocketAddr) -> bool {
    let (deadline, settings, address) = (Deadline::after(PATIENCE / 2), PgSettings::default(), Address::Tcp(address));
    let Ok(mut socket) = connect_socket(&address, &settings, deadline) else { return false };
    let reply = ssl_request(&mut socket, &address, deadline);
    matches!(reply, Ok(SslReply::Yes | SslReply::No | SslReply::Error(_)))
}

/// Does it answer an SSLRequest with S?
pub fn offers_tls(address: &Address) -> bool {
    let (deadline, settings) = (Deadline::after(PATIENCE), PgSettings::default());
    let Ok(mut socket) = connect_socket(address, &settings, deadline) else { return false };
    matches!(ssl_request(&mut socket, address, deadline), Ok(SslReply::Yes))
}

/// Does the peer answer a TLS handshake that no SSLRequest announced?
pub fn speaks_tls_only(attempt: &Attempt, address: &Address) -> bool {
    let settings = PgSettings { sslmode: SslMode::Require, ..PgSettings::default() };
    let Ok(socket) = connect_socket(address, &settings, Deadline::after(PATIENCE)) else { return false };
    match tls::handshake(socket, &settings, &attempt.host) {
        Ok(_) => true,
        // an alert, or a certificate that displeases, comes from somebody who speaks TLS
        Err(failed) => matches!(failed.error.cause, Cause::Tls { .. }) && failed.error.stage == Stage::Tls,
    }
}

/// The startup packet without a password: what the server asks for, or why it refuses.
fn knock(
    settings: &PgSettings,
    attempt: &Attempt,
    address: &Address,
    encrypted: bool,
    login: &Login,
) -> Option<Startup> {
    let deadline = Deadline::after(PATIENCE);
    let settings = PgSettings { password: None, ..settings.clone() };
    let mut socket = connect_socket(address, &settings, deadline).ok()?;
    let transport = if encrypted {
        if !matches!(ssl_request(&mut socket, address, deadline), Ok(SslReply::Yes)) {
            return None;
        }
        Transport::Tls(Box::new(tls::handshake(socket, &settings, &attempt.host).ok()?))
    } else {
        Transport::Plain(socket)
    };
    Some(match start(transport, &settings, login, address, deadline, true) {
        Ok(session) => session.startup.clone(),
        Err(failed) => failed.startup,
    })
}

/// Is it PgBouncer that answers? PostgreSQL passes over a parameter of the protocol that it does not know
/// (NegotiateProtocolVersion); PgBouncer refuses it, with S, C and M only. Logs in to nothing.
pub fn is_pooler(subject: &Subject, address: &Address) -> bool {
    let deadline = Deadline::after(PATIENCE);
    let Ok(mut socket) = connect_socket(address, &PgSettings::default(), deadline) else { return false };
    socket.end_by(deadline);
    let mut body = vec![0, 3, 0, 0];
    for word in ["user", &subject.role, "database", &subject.database, "_pq_.mod_dbtest", "1", ""] {
        body.extend_from_slice(word.as_bytes());
        body.push(0);
    }
    let length = u32::try_from(body.len() + 4).unwrap_or_default();
    let packet = [&length.to_be_bytes()[..], &body].concat();
    if socket.write_all(&packet).is_err() {
        return false;
    }
    let (mut startup, mut buffer) = (Startup::default(), [0; 1024]);
    while let Ok(count @ 1..) = socket.read(&mut buffer) {
        startup.feed(&buffer[..count]);
        if let Some(error) = &startup.error {
            return fields::speaks_as_a_pooler(error);
        }
        if admitted(&startup) || startup.foreign.is_some() {
            return false;
        }
    }
    false
}

/// Was a startup admitted to a method, whatever came after?
fn admitted(startup: &Startup) -> bool {
    startup.auth_request.is_some() || startup.auth_ok
}

/// The same startup packet, changed in one thing.
pub fn admission(subject: &Subject, attempt: &Attempt, on_request: bool) -> Probes {
    let Some(address) = &attempt.address else { return Probes::default() };
    let login = Login { user: subject.role.clone(), database: subject.database.clone() };
    let settings = &subject.settings;
    let ask = |encrypted: bool, login: &Login| {
        knock(settings, attempt, address, encrypted, login).map(|startup| admitted(&startup))
    };
    let tcp = matches!(address, Address::Tcp(_));
    if !on_request {
        return Probes::default();
    }
    let other_tls = tcp.then(|| ask(!attempt.encrypted, &login)).flatten();
    if other_tls == Some(true) {
        return Probes { other_tls, ..Probes::default() };
    }
    let database = if login.database == "postgres" { "template1" } else { "postgres" };
    let other_database = ask(attempt.encrypted, &Login { database: database.into(), ..login.clone() });
    let other_role = ask(attempt.encrypted, &Login { user: "postgres".into(), ..login });
    Probes { other_tls, other_database, other_role }
}

/// A root certificate on this machine with which the handshake succeeds.
pub fn better_root(subject: &Subject, attempt: &Attempt, rejected: &Peer) -> Option<PathBuf> {
    let address = attempt.address.as_ref()?;
    super::certificates::candidate_roots(subject, rejected).into_iter().find(|path| {
        let settings = PgSettings { sslrootcert: Some(RootCert::File(path.clone())), ..subject.settings.clone() };
        let deadline = Deadline::after(PATIENCE);
        let Ok(mut socket) = connect_socket(address, &settings, deadline) else { return false };
        matches!(ssl_request(&mut socket, address, deadline), Ok(SslReply::Yes))
            && tls::handshake(socket, &settings, &attempt.host).is_ok()
    })
}

/// What the catalogue of another database of the same server says about the table.
fn facts_of(subject: &Subject, database: &str, table: &Table) -> Option<Facts> {
    let settings = PgSettings { dbname: Some(database.to_owned()), ..subject.settings.clone() };
    let limits = Limits { connect: PATIENCE, query: PATIENCE, wait: PATIENCE };
    let target = PgTarget::new(settings);
    let opened = target.open(&limits).ok()?;
    let rows = target.connection(opened, table, &limits).simple(&question::whole(table, 0)).ok()?;
    answer::read(rows.first()?.first()?.as_deref()?).ok()
}

/// Whether over a new connection a few bytes come, and some thousand do not.
pub fn large_answers_are_lost(subject: &Subject, within: Duration) -> bool {
    let patience = (within / 3).min(Duration::from_secs(1));
    let limits = Limits { connect: patience, query: patience, wait: patience };
    let target = PgTarget::new(subject.settings.clone());
    let Ok(opened) = target.open(&limits) else { return false };
    let mut connection = target.connection(opened, &subject.table, &limits);
    let large = format!("SELECT repeat('x', {})", LARGE);
    connection.simple("SELECT 1").is_ok()
        && connection.simple(&large).is_err_and(|error| matches!(error.cause, Cause::TimedOut(_)))
}

/// Whether the same login finds the table in a database, complete.
pub fn has_table(subject: &Subject, database: &str) -> bool {
    let complete = |relation: &Relation| ["id", "stuff", "things"].iter().all(|name| relation.column(name).is_some());
    facts_of(subject, database, &subject.table).is_some_and(|facts| facts.chosen(&subject.table).is_some_and(complete))
}

/// The one other database in which the same login finds the table, complete.
pub fn database_with_table(subject: &Subject, databases: &[String]) -> Option<String> {
    let mut found =
        databases.iter().filter(|name| **name != subject.database).take(6).filter(|name| has_table(subject, name));
    match (found.next(), found.next()) {
        (Some(only), None) => Some(only.clone()),
        _ => None,
    }
}

/// The databases of a server that does not have ours.
pub fn databases(subject: &Subject) -> Vec<String> {
    ["postgres", "template1"]
        .iter()
        .filter(|name| **name != subject.database)
        .find_map(|name| facts_of(subject, name, &subject.table).map(|facts| (facts, (*name).to_owned())))
        .map(|(facts, name)| facts.databases.into_iter().chain([name]).collect())
        .unwrap_or_default()
}
/// Whether a UDP socket connects there: routes bind it as they do TCP, and nothing is sent. `None` where it failed for
/// another reason.
pub fn connects_by_udp(address: SocketAddr) -> Option<bool> {
    use rustix::net::{AddressFamily, SocketType};
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket(family, SocketType::DGRAM, None).ok()?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) => Some(true),
        Err(rustix::io::Errno::ACCESS) => Some(false),
        Err(_) => None,
    }
}
