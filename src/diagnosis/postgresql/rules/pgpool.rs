//! Reading the errors of pgpool-II. It is made of PostgreSQL's own source and so sends the file and line of an error,
//! but never the routine, which PostgreSQL sends with every file: that is its fingerprint. Its texts are not translated.

use crate::database::ServerError;
use crate::diagnosis::host::shell::word as shell;
use crate::diagnosis::postgresql::quote::ident;
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

/// Does this error come from pgpool rather than from PostgreSQL behind it?
pub fn speaks(error: &ServerError) -> bool {
    error.file.is_some() && error.routine.is_none()
}

/// The finding for an error of pgpool's own.
pub fn refused(subject: &Subject, error: &ServerError) -> Finding {
    let detail = error.detail.as_deref().unwrap_or_default();
    let says = |part: &str| error.message.contains(part) || detail.contains(part);
    let found = if says("valid password not found") || says("does not contain an entry") {
        no_secret(subject)
    } else if says("no pool_hba.conf entry") || says("pool_hba.conf rejects") {
        no_line(subject)
    } else if error.code == "53300" || says("too many clients") {
        full(subject)
    } else if says("all backend nodes are down") || says("backend node") || says("connection to host") {
        no_backend(subject, error)
    } else if says("password does not exist in backend") || says("uthentication failed") || error.code == "28P01" {
        wrong_secret(subject)
    } else {
        unknown(subject, error)
    };
    found.not(format!(
        "not PostgreSQL's own answer: it came from {} of pgpool, without the routine that PostgreSQL names",
        error.file.as_deref().unwrap_or("a file")
    ))
}

/// The files of pgpool where its packages put them.
const DIRECTORIES: &str = "for d in /etc/pgpool2 /etc/pgpool-II /usr/local/etc; do [ -f $d/pgpool.conf ] || continue; ";

fn place(subject: &Subject) -> String {
    format!("a root shell on {}, which runs pgpool", subject.machine())
}

/// The role's password, where pgpool looks for it.
fn pool_passwd(subject: &Subject) -> String {
    let line = format!("{}:TEXT<PASSWORD>", subject.role);
    let role = shell(&format!("/^{}:/d", subject.role.replace('/', "\\/")));
    format!(
        "{DIRECTORIES}touch $d/pool_passwd && sed -i {role} $d/pool_passwd && printf '%s\\n' {} >>$d/pool_passwd && \
         chown postgres: $d/pool_passwd && chmod 600 $d/pool_passwd && pgpool -f $d/pgpool.conf reload; done",
        shell(&line)
    )
}

fn no_secret(subject: &Subject) -> Finding {
    finding(
        "DBT0830",
        format!("pgpool at {} has no password of role {} to log in with to the PostgreSQL behind it", subject.server(), subject.role),
    )
    .maybe(
        FixKind::Shell,
        format!("{} (into its pool_passwd; pg_enc -m writes the same encrypted)", place(subject)),
        pool_passwd(subject),
        Then::None,
    )
    .maybe(
        FixKind::Shell,
        format!("{} (or has it ask the client, in the clear: only with TLS before it)", place(subject)),
        format!("{DIRECTORIES}echo \"allow_clear_text_frontend_auth = on\" >>$d/pgpool.conf && pgpool -f $d/pgpool.conf reload; done"),
        Then::None,
    )
}

fn wrong_secret(subject: &Subject) -> Finding {
    finding(
        "DBT0831",
        format!(
            "pgpool at {} could not log in as {} to the PostgreSQL behind it: its pool_passwd, the role or our password do not agree",
            subject.server(),
            subject.role
        ),
    )
    .maybe(FixKind::Shell, format!("{} (into its pool_passwd)", place(subject)), pool_passwd(subject), Then::None)
    .fix(subject.password(false, " (if the password there is the wrong one)"))
    .maybe(
        FixKind::Sql,
        "psql as a superuser on the PostgreSQL server behind pgpool (if neither is)",
        format!("ALTER ROLE {} PASSWORD '<PASSWORD>';", ident(&subject.role)),
        Then::None,
    )
}

