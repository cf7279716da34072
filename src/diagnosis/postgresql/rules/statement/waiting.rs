//! Statements that wait, take too long, or meet another transaction.

use super::{Scene, id, table, what};
use crate::database::ServerError;
use crate::diagnosis::postgresql::quote::literal;
use crate::diagnosis::postgresql::rules::setting;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

/// A session that stands in the way of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    pub pid: i64,
    pub user: String,
    /// "idle in transaction", "active" …; empty when we may not see it.
    pub state: String,
    pub application: String,
    pub mode: String,
}

/// Somebody holds a lock. `silent`: it was our own time that ran out, not the server's.
pub fn locked(scene: &Scene, silent: bool) -> Finding {
    let subject = scene.subject;
    let Some(first) = scene.blockers.first() else {
        return finding(
            id(scene, "DBT1201", "DBT1303"),
            format!("{} waited in vain for a lock on table {}, and the one who held it is gone now", what(scene), subject.table),
        )
        .maybe(
            FixKind::Sql,
            subject.psql_place(),
            format!(
                "SELECT pid, usename, state, query FROM pg_stat_activity WHERE pid IN (SELECT pid FROM pg_locks WHERE relation = {}::regclass);",
                literal(&table(scene))
            ),
            Then::None,
        )
;
    };
    let who = format!(
        "process {} of role {}{}{}",
        first.pid,
        first.user,
        if first.state.is_empty() { String::new() } else { format!(" ({})", first.state) },
        if first.application.is_empty() { String::new() } else { format!(", {}", first.application) },
    );
    let ends: Vec<String> =
        scene.blockers.iter().map(|blocker| format!("SELECT pg_terminate_backend({});", blocker.pid)).collect();
    let waited = if silent { "did not end in time" } else { "waited in vain" };
    finding(
        id(scene, "DBT1201", "DBT1303"),
        format!("{} {waited}: {who} holds a lock on table {} ({})", what(scene), subject.table, first.mode),
    )
    .maybe(
        FixKind::Sql,
        format!(
            "{} (ends that session, whoever it is: what it has not committed is lost; better that its owner ends it)",
            subject.psql_place()
        ),
        ends.join(" "),
        Then::None,
    )
    .not("not a slow query: pg_locks shows who is waited for")
}

/// 57014 without a lock: a timeout of the server's, or somebody cancelled.
pub(super) fn cancelled(scene: &Scene) -> Finding {
    if !scene.blockers.is_empty() {
        return locked(scene, false);
    }
    let Scene { subject, facts, .. } = *scene;
    let limit = facts.statement_timeout.unwrap_or(0);
    let found = finding(
        id(scene, "DBT1202", "DBT1304"),
        if limit > 0 {
            format!("{} was cancelled by the server: statement_timeout is {limit} ms", what(scene))
        } else {
            format!("{} took too long and was cancelled", what(scene))
        },
    );
    let found = looked(scene, found);
    if limit == 0 {
        return found
            .maybe(FixKind::Sql, subject.psql_place(), format!("VACUUM ANALYZE {};", table(scene)), Then::None)
            .maybe(FixKind::Httpd, subject.httpd_place(), "DBTestTimeout connect=3s query=30s wait=1s", Then::Reload);
    }
    setting::reset(subject, facts, "statement_timeout", "0", found)
}

/// pg_locks was asked, and shows nobody.
fn looked(scene: &Scene, found: Finding) -> Finding {
    if scene.looked_for_locks && scene.blockers.is_empty() {
        return found.not("not a lock: pg_locks shows nobody in the way");
    }
    found
}

/// Our own time ran out, nobody is in the way.
pub fn too_slow(scene: &Scene) -> Finding {
    if scene.blockers.is_empty() {
        let found = finding(
            id(scene, "DBT1203", "DBT1306"),
            format!("{} got no answer within DBTestTimeout's query time: a connection cut silently on the way, or a slow server", what(scene)),
        )
        .maybe(
            FixKind::Httpd,
            scene.subject.httpd_place(),
            scene.subject.directive(|settings| {
                settings.tcp_user_timeout = Some(std::time::Duration::from_secs(5));
                settings.keepalives_idle = Some(std::time::Duration::from_secs(60));
            }),
            Then::Reload,
        )
        .maybe(FixKind::Sql, scene.subject.psql_place(), format!("VACUUM ANALYZE {};", table(scene)), Then::None);
        return looked(scene, found);
    }
    locked(scene, true)
}

pub(super) fn retry(scene: &Scene, error: &ServerError) -> Finding {
    finding(
        id(scene, "DBT1208", "DBT1307"),
        format!("{} met another transaction and was undone ({}): try again", what(scene), error.message),
    )
    .maybe(
        FixKind::Sql,
        format!("{} (shows how often it happens: deadlocks and conflicts)", scene.subject.psql_place()),
        format!(
            "SELECT datname, deadlocks, conflicts FROM pg_stat_database WHERE datname = {};",
            literal(&scene.subject.database)
        ),
        Then::None,
    )
}

pub(super) fn transaction_state(scene: &Scene, error: &ServerError) -> Finding {
    finding(
        id(scene, "DBT1209", "DBT1308"),
        format!("The transaction was already broken or missing: {}", error.message),
    )
    .maybe(
        FixKind::Shell,
        "a root shell on this machine (new children open new connections)",
        "apachectl graceful",
        Then::None,
    )
}

pub(super) fn prepared(error: &ServerError) -> Finding {
    finding(
        "DBT1211",
        format!(
            "The server does not know the statement any more ({}): a pooler in between, or the table was changed",
            error.message
        ),
    )
    .maybe(
        FixKind::Shell,
        "a root shell on this machine (new children open new connections)",
        "apachectl graceful",
        Then::None,
    )
}
