//! libpq's `key=value` connection strings, read as its conninfo_parse() does (fe-connect.c).

use super::keys::is_known;
use super::pairs::Pair;
use super::secrets::is_secret;
use crate::database::ParseError;
use crate::database::text::wrong;

/// Splits `host=localhost password='it''s'` into pairs: a value ends at white space unless it stands in single
/// quotes; a backslash takes the next character as it is.
pub fn split(text: &str) -> Result<Vec<Pair>, ParseError> {
    let mut rest = text.trim_start();
    let mut pairs: Vec<Pair> = Vec::new();
    while !rest.is_empty() {
        let (key, after) = key(rest, pairs.last())?;
        let (value, after) = value(after, key)?;
        let after_secret = pairs.last().is_some_and(|pair| is_secret(&pair.key));
        pairs.push(Pair { key: key.to_owned(), value, after_secret });
        rest = after.trim_start();
    }
    Ok(pairs)
}

/// The word before `=`, and what follows the `=`.
fn key<'a>(text: &'a str, previous: Option<&Pair>) -> Result<(&'a str, &'a str), ParseError> {
    let end = text.find(|c: char| c == '=' || c.is_ascii_whitespace()).unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    match after.trim_start().strip_prefix('=') {
        Some(_) if word.is_empty() => Err(wrong("there is a \"=\" without a parameter before it", "write key=value")),
        Some(after) => Ok((word, after)),
        None => Err(no_equals_sign(word, previous)),
    }
}

/// A word without `=`. It may be half of a password, and so is not repeated unless it is the name of a parameter.
fn no_equals_sign(word: &str, previous: Option<&Pair>) -> ParseError {
    match previous {
        None if word == "psql" => wrong("this is a psql command", "leave out psql and its options"),
        None => {
            wrong("the connection string does not begin with key=value", "write host=HOST user=USER dbname=DATABASE")
        }
        Some(_) if is_known(word) => {
            wrong(format!("\"{word}\" has no value"), format!("write {word}=VALUE, or leave it out"))
        }
        Some(Pair { key, .. }) => wrong(
            format!("after the value of \"{key}\" stands a word without \"=\""),
            format!("if it belongs to the value, put the value in single quotes: {key}='VALUE WITH SPACES'"),
        ),
    }
}

/// The value after `=`, unquoted, and the rest.
fn value<'a>(text: &'a str, key: &str) -> Result<(String, &'a str), ParseError> {
    let trimmed = text.trim_start();
    if trimmed.len() < text.len() && trimmed.split_once('=').is_some_and(|(next, _)| is_known(next)) {
        // libpq takes the next parameter for the value.
        return Err(wrong(format!("\"{key}\" has no value"), format!("write {key}='', or leave it out")));
    }
    let text = trimmed;
    let (quoted, body) = match text.strip_prefix('\'') {
        Some(body) => (true, body),
        None => (false, text),
    };
    let mut value = String::new();
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((value, &body[at + 1..])),
            c if !quoted && c.is_ascii_whitespace() => return Ok((value, &body[at..])),
            c => value.push(c),
        }
    }
    if quoted {
        let hint = "end it with ', and write a ' or \\ inside it as \\' and \\\\";
        return Err(wrong(format!("the quoted value of \"{key}\" does not end"), hint));
    }
    Ok((value, ""))
}
