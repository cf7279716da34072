//! What the server itself said of an error, as a finding offers it.

use super::Scene;
use crate::database::ServerError;
use crate::diagnosis::report::finding::Draft;
use crate::diagnosis::report::{Finding, FixKind, Then};

/// The server's own advice, as it stands.
pub(super) fn hinted(scene: &Scene, error: &ServerError, found: Finding) -> Finding {
    let Some(hint) = error.hint.as_deref().filter(|hint| !hint.is_empty()) else { return found };
    found.maybe(
        FixKind::Sql,
        format!("the server's own HINT, as it stands (PostgreSQL at {})", scene.subject.server()),
        format!("-- {}", hint.replace('\n', " ")),
        Then::None,
    )
}

/// Whether a text has the name as a word of its own.
pub(super) fn names(text: &str, name: &str) -> bool {
    !name.is_empty() && words(text).any(|word| word == name)
}

/// The words of a server's message: identifiers stand in it in every language.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).filter(|word| !word.is_empty())
}
