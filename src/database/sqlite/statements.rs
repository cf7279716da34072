//! The statements for one table.
//!
//! Columns stand in square brackets: SQLite takes a column in double quotes that does not exist for a string, so
//! that a table without `things` would answer "things" in every row instead of an error.

use crate::database::Table;

/// What is sent for one table. Made once a connection.
pub struct Statements {
    /// `?1`: the greatest id wanted; `?2`: how many rows.
    pub page: String,
    /// Whether there is a row without an id. Only asked where `id` is not the row's own number.
    pub orphan: String,
    /// `?1`: stuff; `?2`: things.
    pub insert: String,
    /// The id of the row numbered `?1`.
    pub id_of: String,
    /// Reads one row.
    pub ping: String,
    pub create: String,
    pub drop: String,
    /// Whether `id` is the row's own number (`?1`: table, `?2`: schema), so that SQLite assigns it.
    pub id_is_rowid: &'static str,
    /// Whether the table is there (`?1`).
    pub exists: String,
}

/// `INTEGER PRIMARY KEY` is the one declaration that makes `id` another name of the row's number; it is also the
/// one primary key of an ordinary table that needs no index (sqlite.org/lang_createtable.html#rowid).
const ID_IS_ROWID: &str = "SELECT (SELECT count(*) FROM pragma_table_info(?1, ?2) WHERE pk > 0) = 1 \
     AND EXISTS (SELECT 1 FROM pragma_table_info(?1, ?2) WHERE pk = 1 AND name = 'id' COLLATE NOCASE) \
     AND NOT EXISTS (SELECT 1 FROM pragma_index_list(?1, ?2) WHERE origin = 'pk')";

impl Statements {
    pub fn new(table: &Table) -> Self {
        let name = table.quoted();
        let schema = table.schema().unwrap_or("main");
        Self {
            page: format!("SELECT [id], [stuff], [things] FROM {name} WHERE [id] <= ?1 ORDER BY [id] DESC LIMIT ?2"),
            orphan: format!("SELECT 1 FROM {name} WHERE [id] IS NULL LIMIT 1"),
            insert: format!("INSERT INTO {name} ([stuff], [things]) VALUES (?1, ?2)"),
            id_of: format!("SELECT [id] FROM {name} WHERE rowid = ?1"),
            ping: format!("SELECT [id], [stuff], [things] FROM {name} LIMIT 1"),
            create: create(table),
            drop: format!("DROP TABLE IF EXISTS {name}"),
            id_is_rowid: ID_IS_ROWID,
            exists: format!("SELECT count(*) FROM \"{schema}\".sqlite_master WHERE name = ?1 COLLATE NOCASE"),
        }
    }
}

/// The statement that creates the table. SQLite does not enforce the length in `VARCHAR(255)`; the check does,
/// so that a row that was accepted here is accepted by PostgreSQL too.
pub fn create(table: &Table) -> String {
    format!(
        "CREATE TABLE {} (\n  id INTEGER PRIMARY KEY,\n  stuff VARCHAR(255) NOT NULL CHECK (length(stuff) <= 255),\n  \
         things TEXT NOT NULL\n)",
        table.quoted()
    )
}
