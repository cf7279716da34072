//! Rows that a rule of the table refuses: constraints, partitions, sequences, lengths.

use super::{Doing, Scene, relation, table};
use crate::database::ServerError;
use crate::diagnosis::postgresql::draft::{Draft, finding};
use crate::diagnosis::postgresql::facts::Constraint;
use crate::diagnosis::postgresql::quote::{ident, literal, qualified};
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::{Finding, FixKind, Then};

pub(super) fn partition(scene: &Scene, error: &ServerError) -> Finding {
    let subject = scene.subject;
    let (schema, name) =
        relation(scene).map_or(("public", subject.table.name()), |r| (r.schema.as_str(), r.name.as_str()));
    finding(
        "DBT1313",
        format!("Table {} is partitioned, and no partition takes the new row: {}", subject.table, error.message),
    )
    .sure(
        FixKind::Sql,
        subject.psql_place(),
        format!(
            "CREATE TABLE {} PARTITION OF {} DEFAULT;",
            qualified(schema, &format!("{name}_default")),
            table(scene)
        ),
        Then::None,
    )
    .not("not a CHECK constraint, though the SQLSTATE is the same (23514): no constraint is named")
}

pub(super) fn constraint(scene: &Scene, error: &ServerError) -> Finding {
    let subject = scene.subject;
    let name = error.constraint.as_deref().unwrap_or_default();
    let known =
        relation(scene).and_then(|relation| relation.constraints.iter().find(|constraint| constraint.name == name));
    match error.code.as_str() {
        "23502" => not_null(scene, error),
        "23505" if is_key_of_id(known, scene) => behind(scene),
        _ => rule(scene, error, known, subject),
    }
}

/// Is it the primary key of id, for which the page sent no value?
pub(super) fn is_key_of_id(known: Option<&Constraint>, scene: &Scene) -> bool {
    match known {
        Some(constraint) => constraint.columns == ["id"],
        // a unique index without a constraint has the table's name in front, by custom only: then the column's
        None => relation(scene)
            .is_some_and(|relation| relation.constraints.iter().all(|constraint| constraint.columns != ["id"])),
    }
}

pub(super) fn behind(scene: &Scene) -> Finding {
    let name = table(scene);
    let sequence =
        relation(scene).and_then(|relation| relation.sequences.iter().find(|sequence| sequence.column == "id"));
    let which = match sequence {
        Some(sequence) => format!("{}::regclass", literal(&sequence.qualified())),
        None => format!("pg_get_serial_sequence({}, 'id')::regclass", literal(&name)),
    };
    finding(
        "DBT1314",
        format!(
            "The sequence that numbers the rows of {} is behind: it gives an id that is in the table already",
            scene.subject.table
        ),
    )
    .sure(
        FixKind::Sql,
        scene.subject.psql_place(),
        format!("SELECT setval({which}, (SELECT max(id) FROM {name}));"),
        Then::None,
    )
    .not("not a duplicate that a visitor typed: the page sends no id")
}

pub(super) fn not_null(scene: &Scene, error: &ServerError) -> Finding {
    let column = error.column.as_deref().unwrap_or("id");
    let found = finding(
        "DBT1315",
        format!("Column {column} of table {} must have a value, and nobody gives one", scene.subject.table),
    )
    .not("not the columns of the form: stuff and things were sent");
    found.sure(
        FixKind::Sql,
        scene.subject.psql_place(),
        format!("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL;", table(scene), ident(column)),
        Then::None,
    )
}

