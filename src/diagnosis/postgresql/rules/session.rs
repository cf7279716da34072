//! Reading an error that came after AuthenticationOk: role, password and pg_hba.conf are settled, so it is
//! the database, a limit, or a parameter of the session.

use super::server;
use crate::database::ServerError;
use crate::database::text::nearest;
use crate::diagnosis::postgresql::quote::{ident, literal};
use crate::diagnosis::postgresql::rules::authenticated::grants_if_there;
use crate::diagnosis::postgresql::rules::{poolers, relayed};
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, Fix, FixKind, Then};

/// What is known beside the error.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around<'a> {
    /// Another PostgreSQL of this machine's: there the database or role may be.
    pub neighbour: Option<&'a Neighbour>,
    /// Somebody looked for one: without that nothing is sure to be missing.
    pub looked: bool,
    /// A password was asked for, and right: then the role exists.
    pub password_accepted: bool,
    /// The one other database of this server in which the table was found.
    pub table_is_in: Option<&'a str>,
}

/// Another PostgreSQL server on this machine.
#[derive(Debug, Clone)]
pub struct Neighbour {
    /// "port 5433", "/run/postgresql/.s.PGSQL.5433".
    pub place: String,
    /// DBTestDatabase for the same database there.
    pub directive: String,
    /// The same login found the database there, with the table.
    pub has_table: bool,
}

/// The server ended the session before it was ready.
pub fn refused(subject: &Subject, error: &ServerError, around: Around) -> Finding {
    if let Some(found) = relayed::refused(subject, error, poolers::When::Session) {
        return found;
    }
    let routine = error.routine.as_deref().unwrap_or_default();
    // nothing of ours runs code before the session is ready: a CONTEXT comes from a trigger at login (PostgreSQL 17)
    if let Some(context) = &error.context {
        return login_trigger(subject, error, context);
    }
    if routine == "internal_load_library" {
        return preload_library(subject, error);
    }
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
    finding("DBT0914", format!("Role {} does not exist, or may not log in (NOLOGIN){implied}", subject.role)).fix(Fix {
        // where another server runs here, the role may be there
        sure: around.looked && around.neighbour.is_none(),
        kind: FixKind::Sql,
        place: subject.psql_place(),
        text,
        then: Then::None,
    })
}

