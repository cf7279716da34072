//! Reading a refusal that has to do with the server's state rather than with us: it is full, starting,
//! stopping, out of memory or disk, or broken. Such errors come at any step.

use crate::database::ServerError;
use crate::diagnosis::host::shell::word as shell;
use crate::diagnosis::postgresql::quote::ident;
use crate::diagnosis::postgresql::subject::{Place, Subject};
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

/// The finding for an error before the session was ready that no other reader claims: by SQLSTATE and
/// routine, else by the class of the SQLSTATE.
pub fn refused(subject: &Subject, error: &ServerError) -> Finding {
    state(subject, error).unwrap_or_else(|| unknown(subject, error))
}

/// The finding if the error tells of the server's state.
pub fn state(subject: &Subject, error: &ServerError) -> Option<Finding> {
    if super::pgpool::speaks(error) {
        return Some(super::pgpool::refused(subject, error));
    }
    let routine = error.routine.as_deref().unwrap_or_default();
    let found = match (error.code.as_str(), routine) {
        ("53300", "InitializeSessionUserId") => role_full(subject),
        ("53300", "CheckMyDatabase") => database_full(subject),
        ("53300", _) => full(subject, routine == "InitPostgres"),
        ("57P03", _) if error.detail.is_some() => standby_closed(subject, error),
        ("57P03", _) => not_now(subject),
        ("57P01" | "57P02" | "57P05", _) => went_away(subject, error),
        ("57P04", _) => database_dropped(subject),
        ("53100", _) => disk_full(subject, error),
        (
            "53200",
            "LockAcquireExtended"
            | "SetupLockInTable"
            | "LockAcquire"
            | "GetSerializableTransactionSnapshotInt"
            | "RegisterPredicateLockingXid"
            | "CreatePredicateLock"
            | "FastPathGetRelationLockEntry"
            | "FastPathTransferRelationLocks",
        ) => lock_table_full(subject),
        ("53200", _) => out_of_memory(subject, error),
        (code, _) if code.starts_with("53") => exhausted(subject, error),
        (
            "42501",
            "mdopenfork" | "mdopen" | "mdextend" | "_mdfd_openseg" | "mdcreate" | "BasicOpenFilePerm"
            | "SetDatabasePath",
        ) => data_files(subject, error),
        ("58P01", "internal_load_library") => return None,
        ("58P01", _) => file_missing(subject, error),
        ("58030" | "58P02", _) => data_files(subject, error),
        ("XX001" | "XX002", _) => damaged(subject, error),
        (code, _) if code.starts_with("58") => data_files(subject, error),
        (code, _) if code.starts_with("XX") => internal(subject, error),
        (code, _) if code.starts_with("F0") => internal(subject, error),
        ("54000", "GetNewTransactionId" | "GetNewMultiXactId") => wraparound(subject, error),
        ("57014", _) => return None,
        (code, _) if code.starts_with("57") => not_now(subject),
        _ => return None,
    };
    Some(found)
}

/// `psql` as the owner of a local server, which works when the web server's login does not.
fn admin_place(subject: &Subject) -> String {
    format!("psql as a superuser in database postgres of the PostgreSQL server at {}", subject.server())
}

fn full(subject: &Subject, only_reserved_left: bool) -> Finding {
    let (id, what) = if only_reserved_left {
        ("DBT1502", "the connections that are left are reserved for superusers")
    } else {
        ("DBT1501", "max_connections are in use")
    };
    finding(id, format!("PostgreSQL takes no more connections: {what}"))
        .maybe(FixKind::Sql, format!("{} (shows who holds them)", admin_place(subject)), HOLDERS, Then::None)
        .maybe(
            FixKind::Httpd,
            format!("{} (each child of httpd then holds one connection at most)", subject.httpd_place()),
            "DBTestConnections 1",
            Then::Reload,
        )
        .maybe(
            FixKind::Shell,
            format!(
                "{} (raises max_connections, whatever it is now, by ten: how many are needed is for you to say; it restarts PostgreSQL)",
                subject.server_shell()
            ),
            more_connections(subject),
            Then::None,
        )
        .maybe(
            FixKind::Sql,
            format!("{} (ends the sessions that have done nothing for ten minutes: their programs lose their connections)", admin_place(subject)),
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state IN ('idle', 'idle in transaction') \
             AND state_change < now() - interval '10 minutes' AND pid <> pg_backend_pid();",
            Then::None,
        )
        .not("not a limit of this role or database: those come from other routines (InitializeSessionUserId, CheckMyDatabase)")
}

