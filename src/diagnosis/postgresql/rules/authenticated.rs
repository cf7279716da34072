//! Reading a login that was asked for a password (or more) and did not succeed.
//!
//! Six faults send the very same bytes (28P01, auth_failed): wrong password, no such role, no password set,
//! expired, a secret of the wrong kind, a secret cleared by renaming. Only the server's log tells them
//! apart. So all candidates are printed, and what to look for in the log.

use super::server;
use crate::database::ServerError;
use crate::database::postgresql::startup::AuthRequest;
use crate::diagnosis::postgresql::quote::{ident, literal};
use crate::diagnosis::postgresql::rules::poolers;
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::{Finding, FixKind, Then};

/// The line of the server's log that tells the candidates apart.
pub fn look_for(subject: &Subject) -> String {
    format!("the DETAIL line after the one with 28P01 or \"{}\" at the time of this check", subject.role)
}

/// After `request` the server answered with an error.
pub fn refused(subject: &Subject, request: Option<&AuthRequest>, error: &ServerError) -> Finding {
    if poolers::speaks(error) {
        return poolers::refused(subject, error, poolers::When::Password);
    }
    match (error.code.as_str(), request) {
        ("28P01", _) => six_causes(subject, request),
        ("28000", _) => external(subject, request),
        ("08P01", _) | ("0A000", _) => protocol(subject, error),
        _ => server::refused(subject, error),
    }
}

/// The server wants a password and none was configured.
pub fn no_password(subject: &Subject, request: &AuthRequest) -> Finding {
    finding(
        "DBT0802",
        format!("PostgreSQL asks role {} for a password ({}), and none is configured", subject.role, request.method()),
    )
    .fix(subject.password(true, ""))
    .maybe(
        FixKind::Shell,
        "a root shell on this machine, then DBTestPasswordFile /etc/dbtest.pass instead of a password in DBTestDatabase",
        "umask 077 && printf %s '<PASSWORD>' >/etc/dbtest.pass",
        Then::Restart,
    )
    .not("not pg_hba.conf: it has a line for this connection")
}

/// The password that is configured cannot be meant.
pub fn suspicious_password(subject: &Subject, why: &str) -> Finding {
    finding("DBT0808", format!("The configured password {why}, and PostgreSQL rejects it"))
        .fix(subject.password(true, ""))
        .maybe(
            FixKind::Sql,
            subject.psql_place(),
            format!("ALTER ROLE {} PASSWORD '<PASSWORD>';", ident(&subject.role)),
            Then::None,
        )
        .not("not pg_hba.conf: it has a line for this connection, and its method asked for a password")
}

/// Why a configured password looks like a mistake; `None` if it does not. Says nothing of the password itself.
pub fn suspicion(password: &str) -> Option<&'static str> {
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
    let mut found = finding(
        "DBT0801",
        format!(
            "PostgreSQL rejects the login of role {}: wrong password, no such role, no password set, expired or wrong kind of secret; \
             its answer is the same for all of them, only its log tells ({})",
            subject.role,
            look_for(subject)
        ),
    )
    .maybe(
        FixKind::Sql,
        format!("{} (wrong or no password, an expired one, a secret of the wrong kind or cleared by renaming)", subject.psql_place()),
        format!("ALTER ROLE {role} PASSWORD '<PASSWORD>' VALID UNTIL 'infinity';"),
        Then::None,
    )
    .maybe(
        FixKind::Sql,
        format!("{} (if the log says that the role does not exist)", subject.psql_place()),
        create_role(subject, &role),
        Then::None,
    )
    .fix(subject.password(false, " (if the password there is the wrong one)"))
    .maybe(
        FixKind::Sql,
        format!("{} (if the log says that the password has expired)", subject.psql_place()),
        format!("ALTER ROLE {role} VALID UNTIL 'infinity';"),
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
    found
        .not(format!(
            "not pg_hba.conf: it has a line for this connection, and its method ({method}) asked for the password"
        ))
        .not("not a missing database and not a privilege: both are looked at after the password")
        .not("not NOLOGIN and not a connection limit: PostgreSQL names those, once the password is right")
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
    .sure(FixKind::PgHba, subject.hba_place(), subject.hba_line("scram-sha-256"), Then::Reload)
    .maybe(
        FixKind::Shell,
        format!("{} (the log has the reason: {})", subject.server_shell(), look_for(subject)),
        crate::diagnosis::postgresql::server_commands::LOG,
        Then::None,
    )
    .not(format!("not PostgreSQL's own password check: that fails with 28P01, this came as 28000 after a request for {method}"))
}

/// The server asks for a method that this module does not speak.
pub fn unsupported(subject: &Subject, request: &AuthRequest) -> Finding {
    let found = finding(
        "DBT0805",
        format!("pg_hba.conf demands {} of this connection, which this module does not speak", request.method()),
    )
    .sure(FixKind::PgHba, subject.hba_place(), subject.hba_line("scram-sha-256"), Then::Reload)
    .not("not a wrong password: the method needs none");
    if subject.has_password { found } else { found.fix(subject.password(false, "")) }
}

fn protocol(subject: &Subject, error: &ServerError) -> Finding {
    finding("DBT0806", format!("The server and this module did not agree on how to log in: {}", error.message))
        .maybe(FixKind::PgHba, subject.hba_place(), subject.hba_line("scram-sha-256"), Then::Reload)
        .not("not a wrong password: that fails with 28P01")
}

/// The connection ended between the request for a password and the verdict.
pub fn hung_up(subject: &Subject, timed_out: bool) -> Finding {
    let what = if timed_out { "does not answer any more" } else { "closed the connection without a word" };
    finding(
        "DBT0804",
        format!("After asking for the password, {} {what}: authentication_timeout passed, a process crashed, or a service behind it hangs", subject.server()),
    )
    .maybe(FixKind::PostgresqlConf, subject.conf_place(), "authentication_timeout = 60", Then::Reload)
    .maybe(
        FixKind::Shell,
        format!("{} (the log has the reason)", subject.server_shell()),
        crate::diagnosis::postgresql::server_commands::LOG,
        Then::None,
    )
    .not("not a wrong password: the server says so when it is (28P01)")
}

/// The driver itself would not go on: the server could not prove that it knows the password, or the like.
pub fn driver(subject: &Subject, text: &str) -> Finding {
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
