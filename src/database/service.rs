//! The connections of one child to one database, shared fairly among its requests.

/// To be written.
pub struct Service;
/// To be written.
pub struct Services;
/// To be written.
pub enum Refusal {}
