//! SQLite.
pub mod path;
use super::{Kind, ParseError, Setting, Target};
use std::sync::Arc;
/// The kind.
pub struct Sqlite;
impl Kind for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }
    fn recognises(&self, text: &str) -> bool {
        text.starts_with("sqlite:")
    }
    fn parse(&self, _: &str, _: &Setting) -> Result<Arc<dyn Target>, ParseError> {
        todo!()
    }
}
