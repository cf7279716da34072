//! The words of an SQL statement as SQLite splits them (sqlite.org/lang_keywords.html): enough to find a name or a
//! column's part in a table's own statement.

/// A word, name, string or sign, and where it starts.
pub struct Token<'a> {
    pub start: usize,
    pub text: &'a str,
}

impl Token<'_> {
    /// Is it this keyword?
    pub fn is(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }
}

/// Words (names without their quotes) of a statement, in order.
pub fn words(sql: &str) -> impl Iterator<Item = &str> {
    tokens(sql).map(|token| unquoted(token.text)).filter(|text| !matches!(*text, "(" | ")" | ","))
}

/// A name without its quotes.
pub fn unquoted(text: &str) -> &str {
    let quotes = [('"', '"'), ('[', ']'), ('`', '`'), ('\'', '\'')];
    quotes.iter().find_map(|(open, close)| text.strip_prefix(*open)?.strip_suffix(*close)).unwrap_or(text)
}

/// Splits SQL into words, quoted names and strings, and single characters; comments and white space go.
pub fn tokens(sql: &str) -> impl Iterator<Item = Token<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = &sql[at..];
            let first = rest.chars().next()?;
            let length = if rest.starts_with("--") {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                rest.find("*/").map_or(rest.len(), |end| end + 2)
            } else if first.is_whitespace() {
                first.len_utf8()
            } else {
                let length = token_length(rest, first);
                let token = Token { start: at, text: &rest[..length] };
                at += length;
                return Some(token);
            };
            at += length;
        }
    })
}

fn token_length(rest: &str, first: char) -> usize {
    let close = match first {
        '"' | '\'' | '`' => Some(first),
        '[' => Some(']'),
        _ => None,
    };
    if let Some(close) = close {
        let mut at = first.len_utf8();
        while let Some(end) = rest[at..].find(close) {
            at += end + 1;
            // a doubled quote stands for itself
            if close != ']' && rest[at..].starts_with(close) {
                at += 1;
            } else {
                return at;
            }
        }
        return rest.len();
    }
    let is_word = |c: char| c == '_' || c == '$' || c.is_alphanumeric();
    if is_word(first) { rest.find(|c: char| !is_word(c)).unwrap_or(rest.len()) } else { first.len_utf8() }
}

/// A name as it stands in a statement.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
