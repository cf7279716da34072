//! The safe face of httpd: the only place with `unsafe` and httpd's types. It speaks httpd's own terms
//! (request, pool, hook, directive, section) and hands plain Rust values up.
//!
//! Three rules hold in every file here. No panic leaves an `extern "C"` function (`guard`). Nothing that comes from a
//! configuration pool is kept in a `static`: httpd clears that pool at each restart while this library stays loaded.
//! Nothing that locks, blocks or drops a connection runs in a pool cleanup of the child: prefork runs those inside
//! its SIGTERM handler.

mod bindings;
mod expression;
pub mod fork;
mod guard;
mod handlers;
mod log;
mod module;
mod own;
mod pool;
mod request;
mod scoreboard;
mod section;
mod server;
mod shared_memory;
pub mod signals;
mod status;
mod subrequest;
mod text;
mod tree;

pub use request::{Request, Status};
pub use scoreboard::{Children, busy_threads_of_this_child, children_of_the_server};
pub use server::{Main, Mode, Phase, Place};
pub use shared_memory::SharedMemory;
