//! Triggers, policies and the privileges of what a statement calls on the way.

use super::{Doing, Scene, id, relation, role, table, what};
use crate::database::ServerError;
use crate::diagnosis::postgresql::gather::facts::Facts;
use crate::diagnosis::postgresql::quote::{ident, literal};
use crate::diagnosis::postgresql::rules::privileges;
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::{Finding, FixKind, Then};

pub(super) fn row_security(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, .. } = *scene;
    let name = relation(scene).map_or("stuff", |relation| relation.name.as_str());
    let command = if scene.doing == Doing::Reading { "SELECT" } else { "ALL" };
    let clause = if scene.doing == Doing::Reading { "USING (true)" } else { "USING (true) WITH CHECK (true)" };
    let restrictive: Vec<String> = relation(scene)
        .map(|relation| {
            relation
                .policies
                .iter()
                .filter(|policy| policy.applies && !policy.permissive)
                .map(|policy| policy.name.clone())
                .collect()
        })
        .unwrap_or_default();
    let mut found = finding(
        id(scene, "DBT1109", "DBT1110"),
        format!("Row level security of table {} refuses: {}", subject.table, error.message),
    )
    .not("not a missing GRANT: the privileges are there, row level security comes on top");
    if restrictive.is_empty() {
        found = found.sure(
            FixKind::Sql,
            subject.psql_place(),
            format!(
                "CREATE POLICY {} ON {} FOR {command} TO {} {clause};",
                ident(&format!("{name}_dbtest_{}", command.to_lowercase())),
                table(scene),
                role(scene)
            ),
            Then::None,
        );
    }
    for policy in restrictive {
        found = found.maybe(
            FixKind::Sql,
            subject.psql_place(),
            format!("DROP POLICY {} ON {};", ident(&policy), table(scene)),
            Then::None,
        );
    }
    found
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
    )
    .not("not the table and not its columns: the catalogue has them");
    // a parameter of an extension has a dot in its name; the server quotes it in every language
    let name = error
        .message
        .split(|c: char| !(c.is_alphanumeric() || c == '.' || c == '_'))
        .find(|word| word.contains('.') && !word.starts_with('.') && !word.ends_with('.'));
    match name {
        Some(name) => found.sure(
            FixKind::Sql,
            subject.psql_place(),
            format!(
                "ALTER ROLE {} IN DATABASE {} SET {name} = '';",
                ident(&facts.session_user),
                ident(&facts.database)
            ),
            Then::None,
        ),
        None => found.maybe(
            FixKind::Sql,
            subject.psql_place(),
            format!(
                "SELECT polname, pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = {}::regclass;",
                literal(&table(scene))
            ),
            Then::None,
        ),
    }
}

/// The triggers that an insert fires.
pub(super) fn trigger_names(facts: &Facts, subject: &Subject) -> Vec<String> {
    let Some(relation) = facts.chosen(&subject.table) else { return Vec::new() };
    relation.triggers.iter().filter(|trigger| trigger.insert).map(|trigger| trigger.name.clone()).collect()
}

/// A trigger of ours failed inside: on a table, function or privilege of its own.
pub(super) fn inside_trigger(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, .. } = *scene;
    let context = error.context.as_deref().unwrap_or_default().replace('\n', "; ");
    let mut found = finding(
        id(scene, "DBT1205", "DBT1309"),
        format!("{} fires a trigger or function that fails: {} (in: {context})", what(scene), error.message),
    )
    .not(format!("not table {} itself: the server gives a context, so the error is inside a function", subject.table));
    let candidates: Vec<_> = relation(scene)
        .map(|relation| relation.triggers.iter().filter(|trigger| trigger.insert).collect())
        .unwrap_or_default();
    // the name of the function stands in the context, in every language
    let named: Vec<_> = candidates
        .iter()
        .filter(|trigger| {
            let plain = trigger
                .function
                .split('(')
                .next()
                .unwrap_or_default()
                .rsplit('.')
                .next()
                .unwrap_or_default()
                .trim_matches('"');
            context.contains(plain)
        })
        .copied()
        .collect();
    let chosen = if named.is_empty() { candidates } else { named };
    if error.code == "42501" {
        for trigger in &chosen {
            found = found.sure(
                FixKind::Sql,
                format!("{} (the function then acts with its owner's rights)", subject.psql_place()),
                format!("ALTER FUNCTION {} SECURITY DEFINER;", trigger.function),
                Then::None,
            );
        }
    }
    for trigger in &chosen {
        let text = format!("ALTER TABLE {} DISABLE TRIGGER {};", table(scene), ident(&trigger.name));
        let place = format!("{} (if the trigger can be done without)", subject.psql_place());
        found = if error.code == "42501" || chosen.len() > 1 {
            found.maybe(FixKind::Sql, place, text, Then::None)
        } else {
            found.sure(FixKind::Sql, place, text, Then::None)
        };
    }
    if chosen.is_empty() {
        found = found.maybe(
            FixKind::Sql,
            subject.psql_place(),
            format!(
                "SELECT tgname, tgfoid::regprocedure FROM pg_trigger WHERE tgrelid = {}::regclass;",
                literal(&table(scene))
            ),
            Then::None,
        );
    }
    found
}

