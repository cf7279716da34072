//! Who set the handler. An .htaccess may say `SetHandler dbtest` too (AllowOverride FileInfo), and a rewrite rule in it
//! `[H=dbtest]`, for a URL to which none of the administrator's `Require` lines applies. So a request is ours only where
//! the SetHandler that holds for it stands in the server's own configuration.

use std::collections::HashSet;
use std::ffi::CStr;
use std::sync::{Mutex, PoisonError, RwLock};

use super::bindings::request_rec;
use super::{log, server, tree};
use crate::app::http::Level;
use crate::config::ids;

/// File and line of a directive.
type Written = (String, i64);

/// Every SetHandler of the configuration that this child serves: copies, since httpd frees its own with the
/// configuration.
static OF_THE_SERVER: RwLock<Option<HashSet<Written>>> = RwLock::new(None);

/// What was declined and said; see [`SAID_AT_MOST`].
static SAID: Mutex<Vec<Option<Written>>> = Mutex::new(Vec::new());

/// Users may write any number of .htaccess files; a child remembers, and logs, this many.
const SAID_AT_MOST: usize = 32;

/// Called in child_init, when the configuration is the one to be served.
pub(super) fn learn() {
    *OF_THE_SERVER.write().unwrap_or_else(PoisonError::into_inner) = Some(tree::set_handlers());
}

/// Whether the server's own configuration gave this request its handler. What it did not is logged once.
///
/// # Safety
/// `r` is a request that httpd handed to a hook, whose handler is one of ours.
pub(super) unsafe fn is_of_the_server(r: *const request_rec) -> bool {
    // SAFETY: the caller's promise; a request has a merged configuration.
    let written = unsafe { server::set_handler_of((*r).per_dir_config) };
    let own = OF_THE_SERVER.read().unwrap_or_else(PoisonError::into_inner);
    if written.as_ref().is_some_and(|written| own.as_ref().is_some_and(|own| own.contains(written))) {
        return true;
    }
    drop(own);
    if is_news(&written) {
        // SAFETY: the caller's promise: the handler's name ends in NUL.
        let handler = unsafe { CStr::from_ptr((*r).handler) }.to_string_lossy();
        let by = match written {
            Some((file, line)) => format!("SetHandler {handler} at {file}:{line}"),
            None => format!("the handler {handler}, given by AddHandler, a rewrite rule or another module,"),
        };
        let message = format!(
            "{} {by} is not a SetHandler of the server's own configuration: declined, since nothing there says who may \
             come. Write SetHandler {handler} and a Require into a <Location> of the server's configuration",
            ids::NOT_OF_THE_SERVER
        );
        log::request(r, Level::Warning, &message);
    }
    false
}

fn is_news(written: &Option<Written>) -> bool {
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    let news = said.len() < SAID_AT_MOST && !said.contains(written);
    if news {
        said.push(written.clone());
    }
    news
}