/// Who is connected, and as whom.
pub const HOLDERS: &str = "SELECT datname, usename, application_name, client_addr, state, count(*) FROM pg_stat_activity \
     GROUP BY 1, 2, 3, 4, 5 ORDER BY 6 DESC LIMIT 20;";

/// Ten more than the server's own value, where it stands: ALTER SYSTEM's file comes after postgresql.conf.
fn more_connections(subject: &Subject) -> String {
    crate::diagnosis::postgresql::server_commands::for_server(
        subject.port,
        "n=$(($(ask max_connections) + 10)); f=$(ask config_file); a=$d/postgresql.auto.conf; \
         grep -q '^ *max_connections' \"$a\" && f=$a; echo \"max_connections = $n\" >>\"$f\"; \
         b=$(dirname \"$(readlink /proc/$p/exe)\"); runuser -u \"$o\" -- \"$b/pg_ctl\" -D \"$d\" -l /dev/null -w -m fast restart",
    )
}

fn role_full(subject: &Subject) -> Finding {
    finding("DBT1503", format!("Role {} has as many connections as its CONNECTION LIMIT allows", subject.role))
        .maybe(FixKind::Sql, format!("{} (shows who holds them)", subject.psql_place()), HOLDERS, Then::None)
        .maybe(
            FixKind::Sql,
            format!("{} (lifts the limit: write the number that is meant instead of -1)", subject.psql_place()),
            format!("ALTER ROLE {} CONNECTION LIMIT -1;", ident(&subject.role)),
            Then::None,
        )
        .not("not max_connections of the server: the routine is the one that looks at the role's own limit")
}

fn database_full(subject: &Subject) -> Finding {
    finding("DBT1504", format!("Database {} has as many connections as its CONNECTION LIMIT allows", subject.database))
        .maybe(FixKind::Sql, format!("{} (shows who holds them)", admin_place(subject)), HOLDERS, Then::None)
        .maybe(
            FixKind::Sql,
            format!("{} (lifts the limit: write the number that is meant instead of -1)", admin_place(subject)),
            format!("ALTER DATABASE {} CONNECTION LIMIT -1;", ident(&subject.database)),
            Then::None,
        )
        .not("not max_connections of the server: the routine is the one that looks at the database's own limit")
}

fn not_now(subject: &Subject) -> Finding {
    let wait = match &subject.place {
        Place::Socket(dir) => format!("pg_isready -h {} -p {}", shell(&dir.display().to_string()), subject.port),
        Place::Tcp { host, .. } => format!("pg_isready -h {} -p {}", shell(host), subject.port),
    };
    finding(
        "DBT0710",
        format!(
            "PostgreSQL at {} is starting, stopping, or recovering from a crash, and takes no connections yet",
            subject.server()
        ),
    )
    .maybe(
        FixKind::Shell,
        format!(
            "any shell (waits up to five minutes; if it comes again and again, look at the log of PostgreSQL on {})",
            subject.machine()
        ),
        format!("timeout 300 sh -c 'until {wait}; do sleep 1; done'"),
        Then::None,
    )
    .maybe(FixKind::Shell, subject.server_shell(), "systemctl start postgresql", Then::None)
    .maybe(
        FixKind::Shell,
        format!("{} (did the kernel kill a process for want of memory?)", subject.server_shell()),
        "journalctl -k --since -1h | grep -iE 'out of memory|oom'",
        Then::None,
    )
}

/// 57P03 with a DETAIL: recovery itself keeps the door shut.
fn standby_closed(subject: &Subject, error: &ServerError) -> Finding {
    finding(
        "DBT0711",
        format!(
            "The server at {} is a standby that answers no queries: hot_standby is off, or it has not caught up yet ({})",
            subject.server(),
            error.detail.as_deref().unwrap_or_default()
        ),
    )
    .maybe(
        FixKind::Shell,
        format!("{} (waits until it has caught up)", subject.server_shell()),
        format!("timeout 300 sh -c 'until pg_isready -p {}; do sleep 1; done'", subject.port),
        Then::None,
    )
    .maybe(
        FixKind::PostgresqlConf,
        format!("{} (if it is off there)", subject.conf_place()),
        "hot_standby = on",
        Then::Restart,
    )
    .not("not an ordinary start or stop: the server gave a DETAIL, which it gives for standbys only")
}

