//! Reading a login that was asked for a password (or more) and did not succeed.
//!
//! Six faults send the very same bytes (28P01, auth_failed): wrong password, no such role, no password set,
//! expired, a secret of the wrong kind, a secret cleared by renaming. Only the server's log tells them
//! apart. So all candidates are printed, and what to look for in the log.

use super::server;
use crate::database::ServerError;
use crate::database::postgresql::startup::AuthRequest;
use crate::diagnosis::postgresql::quote::{ident, literal};
use crate::diagnosis::postgresql::rules::{poolers, relayed};
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

/// The line of the server's log that tells the candidates apart.
pub fn look_for(subject: &Subject) -> String {
    format!("the DETAIL line after the one with 28P01 or \"{}\" at the time of this check", subject.role)
}

/// After `request` the server answered with an error.
pub fn refused(subject: &Subject, request: Option<&AuthRequest>, error: &ServerError) -> Finding {
    if let Some(found) = relayed::refused(subject, error, poolers::When::Password) {
        return found;
    }
    match (error.code.as_str(), request) {
        ("28P01", _) => {
            let password = subject.settings.password.as_ref();
            match password.and_then(|secret| suspicion(secret.reveal())) {
                Some(why) => suspicious_password(subject, why),
                None => six_causes(subject, request),
            }
        }
        ("28000", _) => external(subject, request),
        ("08P01", _) | ("0A000", _) => protocol(subject, error),
        _ => server::refused(subject, error),
    }
}

/// The server wants a password and none was configured.
pub fn no_password(subject: &Subject, request: &AuthRequest) -> Finding {
    asked_for_a_password(subject, Some(request.method()))
}

fn asked_for_a_password(subject: &Subject, method: Option<&str>) -> Finding {
    let by = method.map(|method| format!(" ({method})")).unwrap_or_default();
    finding("DBT0802", format!("PostgreSQL asks role {} for a password{by}, and none is configured", subject.role))
    .fix(subject.password(true, ""))
    .maybe(
        FixKind::Shell,
        "a root shell on this machine, then DBTestPasswordFile /etc/dbtest.pass instead of a password in DBTestDatabase",
        "umask 077 && printf %s '<PASSWORD>' >/etc/dbtest.pass",
        Then::Restart,
    )
    .not(format!("no missing line in pg_hba.conf: one matched, and its method{by} asks for a password"))
}

/// The password that is configured cannot be meant.
fn suspicious_password(subject: &Subject, why: &str) -> Finding {
    finding("DBT0808", format!("The configured password {why}, and PostgreSQL rejects it"))
        .fix(subject.password(true, ""))
        .maybe(
            FixKind::Sql,
            subject.psql_place(),
            format!("ALTER ROLE {} PASSWORD '<PASSWORD>';", ident(&subject.role)),
            Then::None,
        )
}

/// Why a configured password looks like a mistake; `None` if it does not. Says nothing of the password itself.
fn suspicion(password: &str) -> Option<&'static str> {
    if password.contains("${") || password.contains("{{") {
        return Some("holds a variable that was not filled in");
    }
    if password.chars().any(char::is_control) {
        return Some("holds a control character (a line's end read from a file, say)");
    }
    if password != password.trim() {
        return Some("begins or ends with a blank");
    }
    const PLACEHOLDERS: [&str; 8] =
        ["password", "changeme", "change-me", "your-password", "yourpassword", "<password>", "secret", "xxx"];
    PLACEHOLDERS.contains(&password.to_lowercase().as_str()).then_some("is a placeholder from an example")
}

