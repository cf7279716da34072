//! The module as administrators and visitors meet it: in a real httpd, on real databases, under every MPM.

#[path = "../support/mod.rs"]
mod support;

mod load;
