//! httpd's expressions (ap_expr), as `Require expr` and `Header … expr=` take them: parsed when the directive is read,
//! so that a mistake is a syntax error with file and line; evaluated for a request.

use std::any::Any;
use std::ffi::{CStr, CString};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::bindings::{self, ap_expr_info_t, cmd_parms, request_rec};
use super::log;
use crate::app::http::Level;
use crate::config::{Detail, Parsed};

/// What httpd made of an expression. It lives in the pool of the configuration in which it was written.
struct Expression(*const ap_expr_info_t);

// SAFETY: httpd itself evaluates one parsed expression in all threads of a child, and never changes it.
unsafe impl Send for Expression {}
// SAFETY: as above.
unsafe impl Sync for Expression {}

/// Parses the expression of a directive; the error is httpd's sentence.
///
/// # Safety
/// `cmd` is what httpd handed to the function of the directive that is being read.
pub(super) unsafe fn parse(cmd: *const cmd_parms, text: &str) -> Result<Parsed, String> {
    let text = CString::new(text).map_err(|_| "there is a NUL in it".to_owned())?;
    let mut error = ptr::null();
    // SAFETY: the caller's promise; httpd copies what it keeps of the text only in part, so it gets a copy in the pool
    // of the configuration.
    unsafe {
        let text = super::pool::string((*cmd).pool, &text.to_string_lossy());
        // what a page of ours tells is never stored (Cache-Control: no-store), so no Vary is wanted for it
        let flags = bindings::AP_EXPR_FLAG_DONT_VARY as _;
        let index = super::own::dbtest_module.module_index;
        let parsed = bindings::ap_expr_parse_cmd_mi(cmd, text, flags, &raw mut error, None, index);
        if error.is_null() && !parsed.is_null() {
            return Ok(Arc::new(Expression(parsed)));
        }
        let error = if error.is_null() { c"it means nothing to httpd" } else { CStr::from_ptr(error) };
        Err(error.to_string_lossy().into_owned())
    }
}

/// Whether a request is told everything. An expression that fails tells nothing.
///
/// # Safety
/// `r` is a request that httpd is working on, and `detail` stands in the configuration that this process serves.
pub(super) unsafe fn tells_all(r: *mut request_rec, detail: &Detail) -> bool {
    match detail {
        Detail::Full => true,
        Detail::Brief => false,
        // SAFETY: the caller's promise.
        Detail::Condition(condition) => unsafe { holds(r, condition.parsed()) },
    }
}

unsafe fn holds(r: *mut request_rec, parsed: &(dyn Any + Send + Sync)) -> bool {
    static SAID: AtomicBool = AtomicBool::new(false);
    let Some(Expression(parsed)) = parsed.downcast_ref() else { return false };
    let mut error = ptr::null();
    // SAFETY: the caller's promise: the expression's pool lives as long as the configuration that is served.
    let answer = unsafe { bindings::ap_expr_exec(r, *parsed, &raw mut error) };
    if answer < 0 && !SAID.swap(true, Ordering::Relaxed) {
        // SAFETY: httpd's sentence ends in NUL.
        let error = if error.is_null() { c"no reason given" } else { unsafe { CStr::from_ptr(error) } };
        let line = format!("DBTestDetail: the expression cannot be evaluated: {}", error.to_string_lossy());
        log::request(r, Level::Warning, &line);
    }
    answer > 0
}
