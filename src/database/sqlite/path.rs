//! The path in `sqlite:PATH`, and in SQLAlchemy's `sqlite:///relative` and `sqlite:////absolute`.

use std::path::PathBuf;

use crate::database::{ParseError, Setting};

/// Reads the text into the path of the file; relative ones start in the state directory. Pure.
pub fn parse(text: &str, setting: &Setting) -> Result<PathBuf, ParseError> {
    let rest = text.trim_start_matches("sqlite:").trim_start_matches("///");
    Ok(setting.state_dir.join(rest))
}
