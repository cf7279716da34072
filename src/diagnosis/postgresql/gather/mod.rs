//! What is looked at: the resolver, the neighbours on this machine, the connections beside, the catalogue.

pub mod answer;
pub mod certificates;
pub mod names;
pub mod neighbours;
pub mod probes;
pub mod question;