fn went_away(subject: &Subject, error: &ServerError) -> Finding {
    let why = match error.code.as_str() {
        "57P02" => "another of its processes crashed",
        "57P05" => "it was idle for too long (idle_session_timeout)",
        _ => "an administrator ended it, or the server stops",
    };
    let found = finding("DBT0908", format!("The server ended the session: {why}"));
    // the server is well: it does as it was told
    if error.code == "57P05" {
        return found.maybe(
            FixKind::Sql,
            format!("{} (shows for whom it was set; it may be on purpose)", subject.psql_place()),
            "SELECT name, setting, source FROM pg_settings WHERE name = 'idle_session_timeout'; \
             SELECT setdatabase, setrole::regrole, setconfig FROM pg_db_role_setting;",
            Then::None,
        );
    }
    found
        .maybe(FixKind::Shell, subject.server_shell(), "systemctl start postgresql", Then::None)
        .maybe(
            FixKind::Shell,
            format!("{} (did the kernel kill a process for want of memory?)", subject.server_shell()),
            "journalctl -k --since -1h | grep -iE 'out of memory|oom'",
            Then::None,
        )
        .not("not a fault of this role, database or table: the session itself was ended")
}

fn database_dropped(subject: &Subject) -> Finding {
    finding("DBT0907", format!("Database {} was dropped while we were connected to it", subject.database)).maybe(
        FixKind::Sql,
        admin_place(subject),
        format!("CREATE DATABASE {} OWNER {};", ident(&subject.database), ident(&subject.role)),
        Then::None,
    )
}

fn disk_full(subject: &Subject, error: &ServerError) -> Finding {
    finding("DBT1403", format!("The disk of the database server is full: {}", error.message)).maybe(
        FixKind::Shell,
        format!("{} (shows which file system is full; free space there)", subject.server_shell()),
        "df -h; df -i; du -xsh /var/log /var/lib/postgresql/*/*/pg_wal 2>/dev/null",
        Then::None,
    )
}

fn lock_table_full(subject: &Subject) -> Finding {
    finding("DBT1505", "PostgreSQL's table of locks is full: some transaction holds thousands of locks")
        .maybe(
            FixKind::Sql,
            format!("{} (who holds them?)", admin_place(subject)),
            "SELECT a.pid, a.usename, a.application_name, a.state, count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
             GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC LIMIT 10;",
            Then::None,
        )
        .maybe(
            FixKind::Shell,
            format!("{} (shows the limit; more than it may be needed: set it in postgresql.conf, and restart)", subject.server_shell()),
            crate::diagnosis::postgresql::server_commands::for_server(subject.port, "ask max_locks_per_transaction"),
            Then::None,
        )
        .not("not the machine's memory: the routine is the lock manager's")
}

fn out_of_memory(subject: &Subject, error: &ServerError) -> Finding {
    finding("DBT1506", format!("PostgreSQL is out of memory: {}", error.message))
        .maybe(
            FixKind::Shell,
            format!("{} (shows what takes it)", subject.server_shell()),
            "free -m; ps -eo pid,user,rss,args --sort=-rss | head -n 15",
            Then::None,
        )
        .not("not the table of locks: the routine is not the lock manager's")
}

fn exhausted(subject: &Subject, error: &ServerError) -> Finding {
    finding(
        "DBT1507",
        format!("PostgreSQL has run out of something it needs (SQLSTATE {}): {}", error.code, error.message),
    )
    .maybe(
        FixKind::Shell,
        format!("{} (shows memory, disk and processes)", subject.server_shell()),
        "free -m; df -h; df -i; ps -u postgres | wc -l",
        Then::None,
    )
}

