//! Reading an error that a statement met: the page's SELECT or its INSERT. By SQLSTATE and routine, with
//! what the catalogue says about the table; an error from inside a trigger or function (context or internal
//! query present) is never taken for one of our own statement. Every class of SQLSTATE has an answer.

mod constraints;
mod functions;
mod types;
mod waiting;

use crate::database::ServerError;
use crate::diagnosis::postgresql::gather::facts::{Facts, Relation};
use crate::diagnosis::postgresql::quote::ident;
use crate::diagnosis::postgresql::rules::poolers;
use crate::diagnosis::postgresql::rules::server;
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::{Finding, FixKind, Then};

pub use functions::{altered, swallowed};
pub use types::unreadable;
pub use waiting::{Blocker, too_slow};

/// What was being tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    Reading,
    Writing,
    /// The checks that a COMMIT would make.
    Committing,
}

/// All that is known when a statement fails.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    pub subject: &'a Subject,
    pub facts: &'a Facts,
    pub doing: Doing,
    pub blockers: &'a [Blocker],
}

/// The finding for the server's error.
pub fn refused(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    if poolers::speaks(error) {
        return poolers::refused(subject, error, poolers::When::Statement);
    }
    if let Some(found) = server::state(subject, error) {
        return found;
    }
    let inside = error.internal.is_some() || error.context.is_some();
    let code = error.code.as_str();
    let routine = error.routine.as_deref().unwrap_or_default();
    match (code, routine) {
        ("55P03", _) => waiting::locked(scene, false),
        ("57014", _) => waiting::cancelled(scene),
        ("25006", _) => crate::diagnosis::postgresql::rules::durable::read_only(subject, facts),
        ("40001" | "40P01" | "40000", _) => waiting::retry(scene, error),
        ("25P02" | "25001" | "25P01", _) => waiting::transaction_state(scene, error),
        _ if is_beyond(scene, error) => types::foreign(scene, error),
        ("26000" | "42P05", _) | ("0A000", "RevalidateCachedQuery") => waiting::prepared(error),
        ("22021" | "22P05" | "22P04", _) if scene.doing == Doing::Reading => types::stored_bytes(scene, error),
        ("44000", _) => constraints::view_check(scene, error),
        (_, "ExecWithCheckOptions" | "check_enable_rls") => functions::row_security(scene, error),
        ("42704", _) if error.position.is_none() || inside => functions::setting_missing(scene, error),
        (_, "exec_stmt_raise") if inside => functions::raised(scene, error),
        _ if inside && code.starts_with("P0") => functions::raised(scene, error),
        ("42501" | "42P01" | "42883" | "42703" | "3F000" | "42809", _) if inside => {
            functions::inside_trigger(scene, error)
        }
        _ if inside && scene.doing != Doing::Reading && !functions::trigger_names(facts, subject).is_empty() => {
            functions::inside_trigger(scene, error)
        }
        ("42501", "nextval_internal" | "nextval_oid" | "nextval") => functions::sequence_right(scene, error),
        ("42501", _) => functions::privilege(scene, error),
        ("42P01" | "42703" | "3F000", _) => types::changed(scene, error),
        ("42809" | "55000" | "0A000", _) if scene.doing == Doing::Writing => types::not_insertable(scene, error),
        ("23514", _) if error.constraint.is_none() => constraints::partition(scene, error),
        (code, _) if code.starts_with("23") => constraints::constraint(scene, error),
        ("2200H", _) => constraints::sequence_end(scene, error),
        ("22003", _) => constraints::number_end(scene, error),
        ("428C9", _) => types::generated(scene, error),
        ("22001", _) => constraints::too_long(scene, error),
        ("42804" | "22P02" | "22007" | "22008" | "42846" | "42883", _) => types::types(scene, error),
        ("22023", _) => types::setting_wrong(scene, error),
        (code, _) if code.starts_with("22") => types::data(scene, error),
        (code, _) if code.starts_with("HV") || code.starts_with("38") || code.starts_with("39") => {
            types::foreign(scene, error)
        }
        (code, _) if code.starts_with("P0") => functions::raised(scene, error),
        (code, _) if code.starts_with("54") => types::limit(scene, error),
        _ => types::unknown(scene, error),
    }
}

/// Does the table lie on another server, and the error beyond our own privileges on it?
fn is_beyond(scene: &Scene, error: &ServerError) -> bool {
    relation(scene).is_some_and(|relation| relation.kind == "f") && error.code != "42501"
}

/// The id of a finding that may come from a read or a write.
fn id(scene: &Scene, reading: &'static str, writing: &'static str) -> &'static str {
    if scene.doing == Doing::Reading { reading } else { writing }
}

fn what(scene: &Scene) -> &'static str {
    match scene.doing {
        Doing::Reading => "Reading",
        Doing::Writing => "Inserting",
        Doing::Committing => "Committing",
    }
}

fn relation<'a>(scene: &Scene<'a>) -> Option<&'a Relation> {
    scene.facts.chosen(&scene.subject.table)
}

fn table(scene: &Scene) -> String {
    relation(scene).map_or_else(|| scene.subject.table.quoted(), Relation::qualified)
}

fn role(scene: &Scene) -> String {
    let user = if scene.facts.user.is_empty() { &scene.subject.role } else { &scene.facts.user };
    ident(user)
}

