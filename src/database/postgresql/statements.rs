//! The statements, as text, and which of them this connection has prepared.

use tokio_postgres::Statement;

use crate::database::Table;

/// What is asked of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query {
    /// The newest so many rows.
    Newest(u32),
    /// So many rows below an id.
    Before(u32),
    Insert,
}

impl Query {
    /// The statement. `proof` adds a column with the server's process id.
    ///
    /// The number of rows stands in the text: as a parameter the planner would not know it, and plan for a tenth of
    /// the table. The columns are cast, so that a table with other types than ours still answers, and the driver never
    /// asks for the meaning of a type. ORDER BY names the table: the bare name would be the column of the *result*,
    /// whose cast no index knows.
    pub fn sql(self, table: &Table, proof: bool) -> String {
        let table = table.quoted();
        let proof = if proof { ", pg_catalog.pg_backend_pid()" } else { "" };
        let rows = r#"t."id"::int8, t."stuff"::text, t."things"::text"#;
        match self {
            Query::Newest(count) => {
                format!(r#"SELECT {rows}{proof} FROM {table} AS t ORDER BY t."id" DESC LIMIT {count}"#)
            }
            Query::Before(count) => {
                format!(
                    r#"SELECT {rows}{proof} FROM {table} AS t WHERE t."id" < $1 ORDER BY t."id" DESC LIMIT {count}"#
                )
            }
            Query::Insert => {
                format!(r#"INSERT INTO {table} ("stuff", "things") VALUES ($1, $2) RETURNING "id"::int8{proof}"#)
            }
        }
    }
}

/// The table as the original application's SQLAlchemy made it.
pub fn create(table: &Table) -> String {
    let table = table.quoted();
    format!(
        "CREATE TABLE {table} (\n    id SERIAL PRIMARY KEY,\n    stuff VARCHAR(255) NOT NULL,\n    things TEXT NOT NULL\n)"
    )
}

/// A statement's life on one connection. The first use sends the text, in one round trip; a second makes it likely
/// that more follow, and so worth preparing.
#[derive(Clone)]
pub enum Prepared {
    UsedOnce,
    Named(Statement),
}

/// What this connection has prepared. A few: a connection serves one table.
#[derive(Default)]
pub struct Cache(Vec<(Query, Prepared)>);

/// Enough for several page sizes; the oldest goes first.
const CACHED: usize = 8;

impl Cache {
    pub fn get(&self, query: Query) -> Option<&Prepared> {
        self.0.iter().find(|(known, _)| *known == query).map(|(_, prepared)| prepared)
    }

    pub fn put(&mut self, query: Query, prepared: Prepared) {
        self.0.retain(|(known, _)| *known != query);
        if self.0.len() == CACHED {
            self.0.remove(0);
        }
        self.0.push((query, prepared));
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_name_the_table_in_quotes_and_sort_by_its_own_column() {
        let table = Table::parse("app.stuff").unwrap();
        assert_eq!(
            Query::Before(21).sql(&table, false),
            r#"SELECT t."id"::int8, t."stuff"::text, t."things"::text FROM "app"."stuff" AS t WHERE t."id" < $1 ORDER BY t."id" DESC LIMIT 21"#
        );
        assert!(Query::Insert.sql(&table, true).ends_with(r#"RETURNING "id"::int8, pg_catalog.pg_backend_pid()"#));
    }
}
