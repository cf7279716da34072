//! What a fix does to those who did not ask for it, read from what is to be typed, not from what its author thought.
//!
//! A fix is "do this" only if its cause is certain and its effect is narrow ([`Effect::is_narrow`]). What no row knows
//! counts as a change, and is a choice until somebody has thought about it.

mod commands;
mod price;
mod shell;
mod statements;

use self::commands::commands;
pub use self::price::{Effect, LINKED, Price};
use self::price::{SIZE, UNKNOWN, narrow, removes, wide};
use self::statements::statements;

use crate::diagnosis::report::FixKind;

/// Settings of PostgreSQL and PgBouncer that put right what was switched off, or make it reachable.
const SETTINGS_THAT_CORRECT: &[&str] = &[
    "fsync",
    "full_page_writes",
    "ssl",
    "ssl_cert_file",
    "ssl_key_file",
    "hot_standby",
    "listen_addresses",
    "unix_socket_directories",
    "ignore_startup_parameters",
    "auth_type",
    "auth_file",
    "auth_query",
    "auth_user",
    "default_transaction_read_only",
    "hba_file",
];

/// What a fix of this kind with this text does.
pub fn price(kind: FixKind, text: &str) -> Price {
    // advice that is a remark does nothing by itself
    if text.lines().all(|line| line.trim_start().starts_with("--") || line.trim_start().starts_with('#')) {
        return narrow(Effect::Looks);
    }
    match kind {
        FixKind::Sql => statements(text),
        FixKind::Shell => commands(text),
        FixKind::PgHba => hba_line(text),
        FixKind::PgIdent => narrow(Effect::Grants),
        FixKind::Httpd => narrow(Effect::Corrects),
        FixKind::PostgresqlConf => setting(text),
        FixKind::Pgbouncer if text.starts_with('"') => narrow(Effect::Grants),
        FixKind::Pgbouncer => match text.split_once('=').filter(|(name, _)| !name.trim().contains(' ')) {
            Some(_) => setting(text),
            None => hba_line(text),
        },
    }
}

fn hba_line(line: &str) -> Price {
    let words: Vec<&str> = line.split_whitespace().collect();
    if words.contains(&"trust") {
        return wide("whoever reaches the server from there needs no password", "take the line out again");
    }
    let everybody = words.iter().any(|word| matches!(*word, "0.0.0.0/0" | "::/0" | "samenet"));
    if everybody || words.get(1) == Some(&"all") && words.get(2) == Some(&"all") && words.first() != Some(&"local") {
        return wide("it lets in more than this role from this address", "take the line out again");
    }
    narrow(Effect::Grants)
}

