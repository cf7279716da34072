//! A request that httpd hands to our handler.

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr;

use super::bindings::{self, request_rec};
use super::{log, pool, section};
use crate::app::http::{Body, BodyError, Level, Response};
use crate::config::{Detail, Settings};

/// What the handler returns to httpd.
pub type Status = c_int;

/// A request for one of our handlers, for as long as the handler runs.
pub struct Request<'r> {
    r: *mut request_rec,
    alive: PhantomData<&'r mut request_rec>,
}

impl Request<'_> {
    /// Takes the request if its handler is ours, and the server's own configuration set it: the one place that runs for
    /// every request of the server, so of a foreign one it compares the name and nothing else.
    ///
    /// # Safety
    /// httpd handed `r` to this module's handler hook, and the result is not used after that hook returns.
    pub(super) unsafe fn ours(r: *mut request_rec) -> Option<Self> {
        // SAFETY: the caller's promise; the handler's name is NULL or ends in NUL.
        let name = unsafe {
            let name = (*r).handler;
            if name.is_null() {
                return None;
            }
            CStr::from_ptr(name).to_bytes()
        };
        name.starts_with(b"dbtest")
            .then_some(Self { r, alive: PhantomData })
            .filter(|_| crate::DbTest::HANDLERS.contains(&name))
            // SAFETY: the caller's promise.
            .filter(|_| unsafe { super::handlers::is_of_the_server(r) })
    }

    fn rec(&self) -> &request_rec {
        // SAFETY: valid while self is (see `ours`); this thread alone works on the request.
        unsafe { &*self.r }
    }

    /// The value of SetHandler.
    pub fn handler(&self) -> &str {
        self.text(self.rec().handler).unwrap_or_default()
    }

    pub fn method(&self) -> &str {
        self.text(self.rec().method).unwrap_or("-")
    }

    /// The decoded path of the URL; what is no UTF-8 in it as U+FFFD, which no page of ours has in its path.
    pub fn uri(&self) -> Cow<'_, str> {
        let uri = self.rec().uri;
        if uri.is_null() {
            return Cow::Borrowed("");
        }
        // SAFETY: a field of this request that ends in NUL and is not changed while the handler runs.
        unsafe { CStr::from_ptr(uri) }.to_string_lossy()
    }

    /// After the question mark.
    pub fn query(&self) -> Option<&str> {
        self.text(self.rec().args)
    }

    /// The first value of a header, in whatever bytes it came.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let name = CString::new(name).ok()?;
        // SAFETY: headers_in is the request's own table; the value found ends in NUL and lives as long as the request.
        unsafe {
            let value = bindings::apr_table_get(self.rec().headers_in, name.as_ptr());
            (!value.is_null()).then(|| CStr::from_ptr(value).to_bytes())
        }
    }

    /// Whether this request is told everything, by the setting of its own section.
    pub fn is_told(&self, detail: &Detail) -> bool {
        // SAFETY: valid while self is; settings that reach a request stand in the configuration that is served.
        unsafe { super::expression::tells_all(self.r, detail) }
    }

    /// Whether the visitor would be let in to a URL of a server of this httpd (by its number, see
    /// [`super::Place::server_number`]), by that URL's own access control; and whether that visitor is told everything there.
    /// `url` is an escaped path.
    pub fn may_visit(&self, server: usize, url: &str, detail: &Detail) -> Option<bool> {
        // SAFETY: as in `is_told`.
        unsafe { super::subrequest::may_visit(self.r, server, url, detail) }
    }

    /// httpd's own id of this request, `%L` in its log formats.
    pub fn log_id(&self) -> Option<&str> {
        // SAFETY: valid while self is; as httpd does itself before it writes the first line about a request (log.c,
        // add_log_id). The id is made in the request's pool.
        unsafe {
            let r = self.r;
            if (*r).log_id.is_null() {
                bindings::ap_run_generate_log_id((*r).connection, r, &raw mut (*r).log_id);
            }
            self.text((*r).log_id)
        }
    }

    /// The merged settings of the place that the request is for.
    pub fn settings(&self) -> Option<&Settings> {
        // SAFETY: httpd made the vector for this request, which keeps it.
        unsafe { section::in_vector(self.rec().per_dir_config) }
    }

    /// The path of the innermost `<Location>` that sets a handler and holds the URL, without a slash at its end; None if
    /// it is a pattern, or no Location at all.
    pub fn location(&self) -> Option<&str> {
        // SAFETY: a request has a server, whose configuration outlives it.
        unsafe { super::server::location_of(self.rec().server, &self.uri()) }
    }

    /// Reads the body up to `limit` bytes, whatever its framing.
    pub fn read_body(&self, limit: usize) -> Result<Vec<u8>, BodyError> {
        let declared =
            self.header("content-length").and_then(|text| std::str::from_utf8(text).ok()?.parse::<usize>().ok());
        if declared.is_some_and(|length| length > limit + PATIENCE) {
            return self.too_large();
        }
        let mut reading = Reading { bytes: Vec::with_capacity(declared.unwrap_or(0).min(limit)), limit, excess: 0 };
        let mut stopped = 0;
        // SAFETY: the shim calls `take` with this context, and only until it returns.
        let status =
            unsafe { bindings::dbtest_read_body(self.r, Some(take), (&raw mut reading).cast(), &raw mut stopped) };
        if stopped != 0 {
            return self.too_large();
        }
        match status {
            bindings::OK if reading.excess > 0 => Err(BodyError::TooLarge),
            bindings::OK => Ok(reading.bytes),
            bindings::HTTP_REQUEST_ENTITY_TOO_LARGE => self.too_large(),
            status => Err(BodyError::Broken(u16::try_from(status).unwrap_or(400))),
        }
    }

    /// The rest of the body is not read: httpd would discard up to LimitRequestBody of it to keep the connection.
    fn too_large(&self) -> Result<Vec<u8>, BodyError> {
        // SAFETY: a request has a connection, which outlives it.
        unsafe { (*self.rec().connection).keepalive = bindings::ap_conn_keepalive_e_AP_CONN_CLOSE };
        Err(BodyError::TooLarge)
    }

    /// For the access log: `%{NAME}n`.
    pub fn note(&self, name: &'static str, value: &str) {
        let pool = self.rec().pool;
        // SAFETY: the request's own table; both strings are in its pool.
        unsafe { bindings::apr_table_setn(self.rec().notes, pool::string(pool, name), pool::string(pool, value)) };
    }

    pub fn logs(&self, level: Level) -> bool {
        // SAFETY: the request is alive.
        unsafe { bindings::dbtest_logs(self.r, log::number(level)) != 0 }
    }

    pub fn log(&self, level: Level, line: &str) {
        log::request(self.r, level, line);
    }

    /// Sends the response. HEAD, conditional framing and keep-alive are httpd's business.
    pub fn send(self, response: Response) -> Status {
        // SAFETY: valid while self is; strings are copied into the request's pool before they are given to httpd.
        unsafe {
            let r = &mut *self.r;
            r.status = c_int::from(response.status);
            if !response.content_type.is_empty() {
                bindings::ap_set_content_type(self.r, pool::string(r.pool, response.content_type));
            }
            for (name, value) in &response.headers {
                // errors keep these headers too: httpd sends err_headers_out with every status
                bindings::apr_table_setn(r.err_headers_out, pool::string(r.pool, name), pool::string(r.pool, value));
            }
        }
        match response.body {
            Body::Empty => self.send_bytes(&[]),
            Body::Whole(bytes) => {
                // the pool keeps the bytes at least as long as the bucket that points to them: cleanups run last
                // registered first, and the bucket's comes after this one
                let (data, length) = (bytes.as_ptr(), bytes.len());
                pool::keep(self.rec().pool, bytes);
                // SAFETY: the pool now keeps these bytes, unchanged, until the request is gone.
                self.send_bytes(unsafe { std::slice::from_raw_parts(data, length) })
            }
            Body::Stream(write) => {
                if let Err(error) = write(&mut |piece| self.write(piece)) {
                    self.log(Level::Error, &error);
                    // SAFETY: the request is alive.
                    unsafe { bindings::dbtest_break_off(self.r) };
                }
                bindings::OK
            }
        }
    }

    /// The bytes live as long as the request's pool.
    fn send_bytes(&self, bytes: &[u8]) -> Status {
        // SAFETY: the request is alive, and so are the bytes for as long as its pool (see the callers).
        unsafe {
            bindings::ap_set_content_length(self.r, i64::try_from(bytes.len()).unwrap_or(i64::MAX) as _);
            bindings::dbtest_send(self.r, bytes.as_ptr().cast(), bytes.len())
        }
    }

    /// Writes and flushes one piece at the client's pace; false once the client is gone.
    fn write(&self, piece: &[u8]) -> bool {
        let Ok(length) = c_int::try_from(piece.len()) else { return false };
        // SAFETY: the request is alive; ap_rwrite copies what it cannot send at once.
        unsafe {
            bindings::ap_rwrite(piece.as_ptr().cast(), length, self.r) >= 0
                && bindings::ap_rflush(self.r) >= 0
                && (*self.rec().connection).aborted == 0
        }
    }

    /// A string of httpd's; None if NULL or not UTF-8.
    fn text<'s>(&'s self, text: *const c_char) -> Option<&'s str> {
        if text.is_null() {
            return None;
        }
        // SAFETY: the callers pass fields of this request, its connection or its server, which end in NUL, outlive it
        // and are not changed while the handler runs.
        unsafe { CStr::from_ptr::<'s>(text) }.to_str().ok()
    }
}

/// How much beyond the limit is read and thrown away, so that the client reads our answer. Over HTTP/2 httpd resets a
/// stream whose body was left unread, and a browser shows an error of its own instead of the page. Bytes.
const PATIENCE: usize = 1 << 20;

/// A body on its way in.
struct Reading {
    bytes: Vec<u8>,
    limit: usize,
    /// Bytes thrown away.
    excess: usize,
}

/// For the shim: takes one piece; not 0 when the body is longer than allowed.
unsafe extern "C" fn take(context: *mut c_void, data: *const c_char, length: bindings::apr_size_t) -> c_int {
    super::guard::guard(1, || {
        // SAFETY: context is the Reading of `read_body`, which waits meanwhile; data has that many bytes.
        let (reading, piece) = unsafe {
            let data = if length == 0 { ptr::dangling() } else { data.cast::<u8>() };
            (&mut *context.cast::<Reading>(), std::slice::from_raw_parts(data, length))
        };
        if reading.excess > 0 || reading.bytes.len() + length > reading.limit {
            reading.bytes = Vec::new();
            reading.excess += length;
            return c_int::from(reading.excess > PATIENCE + reading.limit);
        }
        reading.bytes.extend_from_slice(piece);
        0
    })
}
