//! SQLite cannot change a column once it is declared: its manual's way (sqlite.org/lang_altertable.html,
//! "Making Other Kinds Of Table Schema Changes") is to make the table anew and copy. This writes that out for
//! one table with one change, keeping everything else that the table's author wrote, character by character.

use crate::diagnosis::sqlite::gather::schema::{Attached, Schema};
use crate::diagnosis::sqlite::sql_words::{Token, quoted, tokens, words};

/// The id as a number where it is one, and the first to have it; else SQLite gives a new one.
const NUMBER: &str = "CASE WHEN CAST(CAST(\"id\" AS INTEGER) AS TEXT) = CAST(\"id\" AS TEXT) \
                      AND row_number() OVER (PARTITION BY \"id\") = 1 THEN CAST(\"id\" AS INTEGER) END";

/// What is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<'a> {
    /// The column `id` becomes INTEGER PRIMARY KEY.
    NumberedId,
    /// These columns get a default.
    Defaults(&'a [(&'a str, &'static str)]),
    /// A column becomes an ordinary one of this type.
    Plain(&'a str, &'static str),
    /// No CHECK is left.
    WithoutChecks,
}

/// The statements, or `None` when the table's own statement cannot be read well enough to be sure.
pub fn statements(schema: &Schema, change: &Change) -> Option<String> {
    let body = Body::read(&schema.sql)?;
    let name = schema.name();
    let fresh = format!("{name}_rebuilt");
    if name.is_empty() || schema.tables.iter().any(|other| other.eq_ignore_ascii_case(&fresh)) {
        return None;
    }
    let (definitions, options) = changed(&body, change)?;
    let copied: Vec<String> =
        schema.columns.iter().filter(|column| !column.generated).map(|column| quoted(&column.name)).collect();
    let sources: Vec<String> = match change {
        Change::NumberedId => copied
            .iter()
            .map(|column| if column.eq_ignore_ascii_case("\"id\"") { NUMBER.into() } else { column.clone() })
            .collect(),
        _ => copied.clone(),
    };
    let (mut into, mut from) = (copied.join(", "), sources.join(", "));
    if *change == Change::NumberedId && schema.column("id").is_none() {
        into = format!("\"id\", {into}");
        from = format!("rowid, {from}");
    }
    // the numbers that are there come first, so that none of them is given to a row without one
    let place = copied.iter().position(|column| column.eq_ignore_ascii_case("\"id\""));
    let order = match (change, place) {
        (Change::NumberedId, Some(place)) => format!(" ORDER BY {} NULLS LAST", place + 1),
        _ => String::new(),
    };
    let mut text = format!(
        "PRAGMA foreign_keys = OFF;\nBEGIN IMMEDIATE;\nCREATE TABLE {fresh} (\n  {}\n){options};\n\
         INSERT INTO {fresh} ({into}) SELECT {from} FROM {name}{order};\nDROP TABLE {name};\n\
         ALTER TABLE {fresh} RENAME TO {name};\n",
        definitions.join(",\n  "),
        fresh = quoted(&fresh),
        name = quoted(name),
    );
    for Attached { sql, .. } in schema.indexes.iter().chain(&schema.triggers) {
        text.push_str(sql);
        text.push_str(";\n");
    }
    text.push_str("COMMIT;");
    Some(text)
}

fn changed(body: &Body, change: &Change) -> Option<(Vec<String>, String)> {
    let mut definitions = body.definitions.clone();
    let mut options = body.options.clone();
    let find = |definitions: &[String], column: &str| {
        definitions
            .iter()
            .position(|definition| first_word(definition).is_some_and(|word| word.eq_ignore_ascii_case(column)))
    };
    match change {
        Change::NumberedId => {
            definitions.retain(|definition| !is_primary_key(definition));
            match find(&definitions, "id") {
                Some(at) => definitions[at] = "id INTEGER PRIMARY KEY".into(),
                None => definitions.insert(0, "id INTEGER PRIMARY KEY".into()),
            }
            // another column's own PRIMARY KEY would make two
            let others = definitions.iter().filter(|definition| {
                let words: Vec<String> = words(definition).map(str::to_uppercase).collect();
                words.windows(2).any(|pair| pair == ["PRIMARY", "KEY"])
            });
            if others.count() != 1 {
                return None;
            }
            options = if options.to_uppercase().contains("STRICT") { " STRICT".into() } else { String::new() };
        }
        Change::Defaults(columns) => {
            for (column, value) in *columns {
                let at = find(&definitions, column)?;
                definitions[at].push_str(&format!(" DEFAULT {value}"));
            }
        }
        Change::Plain(column, kind) => {
            let at = find(&definitions, column)?;
            definitions[at] = format!("{} {kind}", quoted(column));
        }
        Change::WithoutChecks => {
            definitions = definitions.iter().filter_map(|definition| without_checks(definition)).collect();
        }
    }
    Some((definitions, options))
}

/// A definition without its CHECKs; `None` when nothing else was in it.
fn without_checks(definition: &str) -> Option<String> {
    let mut out = definition.to_owned();
    while let Some((start, end)) = find_check(&out) {
        out.replace_range(start..end, "");
    }
    let out = out.trim_end().to_owned();
    (!out.is_empty()).then_some(out)
}

