//! SQLite, through the system's libsqlite3 (a second copy of it in one process would break the locks of the
//! first on the same file; see "How To Corrupt", sqlite.org/howtocorrupt.html, §2.2).
//!
//! A trap for whoever looks at a database file beside this module: **never open and close it by other means
//! while this process may hold a connection to it.** `close()` of any descriptor of a file drops all the POSIX
//! locks that the process holds on it, SQLite's among them. `stat` and `access` are safe; reading its header is
//! for a forked child.

mod connection;
mod fault;
mod handle;
mod path;
mod statements;
mod target;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::{Kind, ParseError, Setting, Target};

/// The kind.
pub struct Sqlite;

impl Kind for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn recognises(&self, text: &str) -> bool {
        path::recognises(text)
    }

    fn parse(&self, text: &str, setting: &Setting) -> Result<Arc<dyn Target>, ParseError> {
        Ok(Arc::new(target::File::new(path::parse(text, setting)?)))
    }
}
