//! What the evidence means: a file for each step, from the name's lookup to a commit that lasts.

pub mod admitted;
pub mod authenticated;
pub mod durable;
pub mod exchange;
pub mod large_answers;
pub mod numbering;
pub mod own_ends;
pub mod pgpool;
pub mod poolers;
pub mod privileges;
pub mod queue;
pub mod reach;
pub mod refused;
pub mod relayed;
pub mod resolve;
pub mod schema;
pub mod server;
pub mod session;
pub mod setting;
pub mod socket;
pub mod speaks;
pub mod statement;
pub mod tls;
