//! Texts of httpd's own configuration, as Rust reads them.

use std::ffi::{CStr, c_char};

/// Whether a `<Location path>` applies to a URL: as httpd's ap_location_walk has it, at the borders of segments.
pub(super) fn holds(path: &str, url: &str) -> bool {
    let path = path.trim_end_matches('/');
    // the root holds whatever a pattern matches, too
    path.is_empty() || url.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// # Safety
/// `text` is NULL or ends in NUL and outlives the result.
pub(super) unsafe fn string<'a>(text: *const c_char) -> Option<&'a str> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr::<'a>(text) }.to_str().ok()
}
