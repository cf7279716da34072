//! Reading what stands between a COMMIT and a row that lasts, and the arithmetic of connections: both are
//! read from settings, since a check stores nothing.

use crate::diagnosis::postgresql::evidence::facts::Facts;
use crate::diagnosis::postgresql::quote::ident;
use crate::diagnosis::postgresql::rules::setting;
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

/// A commit would wait for a synchronous standby that is not there: for ever, whatever statement_timeout says.
pub fn synchronous(subject: &Subject, facts: &Facts) -> Option<Finding> {
    let waits = !matches!(facts.synchronous_commit.as_str(), "off" | "local");
    let needed = standbys_needed(&facts.synchronous_standby_names);
    // how many are connected may not be known
    let connected = facts.standbys?;
    if !waits || connected >= needed {
        return None;
    }
    let name = "synchronous_standby_names";
    let role = ident(&setting::login(subject, facts));
    let found = finding(
            "DBT1401",
            format!(
                "Every commit waits for {needed} synchronous standby ({}), and {} is connected: a row would be stored, but never acknowledged",
                facts.synchronous_standby_names, connected
            ),
        )
        .maybe(
            FixKind::Shell,
            "a root shell on the standby's machine (keeps the promise that two machines have the row)",
            "systemctl start postgresql",
            Then::None,
        )
        .maybe(
            FixKind::Sql,
            format!("{} (for this page's rows only: they are then on one machine; back: RESET synchronous_commit)", subject.psql_place()),
            // the statement itself would wait for the standby otherwise
            format!("SET synchronous_commit = local; ALTER ROLE {role} IN DATABASE {} SET synchronous_commit = local;", ident(&facts.database)),
            Then::None,
        )
        .not("not a lock and not a slow disk: the insert itself succeeded");
    Some(match facts.parameter(name) {
        Some(parameter) => setting::server_wide(subject, parameter, "''", "", found),
        None => found,
    })
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
    let (role_limit, database_limit) = (facts.role_limit.unwrap_or(-1), facts.database_limit.unwrap_or(-1));
    let free = facts.max_connections - facts.reserved;
    if (0..wanted).contains(&role_limit) {
        return Some(
            finding(
                "DBT1523",
                format!("{sum}, but role {} may have {role_limit} (its CONNECTION LIMIT)", facts.session_user),
            )
            .maybe(
                FixKind::Sql,
                format!("{} (the limit is somebody's decision)", subject.psql_place()),
                format!("ALTER ROLE {role} CONNECTION LIMIT {wanted};"),
                Then::None,
            ),
        );
    }
    if (0..wanted).contains(&database_limit) {
        return Some(
            finding(
                "DBT1524",
                format!("{sum}, but database {} takes {database_limit} (its CONNECTION LIMIT)", facts.database),
            )
            .maybe(
                FixKind::Sql,
                format!("{} (the limit is somebody's decision)", subject.psql_place()),
                format!("ALTER DATABASE {database} CONNECTION LIMIT {wanted};"),
                Then::None,
            ),
        );
    }
    if facts.max_connections > 0 && facts.superuser != Some(true) && wanted > free {
        return Some(
            finding(
                "DBT1521",
                format!(
                    "{sum}, but PostgreSQL has {free} for ordinary roles (max_connections {} less {} reserved): at full load some requests will fail",
                    facts.max_connections, facts.reserved
                ),
            )
            .maybe(
                FixKind::PostgresqlConf,
                format!("{} (each connection costs the server memory: fewer httpd children, or a pooler, may be better)", subject.conf_place()),
                format!("max_connections = {}", wanted + facts.reserved + 10),
                Then::Restart,
            )
            .not("not a fault yet: connections are made only as children need them"),
        );
    }
    None
}

/// Settings that are off and should not be, where rows are to outlive a crash.
fn not_safe_in_a_crash(facts: &Facts) -> Vec<&'static str> {
    let off = |name: &&str| facts.parameter(name).is_some_and(|parameter| parameter.setting == "off");
    ["fsync", "full_page_writes", "synchronous_commit"].into_iter().filter(off).collect()
}

/// What the server does silently, and would be known too late.
pub fn of_the_server(subject: &Subject, facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    if let (Some(recorded), Some(actual)) = (&facts.collation_recorded, &facts.collation_actual)
        && recorded != actual
    {
        found.push(collation(subject, facts, recorded, actual));
    }
    // PostgreSQL refuses to write three million short of 2^31
    if let Some(age) = facts.age.filter(|age| *age > 1_000_000_000) {
        found.push(
            finding(
                "DBT1408",
                format!("Database {} has used {age} of 2147483648 transaction numbers since it was last frozen: autovacuum does not keep up, and at the end PostgreSQL refuses to write", facts.database),
            )
            .maybe(
                FixKind::Sql,
                format!("{} (reads every table; first end old transactions, prepared ones and unused replication slots, which hold it back)", subject.psql_place()),
                "VACUUM (FREEZE);",
                Then::None,
            ),
        );
    }
    found
}

/// What a crash may take with it, of the settings that are off.
pub fn crash(subject: &Subject, facts: &Facts) -> Vec<Finding> {
    not_safe_in_a_crash(facts).into_iter().filter_map(|name| lost_in_a_crash(subject, facts, name)).collect()
}

