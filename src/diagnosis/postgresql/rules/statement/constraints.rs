//! Rows that a rule of the table refuses: constraints, partitions, sequences, lengths.

use super::{Doing, Scene, relation, role, table};
use crate::database::ServerError;
use crate::diagnosis::postgresql::evidence::facts::Constraint;
use crate::diagnosis::postgresql::quote::{ident, literal, qualified};
use crate::diagnosis::postgresql::rules::numbering::{self, Numbering};
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

pub(super) fn partition(scene: &Scene, error: &ServerError) -> Finding {
    let subject = scene.subject;
    let (schema, name) =
        relation(scene).map_or(("public", subject.table.name()), |r| (r.schema.as_str(), r.name.as_str()));
    finding(
        "DBT1313",
        format!("Table {} is partitioned, and no partition takes the new row: {}", subject.table, error.message),
    )
    .not("not a CHECK constraint, though the SQLSTATE is the same (23514): no constraint is named")
    .maybe(
        FixKind::Sql,
        format!(
            "{} (a partition for whatever fits no other; one for that range can be attached later only once its rows are moved; back: DROP TABLE while it is empty)",
            subject.psql_place()
        ),
        format!(
            "CREATE TABLE {} PARTITION OF {} DEFAULT;",
            qualified(schema, &format!("{name}_default")),
            table(scene)
        ),
        Then::None,
    )
}

pub(super) fn constraint(scene: &Scene, error: &ServerError) -> Finding {
    let subject = scene.subject;
    let name = error.constraint.as_deref().unwrap_or_default();
    let known =
        relation(scene).and_then(|relation| relation.constraints.iter().find(|constraint| constraint.name == name));
    match error.code.as_str() {
        "23502" => not_null(scene, error),
        "23505" if is_key_of_id(known, error) => behind(scene),
        _ => rule(scene, error, known, subject),
    }
}

/// Is it the key of id, for which the page sent no value?
pub(super) fn is_key_of_id(known: Option<&Constraint>, error: &ServerError) -> bool {
    // "Key (id)=(7) already exists.", in every language
    let detail = error.detail.as_deref().unwrap_or_default();
    known.is_some_and(|constraint| constraint.columns == ["id"]) || detail.contains("(id)=(")
}

pub(super) fn behind(scene: &Scene) -> Finding {
    let name = table(scene);
    let sequence =
        relation(scene).and_then(|relation| relation.sequences.iter().find(|sequence| sequence.column == "id"));
    let which = match sequence {
        Some(sequence) => format!("{}::regclass", literal(&sequence.qualified())),
        None => format!("pg_get_serial_sequence({}, 'id')::regclass", literal(&name)),
    };
    let (kind, place) = (FixKind::Sql, scene.subject.psql_place());
    // a sequence that another table draws from as well may be ahead of this one: it is never set back
    let last =
        sequence.map_or(String::new(), |sequence| format!(", (SELECT last_value FROM {})", sequence.qualified()));
    let text = format!("SELECT setval({which}, greatest((SELECT max(id) FROM {name}){last}));");
    let found = finding(
        "DBT1314",
        format!(
            "The sequence that numbers the rows of {} is behind: it gives an id that is in the table already",
            scene.subject.table
        ),
    )
    .not("not a duplicate that a visitor typed: the page sends no id");
    match sequence {
        Some(_) => found.sure(kind, place, text, Then::None),
        None => found.maybe(kind, place, text, Then::None),
    }
}

pub(super) fn not_null(scene: &Scene, error: &ServerError) -> Finding {
    let column = error.column.as_deref().unwrap_or("id");
    if column == "id" {
        return no_number(scene);
    }
    let found = finding(
        "DBT1315",
        format!("Column {column} of table {} must have a value, and nobody gives one", scene.subject.table),
    )
    .not(format!("not a column of the form: the server names {column}"));
    found.maybe(
        FixKind::Sql,
        format!("{} (if rows without a value are all right; else SET DEFAULT with one that means something; back: SET NOT NULL)", scene.subject.psql_place()),
        format!("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL;", table(scene), ident(column)),
        Then::None,
    )
}

