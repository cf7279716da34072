//! What a pooler passes on from the PostgreSQL behind it, whose login it was that failed: the server's text alone. The
//! SQLSTATE comes with it from PgBouncer 1.21 on; before that it is 08P01 whatever the server said, and the text,
//! which the server translates, is all there is.

use super::poolers::{self, When};
use super::server::HOLDERS;
use crate::database::ServerError;
use crate::diagnosis::postgresql::evidence::fields;
use crate::diagnosis::postgresql::quote::{hba, ident};
use crate::diagnosis::postgresql::subject::{Subject, address_in};
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

/// Where SQL for the server behind the pooler is typed: not at the pooler.
const BEHIND: &str = "psql as a superuser on the PostgreSQL server behind the pooler";

/// What the server behind the pooler said.
enum Said {
    NoLine(std::net::IpAddr),
    Login,
    NoDatabase,
    MayNotConnect,
    Full,
    NotNow,
}

/// The finding for an error that comes bare of what PostgreSQL itself names with each of its errors.
pub fn refused(subject: &Subject, error: &ServerError, when: When) -> Option<Finding> {
    let pooler = fields::speaks_as_a_pooler(error);
    if !pooler && !fields::is_bare(error) {
        return None;
    }
    let text = error.message.as_str();
    if let Some(said) = said(error) {
        return Some(read(subject, said, text));
    }
    let own = pooler.then(|| poolers::own_text(subject, text, when)).flatten();
    let passed_on = |text: &str| text.contains(&subject.role);
    let found = match (own, address_in(text)) {
        (Some(found), _) => found,
        // in the server's language: the role that stands in it tells whose text it is
        (None, Some(address)) if pooler && passed_on(text) => no_line(subject, address, text),
        (None, _) if pooler && passed_on(text) && when != When::Statement => login(subject, text),
        (None, _) if pooler => poolers::unknown(subject, text),
        _ => return None,
    };
    Some(found.not("not PostgreSQL's own answer: only PgBouncer sends 08P01 with nothing but a text"))
}

fn read(subject: &Subject, said: Said, text: &str) -> Finding {
    match said {
        Said::NoLine(address) => no_line(subject, address, text),
        Said::Login => login(subject, text),
        Said::NoDatabase => no_database(subject, text),
        Said::MayNotConnect => may_not_connect(subject, text),
        Said::Full => full(subject, text),
        Said::NotNow => poolers::no_server(subject, text),
    }
}

fn said(error: &ServerError) -> Option<Said> {
    let text = error.message.as_str();
    let has = |part: &str| text.contains(part);
    Some(match error.code.as_str() {
        "28P01" => Said::Login,
        "28000" => address_in(text).map_or(Said::Login, Said::NoLine),
        "3D000" => Said::NoDatabase,
        "42501" => Said::MayNotConnect,
        "53300" => Said::Full,
        code if code.starts_with("57P") => Said::NotNow,
        _ if has("too many connections for ") || has("too many clients") || has("connection slots are reserved") => {
            Said::Full
        }
        _ if has("database \"") && has("\" does not exist") => Said::NoDatabase,
        _ if has("permission denied for database") => Said::MayNotConnect,
        _ if has("database system is ") => Said::NotNow,
        _ => return None,
    })
}

/// The server's pg_hba.conf has no line for the pooler: the address in the text is the pooler's.
fn no_line(subject: &Subject, address: std::net::IpAddr, text: &str) -> Finding {
    let length = if address.is_ipv4() { 32 } else { 128 };
    let line = format!("host {} {} {address}/{length} scram-sha-256", hba(&subject.database), hba(&subject.role));
    finding(
        "DBT0740",
        format!("The PostgreSQL behind PgBouncer does not admit PgBouncer, which comes from {address} ({text})"),
    )
    .sure(
        FixKind::PgHba,
        "pg_hba.conf of the PostgreSQL server behind PgBouncer, as its first line",
        line,
        Then::Reload,
    )
    .not("not our own address: the one in the text is PgBouncer's, as the server sees it")
}

/// The server rejected what the pooler logged in with.
fn login(subject: &Subject, text: &str) -> Finding {
    finding(
        "DBT0850",
        format!(
            "PgBouncer accepted us, but the PostgreSQL behind it rejected PgBouncer's login as {} ({text})",
            subject.role
        ),
    )
    .maybe(FixKind::Pgbouncer, poolers::list_place(subject), poolers::user_line(subject), Then::Reload)
    .maybe(
        FixKind::Sql,
        BEHIND,
        format!("ALTER ROLE {} LOGIN PASSWORD '<PASSWORD>' VALID UNTIL 'infinity';", ident(&subject.role)),
        Then::None,
    )
}

