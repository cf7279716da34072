//! Reading what stands between a COMMIT and a row that lasts, and the arithmetic of connections: both are
//! read from settings, since a check stores nothing.

use crate::diagnosis::postgresql::gather::facts::Facts;
use crate::diagnosis::postgresql::quote::ident;
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::{Finding, FixKind, Then};

/// A commit would wait for a synchronous standby that is not there: for ever, whatever statement_timeout says.
pub fn synchronous(subject: &Subject, facts: &Facts) -> Option<Finding> {
    let waits = !matches!(facts.synchronous_commit.as_str(), "off" | "local");
    let needed = standbys_needed(&facts.synchronous_standby_names);
    if !waits || facts.standbys >= needed {
        return None;
    }
    Some(
        finding(
            "DBT1401",
            format!(
                "Every commit waits for {needed} synchronous standby ({}), and {} is connected: a row would be stored, but never acknowledged",
                facts.synchronous_standby_names, facts.standbys
            ),
        )
        .sure(FixKind::PostgresqlConf, subject.conf_place(), "synchronous_standby_names = ''", Then::Reload)
        .maybe(
            FixKind::Shell,
            "a root shell on the standby's machine (keeps the promise that two machines have the row)",
            "systemctl start postgresql",
            Then::None,
        )
        .not("not a lock and not a slow disk: the insert itself succeeded")
        .not("not statement_timeout: it does not end this wait"),
    )
}

/// How many standbys `synchronous_standby_names` demands.
fn standbys_needed(names: &str) -> i64 {
    let names = names.trim();
    if names.is_empty() {
        return 0;
    }
    let words = names.split(|c: char| c.is_whitespace() || c == '(');
    words.filter(|word| !word.is_empty()).take(2).find_map(|word| word.parse().ok()).unwrap_or(1)
}

/// Would all the children's connections together find room?
pub fn capacity(subject: &Subject, facts: &Facts, children: u32, connections: u32) -> Option<Finding> {
    let wanted = i64::from(children) * i64::from(connections);
    let sum = format!("{children} httpd children × {connections} = {wanted} connections");
    let role = ident(&facts.session_user);
    let database = ident(&facts.database);
    let free = facts.max_connections - facts.reserved;
    if (0..wanted).contains(&facts.role_limit) {
        return Some(
            finding(
                "DBT1523",
                format!("{sum}, but role {} may have {} (its CONNECTION LIMIT)", facts.session_user, facts.role_limit),
            )
            .sure(
                FixKind::Sql,
                subject.psql_place(),
                format!("ALTER ROLE {role} CONNECTION LIMIT {wanted};"),
                Then::None,
            ),
        );
    }
    if (0..wanted).contains(&facts.database_limit) {
        return Some(
            finding(
                "DBT1524",
                format!("{sum}, but database {} takes {} (its CONNECTION LIMIT)", facts.database, facts.database_limit),
            )
            .sure(
                FixKind::Sql,
                subject.psql_place(),
                format!("ALTER DATABASE {database} CONNECTION LIMIT {wanted};"),
                Then::None,
            ),
        );
    }
    if facts.max_connections > 0 && !facts.superuser && wanted > free {
        return Some(
            finding(
                "DBT1521",
                format!(
                    "{sum}, but PostgreSQL has {free} for ordinary roles (max_connections {} less {} reserved): at full load some requests will fail",
                    facts.max_connections, facts.reserved
                ),
            )
            .sure(
                FixKind::PostgresqlConf,
                subject.conf_place(),
                format!("max_connections = {}", wanted + facts.reserved + 10),
                Then::Restart,
            )
            .not("not a fault yet: connections are made only as children need them"),
        );
    }
    None
}

/// Works today, and will not one day soon, or not after a crash.
pub fn forebodings(subject: &Subject, facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    let relation = facts.chosen(&subject.table);
    if let Some(relation) = relation.filter(|relation| relation.unlogged) {
        found.push(
            finding("DBT1405", format!("Table {} is UNLOGGED: after a crash of the server it is empty", subject.table))
                .sure(
                    FixKind::Sql,
                    subject.psql_place(),
                    format!("ALTER TABLE {} SET LOGGED;", relation.qualified()),
                    Then::None,
                ),
        );
    }
    if let Some(days) = facts.valid_days.filter(|days| (0.0..14.0).contains(days)) {
        let role = &facts.session_user;
        found.push(
            finding("DBT0811", format!("The password of role {role} expires in {days:.0} days (VALID UNTIL)")).sure(
                FixKind::Sql,
                subject.psql_place(),
                format!("ALTER ROLE {} VALID UNTIL 'infinity';", ident(role)),
                Then::None,
            ),
        );
    }
    let encoding = facts.server_encoding.as_str();
    if !["", "UTF8", "SQL_ASCII"].contains(&encoding) {
        found.push(
            finding("DBT1332", format!("Database {} holds text in {encoding}: characters that it lacks (an emoji, say) are refused", facts.database))
                .maybe(
                    FixKind::Shell,
                    format!("{} (makes a copy in UTF-8 under another name)", subject.server_shell()),
                    format!(
                        "runuser -u postgres -- sh -c {}",
                        crate::diagnosis::postgresql::quote::shell(&format!(
                            "createdb -p {port} -T template0 -E UTF8 --locale=C.UTF-8 {copy} && pg_dump -p {port} {name} | psql -p {port} -q {copy}",
                            port = subject.port,
                            name = crate::diagnosis::postgresql::quote::shell(&facts.database),
                            copy = crate::diagnosis::postgresql::quote::shell(&format!("{}_utf8", facts.database)),
                        ))
                    ),
                    Then::None,
                ),
        );
    }
    found
}

