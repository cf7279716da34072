//! The table as SQLite declares it: what it is, its columns, and what else has a say when a row is inserted.

use rusqlite::{Connection, OptionalExtension};

use crate::database::Table;

/// The columns that the module reads and writes.
pub const WANTED: [&str; 3] = ["id", "stuff", "things"];

/// One column (`PRAGMA table_xinfo`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub declared: String,
    pub not_null: bool,
    pub has_default: bool,
    /// Its place in the primary key; 0 for none.
    pub key: i64,
    /// Computed from others: nothing can be inserted.
    pub generated: bool,
}

/// A trigger or index of the table, with the statement that makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    pub name: String,
    pub sql: String,
}

/// What the schema says about the table.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    /// "table", "view", "virtual"; `None` when there is nothing of that name.
    pub kind: Option<String>,
    /// The statement that made it.
    pub sql: String,
    pub columns: Vec<Column>,
    /// `id` is the row's own number, so that SQLite assigns it.
    pub id_is_rowid: bool,
    pub autoincrement: bool,
    /// The greatest id, and the greatest that AUTOINCREMENT gave.
    pub greatest: Option<i64>,
    pub sequence: Option<i64>,
    pub triggers: Vec<Attached>,
    pub indexes: Vec<Attached>,
    /// Other tables that have all three columns.
    pub candidates: Vec<String>,
    /// All tables and views.
    pub tables: Vec<String>,
    /// Rows among the newest whose `stuff` or `things` is no text: (column, type).
    pub not_text: Vec<(String, String)>,
    /// A row without an id exists.
    pub orphan: bool,
}

impl Schema {
    /// Reads it, with statements that take nothing but read locks.
    pub fn read(connection: &Connection, table: &Table, page_size: u32) -> rusqlite::Result<Self> {
        let name = table.name();
        let mut schema = Self { tables: names(connection)?, ..Self::default() };
        let found: Option<(String, String, Option<String>)> = connection
            .query_row(
                "SELECT type, name, sql FROM main.sqlite_master WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view')",
                [name],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?;
        let Some((kind, name, sql)) = found else {
            schema.candidates = candidates(connection, &schema.tables)?;
            return Ok(schema);
        };
        schema.sql = sql.unwrap_or_default();
        let is_virtual = schema.sql.get(..14).is_some_and(|start| start.eq_ignore_ascii_case("CREATE VIRTUAL"));
        schema.kind = Some(if is_virtual { "virtual".into() } else { kind });
        schema.columns = columns(connection, &name)?;
        schema.triggers = attached(connection, "trigger", &name)?;
        if schema.kind.as_deref() == Some("table") {
            schema.indexes = attached(connection, "index", &name)?;
            schema.id_is_rowid = id_is_rowid(connection, &name)?;
            schema.autoincrement = schema.tables.iter().any(|other| other == "sqlite_sequence")
                && crate::diagnosis::sqlite::sql_words::words(&schema.sql)
                    .any(|word| word.eq_ignore_ascii_case("AUTOINCREMENT"));
        } else {
            let others: Vec<String> = schema.tables.iter().filter(|other| **other != name).cloned().collect();
            schema.candidates = candidates(connection, &others)?;
        }
        if schema.missing().is_empty() {
            schema.read_values(connection, table, page_size)?;
        }
        Ok(schema)
    }

    fn read_values(&mut self, connection: &Connection, table: &Table, page_size: u32) -> rusqlite::Result<()> {
        let table = table.quoted();
        if self.id_is_rowid {
            self.greatest = connection.query_row(&format!("SELECT max([id]) FROM {table}"), [], |row| row.get(0))?;
        } else if self.kind.as_deref() == Some("table") {
            let sql = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE [id] IS NULL)");
            self.orphan = connection.query_row(&sql, [], |row| row.get(0))?;
        }
        if self.autoincrement {
            self.sequence = connection
                .query_row("SELECT seq FROM sqlite_sequence WHERE name = ?1 COLLATE NOCASE", [self.name()], |row| {
                    row.get(0)
                })
                .optional()?;
        }
        for column in ["stuff", "things"] {
            let sql = format!(
                "SELECT typeof([{column}]) FROM (SELECT [{column}] FROM {table} ORDER BY [id] DESC LIMIT ?1) \
                 WHERE typeof([{column}]) NOT IN ('text', 'integer', 'real') LIMIT 1"
            );
            let odd: Option<String> = connection.query_row(&sql, [page_size], |row| row.get(0)).optional()?;
            self.not_text.extend(odd.map(|kind| (column.to_owned(), kind)));
        }
        Ok(())
    }