/// The place of "[CONSTRAINT name] CHECK (…)".
fn find_check(definition: &str) -> Option<(usize, usize)> {
    let tokens: Vec<Token> = tokens(definition).collect();
    let at = tokens.iter().position(|token| token.is("CHECK"))?;
    let open = tokens.get(at + 1).filter(|token| token.text == "(")?;
    let mut depth = 0;
    let end = tokens[at + 1..].iter().find_map(|token| {
        match token.text {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(token.start + 1)
    });
    let named = at >= 2 && tokens[at - 2].is("CONSTRAINT");
    let start = if named { tokens[at - 2].start } else { tokens[at].start };
    end.filter(|end| *end > open.start).map(|end| (start, end))
}

fn is_primary_key(definition: &str) -> bool {
    let words: Vec<String> = words(definition).take(4).map(str::to_uppercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    matches!(words[..], ["PRIMARY", "KEY", ..] | ["CONSTRAINT", _, "PRIMARY", "KEY"])
}

fn first_word(definition: &str) -> Option<&str> {
    words(definition).next()
}

/// The parts of CREATE TABLE … ( … ) options.
struct Body {
    definitions: Vec<String>,
    options: String,
}

impl Body {
    fn read(sql: &str) -> Option<Self> {
        let mut depth = 0;
        let mut start = None;
        let mut definitions = Vec::new();
        for token in tokens(sql) {
            match token.text {
                // CREATE TABLE … AS SELECT has no list; SQLite itself stores it with one
                "(" => {
                    depth += 1;
                    if depth == 1 && start.is_none() {
                        start = Some(token.start + 1);
                    }
                }
                ")" => {
                    depth -= 1;
                    if depth == 0 {
                        definitions.push(sql[start?..token.start].trim().to_owned());
                        let options = without_comments(&sql[token.start + 1..]);
                        let options = if options.is_empty() { options } else { format!(" {options}") };
                        return Some(Self { definitions, options });
                    }
                }
                "," if depth == 1 => {
                    definitions.push(sql[start?..token.start].trim().to_owned());
                    start = Some(token.start + 1);
                }
                _ => {}
            }
        }
        None
    }
}

fn without_comments(sql: &str) -> String {
    let tokens: Vec<&str> = tokens(sql).map(|token| token.text).collect();
    tokens.join(" ").replace(" ,", ",")
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::database::Table;

    fn rebuilt(sql: &str, change: &Change) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        let schema = Schema::read(&connection, &Table::default(), 20).unwrap();
        let text = statements(&schema, change).expect("statements");
        connection.execute_batch(&text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
        connection
    }

    #[test]
    fn the_id_becomes_the_rows_number_and_everything_else_stays() {
        for sql in [
            "CREATE TABLE stuff (id INT PRIMARY KEY, stuff TEXT, things TEXT)",
            "CREATE TABLE stuff (id SERIAL, stuff TEXT, things TEXT -- the, text\n, PRIMARY KEY (id))",
            "CREATE TABLE stuff (id BIGINT, stuff TEXT CHECK (stuff <> ')'), \"things\" TEXT, CONSTRAINT p PRIMARY KEY (id)) WITHOUT ROWID",
        ] {
            let connection = rebuilt(
                &format!("{sql}; INSERT INTO stuff VALUES (7, 'a', 'b'); CREATE INDEX i ON stuff (stuff)"),
                &Change::NumberedId,
            );
            let schema = Schema::read(&connection, &Table::default(), 20).unwrap();
            assert!(schema.id_is_rowid, "{sql}");
            assert_eq!((schema.greatest, schema.indexes.len()), (Some(7), 1), "{sql}");
            connection.execute("INSERT INTO stuff (stuff, things) VALUES ('c', 'd')", []).unwrap();
        }
    }

    #[test]
    fn a_missing_id_is_the_rows_own_number() {
        let connection = rebuilt(
            "CREATE TABLE stuff (stuff TEXT, things TEXT); INSERT INTO stuff VALUES ('a', 'b'), ('c', 'd')",
            &Change::NumberedId,
        );
        assert_eq!(connection.query_row("SELECT max(id) FROM stuff", [], |row| row.get(0)), Ok(2));
    }

    #[test]
    fn ids_that_are_no_numbers_or_there_twice_are_given_anew() {
        let connection = rebuilt(
            "CREATE TABLE stuff (id TEXT, stuff TEXT, things TEXT); \
             INSERT INTO stuff VALUES ('5', 'a', 'b'), ('5', 'c', 'd'), ('x', 'e', 'f'), (NULL, 'g', 'h')",
            &Change::NumberedId,
        );
        let ids = connection.query_row(
            "SELECT group_concat(id || stuff) FROM (SELECT * FROM stuff ORDER BY id)",
            [],
            |row| row.get::<_, String>(0),
        );
        let ids = ids.unwrap();
        assert!(ids.starts_with("5") && ids.matches(',').count() == 3 && ids.contains("8"), "{ids}");
    }

    #[test]
    fn demanding_columns_get_their_default() {
        let connection = rebuilt(
            "CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT, things TEXT, created TEXT NOT NULL, n INT NOT NULL)",
            &Change::Defaults(&[("created", "''"), ("n", "0")]),
        );
        connection.execute("INSERT INTO stuff (stuff, things) VALUES ('c', 'd')", []).unwrap();
    }

    #[test]
    fn checks_go_and_nothing_else() {
        let connection = rebuilt(
            "CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT CONSTRAINT long CHECK (length(stuff) > 100) NOT NULL, \
             things TEXT, CHECK (things <> stuff AND (1 = 2)))",
            &Change::WithoutChecks,
        );
        connection.execute("INSERT INTO stuff (stuff, things) VALUES ('c', 'd')", []).unwrap();
        assert!(connection.execute("INSERT INTO stuff (things) VALUES ('d')", []).is_err(), "NOT NULL stays");
    }

    #[test]
    fn what_cannot_be_read_is_left_alone() {
        let schema = Schema { sql: "CREATE TABLE stuff".into(), tables: vec!["stuff".into()], ..Schema::default() };
        assert_eq!(statements(&schema, &Change::NumberedId), None);
    }
}
