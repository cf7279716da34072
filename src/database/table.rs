//! The name of the table, safe to stand in a statement.

use std::fmt;

/// A table, optionally with its schema, as the administrator wrote it: `stuff` or `app.stuff`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Table {
    schema: Option<String>,
    name: String,
}

/// Why a text is not the name of a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a table name: {1}")]
pub struct InvalidTable(String, &'static str);

/// PostgreSQL cuts longer names silently (NAMEDATALEN, src/include/pg_config_manual.h).
const LONGEST_NAME: usize = 63;

impl Table {
    /// Reads `NAME` or `SCHEMA.NAME`; each may hold letters, digits and underscores and not begin with a digit.
    pub fn parse(text: &str) -> Result<Self, InvalidTable> {
        let invalid = |why| InvalidTable(text.to_owned(), why);
        let parts: Vec<&str> = text.split('.').collect();
        for part in &parts {
            if part.is_empty() {
                return Err(invalid("a name is empty"));
            }
            if part.len() > LONGEST_NAME {
                return Err(invalid("a name is longer than 63 bytes"));
            }
            if part.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(invalid("a name begins with a digit"));
            }
            if !part.chars().all(|c| c == '_' || c.is_alphanumeric()) {
                return Err(invalid("only letters, digits and underscores, and one dot after a schema"));
            }
        }
        match parts[..] {
            [name] => Ok(Self { schema: None, name: name.to_owned() }),
            [schema, name] => Ok(Self { schema: Some(schema.to_owned()), name: name.to_owned() }),
            _ => Err(invalid("more than one dot")),
        }
    }

    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name as it stands in a statement, each part in double quotes (which both databases take).
    pub fn quoted(&self) -> String {
        match &self.schema {
            Some(schema) => format!("\"{schema}\".\"{}\"", self.name),
            None => format!("\"{}\"", self.name),
        }
    }
}

impl Default for Table {
    fn default() -> Self {
        Self { schema: None, name: "stuff".into() }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn a_name_and_a_qualified_name_are_quoted() {
        assert_eq!(Table::parse("stuff").unwrap().quoted(), "\"stuff\"");
        assert_eq!(Table::parse("app.Stuff").unwrap().quoted(), "\"app\".\"Stuff\"");
    }

    #[test]
    fn what_could_leave_the_quotes_is_refused() {
        for text in ["", "a.b.c", "a b", "a\"b", "1a", "a;drop", ".a", "a.", &"x".repeat(64)] {
            assert!(Table::parse(text).is_err(), "{text}");
        }
    }
}
