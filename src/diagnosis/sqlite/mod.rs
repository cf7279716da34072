//! The diagnosis of SQLite.

use super::{Diagnosis, generic};

/// The diagnosis of SQLite.
pub static DIAGNOSIS: Diagnosis =
    Diagnosis { kind: "sqlite", ladder: generic::DIAGNOSIS.ladder, quick: generic::DIAGNOSIS.quick, entries: &[] };
