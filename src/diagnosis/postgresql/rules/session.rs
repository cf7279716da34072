//! Reading an error that came after AuthenticationOk: role, password and pg_hba.conf are settled, so it is
//! the database, a limit, or a parameter of the session.

use super::server;
use crate::database::ServerError;
use crate::diagnosis::postgresql::quote::{ident, literal};
use crate::diagnosis::postgresql::rules::authenticated::grants_if_there;
use crate::diagnosis::postgresql::rules::poolers;
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::{Finding, FixKind, Then};

/// What is known beside the error.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around<'a> {
    /// A password was asked for, and right: then the role exists.
    pub password_accepted: bool,
    /// The one other database of this server in which the table was found.
    pub table_is_in: Option<&'a str>,
}

/// The server ended the session before it was ready.
pub fn refused(subject: &Subject, error: &ServerError, around: Around) -> Finding {
    if poolers::speaks(error) {
        return poolers::refused(subject, error, poolers::When::Session);
    }
    let routine = error.routine.as_deref().unwrap_or_default();
    match (error.code.as_str(), routine) {
        ("28000", _) => role(subject, around),
        ("3D000", _) if error.detail.is_some() => database_damaged(subject, error),
        ("3D000", _) => no_database(subject, around),
        ("55000", _) => closed(subject, error),
        ("42501", "CheckMyDatabase") => may_not_connect(subject),
        ("55P02" | "55006", _) => parameter(subject, error),
        ("42501" | "42704", _) => parameter(subject, error),
        (code, _) if code.starts_with("22") => parameter(subject, error),
        ("0A000" | "42601" | "42602", _) => parameter(subject, error),
        _ => server::refused(subject, error),
    }
}

/// 28000 here is one of two, which the server tells apart in words only. A password that was accepted shows
/// that the role exists; otherwise one statement cures both.
fn role(subject: &Subject, around: Around) -> Finding {
    let role = ident(&subject.role);
    if around.password_accepted {
        return finding("DBT0913", format!("Role {} may not log in (NOLOGIN)", subject.role))
            .sure(FixKind::Sql, subject.psql_place(), format!("ALTER ROLE {role} LOGIN;"), Then::None)
            .not("not a missing role and not a wrong password: the password was accepted");
    }
    let text = format!(
        "DO $dbtest$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = {}) THEN ALTER ROLE {role} LOGIN; \
         ELSE CREATE ROLE {role} LOGIN; END IF; END $dbtest$; {}",
        literal(&subject.role),
        grants_if_there(subject, &role)
    );
    let implied = if subject.settings.user.is_none() {
        "; no user is configured, so it is the operating system's user"
    } else {
        ""
    };
    finding("DBT0914", format!("Role {} does not exist, or may not log in (NOLOGIN){implied}", subject.role))
        .sure(FixKind::Sql, subject.psql_place(), text, Then::None)
        .not("not pg_hba.conf: AuthenticationOk came first")
        .not("not a password: none was asked for")
}

fn no_database(subject: &Subject, around: Around) -> Finding {
    let implied =
        if subject.settings.dbname.is_none() { " (no database is configured, so it is the role's name)" } else { "" };
    let id = if subject.settings.dbname.is_none() { "DBT0902" } else { "DBT0901" };
    let mut found =
        finding(id, format!("Database {} does not exist on {}{implied}", subject.database, subject.server()))
            .not("not the password and not pg_hba.conf: AuthenticationOk came first")
            .not("not a missing privilege: that would be 42501");
    let create = format!("CREATE DATABASE {} OWNER {};", ident(&subject.database), ident(&subject.role));
    let place = format!("psql as a superuser in database postgres of the PostgreSQL server at {}", subject.server());
    match around.table_is_in {
        Some(other) => {
            found.cause.push_str(&format!("; table {} is in database {other}", subject.table));
            let text = subject.directive(|settings| settings.dbname = Some(other.to_owned()));
            found.sure(FixKind::Httpd, subject.httpd_place(), text, Then::Reload).maybe(
                FixKind::Sql,
                place,
                create,
                Then::None,
            )
        }
        None => found.sure(FixKind::Sql, place, create, Then::None),
    }
}

/// 3D000 with a DETAIL: it is in the catalogue, and not on the disk (or was dropped this moment).
fn database_damaged(subject: &Subject, error: &ServerError) -> Finding {
    let detail = error.detail.as_deref().unwrap_or_default();
    finding(
        "DBT0903",
        format!("Database {} is in the server's catalogue, but its files are not there: {detail}", subject.database),
    )
    .maybe(
        FixKind::Shell,
        format!("{} (looks for where they were moved to; else restore a backup)", subject.server_shell()),
        "ls -ld /var/lib/postgresql/*/*/base/* /var/lib/pgsql/data/base/* 2>/dev/null",
        Then::None,
    )
    .not("not a name that was never created: for that the server gives no DETAIL")
}

