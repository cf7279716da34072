//! PostgreSQL.
pub mod settings;
use super::{Kind, ParseError, Setting, Target};
use std::sync::Arc;
/// The kind.
pub struct Postgresql;
impl Kind for Postgresql {
    fn name(&self) -> &'static str {
        "postgresql"
    }
    fn recognises(&self, text: &str) -> bool {
        text.contains('=') || text.starts_with("postgres")
    }
    fn parse(&self, _: &str, _: &Setting) -> Result<Arc<dyn Target>, ParseError> {
        todo!()
    }
}
