//! What is wrong with a request, said calmly: a small page, or JSON for who asked for JSON.

use std::borrow::Cow;
use std::sync::Arc;

use askama::Template;

use super::http::{BodyError, Request, Response};
use super::negotiate::Format;
use super::{json, render, wanted_format};

#[derive(Template)]
#[template(path = "problem.html")]
struct Page<'a> {
    home: &'a str,
    here: &'static str,
    title: &'a str,
    message: &'a str,
}

/// Answers with a status, a title for people, and a sentence that says what to do.
pub fn problem(request: &dyn Request, status: u16, title: &str, message: &str) -> Response {
    let format = wanted_format(request, &[Format::Html, Format::Json]);
    problem_as(format, request, status, title, message)
}

/// The same in a format already chosen.
pub fn problem_as(format: Format, request: &dyn Request, status: u16, title: &str, message: &str) -> Response {
    let body = match format {
        Format::Html => render(&Page { home: &super::home(request), here: "", title, message }),
        Format::Text => format!("{title}: {message}\n").into_bytes(),
        Format::Json => json::problem(status, title, message),
    };
    Response::whole(status, format.problem_type(), Arc::new(body))
}

pub fn not_found(request: &dyn Request) -> Response {
    problem(request, 404, "No such page", "There is nothing at this address. The rows are one click away.")
}

pub fn method_not_allowed(request: &dyn Request, allow: impl Into<Cow<'static, str>>) -> Response {
    let allow = allow.into();
    let message = format!("This address understands only {allow}.");
    problem(request, 405, "Method not allowed", &message).with("Allow", allow)
}

/// 400: the query string or the body cannot be understood.
pub fn bad_request(request: &dyn Request, format: Format, message: &str) -> Response {
    problem_as(format, request, 400, "This request cannot be understood", message)
}

/// 403: a page of another site tried to change something here.
pub fn foreign(request: &dyn Request, format: Format) -> Response {
    let message = "This form was sent from a page of another site, so nothing was changed. Open this page itself and send the form from there. If you did, a proxy in front asks under another name: the server's error log has both (see DBTestOrigin).";
    problem_as(format, request, 403, "Sent from another site", message)
}

/// The body could not be read.
pub fn body(request: &dyn Request, format: Format, error: BodyError, limit: usize) -> Response {
    match error {
        BodyError::TooLarge => {
            let message = format!("Nothing was saved: at most {limit} bytes are accepted (DBTestMaxBody).");
            problem_as(format, request, 413, "That is too much", &message)
        }
        BodyError::Broken(status) => {
            let status = if (400..600).contains(&status) { status } else { 400 };
            problem_as(
                format,
                request,
                status,
                "The form did not arrive",
                "Nothing was saved: it broke off on its way. Please send it again.",
            )
        }
    }
}

/// 503: an export keeps a thread for as long as its client likes, so there are few at a time.
pub fn too_many_exports(request: &dyn Request) -> Response {
    let message = "Other exports are under way on this server. Please try again in a moment.";
    problem(request, 503, "Busy with other exports", message).with("Retry-After", "5")
}
