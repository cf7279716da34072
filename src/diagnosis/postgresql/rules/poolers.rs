//! Reading the errors of PgBouncer. It answers everything with SQLSTATE 08P01 and sends the fields S, C and M
//! only, which is its fingerprint. Its own texts are fixed and in English; those it passes on from the server
//! behind it come in the server's language, and are known by the role that stands in them.

use crate::database::postgresql::settings::SslMode;
use crate::diagnosis::host::shell::word as shell;
use crate::diagnosis::postgresql::quote::ident;
use crate::diagnosis::postgresql::subject::{Place, Subject};
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

/// When the error came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before a password was asked for.
    Startup,
    /// After a password was asked for.
    Password,
    /// After AuthenticationOk.
    Session,
    /// In answer to a statement.
    Statement,
}

/// A role as PgBouncer's user list has it.
pub fn user_line(subject: &Subject) -> String {
    format!("\"{}\" \"<PASSWORD>\"", subject.role.replace('"', "\"\""))
}

/// Where that line goes.
pub fn list_place(subject: &Subject) -> String {
    format!("the user list (auth_file) of PgBouncer at {}", subject.server())
}

fn section(subject: &Subject, name: &str) -> String {
    format!("pgbouncer.ini of PgBouncer at {}, section [{name}]", subject.server())
}

/// The finding for a text that no rule knows.
pub fn unknown(subject: &Subject, text: &str) -> Finding {
    finding("DBT0841", format!("PgBouncer at {} refuses: {text}", subject.server())).maybe(
        FixKind::Shell,
        format!("a root shell on {}, which runs PgBouncer (its log has more)", subject.machine()),
        "tail -n 30 /var/log/postgresql/pgbouncer.log /var/log/pgbouncer/pgbouncer.log 2>/dev/null",
        Then::None,
    )
}

/// The finding for one of PgBouncer's own texts (1.18 to 1.25).
pub fn own_text(subject: &Subject, text: &str, when: When) -> Option<Finding> {
    let has = |part: &str| text.contains(part);
    if has("no such database") || has("database does not exist") {
        return Some(no_database(subject));
    }
    if has("no such user") {
        return Some(no_user(subject));
    }
    if has("is disabled") || has("does not allow connections") {
        return Some(disabled(subject));
    }
    if has("wrong password type") {
        return Some(wrong_secret(subject));
    }
    if text == "SASL authentication failed" || text == "password authentication failed" || has("auth failed") {
        return Some(wrong_password(subject, text));
    }
    if text == "login rejected" {
        return Some(own_hba(subject));
    }
    if has("unsupported startup parameter") {
        return Some(startup_parameter(subject, text));
    }
    if has("SSL required") {
        return Some(tls_required(subject));
    }
    if has("query_wait_timeout") {
        return Some(if when == When::Statement { pool_exhausted(subject) } else { no_server(subject, text) });
    }
    if has("server login failed")
        || has("cannot connect to server")
        || has("server conn crashed")
        || has("server login has been failing")
        || has("connect failed")
    {
        return Some(no_server(subject, text));
    }
    if has("max_client_conn") || has("no more connections allowed") || has("client connections exceeded") {
        return Some(too_many_clients(subject, text));
    }
    if has("statement pooling mode") {
        return Some(statement_pooling(subject));
    }
    if has("prepared statement") {
        return Some(prepared(subject));
    }
    if has("shutting down")
        || has("server_lifetime")
        || has("idle_timeout")
        || has("login_timeout")
        || has("query_timeout")
    {
        return Some(timeout(subject, text));
    }
    None
}

fn no_database(subject: &Subject) -> Finding {
    let server = subject.behind.as_ref();
    let found =
        finding("DBT0840", format!("PgBouncer has no database {} in its section [databases]", subject.database))
            .not("not PostgreSQL: it was not asked; it would have said 3D000");
    let place = section(subject, "databases");
    match server {
        Some(server) => found.sure(FixKind::Pgbouncer, place, format!("{} = {server}", subject.database), Then::Reload),
        None => found.maybe(
            FixKind::Pgbouncer,
            place,
            format!("{} = host=127.0.0.1 port=5432", subject.database),
            Then::Reload,
        ),
    }
}

fn no_user(subject: &Subject) -> Finding {
    finding("DBT0842", format!("PgBouncer has no user {} in its user list", subject.role))
        .sure(FixKind::Pgbouncer, list_place(subject), user_line(subject), Then::Reload)
        .not("not PostgreSQL: it was not asked")
}