    /// The name as it is spelled in the schema.
    pub fn name(&self) -> &str {
        self.tables.iter().find(|name| self.sql_names(name)).map_or("", String::as_str)
    }

    fn sql_names(&self, name: &str) -> bool {
        crate::diagnosis::sqlite::sql_words::words(&self.sql).take(8).any(|word| word.eq_ignore_ascii_case(name))
    }

    /// Which of the wanted columns are not there.
    pub fn missing(&self) -> Vec<&'static str> {
        WANTED.into_iter().filter(|wanted| self.column(wanted).is_none()).collect()
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Columns that must have a value, have no default, and that the module knows nothing of.
    pub fn demanding(&self) -> Vec<&Column> {
        self.columns
            .iter()
            .filter(|column| column.not_null && !column.has_default && !column.generated)
            .filter(|column| !WANTED.iter().any(|wanted| column.name.eq_ignore_ascii_case(wanted)))
            .collect()
    }

    /// Triggers that run when a row is inserted.
    pub fn insert_triggers(&self) -> Vec<&Attached> {
        self.triggers
            .iter()
            .filter(|trigger| {
                let head: Vec<String> =
                    crate::diagnosis::sqlite::sql_words::words(&trigger.sql).take(16).map(str::to_uppercase).collect();
                let on = head.iter().position(|word| word == "ON").unwrap_or(head.len());
                head[..on].iter().any(|word| word == "INSERT")
            })
            .collect()
    }
}

fn names(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement =
        connection.prepare("SELECT name FROM main.sqlite_master WHERE type IN ('table', 'view') ORDER BY name")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Column>> {
    let mut statement = connection
        .prepare("SELECT name, type, [notnull], dflt_value IS NOT NULL, pk, hidden FROM pragma_table_xinfo(?1)")?;
    let columns = statement.query_map([table], |row| {
        Ok(Column {
            name: row.get(0)?,
            declared: row.get(1)?,
            not_null: row.get(2)?,
            has_default: row.get(3)?,
            key: row.get(4)?,
            generated: row.get::<_, i64>(5)? >= 2,
        })
    })?;
    columns.collect()
}

fn attached(connection: &Connection, kind: &str, table: &str) -> rusqlite::Result<Vec<Attached>> {
    let mut statement = connection.prepare(
        "SELECT name, sql FROM main.sqlite_master WHERE type = ?1 AND tbl_name = ?2 COLLATE NOCASE AND sql IS NOT NULL",
    )?;
    let found = statement.query_map([kind, table], |row| Ok(Attached { name: row.get(0)?, sql: row.get(1)? }))?;
    found.collect()
}

/// Tables that have all the wanted columns.
fn candidates(connection: &Connection, tables: &[String]) -> rusqlite::Result<Vec<String>> {
    let mut found = Vec::new();
    for table in tables.iter().take(200) {
        let is_table: bool = connection.query_row(
            "SELECT type = 'table' FROM main.sqlite_master WHERE name = ?1 AND type IN ('table', 'view')",
            [table],
            |row| row.get(0),
        )?;
        let columns = if is_table { columns(connection, table)? } else { Vec::new() };
        if WANTED.iter().all(|wanted| columns.iter().any(|column| column.name.eq_ignore_ascii_case(wanted))) {
            found.push(table.clone());
        }
    }
    Ok(found)
}

/// `INTEGER PRIMARY KEY` is the one declaration that makes a column another name of the row's number; it is also
/// the one primary key of an ordinary table that needs no index (sqlite.org/lang_createtable.html#rowid).
fn id_is_rowid(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT (SELECT count(*) FROM pragma_table_info(?1) WHERE pk > 0) = 1 \
         AND EXISTS (SELECT 1 FROM pragma_table_info(?1) WHERE pk = 1 AND name = 'id' COLLATE NOCASE) \
         AND NOT EXISTS (SELECT 1 FROM pragma_index_list(?1) WHERE origin = 'pk')",
        [table],
        |row| row.get(0),
    )
}