/// Nobody numbers the rows.
fn no_number(scene: &Scene) -> Finding {
    let name = table(scene);
    let known = relation(scene).and_then(|relation| Some((relation, relation.column("id")?)));
    let Numbering { before, action, after } = match known {
        Some((relation, id)) => numbering::of(relation, id, &role(scene)),
        None => numbering::by_identity(&name),
    };
    let first = before.map_or(String::new(), |statement| statement + " ");
    finding(
        "DBT1315",
        format!("Column id of table {} has no default: the database does not number new rows", scene.subject.table),
    )
    .sure(
        FixKind::Sql,
        scene.subject.psql_place(),
        format!("{first}ALTER TABLE {name} ALTER COLUMN id SET NOT NULL, {action}; {after}"),
        Then::None,
    )
    .not("not a column of the form: the server names id")
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
    .not(format!("not a missing privilege and not a wrong type: the server names the {kind} {name}"));
    if let (Some(domain), None) = (&error.datatype, &error.table) {
        let schema = error.schema.as_deref().unwrap_or("public");
        return found.maybe(
            FixKind::Sql,
            format!(
                "{} (only if the rule is not meant: every column of this domain is then without it)",
                subject.psql_place()
            ),
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
    // a unique index need not be a constraint: then the catalogue has none of this name
    let is_constraint = known.is_some() || error.code != "23505" || relation(scene).is_none();
    let text = if is_constraint {
        format!("ALTER TABLE {} DROP CONSTRAINT {};", table(scene), ident(name))
    } else {
        format!("DROP INDEX {};", relation(scene).map_or(ident(name), |relation| qualified(&relation.schema, name)))
    };
    let back = known.map_or(String::new(), |constraint| {
        format!("; back: ALTER TABLE {} ADD CONSTRAINT {} {}", table(scene), ident(name), constraint.definition)
    });
    found.maybe(
        FixKind::Sql,
        format!("{} (only if the rule is not meant: nothing then keeps such rows out{back})", subject.psql_place()),
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
    .maybe(
        FixKind::Sql,
        format!(
            "{} (only if rows that the view does not show may go in through it; back: SET (check_option = local))",
            scene.subject.psql_place()
        ),
        format!("ALTER VIEW {} RESET (check_option);", table(scene)),
        Then::None,
    )
    .not("not a CHECK of the table: SQLSTATE 44000 is a view's WITH CHECK OPTION")
}

pub(super) fn sequence_end(scene: &Scene, error: &ServerError) -> Finding {
    let sequence = relation(scene).and_then(|relation| {
        let below = relation.bases.iter().flat_map(|base| &base.sequences);
        relation.sequences.iter().chain(below).find(|sequence| sequence.column == "id")
    });
    let found = finding("DBT1320", format!("The sequence that numbers the rows is at its end: {}", error.message))
        .not("not a duplicate id: no number was given at all (2200H)");
    let name = table(scene);
    let wide = relation(scene).and_then(|relation| relation.column("id")).is_some_and(|id| id.base == "int8");
    if let (true, Some(sequence)) = (wide, sequence) {
        // the column was widened once, and the sequence was forgotten: no row is touched
        return found
            .sure(
                FixKind::Sql,
                scene.subject.psql_place(),
                format!("ALTER SEQUENCE {} AS bigint NO MAXVALUE;", sequence.qualified()),
                Then::None,
            )
            .not("not the column: id is a bigint already");
    }
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
    found.maybe(
        FixKind::Sql,
        format!("{} (bigint writes the whole table anew, which is locked meanwhile)", scene.subject.psql_place()),
        text,
        Then::None,
    )
}

pub(super) fn number_end(scene: &Scene, error: &ServerError) -> Finding {
    finding("DBT1321", format!("The next id is too large for column id: {}", error.message))
        .maybe(
            FixKind::Sql,
            format!("{} (writes the whole table anew, which is locked meanwhile)", scene.subject.psql_place()),
            format!("ALTER TABLE {} ALTER COLUMN id TYPE bigint;", table(scene)),
            Then::None,
        )
        .not("not a number that a visitor typed: the page sends texts only")
}

pub(super) fn too_long(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    let longer = facts
        .chosen(&subject.table)
        .and_then(|relation| crate::diagnosis::postgresql::rules::schema::short_column(subject, relation));
    let found =
        finding("DBT1322", format!("A column of table {} is too short for the text: {}", subject.table, error.message));
    match longer.as_ref().and_then(|finding| finding.fixes.first()) {
        Some(fix) => found.sure(fix.kind, fix.place.clone(), fix.text.clone(), fix.then),
        None => found.maybe(
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
