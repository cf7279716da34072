//! Every id the module can print, with its meaning: the source of docs/errors.md and of `check?explain=`.
//! An id is never given another meaning. Each part of the diagnosis brings its own table.

/// One kind of finding.
#[derive(Debug)]
pub struct Entry {
    /// "DBT0312". First digit pair after DBT0: the stage (01 config, 02 who … 14 durable).
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
