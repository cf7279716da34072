//! A setting is changed where it was set: a line in postgresql.conf does nothing about what ALTER SYSTEM, the role or
//! the database says. pg_settings tells the source; who may not read the file's name gets the statement that wins over
//! both files.

use crate::diagnosis::postgresql::evidence::facts::{Facts, Parameter};
use crate::diagnosis::postgresql::quote::{ident, literal};
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

/// The role that logged in: settings of a role are its, whatever SET ROLE says.
pub fn login(subject: &Subject, facts: &Facts) -> String {
    if facts.session_user.is_empty() { subject.role.clone() } else { facts.session_user.clone() }
}

/// Where a setting was set, for a person.
pub fn where_set(facts: &Facts, name: &str) -> String {
    let Some(parameter) = facts.parameter(name) else { return "where it was set is not known".into() };
    match (parameter.source.as_str(), &parameter.file, parameter.line) {
        ("user", ..) => "set for the role".into(),
        ("database user", ..) => "set for the role in this database".into(),
        ("database", ..) => "set for the database".into(),
        ("global", ..) => "set for all roles (ALTER ROLE ALL)".into(),
        ("client", ..) => "set by the connection's own options".into(),
        ("command line", ..) => "set on the server's command line".into(),
        ("default", ..) => "the server's default".into(),
        ("environment variable", ..) => "set in the server's environment".into(),
        (_, Some(file), Some(line)) => format!("set in {file}, line {line}"),
        _ => "set in postgresql.conf or by ALTER SYSTEM".into(),
    }
}

/// Takes back, at its source, what was set. `want`: the value that works, for a source that can only be overruled.
pub fn reset(subject: &Subject, facts: &Facts, name: &str, want: &str, found: Finding) -> Finding {
    let Some(parameter) = facts.parameter(name) else {
        return found.maybe(
            FixKind::Sql,
            format!("{} (shows where it was set)", subject.psql_place()),
            format!(
                "SELECT name, setting, source, sourcefile, sourceline FROM pg_settings WHERE name = {0}; \
                 SELECT setdatabase, setrole::regrole, setconfig FROM pg_db_role_setting WHERE array_to_string(setconfig, ',') ~ {0};",
                literal(name)
            ),
            Then::None,
        );
    };
    let (role, database) = (ident(&login(subject, facts)), ident(&facts.database));
    // the session that applies it may be bound by it as well
    let free = if name == "default_transaction_read_only" {
        "SET default_transaction_read_only = off; SET transaction_read_only = off; "
    } else {
        ""
    };
    let sql = |text: String| format!("{free}{text}");
    let place = subject.psql_place();
    match parameter.source.as_str() {
        "user" => found.sure(FixKind::Sql, place, sql(format!("ALTER ROLE {role} RESET {name};")), Then::None),
        "database user" => found.sure(
            FixKind::Sql,
            place,
            sql(format!("ALTER ROLE {role} IN DATABASE {database} RESET {name};")),
            Then::None,
        ),
        // others' sessions are bound by it as well, perhaps on purpose: ours alone is let off
        "database" | "global" => {
            let (scope, back) = if parameter.source == "global" {
                ("ROLE ALL".to_owned(), "for every role")
            } else {
                (format!("DATABASE {database}"), "for every role in the database")
            };
            found.sure(FixKind::Sql, place.clone(), sql(for_us(&role, &database, name, want)), Then::None).maybe(
                FixKind::Sql,
                format!("{place} ({back})"),
                sql(format!("ALTER {scope} RESET {name};")),
                Then::None,
            )
        }
        "client" if subject.settings.options.is_some() => found.sure(
            FixKind::Httpd,
            format!("{} (without options)", subject.httpd_place()),
            subject.directive(|settings| settings.options = None),
            Then::Reload,
        ),
        _ => {
            let found = found.sure(FixKind::Sql, place, sql(for_us(&role, &database, name, want)), Then::None);
            server_wide(subject, parameter, want, free, found)
        }
    }
}

/// For our role in our database only: overrules every file and the command line.
fn for_us(role: &str, database: &str, name: &str, want: &str) -> String {
    format!("ALTER ROLE {role} IN DATABASE {database} SET {name} = {want};")
}

