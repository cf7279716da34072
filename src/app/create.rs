//! Adding a row: checks who sends it and what, inserts, and only after the commit sends the visitor back to
//! the page, so that a reload never adds a second row.

use std::sync::Arc;

use askama::Template;

use super::child::{CHILD, Doing};
use super::failure::{self, Attempt, Stored};
use super::form::Form;
use super::http::{Level, Request, Response};
use super::investigation::Cause;
use super::model::{Entry, Model};
use super::negotiate::Format;
use super::refusal::{self, Refusal};
use super::stuff::STUFF;
use super::{Endpoint, home, json, origin, problem, render, wanted_format};
use crate::config::Resolved;
use crate::database::NotStored;
use crate::diagnosis;
use crate::tally::Counter;

/// What a body may be.
const ACCEPTED: &str = "application/x-www-form-urlencoded, application/json";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Form,
    Json,
}

#[derive(Template)]
#[template(path = "entry.html")]
struct EntryPage<'a> {
    home: &'a str,
    here: &'static str,
    settings: &'a Resolved,
    model: &'static Model,
    entry: &'a Entry,
}

/// Answers POST.
pub fn post(request: &mut dyn Request, endpoint: &Endpoint) -> Response {
    let kind = kind_of(request.header("Content-Type"));
    let format = answer_format(request, kind);
    match receive(request, endpoint, kind, format) {
        Ok(entry) if entry.is_sound() => insert(request, endpoint, format, entry),
        Ok(entry) => mistaken(request, endpoint, format, &entry, 422),
        Err(refused) => refused,
    }
}

/// Reads what was typed, or answers why it is not taken at all.
fn receive(
    request: &mut dyn Request,
    endpoint: &Endpoint,
    kind: Option<Kind>,
    format: Format,
) -> Result<Entry, Response> {
    if origin::is_foreign(request, endpoint) {
        return Err(problem::foreign(request, format));
    }
    if endpoint.settings.read_only {
        let message = "Nothing was saved: rows can only be read here (DBTestReadOnly On).";
        return Err(problem::problem_as(format, request, 403, "Read only", message));
    }
    let Some(kind) = kind else {
        let message = format!("Nothing was saved: send the fields as {ACCEPTED}, in UTF-8.");
        let problem = problem::problem_as(format, request, 415, "This kind of body is not taken", &message);
        return Err(problem.with("Accept-Post", ACCEPTED));
    };
    let limit = endpoint.settings.max_body;
    let body = request.body(limit).map_err(|error| problem::body(request, format, error, limit))?;
    let entry = match kind {
        Kind::Json => STUFF.read_json(&body),
        Kind::Form => match Form::parse_fields(&body, &STUFF.names()) {
            Ok(mut form) => Ok(STUFF.read_form(&mut form)),
            Err(error) => Err(format!("the form has {error}")),
        },
    };
    entry.map_err(|why| problem::bad_request(request, format, &format!("Nothing was saved: {why}.")))
}

fn insert(request: &dyn Request, endpoint: &Endpoint, format: Format, entry: Entry) -> Response {
    let (stored, cause) = match endpoint.service().insert(entry.text("stuff"), entry.text("things")) {
        Ok(id) => {
            CHILD.works(request, endpoint, Doing::Writing);
            endpoint.served(request, Counter::Saved);
            return saved(request, format, id, &entry);
        }
        Err(NotStored::NotSaved(error)) => match refusal::read(&error, &entry) {
            Some(refusal) => return refused(request, endpoint, format, entry, refusal),
            None => (Stored::No, Cause::Database(error)),
        },
        Err(NotStored::Busy { retry_after }) => (Stored::No, Cause::Busy { retry_after }),
        Err(NotStored::Unknown(error)) => (Stored::Unknown, Cause::Database(error)),
    };
    failure::answer(request, endpoint, format, &Attempt::Write { entry: &entry, stored }, cause)
}

/// The database works, and does not want this text: the form again, as for any other mistake.
fn refused(request: &dyn Request, endpoint: &Endpoint, format: Format, mut entry: Entry, refusal: Refusal) -> Response {
    let Refusal { status, field, mut message, rule } = refusal;
    if endpoint.told && !rule.is_empty() {
        message = format!("{} ({rule})", message.trim_end_matches('.'));
    }
    endpoint.served(request, Counter::Answered);
    request.log(Level::Debug, &diagnosis::one_line(&format!("{}: a row was refused: {message}", request.base())));
    entry.refuse(field, message);
    mistaken(request, endpoint, format, &entry, status)
}

fn saved(request: &dyn Request, format: Format, id: i64, entry: &Entry) -> Response {
    let home = home(request);
    if format == Format::Json {
        let row = Response::whole(201, format.content_type(), Arc::new(json::created(id, entry)));
        return row.with("Location", format!("{home}{id}"));
    }
    Response { status: 303, ..Response::default() }.with("Location", format!("{home}?saved={id}#row-{id}"))
}

/// The form again, with what was typed and the message beside the field.
fn mistaken(request: &dyn Request, endpoint: &Endpoint, format: Format, entry: &Entry, status: u16) -> Response {
    let body = match format {
        Format::Json => json::mistakes(status, entry),
        _ => {
            render(&EntryPage { home: &home(request), here: "rows", settings: endpoint.settings, model: &STUFF, entry })
        }
    };
    Response::whole(status, format.problem_type(), Arc::new(body))
}

/// Who sends JSON and does not ask for a page gets JSON.
fn answer_format(request: &dyn Request, kind: Option<Kind>) -> Format {
    match kind {
        Some(Kind::Json) => wanted_format(request, &[Format::Json, Format::Html]),
        _ => wanted_format(request, &[Format::Html, Format::Json]),
    }
}

/// The kind of a body by its Content-Type. A charset other than UTF-8 is not taken: its bytes would be stored as
/// something that nobody typed.
fn kind_of(content_type: Option<&[u8]>) -> Option<Kind> {
    let mut parts = std::str::from_utf8(content_type?).ok()?.split(';').map(str::trim);
    let media_type = parts.next()?;
    let kind = if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Kind::Form
    } else if media_type.eq_ignore_ascii_case("application/json") {
        Kind::Json
    } else {
        return None;
    };
    for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
        let value = value.trim().trim_matches('"');
        if name.trim().eq_ignore_ascii_case("charset")
            && !["utf-8", "utf8", "us-ascii"].iter().any(|known| value.eq_ignore_ascii_case(known))
        {
            return None;
        }
    }
    Some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_decides_and_its_charset_must_be_ours() {
        let is = |text: &str| kind_of(Some(text.as_bytes())).map(|kind| kind == Kind::Json);
        assert_eq!(is("application/x-www-form-urlencoded"), Some(false));
        assert_eq!(is("Application/JSON ; Charset=\"UTF-8\""), Some(true));
        assert_eq!(is("application/x-www-form-urlencoded; charset=iso-8859-1"), None);
        for other in ["multipart/form-data; boundary=x", "text/plain", "", ";", "application/json-seq", "\u{e9}"] {
            assert_eq!(is(other), None, "{other}");
        }
        assert!(kind_of(None).is_none());
        assert!(kind_of(Some(b"\xff")).is_none());
    }
}
