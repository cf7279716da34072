//! A schema that this library does not understand, in a file that is whole. SQLite reports both as damage (code 11,
//! "malformed database schema"); the schema is data, and can be looked at for what it is.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::probe::CHECKED_PAGES;

/// A row of sqlite_master that this library does not understand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strange {
    /// "table", "index", "view", "trigger".
    pub kind: String,
    pub name: String,
    /// What this library says of it.
    pub said: String,
}

/// The first row of the schema that this library does not understand, when all else in the file is in order: with
/// writable_schema, SQLite overlooks what it cannot read in a schema (sqlite.org/pragma.html#pragma_writable_schema).
/// Nothing is written.
pub fn strange_statement(path: &Path) -> Option<Strange> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).ok()?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).ok()?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false).ok()?;
    connection.execute_batch("PRAGMA writable_schema = ON").ok()?;
    let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).ok()?;
    if pages <= CHECKED_PAGES {
        let line: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).ok()?;
        if line != "ok" {
            return None;
        }
    }
    let mut statement = connection
        .prepare("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid")
        .ok()?;
    let rows: Vec<(String, String, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .ok()?
        .collect::<Result<_, _>>()
        .ok()?;
    first_strange(&rows)
}

/// Makes the schema anew in memory: tables first, since indexes, views and triggers lead to them.
fn first_strange(rows: &[(String, String, String)]) -> Option<Strange> {
    let scratch = Connection::open_in_memory().ok()?;
    let (tables, others): (Vec<_>, Vec<_>) = rows.iter().partition(|(kind, ..)| kind == "table");
    tables.into_iter().chain(others).find_map(|(kind, name, sql)| {
        // the module of a virtual table is only wanted when it is used
        if sql.get(..14).is_some_and(|start| start.eq_ignore_ascii_case("CREATE VIRTUAL")) {
            return None;
        }
        let error = scratch.execute_batch(sql).err()?;
        let said = match error {
            rusqlite::Error::SqliteFailure(_, Some(said)) => said,
            other => other.to_string(),
        };
        Some(Strange { kind: kind.clone(), name: name.clone(), said })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strange(rows: &[(&str, &str, &str)]) -> Option<String> {
        let rows: Vec<_> = rows.iter().map(|(a, b, c)| ((*a).into(), (*b).into(), (*c).into())).collect();
        first_strange(&rows).map(|strange| format!("{} {}", strange.kind, strange.name))
    }

    #[test]
    fn every_kind_of_object_may_be_newer_than_this_library() {
        let table = ("table", "stuff", "CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff, things)");
        let trigger = ("trigger", "t", "CREATE TRIGGER t BEFORE INSERT ON stuff BEGIN SELECT RAISE(FROB, 'no'); END");
        let index = ("index", "i", "CREATE INDEX i ON stuff (stuff)");
        assert_eq!(strange(&[trigger, index, table]).as_deref(), Some("trigger t"));
        assert_eq!(strange(&[table, index]), None);
        assert_eq!(
            strange(&[("view", "v", "CREATE VIEW v AS SELECT x FROM stuff FROBNICATE BY x"), table]).as_deref(),
            Some("view v")
        );
        assert_eq!(strange(&[("table", "f", "CREATE VIRTUAL TABLE f USING nothing_known(x)"), table]), None);
        assert_eq!(strange(&[("table", "n", "CREATE TABLE n (x) FROBNICATE"), table]).as_deref(), Some("table n"));
    }
}