fn setting(line: &str) -> Price {
    let (name, value) = line.split_once('=').map_or((line, ""), |(name, value)| (name.trim(), value.trim()));
    match name {
        "synchronous_standby_names" => removes(
            "a commit no longer waits for the standby: it may be lost with this machine",
            "the value from before",
        ),
        "unix_socket_permissions" if value.contains("0777") => {
            wide("every user of this machine may try to log in", "the value from before")
        }
        "pool_mode" => wide("clients that keep something in their session lose it", "the value from before"),
        name if SETTINGS_THAT_CORRECT.contains(&name) => narrow(Effect::Corrects),
        name if name.contains('_') && value.trim_matches('\'').parse::<u64>().is_ok() => SIZE,
        // a database's own line in [databases]
        name if !name.contains('_') && value.contains('=') => narrow(Effect::Corrects),
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::price::Deed;
    use super::*;

    fn effect(kind: FixKind, text: &str) -> Effect {
        price(kind, text).effect
    }

    #[test]
    fn what_takes_something_away_is_told_from_what_adds() {
        for (text, expected) in [
            ("GRANT SELECT, INSERT ON \"drop trigger\" TO web;", Effect::Grants),
            ("ALTER TABLE stuff DISABLE TRIGGER audit;", Effect::Removes),
            ("alter table stuff\n disable trigger audit", Effect::Removes),
            ("DROP RULE r ON stuff;", Effect::Removes),
            ("ALTER TABLE stuff DROP CONSTRAINT c;", Effect::Removes),
            ("ALTER FUNCTION f() SECURITY DEFINER;", Effect::Changes),
            ("ALTER ROLE web RESET statement_timeout;", Effect::Corrects),
            ("ALTER ROLE web RESET ALL;", Effect::Changes),
            ("GRANT SELECT ON stuff TO web; SELECT pg_terminate_backend(7);", Effect::Removes),
            ("ALTER TABLE stuff ADD COLUMN IF NOT EXISTS things text NOT NULL DEFAULT 'DROP TABLE';", Effect::Corrects),
            ("SELECT $x$; DROP TABLE stuff; $x$", Effect::Looks),
            (
                "CREATE TABLE n (id integer); INSERT INTO n SELECT * FROM o; DROP TABLE o; ALTER TABLE n RENAME TO o;",
                Effect::Changes,
            ),
            ("-- Perhaps you meant to DROP something.", Effect::Looks),
            ("FROBNICATE everything;", Effect::Changes),
            (
                "BEGIN; DROP TRIGGER t; CREATE TRIGGER t AFTER INSERT ON s BEGIN UPDATE n SET c = 1; END; COMMIT;",
                Effect::Corrects,
            ),
            ("BEGIN; DROP TRIGGER t; DROP TRIGGER u; COMMIT;", Effect::Removes),
        ] {
            assert_eq!(effect(FixKind::Sql, text), expected, "{text}");
        }
    }

    #[test]
    fn a_command_is_read_by_its_words() {
        for (text, expected) in [
            ("chgrp www-data /srv/a.db && chmod g+rw /srv/a.db", Effect::Grants),
            ("chmod 0777 /run/postgresql", Effect::Changes),
            ("mv /srv/a.db /srv/b.db\nchown www-data: /srv/b.db", Effect::Changes),
            ("mv -n /srv/a.db /srv/a.db.before-it-moved && ln -s /srv/b.db /srv/a.db", Effect::Corrects),
            ("systemctl start postgresql", Effect::Corrects),
            ("systemctl restart postgresql", Effect::Changes),
            ("setenforce 0", Effect::Removes),
            ("p=$(cat /run/p.pid) && kill -HUP $p", Effect::Corrects),
            ("kill 4711", Effect::Removes),
            ("kill -HUP 1 && kill 4711", Effect::Removes),
            ("for p in 1 2; do kill -HUP $p; done", Effect::Corrects),
            ("frobnicate /srv/a.db", Effect::Changes),
            ("ls /srv && runuser -u web -- /opt/frobnicate", Effect::Changes),
            ("sh -c 'frobnicate'", Effect::Changes),
            ("echo \"$(rm /srv/a.db)\"", Effect::Removes),
            ("ask() { grep x y; }; a=$(ask b) && install -d \"$a\"", Effect::Corrects),
            ("echo 'kill 1; rm -r /' # rm", Effect::Looks),
            ("ip route del prohibit 10.0.0.1", Effect::Removes),
            ("ip route get 10.0.0.1; ss -s", Effect::Looks),
            ("ss -ltnp | grep -i postgres || systemctl status --no-pager 'postgresql*'", Effect::Looks),
            ("ss -ltnp | grep -i postgres || systemctl start postgresql", Effect::Corrects),
            ("runuser -u postgres -- psql -c 'DROP DATABASE x'", Effect::Removes),
            ("install -d -o www-data -m 700 /var/lib/dbtest", Effect::Corrects),
        ] {
            assert_eq!(effect(FixKind::Shell, text), expected, "{text}");
        }
    }

    #[test]
    fn lines_of_configuration_are_read_by_their_value() {
        for (kind, text, expected) in [
            (FixKind::PgHba, "host stuffdb web 10.0.0.5/32 scram-sha-256", Effect::Grants),
            (FixKind::PgHba, "host stuffdb web 10.0.0.5/32 trust", Effect::Changes),
            (FixKind::PgHba, "host all all 0.0.0.0/0 md5", Effect::Changes),
            (FixKind::PostgresqlConf, "synchronous_standby_names = ''", Effect::Removes),
            (FixKind::PostgresqlConf, "max_connections = 300", Effect::Changes),
            (FixKind::PostgresqlConf, "fsync = on", Effect::Corrects),
            (FixKind::Pgbouncer, "\"web\" \"SCRAM-SHA-256$4096:x\"", Effect::Grants),
            (FixKind::Pgbouncer, "pool_mode = transaction", Effect::Changes),
            (FixKind::Pgbouncer, "stuffdb = host=127.0.0.1 port=5432", Effect::Corrects),
            (FixKind::Httpd, "DBTestTable app.stuff", Effect::Corrects),
        ] {
            assert_eq!(effect(kind, text), expected, "{text}");
        }
    }

    #[test]
    fn what_takes_something_away_says_what_it_costs_and_how_it_is_taken_back() {
        for Deed(first, then, price) in statements::STATEMENTS.iter().chain(commands::COMMANDS) {
            let spoken = !price.costs.is_empty() && !price.undo.is_empty();
            assert_eq!(spoken, price.effect >= Effect::Changes, "{first} … {then}");
        }
    }
}
