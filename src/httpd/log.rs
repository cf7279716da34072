//! httpd's error log. The text is data: it reaches httpd as the argument of "%.*s", never as the format.

use std::ptr;

use super::bindings::{self, request_rec, server_rec};
use crate::app::http::Level;

pub(super) fn number(level: Level) -> i32 {
    match level {
        Level::Error => bindings::APLOG_ERR,
        Level::Warning => bindings::APLOG_WARNING,
        Level::Notice => bindings::APLOG_NOTICE,
        Level::Debug => bindings::APLOG_DEBUG,
    }
}

/// One line to the process's log: where there is neither request nor server.
pub fn process(level: Level, text: &str) {
    // SAFETY: httpd takes a NULL server for "the process"; text and length are of one str.
    unsafe { bindings::dbtest_log_server(ptr::null(), number(level), text.as_ptr().cast(), text.len()) }
}

/// One line to a server's log. At configtest, where no log is open yet, httpd writes it to standard error.
pub(super) fn server(server: *const server_rec, level: Level, text: &str) {
    // SAFETY: the caller has the server from httpd in the phase that is running; text and length are of one str.
    unsafe { bindings::dbtest_log_server(server, number(level), text.as_ptr().cast(), text.len()) }
}

pub(super) fn request(request: *const request_rec, level: Level, text: &str) {
    // SAFETY: the caller holds the request alive; text and length are of one str.
    unsafe { bindings::dbtest_log_request(request, number(level), text.as_ptr().cast(), text.len()) }
}
