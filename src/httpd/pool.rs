//! APR pools: memory that lives as long as a configuration or a request.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::bindings::{self, apr_pool_t, apr_status_t};

/// A copy of the text in the pool, ended by NUL. A NUL inside ends it earlier.
pub(super) fn string(pool: *mut apr_pool_t, text: &str) -> *const c_char {
    // SAFETY: the pool is httpd's and alive; the bytes are of one str, and apr_pstrmemdup adds the NUL.
    unsafe { bindings::apr_pstrmemdup(pool, text.as_ptr().cast(), text.len()) }
}

/// Keeps the bytes alive as long as the pool.
pub(super) fn keep(pool: *mut apr_pool_t, bytes: Arc<Vec<u8>>) {
    let bytes = Arc::into_raw(bytes).cast_mut().cast();
    // SAFETY: the pool is httpd's and alive; it runs the cleanup once, which takes back the count given here.
    unsafe {
        bindings::apr_pool_cleanup_register(pool, bytes, Some(release), Some(bindings::apr_pool_cleanup_null));
    }
}

/// Under prefork this may run inside the SIGTERM handler, where the allocator's lock may be held by what the signal
/// interrupted: a child that ends gives nothing back.
unsafe extern "C" fn release(bytes: *mut c_void) -> apr_status_t {
    if !is_ending() {
        // SAFETY: registered by `keep` with a pointer from Arc::into_raw, and run once.
        drop(unsafe { Arc::from_raw(bytes.cast::<Vec<u8>>().cast_const()) });
    }
    0
}

/// Whether this process ends. Every MPM says so before it destroys its pools (prefork.c, `clean_child_exit`).
fn is_ending() -> bool {
    let mut state = 0;
    // SAFETY: a plain query; state is ours.
    let status = unsafe { bindings::ap_mpm_query(bindings::AP_MPMQ_MPM_STATE, &raw mut state) };
    status == 0 && state == bindings::AP_MPMQ_STOPPING
}
