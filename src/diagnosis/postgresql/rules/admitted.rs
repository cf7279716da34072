//! Reading the answer to a startup packet before any password was sent: pg_hba.conf's word. What decides
//! is SQLSTATE and routine, the answers to the same packet with TLS and without, for another database and
//! another role; never the text, which the server translates.

use super::server;
use crate::database::ServerError;
use crate::database::postgresql::settings::SslMode;
use crate::diagnosis::postgresql::evidence::Probes;
use crate::diagnosis::postgresql::rules::{poolers, relayed};
use crate::diagnosis::postgresql::subject::{Place, Subject, address_in};
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

/// The server refused with an ErrorResponse where an authentication request was due.
pub fn refused(subject: &Subject, error: &ServerError, probes: &Probes) -> Finding {
    if let Some(found) = relayed::refused(subject, error, poolers::When::Startup) {
        return found;
    }
    match (error.code.as_str(), error.routine.as_deref()) {
        ("28000", Some("auth_failed")) => failed_without_password(subject, error),
        ("28000", _) => no_entry(subject, error, probes),
        _ => server::refused(subject, error),
    }
}

/// The server let us in over the network without asking for anything.
pub fn trusted(subject: &Subject) -> Finding {
    finding(
        "DBT0715",
        format!(
            "pg_hba.conf trusts this address: anybody there is role {} of {} without a password",
            subject.role,
            subject.server()
        ),
    )
    .maybe(FixKind::PgHba, subject.hba_place(), subject.hba_line("scram-sha-256"), Then::Reload)
}

/// The connection ended, or went silent, between the startup packet and the first answer.
pub fn hung_up(subject: &Subject, timed_out: bool) -> Finding {
    let what =
        if timed_out { "does not answer the startup packet" } else { "closes the connection on the startup packet" };
    finding(
        "DBT0712",
        format!(
            "{} accepts the connection, then {what}: a hung server, a crash, or a forwarder with nothing behind it",
            subject.server()
        ),
    )
    .maybe(
        FixKind::Shell,
        format!("{} (T: stopped by a signal, kill -CONT wakes it; D: waits for its disk)", subject.server_shell()),
        "ps -o pid,stat,wchan:20,args -C postgres | head -n 20",
        Then::None,
    )
    .fix(crate::diagnosis::postgresql::server_commands::log(format!(
        "{} (the log has the reason)",
        subject.server_shell()
    )))
}

/// The address as the server sees us, by its own word if it gives one.
fn seen_by(subject: &Subject, error: &ServerError) -> Subject {
    let mut subject = subject.clone();
    if matches!(subject.place, Place::Tcp { .. }) {
        subject.seen_as = address_in(&error.message).or(subject.seen_as);
    }
    subject
}

/// The method for a new line: it must fit what the connection brings. The secret that the server keeps is not known
/// from here, and before PostgreSQL 14 it was made as MD5; `md5` logs in by SCRAM where it is one of SCRAM's, while
/// `scram-sha-256` turns an MD5 secret away.
fn method_for(subject: &Subject) -> &'static str {
    if subject.has_password {
        "md5"
    } else if matches!(subject.place, Place::Socket(_)) && subject.os_user == subject.role {
        "peer"
    } else if subject.encrypted && names_our_role(subject) {
        "cert"
    } else {
        "scram-sha-256"
    }
}

/// A line for this connection, by the method that will do whatever secret the role has; and the stricter one beside.
fn by_password(found: Finding, subject: &Subject) -> Finding {
    let method = method_for(subject);
    let found = match method {
        "md5" => found.sure(
            FixKind::PgHba,
            format!(
                "{} (md5 takes a SCRAM secret by SCRAM, and one of before PostgreSQL 14 as well)",
                subject.hba_place()
            ),
            subject.hba_line(method),
            Then::Reload,
        ),
        _ => return found.sure(FixKind::PgHba, subject.hba_place(), subject.hba_line(method), Then::Reload),
    };
    found.maybe(
        FixKind::PgHba,
        format!(
            "{} (if the role's secret is one of SCRAM's: SELECT left(rolpassword, 5) FROM pg_authid)",
            subject.hba_place()
        ),
        subject.hba_line("scram-sha-256"),
        Then::Reload,
    )
}

