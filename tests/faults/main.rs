//! Faults made for real: each is made, named by `check` with the right step and id, cured by applying the first
//! printed fix exactly as printed (by an applier that knows nothing of the case), and `check` must then pass.
//! What was made, named and cured is counted in target/faults.tsv, row by row of the list of known faults.

// the machine's own part of it (modes, mounts, limits) is Linux'
#![cfg(target_os = "linux")]

#[path = "../support/mod.rs"]
#[macro_use]
mod support;

mod applier;
mod beyond;
mod config;
mod encryption;
mod every_child;
mod ground;
mod healthy;
mod host;
mod log_removed;
mod login;
mod network;
mod pgpool;
mod pooler;
mod record;
mod reports;
mod server;
mod site;
mod sqlite;
mod sqlite_directory;
mod sqlite_places;
mod sqlite_storage;
mod standby;
mod statements;
mod table;
