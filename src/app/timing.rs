//! Where a request's time went: for the access log in each answer, and for the browser of whoever is told everything.

use super::Endpoint;
use super::http::{Request, Response};
use crate::database::spent;

/// Notes `dbtest_query_us` and `dbtest_wait_us`, and sets `Server-Timing` (W3C), in milliseconds.
pub fn tell(request: &dyn Request, endpoint: &Endpoint, response: &mut Response) {
    let spent = spent::so_far();
    if spent == spent::Spent::default() {
        return;
    }
    request.note("dbtest_query_us", &spent.query.as_micros().to_string());
    request.note("dbtest_wait_us", &spent.wait.as_micros().to_string());
    if endpoint.told {
        let ms = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
        let value = format!("query;dur={:.3}, wait;dur={:.3}", ms(spent.query), ms(spent.wait));
        response.headers.push(("Server-Timing", value.into()));
    }
}