/// A CHECK, a foreign key, a unique or exclusion constraint that our row does not obey.
pub(super) fn rule(scene: &Scene, error: &ServerError, known: Option<&Constraint>, subject: &Subject) -> Finding {
    let name = error.constraint.as_deref().unwrap_or_default();
    let definition = known.map_or(String::new(), |constraint| format!(" ({})", constraint.definition));
    let kind = match error.code.as_str() {
        "23503" => "foreign key",
        "23505" => "unique constraint",
        "23514" => "CHECK",
        "23P01" => "exclusion constraint",
        _ => "constraint",
    };
    let deferred = if scene.doing == Doing::Committing { ", which is checked only at COMMIT" } else { "" };
    let number = match (scene.doing, error.code.as_str()) {
        (Doing::Committing, _) => "DBT1402",
        (_, "23503") => "DBT1316",
        (_, "23514") => "DBT1317",
        _ => "DBT1318",
    };
    let found = finding(
        number,
        format!(
            "Table {} has the {kind} {name}{definition}{deferred}, which an ordinary row does not obey",
            subject.table
        ),
    )
    .not("not a missing privilege and not a wrong type: the row was complete, a rule of the table refused it");
    if let (Some(domain), None) = (&error.datatype, &error.table) {
        let schema = error.schema.as_deref().unwrap_or("public");
        return found.sure(
            FixKind::Sql,
            format!("{} (if the rule is not meant for this page's rows)", subject.psql_place()),
            format!("ALTER DOMAIN {} DROP CONSTRAINT {};", qualified(schema, domain), ident(name)),
            Then::None,
        );
    }
    if name.is_empty() {
        return found.maybe(
            FixKind::Sql,
            subject.psql_place(),
            format!(
                "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = {}::regclass;",
                literal(&table(scene))
            ),
            Then::None,
        );
    }
    let text = if known.is_some() || !matches!(error.code.as_str(), "23505") {
        format!("ALTER TABLE {} DROP CONSTRAINT {};", table(scene), ident(name))
    } else {
        format!("DROP INDEX {};", relation(scene).map_or(ident(name), |relation| qualified(&relation.schema, name)))
    };
    found.sure(
        FixKind::Sql,
        format!("{} (if the rule is not meant for this page's rows)", subject.psql_place()),
        text,
        Then::None,
    )
}

pub(super) fn view_check(scene: &Scene, error: &ServerError) -> Finding {
    finding(
        "DBT1319",
        format!(
            "{} is a view WITH CHECK OPTION, and the new row is not one it would show: {}",
            scene.subject.table, error.message
        ),
    )
    .sure(
        FixKind::Sql,
        scene.subject.psql_place(),
        format!("ALTER VIEW {} RESET (check_option);", table(scene)),
        Then::None,
    )
    .not("not a CHECK of the table: that would be 23514")
}

pub(super) fn sequence_end(scene: &Scene, error: &ServerError) -> Finding {
    let sequence = relation(scene).and_then(|relation| {
        let below = relation.bases.iter().flat_map(|base| &base.sequences);
        relation.sequences.iter().chain(below).find(|sequence| sequence.column == "id")
    });
    let found = finding("DBT1320", format!("The sequence that numbers the rows is at its end: {}", error.message))
        .not("not the column's type: the sequence has a limit of its own");
    let name = table(scene);
    let text = match sequence {
        Some(sequence) if sequence.identity => {
            format!(
                "ALTER TABLE {name} ALTER COLUMN id TYPE bigint, ALTER COLUMN id SET NO MAXVALUE; ALTER SEQUENCE {} AS bigint NO MAXVALUE;",
                sequence.qualified()
            )
        }
        Some(sequence) => {
            format!(
                "ALTER SEQUENCE {} AS bigint NO MAXVALUE; ALTER TABLE {name} ALTER COLUMN id TYPE bigint;",
                sequence.qualified()
            )
        }
        None => {
            return found.maybe(
                FixKind::Sql,
                scene.subject.psql_place(),
                format!("ALTER TABLE {name} ALTER COLUMN id TYPE bigint;"),
                Then::None,
            );
        }
    };
    found.sure(FixKind::Sql, scene.subject.psql_place(), text, Then::None)
}

pub(super) fn number_end(scene: &Scene, error: &ServerError) -> Finding {
    finding("DBT1321", format!("The next id is too large for column id: {}", error.message))
        .sure(
            FixKind::Sql,
            scene.subject.psql_place(),
            format!("ALTER TABLE {} ALTER COLUMN id TYPE bigint;", table(scene)),
            Then::None,
        )
        .not("not a number that a visitor typed: the page sends texts only")
}

pub(super) fn too_long(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    let longer = facts
        .chosen(&subject.table)
        .and_then(|relation| crate::diagnosis::postgresql::table::short_column(subject, relation));
    let found =
        finding("DBT1322", format!("A column of table {} is too short for the text: {}", subject.table, error.message))
            .not("not a text that is longer than the form permits: the check sends a short one");
    match longer.as_ref().and_then(|finding| finding.fixes.first()) {
        Some(fix) => found.sure(fix.kind, fix.place.clone(), fix.text.clone(), fix.then),
        None => found.sure(
            FixKind::Sql,
            subject.psql_place(),
            format!(
                "ALTER TABLE {} ALTER COLUMN stuff TYPE varchar(255), ALTER COLUMN things TYPE text;",
                table(scene)
            ),
            Then::None,
        ),
    }
}
