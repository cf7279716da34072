//! The table and its columns.

use rusqlite::ffi;

use super::super::catalogue as id;
use super::super::evidence::Evidence;
use super::{Verdict, excluded, httpd, maybe, sql, stage_of, verdict};
use crate::database::Stage;
use crate::diagnosis::report::{Finding, Fix};
use crate::diagnosis::sqlite::gather::schema::Schema;
use crate::diagnosis::sqlite::rules::rebuild::{self, Change};

/// What the schema alone shows.
pub fn schema(evidence: &Evidence) -> Option<Verdict> {
    let at = |id, cause: String, fixes| Some(verdict(Stage::Schema, id, cause, fixes, schema_excluded(evidence)));
    if let Some(name) = evidence.table.schema().filter(|name| !name.eq_ignore_ascii_case("main")) {
        let cause =
            format!("DBTestTable {} names the schema {name}, and an SQLite file has no schemas", evidence.table);
        return at(id::SCHEMA_NAME, cause, vec![httpd(format!("DBTestTable {}", evidence.table.name()))]);
    }
    let schema = evidence.schema.as_ref()?;
    let table = evidence.table.name();
    let path = evidence.files.path.display();
    match schema.kind.as_deref() {
        None => {
            let mut fixes = vec![sql(evidence, format!("{};", evidence.create))];
            fixes.extend(schema.candidates.iter().take(3).map(|other| maybe(httpd(format!("DBTestTable {other}")))));
            return at(id::NO_TABLE, no_table(schema, table, &path.to_string()), fixes);
        }
        Some("table") => {}
        // a view may be read, and written by its INSTEAD OF triggers
        Some(_) if schema.missing().is_empty() && (evidence.read_only || !schema.insert_triggers().is_empty()) => {}
        Some(kind) => {
            let sure = schema.candidates.len() == 1;
            let named = |other: &String| httpd(format!("DBTestTable {other}"));
            let mut fixes: Vec<Fix> = schema.candidates.iter().take(3).map(named).collect();
            if !sure {
                fixes = fixes.into_iter().map(maybe).collect();
            }
            return at(
                id::NOT_A_TABLE,
                format!("{table} in {path} is a {kind}, into which nothing can be inserted"),
                fixes,
            );
        }
    }
    columns(evidence, schema)
}

fn no_table(schema: &Schema, table: &str, path: &str) -> String {
    let others: Vec<&str> =
        schema.tables.iter().map(String::as_str).filter(|name| !name.starts_with("sqlite_")).take(8).collect();
    match others.is_empty() {
        true => format!("{path} has no table {table}: it has no tables at all"),
        false => format!("{path} has no table {table}; it has {}", others.join(", ")),
    }
}

fn columns(evidence: &Evidence, schema: &Schema) -> Option<Verdict> {
    let table = evidence.table.name();
    let at = |id, cause: String, fixes| Some(verdict(Stage::Schema, id, cause, fixes, schema_excluded(evidence)));
    let missing = schema.missing();
    if !missing.is_empty() {
        let mut text: Vec<String> = missing
            .iter()
            .filter(|column| **column != "id")
            .map(|column| {
                format!("ALTER TABLE {} ADD COLUMN {column} TEXT NOT NULL DEFAULT '';", evidence.table.quoted())
            })
            .collect();
        let mut fixes = Vec::new();
        if missing.contains(&"id") {
            let rebuilt = rebuild::statements(schema, &Change::NumberedId);
            text.splice(0..0, rebuilt);
        }
        if !text.is_empty() {
            fixes.push(sql(evidence, text.join("\n")));
        }
        let plural = if missing.len() > 1 { "columns" } else { "column" };
        let cause = format!("the table {table} has no {plural} {}", missing.join(" and "));
        return at(id::NO_COLUMN, cause, fixes);
    }
    if evidence.read_only || schema.kind.as_deref() != Some("table") {
        return None;
    }
    if !schema.id_is_rowid && !gets_id_otherwise(evidence, schema) {
        let declared = schema.column("id").map(|column| column.declared.clone()).unwrap_or_default();
        let orphan = if schema.orphan { "; rows without an id are there already" } else { "" };
        let cause = format!(
            "SQLite does not assign the id: the column id of {table} is declared {}, and only INTEGER PRIMARY KEY is the row's number{orphan}",
            if declared.is_empty() { "without a type" } else { &declared }
        );
        let fixes = fix(evidence, schema, &Change::NumberedId);
        return at(id::ID_NOT_ASSIGNED, cause, fixes);
    }
    let generated =
        ["stuff", "things"].into_iter().find(|name| schema.column(name).is_some_and(|column| column.generated));
    if let Some(name) = generated {
        let cause = format!("the column {name} of {table} is computed from others: nothing can be inserted into it");
        let fixes = fix(evidence, schema, &Change::Plain(name, "TEXT")).into_iter().map(maybe).collect();
        return at(id::GENERATED, cause, fixes);
    }
    None
}

