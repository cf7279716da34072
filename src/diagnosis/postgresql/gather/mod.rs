//! What is looked at: the resolver, the neighbours on this machine, the connections beside, the catalogue.

pub mod certificates;
pub mod facts;
pub mod fields;
pub mod names;
pub mod neighbours;
pub mod probes;
pub mod question;
