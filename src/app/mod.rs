//! The application: one form over one table.

pub mod http;
