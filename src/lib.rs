//! mod_dbtest: what httpd sees of it. The module record is in `httpd::module`; httpd's calls arrive here, at
//! [`DbTest`], one function a hook.
//!
//! The way down: `httpd` → this → `app` → `database`; `diagnosis` reads `config` and `database`.

// a unit-test build has no httpd, and so not the code that calls into the rest
#![cfg_attr(test, allow(dead_code, unused_imports))]

mod app;
mod child;
mod command_line;
mod config;
mod configtest;
mod database;
mod diagnosis;
mod shared;
mod tally;
// httpd's symbols exist only inside httpd: what is unit-tested is everything else
#[cfg(not(test))]
mod httpd;

#[cfg(not(test))]
use httpd::{Main, Phase, Request, Status};

/// The module, as httpd calls it.
#[cfg(not(test))]
struct DbTest;

#[cfg(not(test))]
impl DbTest {
    /// What SetHandler may say.
    const HANDLERS: [&[u8]; 2] = [b"dbtest", b"dbtest-status"];

    /// The configuration is read. False stops httpd, and makes configtest fail.
    fn check_config(main: &Main) -> bool {
        configtest::check(main)
    }

    /// `httpd -t`, with what `-D` asks for. The exit status.
    fn test_config(main: &Main) -> i32 {
        command_line::run(main)
    }

    /// The configuration will be served; still root, still one process. False stops httpd.
    fn post_config(main: &Main) -> bool {
        // that of the library in memory, which a graceful restart keeps whatever is on the disk by now
        main.announce(concat!("mod_dbtest/", env!("CARGO_PKG_VERSION")));
        if main.phase() == Phase::Serving {
            let places = configtest::places(main);
            shared::prepare(main, &places);
            configtest::make_state_dirs(main, &places);
        }
        true
    }

    /// A new child, before its first request.
    fn child_init(main: &Main) {
        child::begin(main);
    }

    /// A request for one of our handlers.
    fn handler(request: Request) -> Status {
        child::answer(request)
    }

    /// mod_status shows its page; `automatic` is for programs.
    fn server_status(automatic: bool) -> Option<String> {
        child::server_status(automatic)
    }
}
