//! Asking httpd whether a visitor would be let in somewhere else: by a subrequest, which goes through the other URL's own
//! access control and stops before its handler.

use std::ptr;

use super::bindings::{self, request_rec};
use crate::config::Detail;

/// Whether the visitor of `r` would be let in to an escaped URL path of the server with this number; if so, whether that visitor
/// is told everything there.
///
/// # Safety
/// As [`super::expression::tells_all`].
pub(super) unsafe fn may_visit(r: *mut request_rec, server: usize, url: &str, detail: &Detail) -> Option<bool> {
    // SAFETY: the list of servers ends in NULL and lives as long as the configuration. A subrequest takes its server from
    // its main request while it is made, and goes through all of access control then; only this thread sees `r`.
    unsafe {
        let mut other = bindings::ap_server_conf;
        for _ in 0..server {
            other = other.as_ref()?.next;
        }
        let other = ptr::NonNull::new(other)?.as_ptr();
        let url = super::pool::string((*r).pool, url);
        let own = std::mem::replace(&mut (*r).server, other);
        let asked = bindings::ap_sub_req_lookup_uri(url, r, ptr::null_mut());
        (*r).server = own;
        let asked = ptr::NonNull::new(asked)?.as_ptr();
        let told = ((*asked).status == bindings::HTTP_OK).then(|| super::expression::tells_all(asked, detail));
        bindings::ap_destroy_sub_req(asked);
        told
    }
}
