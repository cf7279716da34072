//! The statements, as text and as messages.

use std::io;

use bytes::{BufMut, BytesMut};
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;

use crate::database::Table;

/// What is asked of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query {
    /// The newest so many rows.
    Newest(u32),
    /// So many rows below an id.
    Before(u32),
    Insert,
    /// The row that an INSERT in this session stored without giving it back.
    Stored,
}

impl Query {
    /// The name that it is prepared under, the same on every connection to this table.
    fn name(self) -> String {
        match self {
            Query::Newest(count) => format!("dbtest_newest_{count}"),
            Query::Before(count) => format!("dbtest_before_{count}"),
            Query::Insert => "dbtest_insert".into(),
            Query::Stored => "dbtest_stored".into(),
        }
    }

    /// The statement. `proof` adds a column with the server's process id.
    ///
    /// The number of rows stands in the text: as a parameter the planner would not know it, and plan for a tenth of
    /// the table. The columns are cast, so that a table with other types than ours still answers, always in the same types. ORDER BY names the table: the bare name would be the column of the *result*,
    /// whose cast no index knows.
    pub fn sql(self, table: &Table, proof: bool) -> String {
        if self == Query::Stored {
            return stored(table);
        }
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
            Query::Insert | Query::Stored => {
                format!(r#"INSERT INTO {table} ("stuff", "things") VALUES ($1, $2) RETURNING "id"::int8{proof}"#)
            }
        }
    }
}

/// The id that this session last took from the sequence of the table's ids (from any sequence, if that one is not known
/// to belong to the column), the server's process, and the id again if a row has it and both texts.
fn stored(table: &Table) -> String {
    let table = table.quoted();
    format!(
        r#"SELECT s.last::int8, pg_catalog.pg_backend_pid(), (SELECT t."id"::int8 FROM {table} AS t WHERE t."id" = s.last AND t."stuff"::text = $1 AND t."things"::text = $2 LIMIT 1) FROM (SELECT COALESCE(pg_catalog.currval(pg_catalog.pg_get_serial_sequence('{table}', 'id')), pg_catalog.lastval()) AS last OFFSET 0) AS s"#
    )
}

/// The table as the original application's SQLAlchemy made it.
pub fn create(table: &Table) -> String {
    let table = table.quoted();
    format!(
        "CREATE TABLE {table} (\n    id SERIAL PRIMARY KEY,\n    stuff VARCHAR(255) NOT NULL,\n    things TEXT NOT NULL\n)"
    )
}

/// A value in a request.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    Integer(i64),
    Text(&'a str),
}

impl Value<'_> {
    /// `int8` or `text` (pg_type.dat).
    fn oid(self) -> u32 {
        match self {
            Value::Integer(_) => 20,
            Value::Text(_) => 25,
        }
    }

    fn write(self, buffer: &mut BytesMut) {
        match self {
            Value::Integer(number) => buffer.put_i64(number),
            Value::Text(text) => buffer.put_slice(text.as_bytes()),
        }
    }
}

/// How a statement is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Its text, under no name.
    Unnamed { proof: bool },
    /// Its text, to be kept under its name.
    Prepare,
    /// Its name.
    Prepared,
}

/// Writes the messages of one statement, once for each of `rows` with its values: one round trip, one transaction. The
/// values go in binary, the answers come as text: the server writes text with less work than it writes text "in binary".
///
/// An error: a value is longer than the protocol can say (2 GiB).
pub fn request<'a>(
    query: Query,
    how: How,
    table: &Table,
    rows: &[impl AsRef<[Value<'a>]>],
    buffer: &mut BytesMut,
) -> io::Result<()> {
    let name = match how {
        How::Unnamed { .. } => String::new(),
        How::Prepare | How::Prepared => query.name(),
    };
    if how != How::Prepared {
        let sql = query.sql(table, how == How::Unnamed { proof: true });
        let values = rows.first().map_or(&[][..], |values| values.as_ref());
        frontend::parse(&name, &sql, values.iter().map(|value| value.oid()), buffer)?;
    }
    for values in rows {
        let write = |value: &Value, buffer: &mut BytesMut| {
            value.write(buffer);
            Ok(IsNull::No)
        };
        frontend::bind("", &name, [BINARY], values.as_ref(), write, [], buffer).map_err(|error| match error {
            frontend::BindError::Conversion(error) => io::Error::other(error),
            frontend::BindError::Serialization(error) => error,
        })?;
        frontend::execute("", 0, buffer)?;
    }
    frontend::sync(buffer);
    Ok(())
}

/// The protocol's code for binary values.
const BINARY: i16 = 1;

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