/// The finding when nothing is known but the error: the catalogue was not asked.
pub fn by_error_alone(scene: &Scene, error: &ServerError) -> Finding {
    let subject = scene.subject;
    let inside = error.internal.is_some() || error.context.is_some();
    let name = subject.table.quoted();
    let role = role(scene);
    match error.code.as_str() {
        "42P01" if !inside => finding(
            "DBT1001",
            format!("Table {} is not found: it is missing, in another database or schema, or its schema may not be used", subject.table),
        )
        .maybe(
            FixKind::Shell,
            "a browser on this machine (the check tells which it is)",
            "curl -s http://localhost/dbtest/check",
            Then::None,
        ),
        "42703" if !inside => finding("DBT1007", format!("Table {} lacks a column: {}", subject.table, error.message)).maybe(
            FixKind::Sql,
            subject.psql_place(),
            format!("ALTER TABLE {name} ADD COLUMN IF NOT EXISTS stuff varchar(255) NOT NULL DEFAULT '', ADD COLUMN IF NOT EXISTS things text NOT NULL DEFAULT '';"),
            Then::None,
        ),
        "42501" if !inside && error.routine.as_deref() == Some("aclcheck_error") => {
            finding("DBT1101", format!("Role {} lacks a privilege: {}", subject.role, error.message)).maybe(
                FixKind::Sql,
                subject.psql_place(),
                format!("GRANT SELECT, INSERT ON {name} TO {role};"),
                Then::None,
            )
        }
        "25006" => finding("DBT1302", format!("The server takes no rows here: a standby, or default_transaction_read_only is on ({})", error.message)),
        _ => refused(scene, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::postgresql::gather::facts::{Constraint, Trigger};
    use crate::diagnosis::postgresql::subject::tests::over_tcp;

    fn error(code: &str, routine: &str) -> ServerError {
        ServerError { code: code.into(), routine: Some(routine.into()), ..ServerError::default() }
    }

    fn facts() -> Facts {
        let relation = Relation {
            schema: "public".into(),
            name: "stuff".into(),
            kind: "r".into(),
            usage: true,
            position: Some(1),
            constraints: vec![Constraint {
                name: "stuff_pkey".into(),
                kind: "p".into(),
                columns: vec!["id".into()],
                ..Constraint::default()
            }],
            triggers: vec![Trigger {
                name: "audit".into(),
                function: "public.f()".into(),
                insert: true,
                row: true,
                ..Trigger::default()
            }],
            ..Relation::default()
        };
        Facts {
            user: "flasktest".into(),
            session_user: "flasktest".into(),
            database: "d".into(),
            relations: vec![relation],
            ..Facts::default()
        }
    }

    fn read(doing: Doing, error: &ServerError) -> Finding {
        let (subject, facts) = (over_tcp(), facts());
        refused(&Scene { subject: &subject, facts: &facts, doing, blockers: &[] }, error)
    }

    #[test]
    fn an_error_inside_a_trigger_is_never_our_table() {
        let inside =
            ServerError { context: Some("PL/pgSQL function f() line 1".into()), ..error("42P01", "parserOpenTable") };
        let found = read(Doing::Writing, &inside);
        assert_eq!(found.id, "DBT1309");
        assert_eq!(found.fixes[0].text, "ALTER TABLE \"public\".\"stuff\" DISABLE TRIGGER \"audit\";");
        let found = read(Doing::Writing, &ServerError { code: "42501".into(), ..inside });
        assert_eq!(found.fixes[0].text, "ALTER FUNCTION public.f() SECURITY DEFINER;");
    }

    #[test]
    fn a_primary_key_that_the_page_did_not_send_is_a_sequence_behind() {
        let duplicate = ServerError { constraint: Some("stuff_pkey".into()), ..error("23505", "_bt_check_unique") };
        assert_eq!(read(Doing::Writing, &duplicate).id, "DBT1314");
        let other = ServerError { constraint: Some("stuff_stuff_key".into()), ..duplicate };
        assert_eq!(read(Doing::Writing, &other).id, "DBT1318");
    }

    #[test]
    fn a_missing_partition_is_no_check() {
        assert_eq!(read(Doing::Writing, &error("23514", "ExecFindPartition")).id, "DBT1313");
        let check = ServerError { constraint: Some("c".into()), ..error("23514", "ExecConstraints") };
        assert_eq!(read(Doing::Writing, &check).id, "DBT1317");
        assert_eq!(read(Doing::Committing, &check).id, "DBT1402");
    }

    #[test]
    fn every_class_of_sqlstate_has_an_answer_with_a_fix() {
        let classes = "01 02 03 08 09 0A 0B 0F 0L 0P 0Z 20 21 22 23 24 25 26 27 28 2B 2D 2F 34 38 39 3B 3D 3F 40 42 44 53 54 55 57 58 72 F0 HV P0 XX";
        for class in classes.split(' ') {
            for doing in [Doing::Reading, Doing::Writing, Doing::Committing] {
                let found = read(doing, &error(&format!("{class}000"), "somewhere"));
                assert!(!found.fixes.is_empty() && !found.cause.is_empty(), "{class}: {}", found.id);
            }
        }
    }
}
