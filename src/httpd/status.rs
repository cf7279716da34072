//! Our section of mod_status' page, where that module is loaded.

use std::ffi::c_int;

use super::bindings::{self, request_rec};
use super::guard::guard;

/// Called in register_hooks.
pub(super) fn register() {
    // SAFETY: an optional hook: a name in a table, which mod_status looks up if it is there; the function lives as long as
    // the library, which is linked never to be unloaded.
    unsafe { bindings::dbtest_hook_status(Some(status)) };
}

/// For mod_status: writes behind what it has written itself.
unsafe extern "C" fn status(r: *mut request_rec, flags: c_int) -> c_int {
    guard(bindings::OK, || {
        let automatic = flags & bindings::AP_STATUS_SHORT != 0;
        if let Some(text) = crate::DbTest::server_status(automatic)
            && let Ok(length) = c_int::try_from(text.len())
        {
            // SAFETY: the request is alive while mod_status answers it; ap_rwrite copies what it cannot send at once.
            unsafe { bindings::ap_rwrite(text.as_ptr().cast(), length, r) };
        }
        bindings::OK
    })
}