/// Is the client certificate made out to our role?
fn names_our_role(subject: &Subject) -> bool {
    subject.certificates.common_name.as_ref() == Some(&subject.role)
}

/// A line matched that needs no password, and it did not find us to be who we say: peer on a socket;
/// ident or a certificate over TCP.
fn failed_without_password(subject: &Subject, error: &ServerError) -> Finding {
    let subject = &seen_by(subject, error);
    match subject.place {
        Place::Socket(_) => peer_failed(subject),
        Place::Tcp { .. } if subject.encrypted && subject.settings.sslcert.is_some() => {
            certificate_names_another(subject)
        }
        Place::Tcp { .. } => ident_failed(subject),
    }
}

fn peer_failed(subject: &Subject) -> Finding {
    let (os_user, role) = (&subject.os_user, &subject.role);
    let found = finding(
        "DBT0701",
        format!(
            "pg_hba.conf has peer for this socket: PostgreSQL lets the operating system's user {os_user} in only as role {os_user}, not as {role}"
        ),
    )
    .not("no missing line: one matched, and its method (peer) refused; lines below it are not read");
    let map = format!(
        "dbtest {} {}",
        crate::diagnosis::postgresql::quote::hba(os_user),
        crate::diagnosis::postgresql::quote::hba(role)
    );
    if subject.has_password {
        return by_password(found, subject).maybe(
            FixKind::PgIdent,
            format!("{} (for a line with map=dbtest)", subject.ident_place()),
            map,
            Then::Reload,
        );
    }
    // without a password the map of names is the way: two files, one command
    found
        .sure(
            FixKind::Shell,
            subject.server_shell(),
            map_command(subject, &subject.hba_line("peer map=dbtest"), &map),
            Then::Reload,
        )
        .maybe(FixKind::PgIdent, format!("{} (for a line with map=dbtest)", subject.ident_place()), map, Then::Reload)
        .maybe(FixKind::PgHba, subject.hba_place(), subject.hba_line("peer map=dbtest"), Then::Reload)
        .maybe(FixKind::PgHba, subject.hba_place(), subject.hba_line("md5"), Then::Reload)
        .fix(subject.password(false, ""))
}

/// Both lines by one command, which finds the server's files by its process.
fn map_command(subject: &Subject, line: &str, map: &str) -> String {
    let body = format!(
        "h=$(ask hba_file) && i=$(ask ident_file) && sed -i {hba} \"$h\" && {{ [ -s \"$i\" ] || echo >\"$i\"; }} && \
         sed -i {map} \"$i\" && kill -HUP $p",
        hba = crate::diagnosis::host::shell::word(&format!("1i {line}")),
        map = crate::diagnosis::host::shell::word(&format!("1i {map}")),
    );
    crate::diagnosis::postgresql::server_commands::for_server(subject.port, &body)
}

fn ident_failed(subject: &Subject) -> Finding {
    let found = finding(
        "DBT0702",
        format!(
            "pg_hba.conf has ident (or cert) for this address: PostgreSQL asked an ident server who we are, and role {} was not the answer",
            subject.role
        ),
    )
    .not("no missing line: one matched, and its method refused; lines below it are not read");
    let found = by_password(found, subject);
    if subject.has_password { found } else { found.fix(subject.password(false, "")) }
}