/// The operating system refused PostgreSQL its own files. 42501 looks like a missing GRANT, and is none.
fn data_files(subject: &Subject, error: &ServerError) -> Finding {
    let found = finding("DBT1404", format!("PostgreSQL cannot use its own data files: {}", error.message));
    let place = format!(
        "{} (remounts a data directory that is read-only, and gives its files back to their owner)",
        subject.server_shell()
    );
    if error.code == "42501" {
        return found
            .sure(FixKind::Shell, place, own_the_data(subject), Then::None)
            .not("not a missing GRANT, whatever the SQLSTATE says: the routine is one that opens files");
    }
    // an error of the disk, say: what the kernel has to tell comes first
    found
        .maybe(
            FixKind::Shell,
            format!("{} (is the disk failing?)", subject.server_shell()),
            "dmesg | grep -iE 'i/o error|ext4|xfs|nvme' | tail -n 30",
            Then::None,
        )
        .maybe(FixKind::Shell, place, own_the_data(subject), Then::None)
}

/// A file of PostgreSQL's own is not there.
fn file_missing(subject: &Subject, error: &ServerError) -> Finding {
    finding("DBT1406", format!("A file of PostgreSQL's own is missing: {}", error.message))
        .maybe(
            FixKind::Shell,
            format!("{} (is a disk not mounted? then mount it; else restore a backup)", subject.server_shell()),
            "mount -a; dmesg | grep -iE 'i/o error|ext4|xfs' | tail",
            Then::None,
        )
        .not("not a missing table: the catalogue has it, the file behind it is gone")
}

/// The files of the server and of its tablespaces, which pg_tblspc links to.
fn own_the_data(subject: &Subject) -> String {
    crate::diagnosis::postgresql::server_commands::for_server(
        subject.port,
        "for t in \"$d\" $(find \"$d/pg_tblspc\" -type l -exec readlink -f {} +); do \
         if findmnt -no OPTIONS -T \"$t\" | grep -qw ro; then \
         if dmesg 2>/dev/null | grep -qiE 'remounting filesystem read-only|i/o error'; then \
         echo 'the kernel found the disk in error (dmesg): look at that first'; exit 1; fi; mount -o remount,rw \"$(findmnt -no TARGET -T \"$t\")\"; fi; \
         find \"$t\" -xdev ! -user \"$o\" -exec chown \"$o\": {} +; find \"$t\" -xdev ! -perm -u+rw -exec chmod u+rwX {} +; done",
    )
}

fn damaged(subject: &Subject, error: &ServerError) -> Finding {
    finding("DBT1206", format!("Data of the database are damaged: {}", error.message))
        .maybe(FixKind::Sql, subject.psql_place(), format!("REINDEX TABLE {};", subject.table.quoted()), Then::None)
        .maybe(
            FixKind::Shell,
            format!("{} (before anything else: is the disk failing? then restore a backup)", subject.server_shell()),
            "dmesg | grep -iE 'i/o error|ata|nvme' | tail",
            Then::None,
        )
}

fn internal(subject: &Subject, error: &ServerError) -> Finding {
    finding(
        "DBT1207",
        format!(
            "PostgreSQL met an internal error ({}{}); its cause is open: {}",
            error.code,
            source(error),
            error.message
        ),
    )
    .maybe(
        FixKind::Shell,
        format!("{} (the server's log has more)", subject.server_shell()),
        crate::diagnosis::postgresql::server_commands::LOG,
        Then::None,
    )
}

fn wraparound(subject: &Subject, error: &ServerError) -> Finding {
    finding(
        "DBT1305",
        format!("PostgreSQL refuses to write lest it lose data (transaction numbers run out): {}", error.message),
    )
    .sure(FixKind::Sql, subject.psql_place(), "VACUUM (FREEZE);", Then::None)
    .not("not a read-only setting and not a standby: the SQLSTATE would be 25006")
}

/// Nothing knows this one: what the class of the SQLSTATE says, all that came, and where to look.
pub fn unknown(subject: &Subject, error: &ServerError) -> Finding {
    let found = finding(
        "DBT0909",
        format!(
            "The server refused the connection; the cause is open ({} {}{}): {}",
            error.code,
            class_name(&error.code),
            source(error),
            error.message
        ),
    );
    hinted(error, found).maybe(
        FixKind::Shell,
        format!("{} (the server's log has more)", subject.server_shell()),
        crate::diagnosis::postgresql::server_commands::LOG,
        Then::None,
    )
}