fn no_database(subject: &Subject, text: &str) -> Finding {
    finding(
        "DBT0852",
        format!("The PostgreSQL behind the pooler has no database for {} ({text})", subject.database),
    )
    .maybe(
        FixKind::Sql,
        format!("{BEHIND}, in database postgres (which databases does it have? the pooler's entry may name another server, or another dbname)"),
        "SELECT datname, pg_get_userbyid(datdba) FROM pg_database;",
        Then::None,
    )
    .maybe(
        FixKind::Sql,
        format!("{BEHIND}, in database postgres (if it is that server)"),
        format!("CREATE DATABASE {} OWNER {};", ident(&subject.database), ident(&subject.role)),
        Then::None,
    )
    .not("not the pooler's own list of databases: it asked the server, whose text this is")
}

fn may_not_connect(subject: &Subject, text: &str) -> Finding {
    finding(
        "DBT0853",
        format!("Role {} lacks the privilege CONNECT at the PostgreSQL behind the pooler ({text})", subject.role),
    )
    .sure(
        FixKind::Sql,
        format!("{BEHIND}, in database {}", subject.database),
        format!("GRANT CONNECT ON DATABASE {} TO {};", ident(&subject.database), ident(&subject.role)),
        Then::None,
    )
    .not("not the pooler's own list of users: it asked the server, whose text this is")
}

fn full(subject: &Subject, text: &str) -> Finding {
    finding("DBT1512", format!("The PostgreSQL behind the pooler takes no more connections of it ({text})"))
        .maybe(
            FixKind::Sql,
            format!("{BEHIND}, in database postgres (shows who holds them)"),
            HOLDERS,
            Then::None,
        )
        .maybe(
            FixKind::Sql,
            format!("{BEHIND}, in database postgres (shows each limit: -1 is none)"),
            format!(
                "SELECT 'role ' || rolname AS of, rolconnlimit AS limit FROM pg_roles WHERE rolname = {0} UNION ALL \
                 SELECT 'database ' || datname, datconnlimit FROM pg_database UNION ALL \
                 SELECT name, setting::int FROM pg_settings WHERE name IN ('max_connections', 'superuser_reserved_connections');",
                crate::diagnosis::postgresql::quote::literal(&subject.role)
            ),
            Then::None,
        )
        .not("not the pooler's max_client_conn: the text is that of the server behind it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::postgresql::subject::tests::over_tcp;

    fn id(code: &str, message: &str) -> Option<&'static str> {
        let error = ServerError { code: code.into(), message: message.into(), ..ServerError::default() };
        refused(&over_tcp(), &error, When::Password).map(|found| found.id)
    }

    #[test]
    fn what_the_server_said_is_known_by_its_sqlstate_where_the_pooler_passes_it_on() {
        assert_eq!(id("53300", "zu viele Verbindungen"), Some("DBT1512"));
        assert_eq!(id("3D000", "x"), Some("DBT0852"));
        assert_eq!(id("28P01", "x"), Some("DBT0850"));
        assert_eq!(id("28000", "keine Zeile für »10.1.2.3«"), Some("DBT0740"));
        assert_eq!(id("57P03", "x"), Some("DBT0848"));
        assert_eq!(id("0L000", "x"), None, "nobody knows");
    }

    #[test]
    fn and_by_its_text_where_all_it_says_is_08p01() {
        assert_eq!(id("08P01", "sorry, too many clients already"), Some("DBT1512"));
        assert_eq!(id("08P01", "too many connections for role \"flasktest\""), Some("DBT1512"));
        assert_eq!(id("08P01", "database \"flasktestdb\" does not exist"), Some("DBT0852"));
        assert_eq!(id("08P01", "permission denied for database \"flasktestdb\""), Some("DBT0853"));
        assert_eq!(id("08P01", "the database system is shutting down"), Some("DBT0848"));
    }

    #[test]
    fn what_it_passes_on_is_known_by_role_and_address_in_any_language() {
        let german = "keine pg_hba.conf-Zeile für »10.1.2.3«, Benutzer »flasktest«";
        assert_eq!(id("08P01", german), Some("DBT0740"));
        assert_eq!(id("08P01", "authentification échouée pour l'utilisateur « flasktest »"), Some("DBT0850"));
        assert_eq!(id("08P01", "something new"), Some("DBT0841"));
    }

    #[test]
    fn postgresqls_own_errors_name_where_they_come_from() {
        let own = ServerError { code: "53300".into(), file: Some("proc.c".into()), ..ServerError::default() };
        assert!(refused(&over_tcp(), &own, When::Startup).is_none());
    }
}