fn certificate_names_another(subject: &Subject) -> Finding {
    let role = &subject.role;
    let common_name = subject.certificates.common_name.clone();
    let shown = common_name.clone().unwrap_or_else(|| "another name".into());
    let mut found = finding(
        "DBT0703",
        format!("The client certificate is made out to {shown}, and pg_hba.conf's cert wants it to name role {role}"),
    )
    .not("not an unknown authority: the TLS handshake was accepted");
    if subject.has_password {
        let line = subject.hba_line("md5 clientcert=verify-ca");
        found = found.sure(FixKind::PgHba, subject.hba_place(), line, Then::Reload);
    }
    if let Some(name) = common_name {
        let map = format!(
            "dbtest {} {}",
            crate::diagnosis::postgresql::quote::hba(&name),
            crate::diagnosis::postgresql::quote::hba(role)
        );
        if !subject.has_password {
            let text = map_command(subject, &subject.hba_line("cert map=dbtest"), &map);
            found = found.sure(FixKind::Shell, subject.server_shell(), text, Then::Reload);
        }
        let place = format!("{} (for a line with map=dbtest)", subject.ident_place());
        found = found.maybe(FixKind::PgIdent, place, map, Then::Reload);
        found = found.maybe(FixKind::PgHba, subject.hba_place(), subject.hba_line("cert map=dbtest"), Then::Reload);
    }
    found
}

/// No line matched, or a reject line did, or a line wants a client certificate.
fn no_entry(subject: &Subject, error: &ServerError, probes: &Probes) -> Finding {
    let subject = &seen_by(subject, error);
    if probes.other_tls == Some(true) {
        return if subject.encrypted { only_without_tls(subject) } else { only_with_tls(subject) };
    }
    // the server says this one without host, role and database, since the line is there: no address in it
    let names_us = error.message.contains(&subject.role) && error.message.contains(&subject.database);
    if subject.encrypted && !names_us {
        return wants_certificate(subject);
    }
    let found = match (probes.other_database, probes.other_role) {
        (Some(true), Some(false) | None) => finding(
            "DBT0706",
            format!(
                "pg_hba.conf has no line for database {}: the same connection to another database is admitted",
                subject.database
            ),
        ),
        (Some(false) | None, Some(true)) => finding(
            "DBT0707",
            format!(
                "pg_hba.conf has no line for role {}: the same connection as another role is admitted",
                subject.role
            ),
        ),
        (Some(true), Some(true)) => finding(
            "DBT0707",
            format!("pg_hba.conf has no line for role {} in database {}", subject.role, subject.database),
        ),
        _ => finding("DBT0705", no_line_at_all(subject)),
    };
    let mut found = by_password(found, subject);
    if let Some(false) = probes.other_tls {
        found = found.not("not a matter of TLS: with it and without it the answer is the same");
    }
    if !subject.has_password && matches!(subject.place, Place::Tcp { .. }) {
        found = found.fix(subject.password(false, ""));
    }
    found = found.maybe(FixKind::Sql, broken_place(subject), BROKEN, Then::None);
    found
}

/// A line with a mistake keeps the whole file from being loaded, and only the log says so.
const BROKEN: &str = "SELECT line_number, error FROM pg_hba_file_rules WHERE error IS NOT NULL;";

fn broken_place(subject: &Subject) -> String {
    format!(
        "{} (if the line is there already: shows the lines that keep the file from being loaded)",
        subject.psql_place()
    )
}

fn no_line_at_all(subject: &Subject) -> String {
    let from = match (&subject.place, subject.seen_as) {
        (Place::Socket(_), _) => "the Unix socket".to_owned(),
        (_, Some(address)) => format!("address {address}"),
        _ => "our address".to_owned(),
    };
    format!(
        "pg_hba.conf does not admit role {} to database {} from {from}: no line matches, or the first that does says reject",
        subject.role, subject.database
    )
}

fn only_with_tls(subject: &Subject) -> Finding {
    let found = finding(
        "DBT0704",
        format!("pg_hba.conf admits role {} with TLS only (hostssl), and this connection is without", subject.role),
    )
    .not("no missing line: the same packet with TLS was admitted");
    // verify-full would need a root certificate that we do not know of; require is what hostssl asks for
    let text = subject.directive_with_sslmode(SslMode::Require);
    found.sure(FixKind::Httpd, subject.httpd_place(), text, Then::Reload)
}

