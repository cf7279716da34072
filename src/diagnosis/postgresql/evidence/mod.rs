//! Everything that is known before a verdict is given: plain data, which `gather` fills in and the rules read.

pub mod certificates;
pub mod facts;
pub mod fields;
pub mod names;
pub mod neighbours;
pub mod surroundings;

/// What the same startup packet came to, changed in one thing. `None`: was not tried.
#[derive(Debug, Clone, Default)]
pub struct Probes {
    /// With TLS if ours was without, or the reverse: was it admitted to a method?
    pub other_tls: Option<bool>,
    /// For the database `postgres`.
    pub other_database: Option<bool>,
    /// For the role `postgres`.
    pub other_role: Option<bool>,
}

/// More than any packet holds, and little enough for one that is slow.
pub const LARGE: usize = 6000;
