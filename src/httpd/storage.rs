//! No file stands behind our URLs.
//!
//! httpd maps every URL to a path below DocumentRoot and looks at each directory on the way (request.c,
//! `ap_directory_walk`). For one of ours that is up to five lookups that find nothing; a 403 where DocumentRoot cannot be
//! searched; and an invitation to mod_dir, mod_negotiation and mod_speling to act on what happens to be there. So what
//! SetHandler gives to us is declared found before httpd looks. The `<Directory>` sections and .htaccess files of that
//! path hold as ever.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::bindings::{self, request_rec};
use super::server::{Main, SetHandler, core_dir};

/// The SetHandlers of this configuration that name a handler of ours: addresses to compare, never followed.
static OURS: AtomicPtr<Vec<SetHandler>> = AtomicPtr::new(ptr::null_mut());

/// Called in child_init. What was there before stays, for whoever still reads it: `httpd -X` comes here again when it
/// reads its configuration again.
pub(super) fn begin(main: &Main) {
    let ours = Box::leak(Box::new(main.our_set_handlers()));
    OURS.store(ours, Ordering::Release);
}

/// Runs for every request of the server, before httpd looks for a file.
///
/// # Safety
/// httpd handed `r` to this module's map_to_storage hook.
pub(super) unsafe fn declare_found(r: *mut request_rec) {
    // SAFETY: NULL, or leaked by `begin`.
    let Some(ours) = (unsafe { OURS.load(Ordering::Acquire).as_ref() }) else { return };
    if ours.is_empty() {
        return;
    }
    // SAFETY: the caller's promise; the walk is httpd's own, which it has done a moment ago and will do again, so that it
    // is remembered; between the two the request has the server's defaults (ap_process_request_internal).
    unsafe {
        let defaults = (*r).per_dir_config;
        let walked = bindings::ap_location_walk(r);
        let location = std::mem::replace(&mut (*r).per_dir_config, defaults);
        if walked != bindings::OK {
            return;
        }
        let Some(core) = core_dir(location) else { return };
        // an <If> may yet give the request to another handler, who wants to know of the file
        let settled = core.sec_if.as_ref().is_none_or(|sections| sections.nelts == 0);
        if settled && SetHandler::of(core).is_some_and(|handler| ours.contains(&handler)) {
            (*r).finfo.filetype = bindings::apr_filetype_e_APR_REG;
        }
    }
}