fn only_without_tls(subject: &Subject) -> Finding {
    finding(
        "DBT0708",
        format!("pg_hba.conf admits role {} without TLS only (hostnossl), and this connection is with", subject.role),
    )
    .sure(FixKind::PgHba, subject.hba_place(), subject.hba_line(method_for(subject)), Then::Reload)
    .maybe(
        FixKind::Httpd,
        format!("{} (gives encryption up)", subject.httpd_place()),
        subject.directive_with_sslmode(SslMode::Disable),
        Then::Reload,
    )
    .not("no missing line: the same packet without TLS was admitted")
}

fn wants_certificate(subject: &Subject) -> Finding {
    let found = finding(
        "DBT0709",
        format!("{} demands a client certificate, and none was sent that it trusts", subject.server()),
    )
    .not("no missing line: the answer does not name the role and database that found none");
    let sent = subject.settings.sslcert.is_some();
    let found = match subject.certificates.pair_for_role.clone() {
        Some((cert, key)) if !sent => found.sure(
            FixKind::Httpd,
            subject.httpd_place(),
            subject.directive(|settings| {
                (settings.sslcert, settings.sslkey) = (Some(cert), Some(key));
            }),
            Then::Reload,
        ),
        _ => found,
    };
    let without = format!("{} (gives the certificate up for this role)", subject.hba_place());
    found.maybe(FixKind::PgHba, without, subject.hba_line(method_for(subject)), Then::Reload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::postgresql::subject::tests::{over_socket, over_tcp};

    fn error(routine: &str, message: &str) -> ServerError {
        ServerError {
            code: "28000".into(),
            severity: "FATAL".into(),
            routine: Some(routine.into()),
            message: message.into(),
            ..ServerError::default()
        }
    }

    const NO_ENTRY: &str =
        "no pg_hba.conf entry for host \"172.17.0.1\", user \"flasktest\", database \"flasktestdb\", no encryption";

    #[test]
    fn peer_is_answered_with_a_line_for_the_password() {
        let found = refused(&over_socket(), &error("auth_failed", ""), &Probes::default());
        assert_eq!(found.id, "DBT0701");
        assert_eq!(found.fixes[0].text, "local flasktestdb flasktest md5");
        let without = Subject { has_password: false, ..over_socket() };
        let found = refused(&without, &error("auth_failed", ""), &Probes::default());
        assert!(found.fixes[0].text.contains("peer map=dbtest"), "{}", found.fixes[0].text);
    }

    #[test]
    fn ident_is_told_from_peer_by_the_socket() {
        assert_eq!(refused(&over_tcp(), &error("auth_failed", ""), &Probes::default()).id, "DBT0702");
    }

    #[test]
    fn the_line_has_the_address_that_the_server_sees() {
        let found = refused(&over_tcp(), &error("ClientAuthentication", NO_ENTRY), &Probes::default());
        assert_eq!(found.id, "DBT0705");
        assert_eq!(found.fixes[0].text, "host flasktestdb flasktest 172.17.0.1/32 md5");
    }

    #[test]
    fn the_column_is_the_one_whose_change_changes_the_answer() {
        let id = |probes| refused(&over_tcp(), &error("ClientAuthentication", NO_ENTRY), &probes).id;
        let base = Probes { other_tls: Some(false), ..Probes::default() };
        assert_eq!(id(Probes { other_database: Some(true), other_role: Some(false), ..base.clone() }), "DBT0706");
        assert_eq!(id(Probes { other_database: Some(false), other_role: Some(true), ..base.clone() }), "DBT0707");
        assert_eq!(id(Probes { other_database: Some(false), other_role: Some(false), ..base.clone() }), "DBT0705");
        assert_eq!(id(Probes { other_tls: Some(true), ..base }), "DBT0704");
    }

    #[test]
    fn a_client_certificate_is_wanted_when_the_answer_names_nobody() {
        let subject = Subject { encrypted: true, ..over_tcp() };
        let found = refused(
            &subject,
            &error("ClientAuthentication", "une connexion requiert un certificat"),
            &Probes::default(),
        );
        assert_eq!(found.id, "DBT0709");
    }
}