fn no_line(subject: &Subject) -> Finding {
    let line = subject.hba_line("scram-sha-256");
    finding(
        "DBT0832",
        format!("pool_hba.conf of pgpool at {} has no line that admits {}", subject.server(), subject.role),
    )
    .maybe(
        FixKind::Shell,
        place(subject),
        format!(
            "{DIRECTORIES}sed -i {} $d/pool_hba.conf && pgpool -f $d/pgpool.conf reload; done",
            shell(&format!("1i {line}"))
        ),
        Then::None,
    )
}

/// Where pgpool's limits are looked at and raised: by how much is for a person to say.
const LIMITS: &str = "grep -nE '^ *(num_init_children|reserved_connections|max_pool)' $d/pgpool.conf; done; ps -eo pid,args | grep '^ *[0-9]* pgpool: '";

fn full(subject: &Subject) -> Finding {
    finding(
        "DBT0833",
        format!(
            "pgpool at {} takes no more clients: its num_init_children (less reserved_connections) are in use",
            subject.server()
        ),
    )
    .maybe(
        FixKind::Shell,
        format!(
            "{} (shows its limits, and who is connected; raise num_init_children there, and restart it)",
            place(subject)
        ),
        format!("{DIRECTORIES}{LIMITS}"),
        Then::None,
    )
}

fn no_backend(subject: &Subject, error: &ServerError) -> Finding {
    finding(
        "DBT0834",
        format!("pgpool at {} has no PostgreSQL behind it that is up: {}", subject.server(), error.message),
    )
    .maybe(
        FixKind::Shell,
        format!("{} (which servers does it know? start them, then attach them again: pcp_attach_node)", place(subject)),
        format!("{DIRECTORIES}grep -nE '^ *backend_(hostname|port)' $d/pgpool.conf; done"),
        Then::None,
    )
}

fn unknown(subject: &Subject, error: &ServerError) -> Finding {
    let detail = error.detail.as_deref().map(|detail| format!("; {detail}")).unwrap_or_default();
    finding("DBT0835", format!("pgpool at {} refuses: {}{detail}; why is open", subject.server(), error.message)).maybe(
        FixKind::Shell,
        format!("{} (its log has more)", place(subject)),
        "journalctl --no-pager -n 50 -u 'pgpool*'",
        Then::None,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::postgresql::subject::tests::over_tcp;

    fn error(code: &str, message: &str, detail: &str) -> ServerError {
        ServerError {
            code: code.into(),
            message: message.into(),
            detail: Some(detail.into()),
            file: Some("pool_auth.c".into()),
            ..ServerError::default()
        }
    }

    #[test]
    fn pgpools_troubles_are_told_apart_and_none_is_postgresqls() {
        let id = |code, message, detail| refused(&over_tcp(), &error(code, message, detail)).id;
        let scram = "failed to authenticate with backend using SCRAM";
        assert_eq!(id("XX000", scram, "valid password not found"), "DBT0830");
        assert_eq!(
            id("XX000", "SCRAM authentication failed", "pool_passwd file does not contain an entry for \"x\""),
            "DBT0830"
        );
        assert_eq!(
            id("XX000", "authentication failed", "username \"x\" or password does not exist in backend"),
            "DBT0831"
        );
        assert_eq!(
            id("28000", "client authentication failed", "no pool_hba.conf entry for host \"127.0.0.1\""),
            "DBT0832"
        );
        assert_eq!(id("53300", "Sorry, too many clients already", ""), "DBT0833");
        assert_eq!(id("XX000", "something new", ""), "DBT0835");
    }

    #[test]
    fn postgresql_names_its_routine() {
        let own = ServerError { routine: Some("auth_failed".into()), ..error("28P01", "", "") };
        assert!(!speaks(&own));
        assert!(!speaks(&ServerError { file: None, ..error("08P01", "", "") }), "PgBouncer's");
    }
}
