//! The application: one form over one table.
//!
//! [`answer`] takes a request for something below a Location and gives the response. It knows neither httpd
//! nor which database it talks to, so all of it is tested without either.

mod form;
mod headers;
pub mod http;
mod negotiate;
mod origin;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use crate::config::Resolved;
use crate::database::Services;
use http::{Request, Response};

/// The place that a request is for: one Location with its settings.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub settings: &'a Arc<Resolved>,
    /// Of this child.
    pub services: &'a Services,
    /// How many child processes this server may have, for the capacity arithmetic.
    pub children: u32,
}

/// One configured database, for the side-by-side table of the whole server.
#[derive(Clone, Copy)]
pub struct PlaceView<'a> {
    /// "/dbtest", with the virtual host before it where there are several: "www.example.com/dbtest".
    pub location: &'a str,
    pub place: Place<'a>,
}

/// Answers a request for something below a Location.
pub fn answer(_request: &mut dyn Request, _place: &Place) -> Response {
    let mut response =
        Response::whole(503, "text/plain; charset=utf-8", Arc::new(b"The pages are on their way.\n".to_vec()));
    headers::complete(&mut response);
    response
}

/// Answers a request to the handler `dbtest-status`: every database of this server, side by side.
pub fn status(_request: &mut dyn Request, _places: &[PlaceView]) -> Response {
    let mut response =
        Response::whole(503, "text/plain; charset=utf-8", Arc::new(b"The pages are on their way.\n".to_vec()));
    headers::complete(&mut response);
    response
}
