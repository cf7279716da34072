//! What is looked at: the login's record, the connections beside, the catalogue, the page's own statements.

pub mod facts;
pub mod fields;
pub mod login;
pub mod names;
pub mod neighbours;
pub mod probes;
pub mod question;
pub mod trials;
