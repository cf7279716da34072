//! Names and values as they must stand in a fix: in SQL, in pg_hba.conf, in a shell, in httpd's
//! configuration. A fix is applied exactly as printed, so a name with a space or a quote must survive it.

/// An identifier in SQL. Always quoted: a role may be called `user` or `order`.
pub fn ident(name: &str) -> String {
    postgres_protocol::escape::escape_identifier(name)
}

/// `schema.name` in SQL.
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", ident(schema), ident(name))
}

/// A string in SQL, safe whatever standard_conforming_strings says.
pub fn literal(text: &str) -> String {
    // it puts a space before an E, lest it touch a word; here it always stands alone
    postgres_protocol::escape::escape_literal(text).trim_start().to_owned()
}

/// A role or database in pg_hba.conf. Bare where that is safe, since people read these files; quoted, a
/// keyword such as `all` loses its meaning.
pub fn hba(name: &str) -> String {
    const KEYWORDS: [&str; 5] = ["all", "sameuser", "samerole", "samegroup", "replication"];
    let plain = !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        && !KEYWORDS.contains(&name);
    if plain { name.to_owned() } else { ident(name) }
}

/// A directive's argument in httpd's configuration.
pub fn argument(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_in_a_name_stays_inside_it() {
        assert_eq!(ident("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("o'clock"), "'o''clock'");
        assert_eq!(literal("a\\b"), "E'a\\\\b'");
        assert_eq!(argument("a\"b"), "\"a\\\"b\"");
    }

    #[test]
    fn a_keyword_of_pg_hba_is_quoted_so_that_it_is_a_name() {
        assert_eq!(hba("flasktest"), "flasktest");
        assert_eq!(hba("all"), "\"all\"");
        assert_eq!(hba("my role"), "\"my role\"");
        assert_eq!(hba("+admins"), "\"+admins\"");
    }
}