fn disabled(subject: &Subject) -> Finding {
    let host = match &subject.place {
        Place::Socket(dir) => dir.display().to_string(),
        Place::Tcp { host, .. } => host.clone(),
    };
    finding("DBT0843", format!("An administrator has disabled database {} in PgBouncer", subject.database))
        .sure(
            FixKind::Shell,
            format!("a root shell on {}, which runs PgBouncer", subject.machine()),
            console(&host, subject.port, &format!("ENABLE {};", ident(&subject.database))),
            Then::None,
        )
        .not("not PostgreSQL: it was not asked")
}

fn wrong_secret(subject: &Subject) -> Finding {
    finding(
        "DBT0844",
        format!("PgBouncer's user list holds a secret of {} that does not serve to log in to PostgreSQL (an MD5 hash where SCRAM is wanted)", subject.role),
    )
    .sure(FixKind::Pgbouncer, list_place(subject), user_line(subject), Then::Reload)
    .not("not our password: PgBouncer accepted it")
}

fn wrong_password(subject: &Subject, text: &str) -> Finding {
    finding(
        "DBT0845",
        format!("PgBouncer rejects the login of {}: wrong password, a user it does not know, or a secret of the wrong kind ({text})", subject.role),
    )
    .maybe(FixKind::Pgbouncer, list_place(subject), user_line(subject), Then::Reload)
    .fix(subject.password(false, ""))
    .maybe(
        FixKind::Pgbouncer,
        format!("the hba file (auth_hba_file) of PgBouncer at {}, if it has one", subject.server()),
        subject.hba_line("scram-sha-256"),
        Then::Reload,
    )
    .not("not PostgreSQL: it would have said 28P01")
}

/// Its own list of who may connect (auth_type = hba) has no line for us, or one that says reject.
fn own_hba(subject: &Subject) -> Finding {
    finding("DBT0851", format!("PgBouncer's own auth_hba_file does not admit {} to {}", subject.role, subject.database))
        .sure(
            FixKind::Pgbouncer,
            format!("auth_hba_file of PgBouncer at {}, as its first line", subject.server()),
            subject.hba_line("md5"),
            Then::Reload,
        )
}

fn startup_parameter(subject: &Subject, text: &str) -> Finding {
    let name = text.rsplit(':').next().unwrap_or_default().trim().trim_matches('"');
    let found = finding("DBT0846", format!("PgBouncer does not take the startup parameter {name}"))
        .not("not PostgreSQL: it takes this parameter");
    let ignore = format!("ignore_startup_parameters = extra_float_digits,{name}");
    if name == "options" && subject.settings.options.is_some() {
        let text = subject.directive(|settings| settings.options = None);
        return found.sure(FixKind::Pgbouncer, section(subject, "pgbouncer"), ignore, Then::Reload).maybe(
            FixKind::Httpd,
            subject.httpd_place(),
            text,
            Then::Reload,
        );
    }
    found.sure(FixKind::Pgbouncer, section(subject, "pgbouncer"), ignore, Then::Reload)
}

fn tls_required(subject: &Subject) -> Finding {
    finding("DBT0847", "PgBouncer takes connections with TLS only (client_tls_sslmode), and this one is without")
        .sure(FixKind::Httpd, subject.httpd_place(), subject.directive_with_sslmode(SslMode::Require), Then::Reload)
        .not("not pg_hba.conf: PgBouncer itself asks for it")
}

fn pool_exhausted(subject: &Subject) -> Finding {
    finding(
        "DBT1510",
        format!(
            "All of PgBouncer's connections to database {} are in use, and none came free in time",
            subject.database
        ),
    )
    .maybe(
        FixKind::Pgbouncer,
        format!("{} (20 unless set; how many PostgreSQL can spare is for you to say)", section(subject, "pgbouncer")),
        "default_pool_size = 50",
        Then::Reload,
    )
    .maybe(FixKind::Pgbouncer, section(subject, "pgbouncer"), "pool_mode = transaction", Then::Restart)
}

/// PgBouncer took the login and then kept us waiting longer than we wait.
pub fn keeps_waiting(subject: &Subject, when: When) -> Finding {
    let found =
        if when == When::Statement { pool_exhausted(subject) } else { no_server(subject, "it keeps us waiting") };
    let host = match &subject.place {
        Place::Socket(dir) => dir.display().to_string(),
        Place::Tcp { host, .. } => host.clone(),
    };
    found.maybe(
        FixKind::Shell,
        format!(
            "a root shell on {}, which runs PgBouncer (if an administrator paused the database)",
            subject.machine()
        ),
        console(&host, subject.port, &format!("RESUME {};", ident(&subject.database))),
        Then::None,
    )
}

