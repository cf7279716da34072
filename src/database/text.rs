//! What the readers of database URLs share: errors, "did you mean", and what no text may hold.

use super::ParseError;

/// An error from what is wrong and what to type.
pub fn wrong(problem: impl Into<String>, hint: impl Into<String>) -> ParseError {
    ParseError { problem: problem.into(), hint: hint.into() }
}

/// A value as it may stand in a message: on one line and not too long.
pub fn shown(value: &str) -> String {
    const LONGEST: usize = 60;
    let mut text: String = value.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if value.chars().nth(LONGEST).is_some() {
        text.push('…');
    }
    text
}

/// The first "%" of a URL that is not followed by two hexadecimal digits, with what should have been those.
pub fn bad_escape(text: &str) -> Option<&str> {
    text.match_indices('%').map(|(at, _)| &text[at..]).find_map(|rest| {
        let is_hex = |at: usize| rest.as_bytes().get(at).is_some_and(u8::is_ascii_hexdigit);
        let end = rest.char_indices().nth(3).map_or(rest.len(), |(end, _)| end);
        (!is_hex(1) || !is_hex(2)).then(|| &rest[..end])
    })
}

/// Refuses a text that cannot be meant, whatever its syntax.
pub fn check(text: &str) -> Result<(), ParseError> {
    if let Some(name) = undefined_variable(text) {
        return Err(wrong(
            format!("the variable ${{{}}} is not defined", shown(name)),
            format!(
                "write \"Define {0} VALUE\" before it, or export {0} where httpd is started (Debian: \
                 /etc/apache2/envvars) and restart; write a \"$\" itself as %24 in a URL",
                shown(name)
            ),
        ));
    }
    match text.char_indices().find(|(_, c)| c.is_control() && *c != '\t') {
        Some((_, '\r')) => Err(wrong(
            "it holds a carriage return, as in a file with Windows line ends",
            "convert the file: sed -i 's/\\r$//' FILE",
        )),
        Some((at, c)) => Err(wrong(
            format!(
                "it holds a control character (U+{:04X}) as character {}",
                u32::from(c),
                text[..at].chars().count() + 1
            ),
            "leave it out",
        )),
        None => Ok(()),
    }
}

/// The NAME of a `${NAME}` that httpd has left as it was.
pub fn undefined_variable(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("${")?;
    let (name, _) = rest.split_once('}')?;
    (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')).then_some(name)
}

/// What is said about a text that no kind of database recognises. It may hold a password, and is not repeated.
pub fn of_no_kind(text: &str) -> ParseError {
    const WRITE: &str = "write sqlite:PATH, postgresql://USER@HOST/DATABASE or \"host=HOST user=USER dbname=DATABASE\"";
    let trimmed = text.trim();
    let scheme = trimmed.split_once(':').map_or("", |(scheme, _)| scheme);
    let product = scheme.split('+').next().unwrap_or_default();
    if trimmed.is_empty() {
        wrong("it is empty", WRITE)
    } else if trimmed.contains("://") && product.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        wrong(format!("\"{}\" is not a database this module speaks to", shown(product)), WRITE)
    } else if product == "file" {
        wrong("SQLite's own URIs are not read here", "write sqlite:PATH, without \"file:\" and parameters")
    } else if trimmed.starts_with(['/', '.']) || [".db", ".sqlite", ".sqlite3"].iter().any(|end| trimmed.ends_with(end))
    {
        wrong("there is no \"sqlite:\" before the path", format!("write sqlite:{}", shown(trimmed)))
    } else {
        wrong("this is neither a database URL nor a connection string", WRITE)
    }
}

/// The candidate with the fewest changed, added, lost or swapped letters, if they are few for its length.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).clamp(1, 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits from one word to the other; two neighbours swapped are one edit (optimal string alignment).
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().take(64).collect();
    let to: Vec<char> = to.chars().take(64).collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let changed = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut best = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::{nearest, of_no_kind};

    #[test]
    fn other_products_and_bare_paths_are_told_what_to_write() {
        for (text, expected) in [
            ("", "it is empty: write sqlite:PATH"),
            ("mysql://u:SECRET@h/d", "\"mysql\" is not a database this module speaks to"),
            ("mysql+pymysql://u:SECRET@h/d?charset=utf8", "\"mysql\" is not a database"),
            ("/var/lib/my.data", "write sqlite:/var/lib/my.data"),
            ("my.sqlite", "write sqlite:my.sqlite"),
            ("file:x?mode=ro", "SQLite's own URIs"),
            ("SECRET", "neither a database URL nor"),
        ] {
            let message = of_no_kind(text).to_string();
            assert!(message.contains(expected), "{text}: {message}");
            assert!(!message.contains("SECRET"), "{text}: {message}");
        }
    }

    #[test]
    fn a_slip_finds_its_word_and_a_stranger_finds_none() {
        let words = ["host", "port", "dbname", "sslmode", "sslrootcert"];
        for (word, expected) in [
            ("hots", Some("host")),
            ("Host", Some("host")),
            ("prot", Some("port")),
            ("sslmod", Some("sslmode")),
            ("ssl_mode", Some("sslmode")),
            ("sslrootcrt", Some("sslrootcert")),
            ("zebra", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, words), expected, "{word}");
        }
    }
}
