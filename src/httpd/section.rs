//! Our settings in httpd's sections: one [`Settings`] for each server, virtual host and `<Location>`, made, merged
//! and found again by httpd.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::bindings::{self, ap_conf_vector_t, apr_pool_t, apr_status_t};
use super::guard::guard;
use crate::config::Settings;

/// Whether this process is a child that serves.
static IN_CHILD: AtomicBool = AtomicBool::new(false);

/// Called in child_init.
pub(super) fn in_child() {
    IN_CHILD.store(true, Ordering::Relaxed);
}

/// For httpd: the settings of a section in which nothing is written yet.
pub(super) unsafe extern "C" fn create(pool: *mut apr_pool_t, _section: *mut c_char) -> *mut c_void {
    guard(ptr::null_mut(), || keep(pool, Settings::default()))
}

/// For httpd: an outer section's settings under an inner one's. Runs in every request as well.
pub(super) unsafe extern "C" fn merge(pool: *mut apr_pool_t, base: *mut c_void, over: *mut c_void) -> *mut c_void {
    guard(base, || {
        // SAFETY: httpd hands back what `create` or `merge` returned, which its pool keeps.
        let (base, over) = unsafe { (of(base), of(over)) };
        match (base, over) {
            (Some(base), Some(over)) => keep(pool, Settings::merge(base, over)),
            (None, Some(over)) => keep(pool, over.clone()),
            (Some(base), None) => keep(pool, base.clone()),
            (None, None) => keep(pool, Settings::default()),
        }
    })
}

/// Moves a value into a pool.
fn keep(pool: *mut apr_pool_t, settings: Settings) -> *mut c_void {
    const { assert!(align_of::<Settings>() <= 8, "APR aligns to 8 (apr_general.h)") };
    // SAFETY: the pool is httpd's and alive; apr_palloc returns memory for the size asked (httpd aborts when there is
    // none), aligned as asserted above; it is written before anyone reads it, and dropped at most once, by the pool.
    unsafe {
        let place: *mut Settings = bindings::apr_palloc(pool, size_of::<Settings>()).cast();
        place.write(settings);
        // In a child the pool is a request's, and prefork may clear it inside its SIGTERM handler, where nothing may
        // be freed. What is not dropped there is a count on values that the parent's own sections keep anyway.
        if !IN_CHILD.load(Ordering::Relaxed) {
            bindings::apr_pool_cleanup_register(
                pool,
                place.cast(),
                Some(drop_settings),
                Some(bindings::apr_pool_cleanup_null),
            );
        }
        place.cast()
    }
}

unsafe extern "C" fn drop_settings(place: *mut c_void) -> apr_status_t {
    // SAFETY: registered by `keep` for exactly this value, and run once by the pool.
    guard((), || unsafe { ptr::drop_in_place(place.cast::<Settings>()) });
    0
}

/// # Safety
/// `config` is NULL or came from `create` or `merge`, and its pool lives as long as the result is used.
pub(super) unsafe fn of<'a>(config: *const c_void) -> Option<&'a Settings> {
    // SAFETY: the caller's promise.
    unsafe { config.cast::<Settings>().as_ref() }
}

/// # Safety
/// As [`of`]; not NULL, and nobody else has a reference.
pub(super) unsafe fn of_mut<'a>(config: *mut c_void) -> &'a mut Settings {
    // SAFETY: the caller's promise.
    unsafe { &mut *config.cast::<Settings>() }
}

/// Our settings in a vector of configurations.
///
/// # Safety
/// `vector` is NULL or one of httpd's per-directory vectors, alive as long as the result is used.
pub(super) unsafe fn in_vector<'a>(vector: *const ap_conf_vector_t) -> Option<&'a Settings> {
    if vector.is_null() {
        return None;
    }
    // SAFETY: the caller's promise; the record is only read here, as httpd does.
    unsafe { of(bindings::ap_get_module_config(vector, &raw const super::own::dbtest_module)) }
}
