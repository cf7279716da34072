//! The application: one form over one table.
//!
//! [`answer`] takes a request for something below a Location and gives the response. It knows neither httpd
//! nor which database it talks to, so all of it is tested without either. `routes.rs` is the way in.

mod busy;
mod check;
mod child;
mod create;
mod examination;
mod failure;
mod form;
mod headers;
mod health;
pub mod http;
mod investigation;
mod json;
#[cfg(test)]
mod learnt;
#[cfg(test)]
mod linear;
mod list;
mod metrics;
mod model;
mod negotiate;
mod object;
mod origin;
mod problem;
mod refusal;
mod routes;
mod row;
mod rows;
mod server_status;
mod status;
mod stuff;
mod style;
mod table;
#[cfg(test)]
mod testing;
mod timing;
mod words;

use std::fmt::Write;
use std::sync::Arc;

use askama::Template;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::Resolved;
use crate::database::{Create, Service, Services, spent};
use crate::tally::{Counter, Entry};
use form::Form;
use http::{Request, Response};
use negotiate::Format;
pub use routes::base_of;
pub use server_status::server_status;

/// The endpoint that a request is for: one Location with its settings.
#[derive(Clone, Copy)]
pub struct Endpoint<'a> {
    /// The same for all requests to one section with the same settings, and for no other section of this process.
    pub key: usize,
    pub settings: &'a Arc<Resolved>,
    /// Of this child.
    pub services: &'a Services,
    /// What all children of the server count of it.
    pub entry: &'a Arc<Entry>,
    /// How many child processes this server may have, for the capacity arithmetic.
    pub children: u32,
    /// Whether this visitor is told everything (DBTestDetail), or nothing that a stranger should not hear.
    pub told: bool,
}

/// One configured database, for the side-by-side table of the whole server.
#[derive(Clone, Copy)]
pub struct Listed<'a> {
    /// "/dbtest", with the virtual host before it where there are several: "www.example.com/dbtest".
    pub location: &'a str,
    pub endpoint: Endpoint<'a>,
}

/// Answers a request for something below a Location.
pub fn answer(request: &mut dyn Request, endpoint: &Endpoint) -> Response {
    // lets the suite prove that a panic costs one request and no more
    #[cfg(debug_assertions)]
    assert!(request.method() != "GET" || request.query() != Some("panic"), "asked to panic by ?panic");
    spent::restart();
    let mut response = routes::answer(request, endpoint);
    headers::complete(&mut response);
    timing::tell(request, endpoint, &mut response);
    response
}

/// Answers a request to the handler `dbtest-status`: every database of this server, side by side.
pub fn status(request: &mut dyn Request, endpoints: &[Listed]) -> Response {
    let mut response = status::answer(request, endpoints);
    headers::complete(&mut response);
    response
}

impl Endpoint<'_> {
    /// Counts a request that the database served.
    fn served(&self, request: &dyn Request, outcome: Counter) {
        self.entry.count(outcome);
        busy::served(request, self);
    }

    /// The connections of this child to this endpoint's database. The default database makes its file and
    /// table on first use; one that the administrator named is never created.
    fn service(&self) -> Arc<Service> {
        let Resolved { target, table, limits, connections, is_default_database, .. } = &**self.settings;
        let create = if *is_default_database { Create::File } else { Create::Never };
        self.services.counted(target, table, *limits, *connections, create, self.entry)
    }
}

/// What a segment of a path may hold unescaped (RFC 3986, pchar), and the slash.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// The way from the page that is asked for to the list: relative, since a proxy in front may show the pages under
/// another path than ours.
fn home(request: &dyn Request) -> String {
    match request.path().matches('/').count() {
        // from "/dbtest" itself, which has no slash at its end
        0 => home_of(&format!("./{}", request.base().rsplit('/').next().unwrap_or_default())),
        1 => "./".into(),
        // nobody links so deep; the answer must not grow with what was asked
        depth if depth > 16 => home_of(request.base()),
        depth => "../".repeat(depth - 1),
    }
}

/// The address of the list of a Location: "/dbtest/", escaped as a URL.
pub fn home_of(location: &str) -> String {
    let mut home = String::with_capacity(location.len() + 16);
    // writing into memory cannot fail
    let _ = write!(home, "{}/", utf8_percent_encode(location, PATH));
    home
}

/// The format to answer in, by `?format=` or Accept.
fn wanted_format(request: &dyn Request, offers: &[Format]) -> Format {
    let form = request.query().and_then(|query| Form::parse(query.as_bytes()).ok()).unwrap_or_default();
    negotiate::choose(form.get("format"), request.header("Accept"), offers)
}

/// A template as bytes.
fn render(template: &impl Template) -> Vec<u8> {
    render_sized(template, 8 * 1024)
}

/// A template as bytes, of which there are about so many.
fn render_sized(template: &impl Template, size: usize) -> Vec<u8> {
    let mut out = String::with_capacity(size);
    // our templates write only strings and numbers, into memory: neither fails
    let _ = template.render_into(&mut out);
    out.into_bytes()
}

#[cfg(test)]
mod tests;