fn lost_in_a_crash(subject: &Subject, facts: &Facts, name: &str) -> Option<Finding> {
    let parameter = facts.parameter(name)?;
    let (id, what) = match name {
        "fsync" => ("DBT1407", "after a crash of the machine the whole database may be lost or damaged"),
        "full_page_writes" => ("DBT1407", "after a crash of the machine pages may be half written, and damaged"),
        _ => (
            "DBT1409",
            "a crash of the server may lose the rows of the last moments, though the page said that they were stored",
        ),
    };
    let found = finding(id, format!("{name} is off ({}): {what}", setting::where_set(facts, name)));
    Some(if parameter.context == "user" {
        setting::reset(subject, facts, name, "on", found)
    } else {
        setting::server_wide(subject, parameter, "on", "", found)
    })
}

/// The system under PostgreSQL sorts text otherwise than when the indexes were made.
fn collation(subject: &Subject, facts: &Facts, recorded: &str, actual: &str) -> Finding {
    let database = ident(&facts.database);
    finding(
        "DBT1017",
        format!(
            "Database {} has a collation version mismatch: it was created using collation version {recorded}, but the operating system provides version {actual}; an index on text may miss rows, or take one twice",
            facts.database
        ),
    )
    .maybe(
        FixKind::Sql,
        format!("{} (each index is locked while it is made anew)", subject.psql_place()),
        format!("REINDEX DATABASE {database}; ALTER DATABASE {database} REFRESH COLLATION VERSION;"),
        Then::None,
    )
}

/// Works today, and will not one day soon, or not after a crash.
pub fn forebodings(subject: &Subject, facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    let relation = facts.chosen(&subject.table);
    if let Some(relation) = relation.filter(|relation| relation.unlogged) {
        found.push(
            finding("DBT1405", format!("Table {} is UNLOGGED: after a crash of the server it is empty", subject.table))
                .maybe(
                    FixKind::Sql,
                    format!(
                        "{} (writes the whole table anew, which is locked meanwhile; back: SET UNLOGGED)",
                        subject.psql_place()
                    ),
                    format!("ALTER TABLE {} SET LOGGED;", relation.qualified()),
                    Then::None,
                ),
        );
    }
    if let Some(days) = facts.valid_days.filter(|days| (0.0..14.0).contains(days)) {
        let role = &facts.session_user;
        found.push(
            finding("DBT0811", format!("The password of role {role} expires in {days:.0} days (VALID UNTIL)")).maybe(
                FixKind::Sql,
                format!("{} (if it need not expire at all; else a new password and a new date)", subject.psql_place()),
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
                        crate::diagnosis::host::shell::word(&format!(
                            "createdb -p {port} -T template0 -E UTF8 --locale=C.UTF-8 {copy} && pg_dump -p {port} {name} | psql -p {port} -q {copy}",
                            port = subject.port,
                            name = crate::diagnosis::host::shell::word(&facts.database),
                            copy = crate::diagnosis::host::shell::word(&format!("{}_utf8", facts.database)),
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
    let name = "default_transaction_read_only";
    match (facts.in_recovery, facts.parameter(name)) {
        (Some(true), _) => standby(subject),
        (None, None) => finding(
            "DBT1337",
            format!("The server at {} takes no rows here: it is a standby, or {name} is on", subject.server()),
        )
        .maybe(
            FixKind::Sql,
            format!("{} (shows which)", subject.psql_place()),
            format!("SELECT pg_is_in_recovery(), setting, source FROM pg_settings WHERE name = '{name}';"),
            Then::None,
        ),
        (recovery, _) => {
            let mut found = finding(
                "DBT1302",
                format!(
                    "Sessions of role {} in database {} are read-only: {name} is on ({})",
                    setting::login(subject, facts),
                    facts.database,
                    setting::where_set(facts, name)
                ),
            );
            if recovery == Some(false) {
                found = found.not("not a standby: pg_is_in_recovery() is false");
            }
            setting::reset(subject, facts, name, "off", found)
        }
    }
}

fn standby(subject: &Subject) -> Finding {
    let hosts = subject.settings.hosts.len();
    let found = finding(
        "DBT1301",
        format!("The server at {} is a standby: it can be read, but not written to", subject.server()),
    )
    .not("not default_transaction_read_only: pg_is_in_recovery() is true");
    if hosts > 1 {
        let text = subject.directive(|settings| {
            settings.target_session_attrs = crate::database::postgresql::settings::TargetSessionAttrs::ReadWrite;
        });
        return found.maybe(
            FixKind::Httpd,
            format!("{} (goes past standbys, if one of the hosts is the primary)", subject.httpd_place()),
            text,
            Then::Reload,
        );
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
    use crate::diagnosis::postgresql::evidence::facts::Parameter;
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
            role_limit: Some(-1),
            database_limit: Some(-1),
            standbys: Some(0),
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
            in_recovery: Some(false),
            parameters: vec![Parameter {
                name: "default_transaction_read_only".into(),
                source: source.into(),
                ..Parameter::default()
            }],
            ..Facts::default()
        };
        let text = |source| read_only(&over_tcp(), &facts(source)).fixes[0].text.clone();
        let before = "SET default_transaction_read_only = off; SET transaction_read_only = off; ALTER ROLE \"r\"";
        assert_eq!(text("user"), format!("{before} RESET default_transaction_read_only;"));
        assert_eq!(text("database"), format!("{before} IN DATABASE \"d\" SET default_transaction_read_only = off;"));
        let standby = Facts { in_recovery: Some(true), ..Facts::default() };
        assert_eq!(read_only(&over_tcp(), &standby).id, "DBT1301");
        assert_eq!(read_only(&over_tcp(), &Facts::default()).id, "DBT1337");
    }
}
