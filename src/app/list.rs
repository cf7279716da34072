//! The page: the newest rows and the form; older rows by key; all of them as a stream.
//!
//! What a GET renders depends on its [`Wanted`] and the settings alone, and of who asks only on whether everything is told: requests that
//! wait for the same thing are answered with the same bytes.

use std::sync::{Arc, LazyLock};

use askama::Template;

use super::child::{CHILD, Doing};
use super::failure::{self, Attempt};
use super::form::Form;
use super::http::{Body, Request, Response, Sink};
use super::model::{Entry, Model};
use super::negotiate::{self, Format};
use super::rows::TableRows;
use super::stuff::STUFF;
use super::{Endpoint, json, problem, render_sized};
use crate::config::Resolved;
use crate::database::{About, Page, Refusal, Service, Shared};
use crate::tally::Counter;

/// An export is handed to the client in pieces of about this many bytes.
const PIECE: usize = 16 * 1024;

/// The page around its rows, in bytes, roughly: for reserving.
const AROUND: usize = 4 * 1024;

/// What a GET asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Wanted {
    /// Only rows with a smaller id.
    before: Option<i64>,
    /// Mark this row, which was just added.
    saved: Option<i64>,
    format: Format,
}

/// All that a page of a service's rows depends on.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    wanted: Wanted,
    page_size: u32,
    read_only: bool,
    told: bool,
}

#[derive(Template)]
#[template(path = "list.html")]
struct ListPage<'a> {
    home: &'static str,
    here: &'static str,
    settings: &'a Resolved,
    model: &'static Model,
    /// The form, already HTML.
    form: &'a str,
    page: &'a Page,
    rows: TableRows<'a>,
    /// For whom it is told.
    about: Option<&'a About>,
    before: Option<i64>,
    older: Option<i64>,
    saved: Option<i64>,
    /// Whether the saved row is among the rows.
    saved_here: bool,
}

#[derive(Template)]
#[template(path = "form.html")]
struct FormPart<'a> {
    home: &'static str,
    model: &'static Model,
    entry: &'a Entry,
}

/// The form before anything is typed is the same on every page of rows.
static BLANK_FORM: LazyLock<String> = LazyLock::new(|| {
    let form = FormPart { home: HERE, model: &STUFF, entry: &STUFF.blank() }.render();
    // our templates write into memory, which cannot fail
    form.unwrap_or_default()
});

/// Where the pages are, seen from the list: relative, so that the bytes are the same whatever is in front.
const HERE: &str = "./";

/// Answers GET.
pub fn get(request: &mut dyn Request, endpoint: &Endpoint) -> Response {
    let (wanted, all) = match read_query(request) {
        Ok(wanted) => wanted,
        Err(message) => {
            let format = super::wanted_format(request, &[Format::Html, Format::Json]);
            return problem::bad_request(request, format, &message);
        }
    };
    if all {
        return export(request, endpoint);
    }
    match body(&endpoint.service(), endpoint, wanted) {
        Ok((body, older)) => {
            CHILD.works(request, endpoint, Doing::Reading);
            endpoint.served(request, Counter::Answered);
            let response = Response::whole(200, wanted.format.content_type(), body);
            match older {
                Some(id) => response.with("Link", format!("<?before={id}>; rel=\"next\"")),
                None => response,
            }
        }
        Err(refusal) => failure::answer(request, endpoint, wanted.format, &Attempt::Read, refusal),
    }
}

/// Reads the query string; the second is whether everything is wanted.
fn read_query(request: &dyn Request) -> Result<(Wanted, bool), String> {
    let offers = &[Format::Html, Format::Json];
    let accept = request.header("Accept");
    let Some(query) = request.query() else {
        return Ok((Wanted { before: None, saved: None, format: negotiate::choose(None, accept, offers) }, false));
    };
    let form = Form::parse(query.as_bytes()).map_err(|error| format!("The query string has {error}."))?;
    let id = |name: &str| form.get(name).map(|value| id_in(name, value)).transpose();
    let format = negotiate::choose(form.get("format"), accept, offers);
    Ok((Wanted { before: id("before")?, saved: id("saved")?, format }, form.get("all").is_some()))
}

