//! The style sheet: one file for all pages, kept by browsers, so that a page of rows is only the rows.

use std::sync::Arc;

use super::Endpoint;
use super::http::{Request, Response};

const SHEET: &str = include_str!("style.css");

/// Names this very text: a page asks for `style.css?VERSION`, so a browser may keep the answer for ever.
pub const VERSION: u32 = fnv1a(SHEET.as_bytes());

/// FNV-1a, the 32-bit variant.
const fn fnv1a(bytes: &[u8]) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    hash
}

/// Answers GET style.css.
pub fn get(request: &mut dyn Request, _: &Endpoint) -> Response {
    sheet(request.query().unwrap_or_default())
}

/// The sheet, asked for by this version.
pub fn sheet(version: &str) -> Response {
    let keep = if version.parse() == Ok(VERSION) { "max-age=31536000, immutable" } else { "no-cache" };
    Response::whole(200, "text/css; charset=utf-8", Arc::new(SHEET.into())).with("Cache-Control", keep)
}
