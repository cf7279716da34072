//! What both syntaxes come to: pairs of a key and a value, and the errors they share.

use crate::database::ParseError;

/// One parameter as it was written. Not `Debug`: the value may be a password.
pub struct Pair {
    pub key: String,
    pub value: String,
    /// The pair before it was a password: then this "key" may be the rest of one, and is not repeated in a message.
    pub after_secret: bool,
}

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