/// A key as it stands in a query string: decimal digits, perhaps a minus sign.
fn id_in(name: &str, value: &[u8]) -> Result<i64, String> {
    let text = std::str::from_utf8(value).unwrap_or_default();
    let digits = text.strip_prefix('-').unwrap_or(text);
    let number = text.parse().ok().filter(|_| digits.bytes().all(|digit| digit.is_ascii_digit()));
    number.ok_or_else(|| format!("\"{name}\" must be the id of a row: a whole number."))
}

/// A page, and the `before` of the next older one.
type Rendered = (Arc<Vec<u8>>, Option<i64>);

/// The rendered page: one query and one rendering for all who wait for the same.
fn body(service: &Service, endpoint: &Endpoint, wanted: Wanted) -> Result<Rendered, Refusal> {
    static PAGES: LazyLock<Shared<Key, Rendered>> = LazyLock::new(Shared::new);
    let (settings, told) = (&**endpoint.settings, endpoint.told);
    let key = Key { wanted, page_size: settings.page_size, read_only: settings.read_only, told };
    PAGES.answer(service, key, |connection| {
        let page = connection.page(wanted.before, settings.page_size)?;
        let older = page.rows.last().map(|row| row.id).filter(|_| page.more);
        Ok((Arc::new(rendered(&page, older, Some(connection.about()).filter(|_| told), settings, wanted)), older))
    })
}

fn rendered(page: &Page, older: Option<i64>, about: Option<&About>, settings: &Resolved, wanted: Wanted) -> Vec<u8> {
    if wanted.format == Format::Json {
        return json::list(page, older, settings.read_only, about);
    }
    let rows = TableRows { rows: &page.rows, new: wanted.saved };
    let size = AROUND + rows.size_hint();
    let page = ListPage {
        home: HERE,
        here: "rows",
        settings,
        model: &STUFF,
        form: &BLANK_FORM,
        page,
        rows,
        about,
        before: wanted.before,
        older,
        saved: wanted.saved,
        saved_here: page.rows.iter().any(|row| Some(row.id) == wanted.saved),
    };
    render_sized(&page, size)
}

/// The whole table, one JSON object a line, in constant memory.
fn export(request: &dyn Request, endpoint: &Endpoint) -> Response {
    let Some(running) = endpoint.services.try_export(endpoint.entry) else {
        return problem::too_many_exports(request);
    };
    let service = endpoint.service();
    // a failure that can be known before the first byte gets its proper status
    if let Err(refusal) = service.page(None, 1) {
        return failure::answer(request, endpoint, Format::Json, &Attempt::Read, refusal);
    }
    CHILD.works(request, endpoint, Doing::Reading);
    endpoint.served(request, Counter::Answered);
    let location = request.base().to_owned();
    let stream = move |sink: &mut Sink| {
        let _running = &running;
        let mut buffer = Vec::with_capacity(PIECE + 1024);
        let mut wanted = true;
        let outcome = service.export(&mut |row| {
            json::line(&mut buffer, row);
            if buffer.len() >= PIECE {
                wanted = sink(&buffer);
                buffer.clear();
            }
            wanted
        });
        let message = outcome.err().map(|refusal| format!("{location}: the export broke off: {refusal}"));
        if message.is_some() {
            // for a client that cannot see how the connection ends: a last line that is no row
            buffer.extend(json::error(None, "the export broke off here: this is not the whole table"));
        }
        if wanted && !buffer.is_empty() {
            sink(&buffer);
        }
        message.map_or(Ok(()), Err)
    };
    Response {
        status: 200,
        content_type: "application/x-ndjson",
        headers: Vec::new(),
        body: Body::Stream(Arc::new(stream)),
    }
}
