//! Row level security, and the privileges of what a statement calls on the way.

use super::said::{hinted, names};
use super::{Doing, Scene, id, relation, role, table};
use crate::database::ServerError;
use crate::diagnosis::postgresql::quote::{ident, literal, qualified};
use crate::diagnosis::postgresql::rules::privileges;
use crate::diagnosis::postgresql::rules::setting;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

/// A policy refuses, or row_security is off where policies apply.
pub(super) fn row_security(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    // raised only where a policy would have to be passed over
    if error.routine.as_deref() == Some("check_enable_rls") {
        return setting::row_security_off(subject, facts, id(scene, "DBT1109", "DBT1110"));
    }
    let mut found = finding(
        id(scene, "DBT1109", "DBT1110"),
        format!("Row level security of table {} refuses: {}", subject.table, error.message),
    )
    .not("not a missing GRANT: the server got as far as the policies (ExecWithCheckOptions)");
    let Some(relation) = relation(scene) else { return found };
    if relation.is_view() {
        // a view has no policies: those of the tables below it bind the role in whose name it reads
        return found.maybe(
            FixKind::Sql,
            format!(
                "{} (shows the policies of the tables below the view: they are asked for the view's owner)",
                subject.psql_place()
            ),
            "SELECT * FROM pg_policies;",
            Then::None,
        );
    }
    found = found.maybe(
        FixKind::Sql,
        format!("{} (shows what each policy demands: a row must obey it)", subject.psql_place()),
        format!(
            "SELECT polname, polcmd, polpermissive, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid) FROM pg_policy WHERE polrelid = {}::regclass;",
            literal(&relation.qualified())
        ),
        Then::None,
    );
    let (command, clause) = if scene.doing == Doing::Reading {
        ("SELECT", "USING (true)")
    } else {
        ("ALL", "USING (true) WITH CHECK (true)")
    };
    let restrictive: Vec<&str> = relation
        .policies
        .iter()
        .filter(|policy| policy.applies && !policy.permissive)
        .map(|policy| policy.name.as_str())
        .collect();
    if restrictive.is_empty() {
        let name = ident(&format!("{}_dbtest_{}", relation.name, command.to_lowercase()));
        return found.maybe(
            FixKind::Sql,
            format!(
                "{} (only if this role may have every row, whatever the other policies say; back: DROP POLICY {name})",
                subject.psql_place()
            ),
            format!("CREATE POLICY {name} ON {} FOR {command} TO {} {clause};", relation.qualified(), role(scene)),
            Then::None,
        );
    }
    restrictive.into_iter().fold(found, |found, policy| {
        found.maybe(
            FixKind::Sql,
            format!("{} (only if the rule is not meant: it binds every role that it names)", subject.psql_place()),
            format!("DROP POLICY {} ON {};", ident(policy), table(scene)),
            Then::None,
        )
    })
}

/// A policy of the table reads the table, and so asks itself.
pub(super) fn recursion(scene: &Scene, error: &ServerError) -> Finding {
    let subject = scene.subject;
    finding(
        id(scene, "DBT1109", "DBT1110"),
        format!("A policy of table {} asks for rows of a table whose policy asks again, without end: {}", subject.table, error.message),
    )
    .not("not a missing GRANT: the server was already expanding policies (42P17)")
    .maybe(
        FixKind::Sql,
        format!(
            "{} (shows the policies: the subquery belongs into a function that is SECURITY DEFINER, owned by a role that the policy does not bind)",
            subject.psql_place()
        ),
        format!(
            "SELECT polname, polcmd, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid) FROM pg_policy WHERE polrelid = {}::regclass;",
            literal(&table(scene))
        ),
        Then::None,
    )
}

/// An expression (of a policy, default or check) asks for a setting that is not set.
pub(super) fn setting_missing(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    let found = finding(
        id(scene, "DBT1111", "DBT1112"),
        format!(
            "A policy, default, check or trigger of table {} wants something that does not exist: {}",
            subject.table, error.message
        ),
    );
    // a parameter of an extension has a dot in its name; the server quotes it in every language
    let name = error
        .message
        .split(|c: char| !(c.is_alphanumeric() || c == '.' || c == '_'))
        .find(|word| word.contains('.') && !word.starts_with('.') && !word.ends_with('.'));
    let found = match name {
        Some(name) => found.maybe(
            FixKind::Sql,
            format!("{} (an empty value: put in the one that is meant)", subject.psql_place()),
            format!(
                "ALTER ROLE {} IN DATABASE {} SET {name} = '';",
                ident(&setting::login(subject, facts)),
                ident(&subject.database)
            ),
            Then::None,
        ),
        None => found,
    };
    hinted(scene, error, found).maybe(
        FixKind::Sql,
        format!("{} (shows the policies)", subject.psql_place()),
        format!(
            "SELECT polname, pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = {}::regclass;",
            literal(&table(scene))
        ),
        Then::None,
    )
}

