//! The settings of one section, each with the place it was written, and what they come to once merged.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::database::{Limits, Table, Target};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    pub file: String,
    pub line: u32,
}

/// A value that was set, and where. Cheap to clone: httpd merges sections in every request.
#[derive(Debug)]
pub struct Set<T>(pub Arc<(Origin, T)>);

impl<T> Clone for Set<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What a visitor is told when the database fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Detail {
    /// Step, cause and fix.
    Full,
    /// That it failed, and the id to look up.
    #[default]
    Brief,
}

/// The directives of one section; `None` is not set here. Merging is exhaustive: a field that is
/// forgotten does not compile.
#[derive(Debug, Default, Clone)]
pub struct Settings {
    pub database: Option<Set<String>>,
    pub password_file: Option<Set<String>>,
    pub state_dir: Option<Set<PathBuf>>,
    pub table: Option<Set<Table>>,
    pub page_size: Option<Set<u32>>,
    pub read_only: Option<Set<bool>>,
    pub create_table: Option<Set<bool>>,
    pub detail: Option<Set<Detail>>,
    pub timeout_connect: Option<Set<Duration>>,
    pub timeout_query: Option<Set<Duration>>,
    pub timeout_wait: Option<Set<Duration>>,
    pub connections: Option<Set<u32>>,
    pub max_body: Option<Set<usize>>,
}

/// The settings of one place with every default filled in.
#[derive(Debug, Clone)]
pub struct Resolved {
    pub target: Arc<dyn Target>,
    /// The default SQLite file of the module's own state directory: it and its table are made on first use.
    pub is_default_database: bool,
    pub table: Arc<Table>,
    pub page_size: u32,
    pub read_only: bool,
    pub create_table: bool,
    pub detail: Detail,
    pub limits: Limits,
    /// Per child.
    pub connections: u32,
    /// Bytes.
    pub max_body: usize,
}