/// A setting that only the whole server has, changed where it stands. Never sure: everybody has it.
pub fn server_wide(subject: &Subject, parameter: &Parameter, want: &str, free: &str, found: Finding) -> Finding {
    let name = &parameter.name;
    let place = subject.psql_place();
    let file = parameter.file.as_deref();
    match (parameter.source.as_str(), file, parameter.line) {
        ("command line", ..) => found.maybe(
            FixKind::Shell,
            format!(
                "{} (it is on the server's command line, which no file overrules: take -c {name}=… out there)",
                subject.server_shell()
            ),
            "systemctl cat 'postgresql*'",
            Then::None,
        ),
        (_, Some(file), _) if file.ends_with("postgresql.auto.conf") => found.maybe(
            FixKind::Sql,
            format!("{place} (for the whole server; it was set by ALTER SYSTEM, in {file})"),
            format!("{free}ALTER SYSTEM RESET {name};{}", reload(parameter)),
            restart(parameter),
        ),
        (_, Some(file), Some(line)) => found.maybe(
            FixKind::PostgresqlConf,
            format!("{file}, line {line}, of the PostgreSQL server at {} (for the whole server)", subject.server()),
            format!("{name} = {want}"),
            if parameter.context == "postmaster" { Then::Restart } else { Then::Reload },
        ),
        // the role may not see the file: ALTER SYSTEM wins over both
        _ => found.maybe(
            FixKind::Sql,
            format!("{place} (for the whole server; wins over postgresql.conf; back: ALTER SYSTEM RESET {name})"),
            format!("{free}ALTER SYSTEM SET {name} = {want};{}", reload(parameter)),
            restart(parameter),
        ),
    }
}

fn reload(parameter: &Parameter) -> &'static str {
    if parameter.context == "postmaster" { "" } else { " SELECT pg_reload_conf();" }
}

fn restart(parameter: &Parameter) -> Then {
    if parameter.context == "postmaster" { Then::Restart } else { Then::None }
}

/// `row_security = off`: a policy that would hide a row is an error instead.
pub fn row_security_off(subject: &Subject, facts: &Facts, id: &'static str) -> Finding {
    let role = login(subject, facts);
    let found = finding(
        id,
        format!(
            "row_security is off for role {role} ({}): a statement that a policy of table {} would touch is refused",
            where_set(facts, "row_security"),
            subject.table
        ),
    )
    .not("not a missing policy: none was asked (check_enable_rls raises it before)");
    reset(subject, facts, "row_security", "on", found).maybe(
        FixKind::Sql,
        format!("{} (only if this role may have every row of every table; back: NOBYPASSRLS)", subject.psql_place()),
        format!("ALTER ROLE {} BYPASSRLS;", ident(&role)),
        Then::None,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::postgresql::subject::tests::over_tcp;

    fn facts(source: &str, file: Option<&str>) -> Facts {
        let parameter = Parameter {
            name: "statement_timeout".into(),
            source: source.into(),
            file: file.map(Into::into),
            line: file.map(|_| 7),
            ..Parameter::default()
        };
        Facts { session_user: "r".into(), database: "d".into(), parameters: vec![parameter], ..Facts::default() }
    }

    fn fixes(source: &str, file: Option<&str>) -> Vec<(bool, String)> {
        let found = reset(&over_tcp(), &facts(source, file), "statement_timeout", "0", finding("DBT1202", "x"));
        found.fixes.into_iter().map(|fix| (fix.sure, fix.text)).collect()
    }

    #[test]
    fn what_is_sure_concerns_our_role_alone() {
        assert_eq!(fixes("user", None), [(true, "ALTER ROLE \"r\" RESET statement_timeout;".into())]);
        let for_us = (true, "ALTER ROLE \"r\" IN DATABASE \"d\" SET statement_timeout = 0;".to_owned());
        assert_eq!(
            fixes("database", None),
            [for_us.clone(), (false, "ALTER DATABASE \"d\" RESET statement_timeout;".into())]
        );
        assert_eq!(fixes("command line", None)[0], for_us);
        let auto = fixes("configuration file", Some("/data/postgresql.auto.conf"));
        assert_eq!(auto[1].1, "ALTER SYSTEM RESET statement_timeout; SELECT pg_reload_conf();");
        assert_eq!(fixes("configuration file", Some("/etc/postgresql.conf"))[1].1, "statement_timeout = 0");
        assert!(fixes("configuration file", None)[1].1.starts_with("ALTER SYSTEM SET statement_timeout = 0;"));
    }

    #[test]
    fn what_was_not_seen_is_looked_for() {
        let found = reset(&over_tcp(), &Facts::default(), "statement_timeout", "0", finding("DBT1202", "x"));
        assert!(found.fixes.iter().all(|fix| !fix.sure && fix.text.starts_with("SELECT")));
    }
}
