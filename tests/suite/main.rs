//! The module as administrators and visitors meet it: in a real httpd, on real databases, under every MPM.

#[path = "../support/mod.rs"]
mod support;

mod browser;
mod commands;
mod configtest;
mod defaults;
mod examples;
mod extending;
mod failing;
mod htaccess;
mod http;
mod layers;
mod life;
mod load;
mod metrics;
mod neighbours;
mod page;
mod places;
mod proxy;
mod secrets;
mod soak;
mod starting;
mod visitors;
