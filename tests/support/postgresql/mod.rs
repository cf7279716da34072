//! Real PostgreSQL servers, poolers and certificates for the tests: those of the crate (included by `#[path]` from
//! `src/database/postgresql`) and those of the whole module in httpd (`tests/`).
// Two test programs include this and each uses a part of it.
#![allow(dead_code, unused_imports)]

mod cluster;
mod pgbouncer;
mod pki;
mod system;

pub use cluster::{Cluster, wait};
pub use pgbouncer::PgBouncer;
pub use pki::{Certificate, Pki};
pub use system::free_port;
