//! Has the table the shape of the model, and does the database fill what the page does not send? All that is
//! wrong becomes one repair, so that one fix cures it.

use super::WANTED;
use super::insert::base_instead;
use crate::diagnosis::postgresql::evidence::facts::{Column, Facts, Relation};
use crate::diagnosis::postgresql::quote::ident;
use crate::diagnosis::postgresql::rules::numbering::{self, Numbering};
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

/// Statements that repair a table.
#[derive(Default)]
struct Repair {
    /// Each by itself, before: renames cannot stand beside other actions.
    first: Vec<String>,
    /// Actions of one ALTER TABLE.
    actions: Vec<String>,
    /// Each by itself, after.
    last: Vec<String>,
    /// What it takes from somebody: not for us to decide, then.
    costs: Vec<&'static str>,
}

/// One thing that is wrong.
struct Problem {
    id: &'static str,
    says: String,
}

impl Repair {
    fn sql(&self, table: &str) -> String {
        let mut statements: Vec<String> = self.first.clone();
        if !self.actions.is_empty() {
            statements.push(format!("ALTER TABLE {table} {};", self.actions.join(", ")));
        }
        statements.extend(self.last.iter().cloned());
        statements.join(" ")
    }
}

/// What is wrong with the columns of a relation; `None` if nothing is.
pub(super) fn read(subject: &Subject, facts: &Facts, relation: &Relation, read_only: bool) -> Option<Finding> {
    let mut repair = Repair::default();
    let mut problems = Vec::new();
    let replaced = wanted(relation, &mut repair, &mut problems);
    let ordinary = relation.kind == "r" || relation.kind == "p";
    if ordinary && !read_only {
        generated(relation, facts, &mut repair, &mut problems);
        filled(relation, facts, replaced, &mut repair, &mut problems);
    }
    // the headline is of what is missing, if anything is
    problems.sort_by_key(|problem| problem.id);
    let first = problems.first()?;
    if problems.iter().filter(|problem| problem.id == "DBT1007").count() > 1 {
        repair.costs.push("it may be another program's table, which happens to have this name");
    }
    let says: Vec<&str> = problems.iter().map(|problem| problem.says.as_str()).collect();
    let table = relation.qualified();
    let found = finding(first.id, format!("Table {} cannot serve as it is: {}", subject.table, says.join("; ")))
        .not(format!("not another table of this name: {table} is the one that search_path gives"));
    if !ordinary {
        return Some(base_instead(subject, facts, relation, found));
    }
    let text = repair.sql(&table);
    if repair.costs.is_empty() {
        return Some(found.sure(FixKind::Sql, subject.psql_place(), text, Then::None));
    }
    repair.costs.dedup();
    let place = format!("{} ({})", subject.psql_place(), repair.costs.join("; "));
    Some(found.maybe(FixKind::Sql, place, text, Then::None))
}

/// Columns that are missing, spelt otherwise, or of a type that the page cannot use. True if id is a new column.
fn wanted(relation: &Relation, repair: &mut Repair, problems: &mut Vec<Problem>) -> bool {
    let table = relation.qualified();
    let mut new_id = false;
    for (name, kind) in WANTED {
        let Some(column) = relation.column(name) else {
            let other = relation.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
            let says = match other {
                Some(other) => format!("its column {name} is spelt {}", ident(&other.name)),
                None => format!("it has no column {name}"),
            };
            problems.push(Problem { id: "DBT1007", says });
            match other {
                Some(other) => {
                    repair.costs.push("whoever uses the other spelling no longer finds it");
                    repair.first.push(format!("ALTER TABLE {table} RENAME COLUMN {} TO {name};", ident(&other.name)));
                }
                None => {
                    new_id |= name == "id";
                    repair.actions.push(format!("ADD COLUMN {name} {kind}{}", rest_of(name, relation)));
                }
            }
            continue;
        };
        if fits(column) {
            continue;
        }
        let says = format!("its column {name} is of type {}", column.kind);
        problems.push(Problem { id: "DBT1008", says });
        repair.costs.push(
            "writes the whole table anew, which is locked meanwhile, and whoever uses the column gets another type",
        );
        if name == "id" && !["numeric", "float4", "float8"].contains(&column.base.as_str()) {
            new_id = true;
            replace_id(relation, column, repair);
        } else {
            repair.actions.extend(retype(column));
        }
    }
    new_id
}

/// What follows the type of a new column.
fn rest_of(name: &str, relation: &Relation) -> &'static str {
    match name {
        "id" if relation.columns.iter().any(|column| column.primary) => " UNIQUE",
        "id" => " PRIMARY KEY",
        // rows that are there already get an empty text: the page wants one
        _ => " NOT NULL DEFAULT ''",
    }
}

/// An id that is no number stays under another name, and a new one is added.
fn replace_id(relation: &Relation, column: &Column, repair: &mut Repair) {
    let kept = ident("id_before_dbtest");
    repair.first.push(format!("ALTER TABLE {} RENAME COLUMN id TO {kept};", relation.qualified()));
    let key = relation.constraints.iter().find(|constraint| constraint.kind == "p" && constraint.columns == ["id"]);
    if let Some(key) = key {
        repair.actions.push(format!("DROP CONSTRAINT {}", ident(&key.name)));
    }
    if column.not_null && !column.has_default {
        repair.actions.push(format!("ALTER COLUMN {kept} DROP NOT NULL"));
    }
    let other_key = key.is_none() && relation.columns.iter().any(|column| column.primary);
    let rest = if other_key { "UNIQUE" } else { "PRIMARY KEY" };
    repair.actions.push(format!("ADD COLUMN id integer GENERATED BY DEFAULT AS IDENTITY {rest}"));
}

