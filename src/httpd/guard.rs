//! The one guard around every entry point. Since Rust 1.81 a panic that leaves an `extern "C"` function aborts the
//! process, and with it every request of the child.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::log;
use crate::app::http::Level;

/// Runs `body`; a panic in it becomes `fallback`.
pub fn guard<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        Err(payload) => {
            // the hook has logged it; dropping a payload may panic again
            std::mem::forget(payload);
            fallback
        }
    }
}

/// Makes a panic one line of httpd's error log, in place of several raw ones on standard error.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let what = panic
            .payload()
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.payload().downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        log::process(
            Level::Error,
            &format!(
                "DBT0000: a fault in mod_dbtest itself, at {place}: {what}. Only this request failed; please report this line"
            ),
        );
    }));
}
