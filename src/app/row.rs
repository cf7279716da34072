//! One row at an address of its own, whole: what a list cuts short, and what `201 Created` names.

use std::sync::Arc;

use askama::Template;

use super::child::{CHILD, Doing};
use super::failure::{self, Attempt};
use super::http::{Request, Response};
use super::negotiate::Format;
use super::{Endpoint, json, problem, render, wanted_format};
use crate::config::Resolved;
use crate::database::Row;
use crate::tally::Counter;

#[derive(Template)]
#[template(path = "row.html")]
struct RowPage<'a> {
    home: &'static str,
    here: &'static str,
    settings: &'a Resolved,
    row: Row<'a>,
}

/// The id in a path of a row: "/23".
pub fn id_in(path: &str) -> Option<i64> {
    let text = path.strip_prefix('/')?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    // one spelling for one row
    let canonical = digits == "0" || !digits.starts_with('0');
    let id = text.parse().ok()?;
    (canonical && digits.bytes().all(|digit| digit.is_ascii_digit())).then_some(id)
}

/// Answers GET of one row.
pub fn get(request: &mut dyn Request, endpoint: &Endpoint) -> Response {
    let format = wanted_format(request, &[Format::Html, Format::Json, Format::Text]);
    let Some(id) = id_in(request.path()) else { return problem::not_found(request) };
    // the newest of the rows up to this one; of all rows, where there is no number above it
    let page = match endpoint.service().page(id.checked_add(1), 1) {
        Ok(page) => page,
        Err(refusal) => return failure::answer(request, endpoint, format, &Attempt::Read, refusal),
    };
    CHILD.works(request, endpoint, Doing::Reading);
    endpoint.served(request, Counter::Answered);
    let Some(row) = page.rows.get(0).filter(|row| row.id == id) else {
        return problem::problem(
            request,
            404,
            "No such row",
            "There is no row with this id. It may have been deleted.",
        );
    };
    let body = match format {
        Format::Html => render(&RowPage { home: "./", here: "", settings: endpoint.settings, row }),
        Format::Json => json::row(row),
        Format::Text => format!("{}\n{}\n{}\n", row.id, row.stuff, row.things).into_bytes(),
    };
    Response::whole(200, format.content_type(), Arc::new(body))
}

#[cfg(test)]
mod tests {
    use super::id_in;

    #[test]
    fn an_id_has_one_spelling() {
        for (path, id) in
            [("/1", Some(1)), ("/-7", Some(-7)), ("/0", Some(0)), ("/9223372036854775807", Some(i64::MAX))]
        {
            assert_eq!(id_in(path), id, "{path}");
        }
        for path in ["/", "", "/01", "/+1", "/1/", "/x", "/--1", "/9223372036854775808", "/1.0"] {
            assert_eq!(id_in(path), None, "{path}");
        }
    }
}
