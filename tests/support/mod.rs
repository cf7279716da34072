//! What the tests of the whole module stand on: a real httpd, a client that hides nothing, real databases, a browser.
// Several test programs include this and each uses a part of it.
#![allow(dead_code, unused_imports)]

pub mod browser;
pub mod client;
pub mod database;
pub mod files;
pub mod httpd;
mod log;
pub mod module;
pub mod postgresql;

pub use browser::Browser;
pub use client::Reply;
pub use database::{Database, Kind};
pub use httpd::{Httpd, Mpm, configtest};

/// Makes one test of every named function for each MPM and each kind of database.
#[macro_export]
macro_rules! matrix {
    ($($test:ident),* $(,)?) => {
        $crate::matrix!(@ prefork_sqlite, Prefork, Sqlite, $($test),*);
        $crate::matrix!(@ prefork_postgresql, Prefork, Postgresql, $($test),*);
        $crate::matrix!(@ worker_sqlite, Worker, Sqlite, $($test),*);
        $crate::matrix!(@ worker_postgresql, Worker, Postgresql, $($test),*);
        $crate::matrix!(@ event_sqlite, Event, Sqlite, $($test),*);
        $crate::matrix!(@ event_postgresql, Event, Postgresql, $($test),*);
    };
    (@ $name:ident, $mpm:ident, $kind:ident, $($test:ident),*) => {
        mod $name {
            $(#[test]
            fn $test() {
                super::$test($crate::support::Mpm::$mpm, $crate::support::Kind::$kind);
            })*
        }
    };
}

/// Makes one test of every named function for each MPM.
#[macro_export]
macro_rules! on_each_mpm {
    ($($test:ident),* $(,)?) => {
        mod prefork {
            $(#[test] fn $test() { super::$test($crate::support::Mpm::Prefork); })*
        }
        mod worker {
            $(#[test] fn $test() { super::$test($crate::support::Mpm::Worker); })*
        }
        mod event {
            $(#[test] fn $test() { super::$test($crate::support::Mpm::Event); })*
        }
    };
}