/// May the page read and write this column as it does: ids as integers, the rest as text?
fn fits(column: &Column) -> bool {
    match column.name.as_str() {
        // the page casts it to bigint: what a migration from elsewhere made a numeric is read as a number
        "id" => ["int2", "int4", "int8", "numeric"].contains(&column.base.as_str()),
        _ => ["text", "varchar", "citext", "name"].contains(&column.base.as_str()) || is_long_char(column),
    }
}

/// char(n) pads with blanks, but holds the text.
fn is_long_char(column: &Column) -> bool {
    column.base == "bpchar" && column.length.is_none_or(|length| length >= 255)
}

/// Changes a column's type, keeping what is in it.
fn retype(column: &Column) -> Vec<String> {
    let name = ident(&column.name);
    let (kind, using) = match (column.name.as_str(), column.base.as_str()) {
        ("id", _) => ("bigint", format!("{name}::bigint")),
        ("stuff", "bytea") => ("varchar(255)", format!("convert_from({name}, 'UTF8')")),
        (_, "bytea") => ("text", format!("convert_from({name}, 'UTF8')")),
        ("stuff", _) => ("varchar(255)", format!("{name}::text")),
        _ => ("text", format!("{name}::text")),
    };
    let mut actions = Vec::new();
    if column.has_default && !column.generated && column.name != "id" {
        // its default is of the old type
        actions.push(format!("ALTER COLUMN {name} DROP DEFAULT"));
    }
    actions.push(format!("ALTER COLUMN {name} TYPE {kind} USING {using}"));
    actions
}

/// Columns of the form whose values the database makes by itself.
fn generated(relation: &Relation, facts: &Facts, repair: &mut Repair, problems: &mut Vec<Problem>) {
    for (name, _) in &WANTED[1..] {
        if relation.column(name).is_some_and(|column| column.generated) {
            problems.push(Problem {
                id: "DBT1009",
                says: format!("its column {name} is generated by the database, and takes no value"),
            });
            repair.costs.push("the database no longer makes the value");
            ungenerate(relation, name, facts, repair);
        }
    }
}

/// A generated column becomes an ordinary one, with its values: PostgreSQL 13 and later can say so of a stored one.
fn ungenerate(relation: &Relation, name: &str, facts: &Facts, repair: &mut Repair) {
    let stored = relation.column(name).is_some_and(|column| column.stored);
    if stored && facts.version >= 130_000 {
        repair.actions.push(format!("ALTER COLUMN {} DROP EXPRESSION", ident(name)));
        return;
    }
    let (column, kept, table) = (ident(name), ident(&format!("{name}_before_dbtest")), relation.qualified());
    let kind = if name == "stuff" { "varchar(255)" } else { "text" };
    repair.first.push(format!("ALTER TABLE {table} RENAME COLUMN {column} TO {kept};"));
    repair.actions.push(format!("ADD COLUMN {column} {kind} NOT NULL DEFAULT ''"));
    repair.last.push(format!("UPDATE {table} SET {column} = coalesce({kept}::text, '');"));
    repair.last.push(format!("ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT, DROP COLUMN {kept};"));
}

/// Is every column that the page does not send filled by the database?
fn filled(relation: &Relation, facts: &Facts, new_id: bool, repair: &mut Repair, problems: &mut Vec<Problem>) {
    // a BEFORE trigger may fill any column: then only the write itself can tell
    if relation.triggers.iter().any(|trigger| trigger.insert && trigger.before && trigger.row) {
        return;
    }
    let empty = |column: &&Column| !column.has_default && column.identity.is_empty() && !column.generated;
    if let Some(id) = relation.column("id").filter(empty).filter(|_| !new_id) {
        problems.push(Problem {
            id: "DBT1011",
            says: "its column id has no default: the database does not number new rows".into(),
        });
        number(relation, id, &facts.user, repair);
    }
    let sent = |name: &str| WANTED.iter().any(|(wanted, _)| wanted.eq_ignore_ascii_case(name));
    for column in relation.columns.iter().filter(|column| column.not_null && !sent(&column.name)).filter(empty) {
        problems.push(Problem {
            id: "DBT1012",
            says: format!(
                "its column {} demands a value, which the page does not send, and has no default",
                column.name
            ),
        });
        repair.costs.push("what a row without a value means is for the table's owner to say");
        repair.actions.push(fill(column));
    }
}

/// Makes the database number the rows.
fn number(relation: &Relation, id: &Column, role: &str, repair: &mut Repair) {
    if !id.not_null {
        repair.actions.push("ALTER COLUMN id SET NOT NULL".into());
    }
    let Numbering { before, action, after } = numbering::of(relation, id, &ident(role));
    repair.first.extend(before);
    repair.actions.push(action);
    repair.last.push(after);
}

/// Makes the database fill a column by itself.
fn fill(column: &Column) -> String {
    let name = ident(&column.name);
    let value = match column.base.as_str() {
        "timestamptz" | "timestamp" => Some("now()"),
        "date" => Some("CURRENT_DATE"),
        "time" | "timetz" => Some("CURRENT_TIME"),
        "bool" => Some("false"),
        "int2" | "int4" | "int8" | "numeric" | "float4" | "float8" | "money" => Some("0"),
        "text" | "varchar" | "bpchar" | "citext" | "name" | "bytea" => Some("''"),
        "uuid" => Some("gen_random_uuid()"),
        "json" | "jsonb" => Some("'{}'"),
        "interval" => Some("'0'"),
        base if base.starts_with('_') => Some("'{}'"),
        _ => None,
    };
    match value {
        Some(value) => format!("ALTER COLUMN {name} SET DEFAULT {value}"),
        None => format!("ALTER COLUMN {name} DROP NOT NULL"),
    }
}