fn six_causes(subject: &Subject, request: Option<&AuthRequest>) -> Finding {
    let role = ident(&subject.role);
    let method = request.map_or("password", AuthRequest::method);
    let mut found = finding("DBT0801", format!("PostgreSQL rejects the login of role {}", subject.role))
        .maybe(
            FixKind::Shell,
            format!("{} (the server's answer is the same for a wrong password, no such role, none set, an expired one: its log tells, in {})", subject.server_shell(), look_for(subject)),
            crate::diagnosis::postgresql::server_commands::LOG,
            Then::None,
        )
        .fix(subject.password(false, " (if the password there is the wrong one)"))
        .maybe(
            FixKind::Sql,
            format!("{} (sets it anew: if none is set, it has expired, or its secret is of the wrong kind)", subject.psql_place()),
            format!("ALTER ROLE {role} PASSWORD '<PASSWORD>' VALID UNTIL 'infinity';"),
            Then::None,
        )
        .maybe(
            FixKind::Sql,
            format!("{} (if the log says that the role does not exist)", subject.psql_place()),
            create_role(subject, &role),
            Then::None,
        );
    if method == "scram-sha-256" {
        found = found.maybe(
            FixKind::PgHba,
            format!(
                "{} (if the log says that the role has no valid SCRAM secret, and the password cannot be set anew)",
                subject.hba_place()
            ),
            subject.hba_line("md5"),
            Then::Reload,
        );
    }
    found.not(format!("no missing line in pg_hba.conf: one matched, and its method ({method}) asked for the password"))
}

/// A role that does not exist gets, with its password, what the page needs.
fn create_role(subject: &Subject, role: &str) -> String {
    format!("CREATE ROLE {role} LOGIN PASSWORD '<PASSWORD>'; {}", grants_if_there(subject, role))
}

/// The page's privileges on the table, if it exists; in one statement that raises no error if it does not.
pub fn grants_if_there(subject: &Subject, role: &str) -> String {
    let table = subject.table.quoted();
    format!(
        "DO $dbtest$ DECLARE s text; BEGIN IF to_regclass({name}) IS NOT NULL THEN GRANT SELECT, INSERT ON {table} TO {role}; \
         s := pg_get_serial_sequence({name}, 'id'); IF s IS NOT NULL THEN EXECUTE 'GRANT USAGE ON SEQUENCE ' || s || {to}; END IF; \
         END IF; END $dbtest$;",
        name = literal(&table),
        to = literal(&format!(" TO {role}")),
    )
}

/// LDAP, PAM, RADIUS or Kerberos behind pg_hba.conf's line.
pub fn external(subject: &Subject, request: Option<&AuthRequest>) -> Finding {
    let method = request.map_or("none", AuthRequest::method);
    finding(
        "DBT0803",
        format!(
            "pg_hba.conf has role {} checked by another service (LDAP, PAM, RADIUS), which refused it or did not answer",
            subject.role
        ),
    )
    .fix(crate::diagnosis::postgresql::server_commands::log(format!("{} (the log has the reason: {})", subject.server_shell(), look_for(subject))))
    .maybe(
        FixKind::PgHba,
        format!("{} (past that service, if the role has a password in PostgreSQL)", subject.hba_place()),
        subject.hba_line("md5"),
        Then::Reload,
    )
    .not(format!("not a password that PostgreSQL itself compares: that fails with 28P01, this came after a request for {method}"))
}

/// The server asks for a method that this module does not speak.
pub fn unsupported(subject: &Subject, request: &AuthRequest) -> Finding {
    not_spoken(subject, request.method())
}

fn not_spoken(subject: &Subject, method: &str) -> Finding {
    let found = finding(
        "DBT0805",
        format!("pg_hba.conf demands {method} of this connection, which this module does not speak"),
    )
    .maybe(
        FixKind::PgHba,
        format!("{} (by password, if the role has one in PostgreSQL)", subject.hba_place()),
        subject.hba_line("md5"),
        Then::Reload,
    );
    if subject.has_password { found } else { found.fix(subject.password(false, "")) }
}

fn protocol(subject: &Subject, error: &ServerError) -> Finding {
    finding("DBT0806", format!("The server and this module did not agree on how to log in: {}", error.message)).maybe(
        FixKind::PgHba,
        subject.hba_place(),
        subject.hba_line("md5"),
        Then::Reload,
    )
}