fn closed(subject: &Subject, error: &ServerError) -> Finding {
    let place = format!("psql as a superuser in database postgres of the PostgreSQL server at {}", subject.server());
    let database = ident(&subject.database);
    // an interrupted DROP DATABASE leaves one that can only be dropped; the server gives a HINT then
    if error.hint.is_some() {
        return finding(
            "DBT0905",
            format!("Database {} was half dropped and cannot be used any more", subject.database),
        )
        .maybe(
            FixKind::Sql,
            place,
            format!("DROP DATABASE {database}; CREATE DATABASE {database} OWNER {};", ident(&subject.role)),
            Then::None,
        )
        .not("not a setting: the server gives a HINT for this one only");
    }
    finding("DBT0904", format!("Database {} takes no connections (ALLOW_CONNECTIONS is false)", subject.database))
        .sure(FixKind::Sql, place, format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true;"), Then::None)
        .not("not the server's state: that would be 57P03")
}

fn may_not_connect(subject: &Subject) -> Finding {
    finding("DBT0906", format!("Role {} lacks the privilege CONNECT on database {}", subject.role, subject.database))
        .sure(
            FixKind::Sql,
            subject.psql_place(),
            format!("GRANT CONNECT ON DATABASE {} TO {};", ident(&subject.database), ident(&subject.role)),
            Then::None,
        )
        .not("not a table's privilege: the session itself was refused (42501 at connect)")
}

/// A parameter that the connection sends at its start. What is set for the role or database by ALTER … SET
/// only warns, so it is ours.
fn parameter(subject: &Subject, error: &ServerError) -> Finding {
    let ours = subject.settings.options.is_some();
    let found = finding("DBT0910", format!("The server does not take a parameter of the session: {}", error.message))
        .not("not a table's privilege and not pg_hba.conf: the session's parameters are set after both");
    let text = subject.directive(|settings| {
        settings.options = None;
        settings.client_encoding = None;
    });
    if ours {
        found.sure(FixKind::Httpd, format!("{} (without options)", subject.httpd_place()), text, Then::Reload)
    } else {
        found
            .maybe(
                FixKind::Sql,
                subject.psql_place(),
                format!(
                    "ALTER ROLE {} RESET ALL; ALTER DATABASE {} RESET ALL;",
                    ident(&subject.role),
                    ident(&subject.database)
                ),
                Then::None,
            )
            .maybe(FixKind::Httpd, subject.httpd_place(), text, Then::Reload)
    }
}

/// target_session_attrs does not fit the servers that were found.
pub fn wrong_kind_of_server(subject: &Subject, what: &str) -> Finding {
    finding("DBT0911", format!("None of the servers is of the kind that target_session_attrs asks for: {what}"))
        .sure(
            FixKind::Httpd,
            subject.httpd_place(),
            subject.directive(|settings| settings.target_session_attrs = Default::default()),
            Then::Reload,
        )
        .not("not the login: the session came about, and its kind was looked at afterwards")
}

/// The session was closed, or said nothing more, between AuthenticationOk and ReadyForQuery.
pub fn hung_up(subject: &Subject, timed_out: bool) -> Finding {
    let what = if timed_out { "does not answer any more" } else { "closed the connection" };
    finding(
        "DBT0912",
        format!(
            "After the login, {} {what}: a crash, a pooler that waits for its server, or a trigger at login",
            subject.server()
        ),
    )
    .maybe(
        FixKind::Shell,
        format!("{} (the log has the reason)", subject.server_shell()),
        crate::diagnosis::postgresql::server_commands::LOG,
        Then::None,
    )
    .maybe(FixKind::Shell, subject.server_shell(), "systemctl restart postgresql", Then::None)
    .not("not the password: it was accepted")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::postgresql::subject::tests::{over_socket, over_tcp};

    fn error(code: &str, routine: &str) -> ServerError {
        ServerError { code: code.into(), routine: Some(routine.into()), ..ServerError::default() }
    }

    fn id(error: ServerError) -> &'static str {
        refused(&over_tcp(), &error, Around { password_accepted: true, ..Around::default() }).id
    }

    #[test]
    fn what_fails_after_the_login_is_read_by_code_and_routine() {
        let mut subject = over_tcp();
        subject.settings.dbname = Some("flasktestdb".into());
        assert_eq!(refused(&subject, &error("3D000", "InitPostgres"), Around::default()).id, "DBT0901");
        assert_eq!(id(error("3D000", "InitPostgres")), "DBT0902", "no database was configured");
        assert_eq!(id(ServerError { detail: Some("x".into()), ..error("3D000", "InitPostgres") }), "DBT0903");
        assert_eq!(id(error("55000", "CheckMyDatabase")), "DBT0904");
        assert_eq!(id(error("42501", "CheckMyDatabase")), "DBT0906");
        assert_eq!(id(error("42501", "set_config_option")), "DBT0910");
        assert_eq!(id(error("22023", "parse_and_validate_value")), "DBT0910");
        assert_eq!(id(error("53300", "CheckMyDatabase")), "DBT1504");
    }

    #[test]
    fn a_role_that_gave_its_password_exists() {
        assert_eq!(id(error("28000", "InitializeSessionUserId")), "DBT0913");
        let found = refused(&over_socket(), &error("28000", "InitializeSessionUserId"), Around::default());
        assert_eq!(found.id, "DBT0914");
        assert!(found.fixes[0].text.contains("CREATE ROLE \"flasktest\" LOGIN"));
    }

    #[test]
    fn the_database_that_has_the_table_is_the_sure_fix() {
        let around = Around { table_is_in: Some("flasktestdb"), ..Around::default() };
        let found = refused(&over_tcp(), &error("3D000", "InitPostgres"), around);
        assert_eq!(found.fixes[0].kind, FixKind::Httpd);
    }
}