/// The sequence that numbers the rows has privileges of its own.
pub(super) fn sequence_right(scene: &Scene, error: &ServerError) -> Finding {
    let subject = scene.subject;
    let all: Vec<String> = relation(scene)
        .map(|relation| {
            let below = relation.bases.iter().flat_map(|base| &base.sequences);
            let own = relation.sequences.iter().chain(below).filter(|sequence| !sequence.identity && !sequence.allowed);
            own.map(|sequence| sequence.qualified()).collect()
        })
        .unwrap_or_default();
    let text: Vec<String> =
        all.iter().map(|name| format!("GRANT USAGE ON SEQUENCE {name} TO {};", role(scene))).collect();
    let found = finding(
        "DBT1102",
        format!("Role {} may not use the sequence that numbers the rows: {}", subject.role, error.message),
    )
    .not("not a right on the table: the server got as far as the sequence (nextval)");
    if text.is_empty() {
        let name = format!("pg_get_serial_sequence({}, 'id')", literal(&table(scene)));
        return found.maybe(
            FixKind::Sql,
            format!(
                "{} (shows which sequence, then GRANT USAGE ON SEQUENCE … TO {})",
                subject.psql_place(),
                role(scene)
            ),
            format!("SELECT {name};"),
            Then::None,
        );
    }
    found.sure(FixKind::Sql, subject.psql_place(), text.join(" "), Then::None)
}

/// A schema that the statement names and the role may not use: the message names it in every language.
pub(super) fn closed_schema(scene: &Scene, error: &ServerError, statement: &str, found: Finding) -> Finding {
    let by_acl = error.routine.as_deref().is_some_and(|routine| routine.starts_with("aclcheck_error"));
    let closed: Vec<&String> =
        scene.facts.closed.iter().filter(|schema| by_acl && names(&error.message, schema)).collect();
    let [schema] = closed.as_slice() else { return found };
    let place = scene.subject.psql_place();
    let text = format!("GRANT USAGE ON SCHEMA {} TO {};", ident(schema), role(scene));
    let dotted = |text: &str| text.contains(&format!("{schema}.")) || text.contains(&format!("{}.", ident(schema)));
    let by_default = relation(scene)
        .is_some_and(|relation| relation.columns.iter().any(|column| column.default.as_deref().is_some_and(dotted)));
    if by_default || dotted(statement) {
        found.sure(FixKind::Sql, place, text, Then::None)
    } else {
        found.maybe(FixKind::Sql, place, text, Then::None)
    }
}

/// A privilege that the catalogue query did not foresee.
pub(super) fn privilege(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, doing, .. } = *scene;
    let Some(relation) = relation(scene) else { return by_message(scene, error) };
    let user = if facts.user.is_empty() { &subject.role } else { &facts.user };
    let found = finding("DBT1113", format!("Role {user} lacks a privilege: {}", error.message));
    let missing = privileges::missing(facts, relation, doing == Doing::Reading);
    if !missing.is_empty() {
        return found.sure(FixKind::Sql, subject.psql_place(), missing.join(" "), Then::None);
    }
    let found = closed_schema(scene, error, "", found);
    // a policy, view or function reads another table in our name
    let others = scene.elsewhere.iter().filter(|other| other.name != subject.table.name());
    let found = others.fold(found, |found, other| {
        found.maybe(
            FixKind::Sql,
            format!(
                "{} (a policy, view or function of {} reads it in the name of {user})",
                subject.psql_place(),
                subject.table
            ),
            format!("GRANT SELECT ON {} TO {};", qualified(&other.schema, &other.name), role(scene)),
            Then::None,
        )
    });
    let found = hinted(scene, error, found);
    if !found.fixes.is_empty() {
        return found;
    }
    found.maybe(
        FixKind::Sql,
        format!("{} (shows the privileges; grant what the message names)", subject.psql_place()),
        format!("SELECT relacl FROM pg_class WHERE oid = {}::regclass;", literal(&table(scene))),
        Then::None,
    )
}

/// The catalogue was not asked: what the message itself tells.
fn by_message(scene: &Scene, error: &ServerError) -> Finding {
    let subject = scene.subject;
    let on_table = names(&error.message, subject.table.name());
    let number = if on_table { "DBT1101" } else { "DBT1113" };
    finding(number, format!("Role {} lacks a privilege: {}", subject.role, error.message)).maybe(
        FixKind::Sql,
        format!("{} (if it is the table's)", subject.psql_place()),
        format!("GRANT SELECT, INSERT ON {} TO {};", subject.table.quoted(), role(scene)),
        Then::None,
    )
}