/// The connection ended between the request for a password and the verdict.
pub fn hung_up(subject: &Subject, timed_out: bool) -> Finding {
    if timed_out {
        return finding(
            "DBT0804",
            format!(
                "{} took the password and gave no answer in our time: a server with auth_delay answers a wrong one late, \
                 else a service behind it hangs",
                subject.server()
            ),
        )
        .maybe(
            FixKind::Httpd,
            format!("{} (gives it the time to answer: a wrong password then shows as such, 28P01)", subject.httpd_place()),
            "DBTestTimeout connect=15s",
            Then::Reload,
        )
        .fix(crate::diagnosis::postgresql::server_commands::log(format!("{} (the log has the reason: {})", subject.server_shell(), look_for(subject))))
        .maybe(
            FixKind::Sql,
            subject.psql_place(),
            "SELECT name, setting FROM pg_settings WHERE name LIKE 'auth_delay%' OR name = 'shared_preload_libraries';",
            Then::None,
        );
    }
    finding(
        "DBT0804",
        format!(
            "After asking for the password, {} closed the connection without a word: authentication_timeout passed, or a process crashed",
            subject.server()
        ),
    )
    .fix(crate::diagnosis::postgresql::server_commands::log(format!("{} (the log has the reason)", subject.server_shell())))
}

/// The driver itself would not go on: the server could not prove that it knows the password, or the like.
pub fn driver(subject: &Subject, text: &str) -> Finding {
    // whoever reads it, with the server's request at hand or without: the same id
    if !subject.has_password && text.contains("password missing") {
        return asked_for_a_password(subject, None);
    }
    if text.contains("unsupported authentication") {
        return not_spoken(subject, "a method");
    }
    finding("DBT0807", format!("The login of role {} could not be completed: {text}", subject.role))
        .maybe(
            FixKind::Sql,
            subject.psql_place(),
            format!("ALTER ROLE {} PASSWORD '<PASSWORD>';", ident(&subject.role)),
            Then::None,
        )
        .fix(subject.password(false, ""))
        .not("not a refusal by the server: this module ended the exchange")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::postgresql::subject::tests::over_tcp;

    fn error(code: &str) -> ServerError {
        ServerError { code: code.into(), routine: Some("auth_failed".into()), ..ServerError::default() }
    }

    #[test]
    fn a_rejected_password_has_candidates_only() {
        let scram = AuthRequest::Sasl(vec!["SCRAM-SHA-256".into()]);
        let found = refused(&over_tcp(), Some(&scram), &error("28P01"));
        assert_eq!(found.id, "DBT0801");
        assert!(found.fixes.len() >= 4 && found.fixes.iter().all(|fix| !fix.sure));
        assert!(found.cause.len() <= 80, "the headline of a page: {}", found.cause);
    }

    #[test]
    fn a_placeholder_is_noticed_whoever_reads_the_error() {
        let mut subject = over_tcp();
        subject.settings.password = Some(crate::database::Secret::new("changeme"));
        // the page's own error has no request beside it
        assert_eq!(refused(&subject, None, &error("28P01")).id, "DBT0808");
    }

    #[test]
    fn who_knows_less_gives_no_other_id() {
        let subject = Subject { has_password: false, ..over_tcp() };
        assert_eq!(driver(&subject, "invalid configuration: password missing").id, "DBT0802");
        assert_eq!(driver(&over_tcp(), "error authenticating: unsupported authentication method").id, "DBT0805");
        assert_eq!(driver(&over_tcp(), "something new").id, "DBT0807");
    }

    #[test]
    fn another_service_is_told_from_a_password_by_the_sqlstate() {
        assert_eq!(refused(&over_tcp(), Some(&AuthRequest::Cleartext), &error("28000")).id, "DBT0803");
    }

    #[test]
    fn a_password_that_cannot_be_meant_is_noticed() {
        assert!(suspicion("${PGPASS}").is_some());
        assert!(suspicion("test12345\n").is_some());
        assert!(suspicion("changeme").is_some());
        assert!(suspicion("test12345").is_none());
    }
}
