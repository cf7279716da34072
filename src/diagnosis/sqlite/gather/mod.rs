//! What is looked at: the files, their header, who holds a lock, and what SQLite answers. All of SQLite's I/O.

pub mod files;
pub mod header;
pub mod home;
pub mod locks;
pub mod probe;
pub mod renamed;
pub mod schema;
pub mod strange;