/// A trigger or a default may give the id: the row that was inserted tells.
fn gets_id_otherwise(evidence: &Evidence, schema: &Schema) -> bool {
    use crate::diagnosis::sqlite::gather::probe::Insert;
    match &evidence.inserted {
        Some(Insert::Done(id)) => id.is_some() && !schema.orphan,
        // it was not tried, or failed by something that another reading knows
        _ => {
            evidence.failure.as_ref().is_none_or(|failure| failure.stage == Stage::Write && !refuses_null_id(evidence))
        }
    }
}

/// NOT NULL on the id itself: WITHOUT ROWID tables, STRICT ones, or id INT NOT NULL.
fn refuses_null_id(evidence: &Evidence) -> bool {
    evidence.code() == Some(ffi::SQLITE_CONSTRAINT_NOTNULL)
}

fn fix(evidence: &Evidence, schema: &Schema, change: &Change) -> Vec<Fix> {
    rebuild::statements(schema, change).map(|text| sql(evidence, text)).into_iter().collect()
}

fn schema_excluded(evidence: &Evidence) -> Vec<String> {
    let mut list = Vec::new();
    if let Some(seen) = &evidence.files.seen {
        let real = evidence.files.real.display();
        list.push(format!("another file: {real} (inode {}) is the one that was opened", seen.inode));
    }
    list.push("an empty or damaged file: its schema can be read".into());
    list
}

/// SQLITE_ERROR, though table and columns are there.
pub fn refused(evidence: &Evidence) -> Option<Verdict> {
    if evidence.code()? != ffi::SQLITE_ERROR {
        return None;
    }
    let failure = evidence.failure.as_ref()?;
    let said = failure.cause.to_string();
    if evidence.schema.is_none() && failure.stage == Stage::Schema {
        // from the page itself, which looked no further: most likely the table or a column
        let cause = format!("the table {} cannot be used as it is: {said}", evidence.table);
        let create = maybe(sql(evidence, format!("{};", evidence.create)));
        return Some(verdict(Stage::Schema, id::NO_TABLE, cause, vec![create], excluded(evidence)));
    }
    let cause = format!("a statement on the table {} is refused: {said}", evidence.table);
    Some(verdict(stage_of(evidence, Stage::Schema), id::SCHEMA_REFUSED, cause, Vec::new(), excluded(evidence)))
}

/// Values that are no text: the page shows them as well as it can.
pub fn not_text(evidence: &Evidence) -> Option<Finding> {
    let schema = evidence.schema.as_ref()?;
    let (column, kind) = schema.not_text.first()?;
    let table = evidence.table.quoted();
    let text: Vec<String> = schema
        .not_text
        .iter()
        .map(|(column, kind)| match kind.as_str() {
            "null" => format!("UPDATE {table} SET [{column}] = '' WHERE [{column}] IS NULL;"),
            kind => {
                format!("UPDATE {table} SET [{column}] = CAST([{column}] AS TEXT) WHERE typeof([{column}]) = '{kind}';")
            }
        })
        .collect();
    let cause = format!("a row of {} holds a {kind} in the column {column}, which is to hold text", evidence.table);
    // bytes that are no text would be lost by it
    let fixes = vec![maybe(sql(evidence, text.join("\n")))];
    Some(Finding { id: id::NOT_TEXT, cause, fixes, excluded: Vec::new() })
}