/// The reason why a write would be refused, known from the session's parameters and the catalogue.
pub fn read_only(subject: &Subject, facts: &Facts) -> Finding {
    if facts.in_recovery {
        return standby(subject);
    }
    let reset = match facts.read_only_source.as_deref() {
        Some("user") => format!("ALTER ROLE {} RESET default_transaction_read_only;", ident(&facts.session_user)),
        Some("database user") => format!(
            "ALTER ROLE {} IN DATABASE {} RESET default_transaction_read_only;",
            ident(&facts.session_user),
            ident(&facts.database)
        ),
        Some("database") => format!("ALTER DATABASE {} RESET default_transaction_read_only;", ident(&facts.database)),
        _ => String::new(),
    };
    // the session that applies it is read-only as well, be it one transaction or several
    let reset = if reset.is_empty() {
        reset
    } else {
        format!("SET default_transaction_read_only = off; SET transaction_read_only = off; {reset}")
    };
    let found = finding(
        "DBT1302",
        format!(
            "Sessions of role {} in database {} are read-only: default_transaction_read_only is on ({})",
            facts.session_user,
            facts.database,
            where_set(facts.read_only_source.as_deref())
        ),
    )
    .not("not a standby: pg_is_in_recovery() is false")
    .not("not a missing privilege: that would be 42501");
    match facts.read_only_source.as_deref() {
        Some("client") if subject.settings.options.is_some() => found.sure(
            FixKind::Httpd,
            format!("{} (without options)", subject.httpd_place()),
            subject.directive(|settings| settings.options = None),
            Then::Reload,
        ),
        _ if !reset.is_empty() => found.sure(FixKind::Sql, subject.psql_place(), reset, Then::None),
        _ => found.sure(
            FixKind::PostgresqlConf,
            subject.conf_place(),
            "default_transaction_read_only = off",
            Then::Reload,
        ),
    }
}

fn where_set(source: Option<&str>) -> &'static str {
    match source {
        Some("user") => "set for the role",
        Some("database user") => "set for the role in this database",
        Some("database") => "set for the database",
        Some("client") => "set by the connection's own options",
        Some("command line") => "set on the server's command line",
        _ => "set in postgresql.conf or by ALTER SYSTEM",
    }
}

fn standby(subject: &Subject) -> Finding {
    let hosts = subject.settings.hosts.len();
    let found = finding(
        "DBT1301",
        format!("The server at {} is a standby: it can be read, but not written to", subject.server()),
    )
    .not("not default_transaction_read_only: pg_is_in_recovery() is true")
    .not("not a missing privilege: that would be 42501");
    if hosts > 1 {
        let text = subject.directive(|settings| {
            settings.target_session_attrs = crate::database::postgresql::settings::TargetSessionAttrs::ReadWrite;
        });
        return found.sure(FixKind::Httpd, subject.httpd_place(), text, Then::Reload);
    }
    found
        .maybe(
            FixKind::Sql,
            format!("{} (only if its primary is gone for good: makes this server the primary)", subject.psql_place()),
            "SELECT pg_promote();",
            Then::None,
        )
        .maybe(
            FixKind::Httpd,
            format!("{} (if the page is to show rows only)", subject.httpd_place()),
            "DBTestReadOnly On",
            Then::Reload,
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::postgresql::subject::tests::over_tcp;

    #[test]
    fn the_standbys_that_a_commit_waits_for_are_counted() {
        assert_eq!(standbys_needed(""), 0);
        assert_eq!(standbys_needed("*"), 1);
        assert_eq!(standbys_needed("FIRST 2 (a, b, c)"), 2);
        assert_eq!(standbys_needed("ANY 2(a,b)"), 2);
        assert_eq!(standbys_needed("2 (a, b)"), 2);
        assert_eq!(standbys_needed("a, b"), 1);
    }

    #[test]
    fn a_healthy_server_warns_of_nothing() {
        let facts = Facts {
            max_connections: 100,
            reserved: 3,
            role_limit: -1,
            database_limit: -1,
            synchronous_commit: "on".into(),
            ..Facts::default()
        };
        assert!(synchronous(&over_tcp(), &facts).is_none());
        assert!(capacity(&over_tcp(), &facts, 16, 1).is_none());
        assert!(capacity(&over_tcp(), &facts, 97, 1).is_none());
        let found = capacity(&over_tcp(), &facts, 98, 1).unwrap();
        assert_eq!((found.id, found.fixes[0].text.as_str()), ("DBT1521", "max_connections = 111"));
    }

    #[test]
    fn read_only_is_reset_where_it_was_set() {
        let facts = |source: &str| Facts {
            session_user: "r".into(),
            database: "d".into(),
            read_only_source: Some(source.into()),
            ..Facts::default()
        };
        let text = |source| read_only(&over_tcp(), &facts(source)).fixes[0].text.clone();
        assert_eq!(
            text("user"),
            "SET default_transaction_read_only = off; SET transaction_read_only = off; ALTER ROLE \"r\" RESET default_transaction_read_only;"
        );
        assert_eq!(
            text("database"),
            "SET default_transaction_read_only = off; SET transaction_read_only = off; ALTER DATABASE \"d\" RESET default_transaction_read_only;"
        );
        assert_eq!(text("configuration file"), "default_transaction_read_only = off");
        let standby = Facts { in_recovery: true, ..Facts::default() };
        assert_eq!(read_only(&over_tcp(), &standby).id, "DBT1301");
    }
}