fn no_database(subject: &Subject, around: Around) -> Finding {
    let implied =
        if subject.settings.dbname.is_none() { " (no database is configured, so it is the role's name)" } else { "" };
    let id = if subject.settings.dbname.is_none() { "DBT0902" } else { "DBT0901" };
    let mut found =
        finding(id, format!("Database {} does not exist on {}{implied}", subject.database, subject.server()));
    let create = format!("CREATE DATABASE {} OWNER {};", ident(&subject.database), ident(&subject.role));
    let place = format!("psql as a superuser in database postgres of the PostgreSQL server at {}", subject.server());
    let create = |sure| Fix { sure, kind: FixKind::Sql, place, text: create, then: Then::None };
    if let Some(there) = around.neighbour {
        let has =
            if there.has_table { "; it is there, with the table" } else { "; look there before anything is created" };
        found.cause.push_str(&format!("; another PostgreSQL of this machine answers at {}{has}", there.place));
        let place = format!("{} (the server at {})", subject.httpd_place(), there.place);
        return found.maybe(FixKind::Httpd, place, there.directive.clone(), Then::Reload).fix(create(false));
    }
    match around.table_is_in {
        Some(other) => {
            found.cause.push_str(&format!("; table {} is in database {other}", subject.table));
            let text = subject.directive(|settings| settings.dbname = Some(other.to_owned()));
            // a name that is nearly this one, or that nobody named at all
            let meant = subject.settings.dbname.is_none() || nearest(&subject.database, [other]).is_some();
            found
                .fix(Fix { sure: meant, kind: FixKind::Httpd, place: subject.httpd_place(), text, then: Then::Reload })
                .fix(create(false))
        }
        None => found.fix(create(around.looked)),
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
    finding("DBT0904", format!("Database {} takes no connections (ALLOW_CONNECTIONS is false)", subject.database)).sure(
        FixKind::Sql,
        place,
        format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true;"),
        Then::None,
    )
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
/// only warns, so it is ours where we send any.
fn parameter(subject: &Subject, error: &ServerError) -> Finding {
    if subject.settings.options.is_none() && subject.settings.client_encoding.is_none() {
        return server::unknown(subject, error);
    }
    let text = subject.directive(|settings| (settings.options, settings.client_encoding) = (None, None));
    finding("DBT0910", format!("The server does not take a parameter of the session: {}", error.message)).sure(
        FixKind::Httpd,
        format!("{} (without options)", subject.httpd_place()),
        text,
        Then::Reload,
    )
}

/// Code that the database's owner wrote runs at every login, and fails.
fn login_trigger(subject: &Subject, error: &ServerError, context: &str) -> Finding {
    let where_ = context.lines().next().unwrap_or_default();
    let found = finding(
        "DBT0915",
        format!("A login trigger of database {} fails: {} ({where_})", subject.database, error.message),
    )
    .maybe(
        FixKind::Sql,
        format!("{} (shows the triggers at login and their functions; correct the function, or grant what it lacks)", subject.psql_place()),
        "SELECT evtname, evtfoid::regprocedure, pg_get_functiondef(evtfoid) FROM pg_event_trigger WHERE evtevent = 'login';",
        Then::None,
    )
    .not(format!("not a parameter of the session and not a privilege on the database: the error has a CONTEXT, {where_}"));
    match &error.hint {
        Some(hint) => Finding { cause: format!("{}; HINT: {hint}", found.cause), ..found },
        None => found,
    }
}

/// session_preload_libraries or local_preload_libraries names one that the server cannot load.
fn preload_library(subject: &Subject, error: &ServerError) -> Finding {
    let (role, database) = (literal(&subject.role), literal(&subject.database));
    let text = format!(
        "DO $dbtest$ DECLARE s record; BEGIN FOR s IN SELECT d.datname, r.rolname, split_part(c, '=', 1) AS name \
         FROM pg_db_role_setting x LEFT JOIN pg_database d ON d.oid = x.setdatabase LEFT JOIN pg_roles r ON r.oid = x.setrole, unnest(x.setconfig) c \
         WHERE c ~ '^(session|local)_preload_libraries=' AND coalesce(d.datname, {database}) = {database} AND coalesce(r.rolname, {role}) = {role} \
         LOOP EXECUTE CASE WHEN s.rolname IS NULL THEN format('ALTER DATABASE %I RESET %I', s.datname, s.name) \
         WHEN s.datname IS NULL THEN format('ALTER ROLE %I RESET %I', s.rolname, s.name) \
         ELSE format('ALTER ROLE %I IN DATABASE %I RESET %I', s.rolname, s.datname, s.name) END; END LOOP; END $dbtest$;"
    );
    finding("DBT0916", format!("The server cannot load a library that each of these sessions is to load: {}", error.message))
        .maybe(
            FixKind::Sql,
            format!("{} (where does it stand: role, database, or postgresql.conf? a package may be missing instead)", admin_place(subject)),
            "SELECT d.datname, r.rolname, setconfig FROM pg_db_role_setting LEFT JOIN pg_database d ON d.oid = setdatabase \
             LEFT JOIN pg_roles r ON r.oid = setrole; SELECT name, setting, sourcefile FROM pg_settings WHERE name ~ 'preload';",
            Then::None,
        )
        // it may be wanted, and its package be what is missing; nor is it known to stand here
        .maybe(
            FixKind::Sql,
            format!("{} (takes it from the settings of this role and database)", admin_place(subject)),
            text,
            Then::None,
        )
        .not("not a missing table or file of the database: the routine is the one that loads libraries")
}

fn admin_place(subject: &Subject) -> String {
    format!("psql as a superuser in database postgres of the PostgreSQL server at {}", subject.server())
}

/// target_session_attrs does not fit the servers that were found.
pub fn wrong_kind_of_server(subject: &Subject, what: &str, read_only: bool) -> Finding {
    use crate::database::postgresql::settings::TargetSessionAttrs::{Any, Primary, ReadWrite};
    let found = finding("DBT0911", format!("No server is of the kind that target_session_attrs asks for: {what}"));
    // a page that is to insert rows gains nothing from a server that takes none
    let needed = matches!(subject.settings.target_session_attrs, ReadWrite | Primary) && !read_only;
    if needed {
        return found.maybe(
            FixKind::Sql,
            format!("psql at {} (is it a standby, or only set to read-only? where is its primary? name that in DBTestDatabase)", subject.server()),
            "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only'), sender_host, sender_port \
             FROM (SELECT 1) one LEFT JOIN pg_stat_wal_receiver ON true;",
            Then::None,
        );
    }
    let text = subject.directive(|settings| settings.target_session_attrs = Any);
    found.sure(FixKind::Httpd, subject.httpd_place(), text, Then::Reload)
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
    .fix(crate::diagnosis::postgresql::server_commands::log(format!(
        "{} (the log has the reason)",
        subject.server_shell()
    )))
    .not("not the password: AuthenticationOk came before")
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
        subject.settings.options = Some("-c a=b".into());
        let of_ours = |code, routine| refused(&subject, &error(code, routine), Around::default()).id;
        assert_eq!(of_ours("42501", "set_config_option"), "DBT0910");
        assert_eq!(of_ours("22023", "parse_and_validate_value"), "DBT0910");
        assert_eq!(id(error("22023", "parse_and_validate_value")), "DBT0909", "we sent no parameter");
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
    fn code_that_runs_at_login_is_not_taken_for_a_parameter_or_a_privilege() {
        let context = Some("PL/pgSQL function audit.logon() line 3 at RAISE".to_owned());
        let found =
            refused(&over_tcp(), &ServerError { context, ..error("42501", "aclcheck_error") }, Around::default());
        assert_eq!(found.id, "DBT0915");
        assert!(found.cause.contains("audit.logon") && found.fixes.iter().all(|fix| !fix.sure), "{found:?}");
        assert_eq!(id(error("58P01", "internal_load_library")), "DBT0916");
    }

    #[test]
    fn nothing_is_created_while_another_server_here_may_have_it() {
        let there = Neighbour { place: "port 5433".into(), directive: "DBTestDatabase x".into(), has_table: false };
        let around = Around { neighbour: Some(&there), ..Around::default() };
        let mut subject = over_tcp();
        subject.settings.dbname = Some("flasktestdb".into());
        let found = refused(&subject, &error("3D000", "InitPostgres"), around);
        assert!(found.cause.contains("port 5433") && found.fixes.iter().all(|fix| !fix.sure), "{found:?}");
        let sure = |around| refused(&subject, &error("3D000", "InitPostgres"), around).fixes[0].sure;
        assert!(sure(Around { looked: true, ..Around::default() }));
        assert!(!sure(Around::default()), "nobody looked");
    }

    #[test]
    fn the_database_that_has_the_table_is_the_sure_fix() {
        let around = Around { table_is_in: Some("flasktestdb"), ..Around::default() };
        let found = refused(&over_tcp(), &error("3D000", "InitPostgres"), around);
        assert_eq!(found.fixes[0].kind, FixKind::Httpd);
    }
}