/// " from routine in file", where the server names them.
fn source(error: &ServerError) -> String {
    match (&error.routine, &error.file) {
        (Some(routine), Some(file)) => format!(" from {routine} in {file}"),
        (Some(routine), None) => format!(" from {routine}"),
        _ => String::new(),
    }
}

/// The server's own advice, as it stands.
fn hinted(error: &ServerError, mut found: Finding) -> Finding {
    for (name, text) in [("DETAIL", &error.detail), ("CONTEXT", &error.context), ("HINT", &error.hint)] {
        if let Some(text) = text {
            found.cause.push_str(&format!("; {name}: {text}"));
        }
    }
    found
}

/// What a class of SQLSTATE means (PostgreSQL manual, "PostgreSQL Error Codes").
pub fn class_name(code: &str) -> &'static str {
    match code.get(..2).unwrap_or_default() {
        "00" => "successful completion",
        "01" => "a warning",
        "02" => "no data",
        "03" => "SQL statement not yet complete",
        "08" => "a connection exception",
        "09" => "an exception in a triggered action",
        "0A" => "a feature that is not supported",
        "0B" => "an invalid transaction initiation",
        "0F" => "a locator exception",
        "0L" => "an invalid grantor",
        "0P" => "an invalid role specification",
        "0Z" => "a diagnostics exception",
        "20" => "case not found",
        "21" => "a violation of cardinality",
        "22" => "a data exception",
        "23" => "a violation of a constraint",
        "24" => "an invalid cursor state",
        "25" => "an invalid transaction state",
        "26" => "an invalid statement name",
        "27" => "a violation by a triggered data change",
        "28" => "an invalid authorisation",
        "2B" => "privileges that depend on it still exist",
        "2D" => "an invalid transaction termination",
        "2F" => "an exception in an SQL routine",
        "34" => "an invalid cursor name",
        "38" | "39" => "an exception in an external routine",
        "3B" => "a savepoint exception",
        "3D" => "an invalid database name",
        "3F" => "an invalid schema name",
        "40" => "the transaction was rolled back",
        "42" => "a syntax error or an access rule violation",
        "44" => "a violation of a view's WITH CHECK OPTION",
        "53" => "insufficient resources",
        "54" => "a limit of the server was exceeded",
        "55" => "an object is not in the state that is needed",
        "57" => "an operator's intervention",
        "58" => "an error of the system below PostgreSQL",
        "72" => "a snapshot failure",
        "F0" => "an error in the configuration files",
        "HV" => "an error of a foreign data wrapper",
        "P0" => "an exception raised by a PL/pgSQL function",
        "XX" => "an internal error",
        _ => "an error of an unknown class",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::postgresql::subject::tests::over_tcp;

    fn id(code: &str, routine: &str, detail: Option<&str>) -> &'static str {
        let error = ServerError {
            code: code.into(),
            routine: Some(routine.into()),
            detail: detail.map(Into::into),
            ..ServerError::default()
        };
        refused(&over_tcp(), &error).id
    }

    #[test]
    fn too_many_connections_has_four_limits_told_apart_by_routine() {
        assert_eq!(id("53300", "InitProcess", None), "DBT1501");
        assert_eq!(id("53300", "InitPostgres", None), "DBT1502");
        assert_eq!(id("53300", "InitializeSessionUserId", None), "DBT1503");
        assert_eq!(id("53300", "CheckMyDatabase", None), "DBT1504");
    }

    #[test]
    fn a_standby_that_is_shut_gives_a_detail() {
        assert_eq!(id("57P03", "ProcessStartupPacket", None), "DBT0710");
        assert_eq!(id("57P03", "ProcessStartupPacket", Some("in any language")), "DBT0711");
    }

    #[test]
    fn insufficient_privilege_from_the_file_layer_is_no_grant() {
        assert_eq!(id("42501", "mdopenfork", None), "DBT1404");
        assert_eq!(id("58030", "mdread", None), "DBT1404");
    }

    #[test]
    fn what_nobody_knows_is_still_named_by_its_class() {
        assert_eq!(id("0L000", "x", None), "DBT0909");
        assert_eq!(class_name("23505"), "a violation of a constraint");
        assert_eq!(class_name(""), "an error of an unknown class");
    }
}
