//! One line for a load balancer or a monitor. The service behind it asks the database at most once a second.

use std::sync::Arc;

use super::child::{CHILD, Doing};
use super::http::{Request, Response};
use super::negotiate::Format;
use super::{Endpoint, investigation, wanted_format};
use crate::tally::Counter;

/// Answers GET health.
pub fn get(request: &mut dyn Request, endpoint: &Endpoint) -> Response {
    let format = wanted_format(request, &[Format::Text, Format::Json]);
    let (status, ok, line) = match endpoint.service().ping() {
        Ok(()) => {
            CHILD.works(request, endpoint, Doing::Reading);
            endpoint.served(request, Counter::Answered);
            (200, true, "ok".to_owned())
        }
        Err(refusal) => {
            let (status, line) = investigation::in_one_line(request, endpoint, refusal.into());
            (status, false, line)
        }
    };
    let body = match format {
        Format::Json => format!("{}\n", serde_json::json!({ "ok": ok, "says": line })),
        _ => format!("{line}\n"),
    };
    Response::whole(status, format.content_type(), Arc::new(body.into_bytes()))
}