pub(super) fn raised(scene: &Scene, error: &ServerError) -> Finding {
    let mut found = inside_trigger(scene, error);
    found.id = id(scene, "DBT1212", "DBT1310");
    found.cause = format!("A function in the database refuses the row by its own rule: {}", error.message);
    found
}

pub(super) fn sequence_right(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    let all: Vec<String> = relation(scene)
        .map(|relation| {
            let below = relation.bases.iter().flat_map(|base| &base.sequences);
            relation
                .sequences
                .iter()
                .chain(below)
                .filter(|sequence| !sequence.identity)
                .map(|sequence| sequence.qualified())
                .collect()
        })
        .unwrap_or_default();
    let text: Vec<String> =
        all.iter().map(|name| format!("GRANT USAGE ON SEQUENCE {name} TO {};", role(scene))).collect();
    let found = finding(
        "DBT1102",
        format!("Role {} may not use the sequence that numbers the rows: {}", facts.user, error.message),
    )
    .not("not a right on the table: the sequence was reached");
    if text.is_empty() {
        let schema = relation(scene).map_or("public", |relation| relation.schema.as_str());
        let all = format!("GRANT USAGE ON ALL SEQUENCES IN SCHEMA {} TO {};", ident(schema), role(scene));
        return found.sure(FixKind::Sql, subject.psql_place(), all, Then::None);
    }
    found.sure(FixKind::Sql, subject.psql_place(), text.join(" "), Then::None)
}

/// A privilege that the catalogue query did not foresee.
pub(super) fn privilege(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, doing, .. } = *scene;
    let found = finding("DBT1113", format!("Role {} lacks a privilege: {}", facts.user, error.message));
    let missing = relation(scene)
        .map(|relation| privileges::missing(facts, relation, doing == Doing::Reading))
        .unwrap_or_default();
    if !missing.is_empty() {
        return found.sure(FixKind::Sql, subject.psql_place(), missing.join(" "), Then::None);
    }
    found
        .maybe(
            FixKind::Sql,
            subject.psql_place(),
            format!("GRANT SELECT, INSERT ON {} TO {};", table(scene), role(scene)),
            Then::None,
        )
        .maybe(
            FixKind::Sql,
            format!("{} (if a type or function is meant)", subject.psql_place()),
            format!("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {};", role(scene)),
            Then::None,
        )
        .not("not a right on the table itself: the catalogue shows SELECT and INSERT granted")
}

/// The statement succeeded and returned no row: a trigger or rule swallowed it.
pub fn swallowed(scene: &Scene) -> Finding {
    let subject = scene.subject;
    let found = finding(
        "DBT1329",
        format!(
            "An insert into {} stores nothing: a trigger throws the row away, or a rule does something else instead",
            subject.table
        ),
    )
    .not("not a privilege and not a lock: PostgreSQL raised no error at all");
    let Some(relation) = relation(scene) else { return found };
    if let Some(rule) = relation.rules.first() {
        return found.sure(
            FixKind::Sql,
            subject.psql_place(),
            format!("DROP RULE {} ON {};", ident(rule), relation.qualified()),
            Then::None,
        );
    }
    let suspects: Vec<_> = relation
        .triggers
        .iter()
        .filter(|trigger| trigger.insert && (trigger.before || trigger.instead) && trigger.row)
        .collect();
    let sure = suspects.len() == 1;
    suspects.into_iter().fold(found, |found, trigger| {
        let text = format!("ALTER TABLE {} DISABLE TRIGGER {};", relation.qualified(), ident(&trigger.name));
        if sure {
            found.sure(FixKind::Sql, subject.psql_place(), text, Then::None)
        } else {
            found.maybe(FixKind::Sql, subject.psql_place(), text, Then::None)
        }
    })
}

/// What was stored is not what was sent.
pub fn altered(scene: &Scene, column: &str) -> Finding {
    let subject = scene.subject;
    let found = finding(
        "DBT1330",
        format!(
            "The database stores another text in column {column} of {} than was sent: a trigger or rule changes it",
            subject.table
        ),
    );
    let Some(relation) = relation(scene) else { return found };
    let suspects: Vec<_> = relation.triggers.iter().filter(|trigger| trigger.insert && trigger.before).collect();
    suspects.into_iter().fold(found, |found, trigger| {
        found.maybe(
            FixKind::Sql,
            format!("{} (if that is not meant)", subject.psql_place()),
            format!("ALTER TABLE {} DISABLE TRIGGER {};", relation.qualified(), ident(&trigger.name)),
            Then::None,
        )
    })
}
