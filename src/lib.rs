//! mod_dbtest.

#![forbid(unsafe_code)]
mod app;
mod config;
mod database;
mod diagnosis;
