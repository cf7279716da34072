//! Every id the module can print, with its meaning: the source of docs/errors.md and of `check?explain=`.
//! An id is never given another meaning. Each kind of database brings its own tables; the first two digits
//! are the stage (01 config … 14 durable, 15 capacity), then 00–49 PostgreSQL, 50–89 SQLite, 90–99 any kind.

use super::{DIAGNOSES, generic};

/// One kind of finding.
#[derive(Debug)]
pub struct Entry {
    /// "DBT0312". First digit pair after DBT: the stage (01 config, 02 who … 14 durable, 15 capacity).
    pub id: &'static str,
    /// What has happened, in one line.
    pub title: &'static str,
    /// What it means for the administrator.
    pub meaning: &'static str,
    /// The evidence it is known by.
    pub recognised: &'static str,
    /// What cures it, in general terms; the finding itself has the exact text.
    pub fixes: &'static str,
}

/// Every entry of every kind, in no order.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    let kinds = DIAGNOSES.iter().copied().chain([&generic::DIAGNOSIS]);
    kinds.flat_map(|diagnosis| diagnosis.entries.iter().copied()).flatten()
}

/// The entry of an id.
pub fn explain(id: &str) -> Option<&'static Entry> {
    entries().find(|entry| entry.id == id)
}