/// A command for PgBouncer's console.
fn console(host: &str, port: u16, command: &str) -> String {
    format!(
        "runuser -u \"$(ps -o user= -C pgbouncer | head -n1)\" -- psql -h {} -p {port} -U pgbouncer -d pgbouncer -c {}",
        shell(host),
        shell(command)
    )
}

/// PgBouncer has nobody to pass us on to.
pub fn no_server(subject: &Subject, text: &str) -> Finding {
    finding("DBT0848", format!("PgBouncer answers, but gets no connection to the PostgreSQL behind it ({text})"))
        .maybe(
            FixKind::Shell,
            "a root shell on the machine of the PostgreSQL behind PgBouncer",
            "systemctl start postgresql",
            Then::None,
        )
        .maybe(
            FixKind::Shell,
            format!("a root shell on {}, which runs PgBouncer (its log has the reason)", subject.machine()),
            "tail -n 30 /var/log/postgresql/pgbouncer.log /var/log/pgbouncer/pgbouncer.log 2>/dev/null",
            Then::None,
        )
        .maybe(
            FixKind::Pgbouncer,
            section(subject, "databases"),
            subject.behind.as_ref().map_or_else(
                || format!("{} = host=127.0.0.1 port=5432", subject.database),
                |server| format!("{} = {server}", subject.database),
            ),
            Then::Reload,
        )
}

fn too_many_clients(subject: &Subject, text: &str) -> Finding {
    const LIMITS: [&str; 2] = ["max_db_client_connections", "max_user_client_connections"];
    let limit = LIMITS.into_iter().find(|limit| text.contains(limit)).unwrap_or("max_client_conn");
    finding("DBT1511", format!("PgBouncer takes no more clients ({text})"))
        .sure(FixKind::Pgbouncer, section(subject, "pgbouncer"), format!("{limit} = 1000"), Then::Reload)
        .not("not PostgreSQL's max_connections: it was not asked")
}

fn statement_pooling(subject: &Subject) -> Finding {
    finding("DBT1210", "PgBouncer's pool_mode is statement, in which no transaction is possible")
        .sure(FixKind::Pgbouncer, section(subject, "pgbouncer"), "pool_mode = transaction", Then::Reload)
        .not("not PostgreSQL: every statement by itself would be accepted")
}

fn prepared(subject: &Subject) -> Finding {
    finding("DBT1211", "PgBouncer forgot a prepared statement between two uses (pool_mode transaction)")
        .maybe(FixKind::Pgbouncer, section(subject, "pgbouncer"), "max_prepared_statements = 100", Then::Reload)
        .maybe(FixKind::Pgbouncer, section(subject, "pgbouncer"), "pool_mode = session", Then::Reload)
        .not("not the table and not a privilege: the statement did not reach PostgreSQL")
}

fn timeout(subject: &Subject, text: &str) -> Finding {
    finding("DBT0849", format!("PgBouncer ended the connection ({text})"))
        .maybe(
            FixKind::Shell,
            format!("a root shell on {}, which runs PgBouncer", subject.machine()),
            "systemctl restart pgbouncer",
            Then::None,
        )
        .not("not PostgreSQL: PgBouncer itself closed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::postgresql::subject::tests::over_tcp;

    fn id(message: &str, when: When) -> Option<&'static str> {
        own_text(&Subject { local: false, ..over_tcp() }, message, when).map(|found| found.id)
    }

    #[test]
    fn pgbouncers_own_texts_are_known() {
        assert_eq!(id("no such database: other", When::Startup), Some("DBT0840"));
        assert_eq!(id("no such user: x", When::Startup), Some("DBT0842"));
        assert_eq!(id("SASL authentication failed", When::Password), Some("DBT0845"));
        assert_eq!(id("query_wait_timeout", When::Statement), Some("DBT1510"));
        assert_eq!(id("query_wait_timeout", When::Password), Some("DBT0848"));
        assert_eq!(id("SSL required", When::Startup), Some("DBT0847"));
        assert_eq!(id("something new", When::Startup), None);
    }

    #[test]
    fn the_limit_that_is_named_is_the_one_to_raise() {
        let text = "client connections exceeded (max_user_client_connections)";
        let found = own_text(&Subject { local: false, ..over_tcp() }, text, When::Password).unwrap();
        assert_eq!((found.id, &*found.fixes[0].text), ("DBT1511", "max_user_client_connections = 1000"));
    }
}
