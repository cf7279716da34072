//! Runs examinations for those who ask, remembers what changed since, and knows no kind of database.

pub mod changes;
pub mod configuration;
pub mod examiner;
pub mod generic;
pub mod kind;
pub mod password_file;
pub mod policy;
