//! Which page answers which path and method: one table. A page is a file beside this one and a line here.

use super::http::{Body, Request, Response};
use super::negotiate::{self, Format};
use super::{Endpoint, check, create, health, list, metrics, problem, row, style, table};

/// Answers one method of one path.
type Page = fn(&mut dyn Request, &Endpoint) -> Response;

/// A path below the Location and what may be done there.
struct Route {
    path: &'static str,
    /// HEAD goes with GET, OPTIONS with all.
    methods: &'static [(&'static str, Page)],
}

static ROUTES: &[Route] = &[
    Route { path: "/", methods: &[("GET", list::get), ("POST", create::post)] },
    Route { path: "/check", methods: &[("GET", check::get), ("POST", check::post)] },
    Route { path: "/health", methods: &[("GET", health::get)] },
    Route { path: "/metrics", methods: &[("GET", metrics::get)] },
    Route { path: "/create", methods: &[("POST", table::post)] },
    Route { path: "/style.css", methods: &[("GET", style::get)] },
    Route { path: "", methods: &[("GET", add_slash), ("POST", add_slash)] },
];

/// Finds the page and lets it answer.
pub fn answer(request: &mut dyn Request, endpoint: &Endpoint) -> Response {
    let Some(route) = find(request.path()) else {
        return problem::not_found(request);
    };
    if let Some(name) = negotiate::unknown(request.query()) {
        let message = format!("There is no format \"{name}\": write format=html, format=text or format=json.");
        return problem::bad_request(request, Format::Html, &message);
    }
    let wanted = match request.method() {
        "HEAD" => "GET",
        method => method,
    };
    match route.methods.iter().find(|(method, _)| *method == wanted) {
        Some((_, page)) => headless(page(request, endpoint), request.method()),
        None if wanted == "OPTIONS" => {
            Response { status: 204, ..Response::default() }.with("Allow", route.allow(endpoint))
        }
        None => problem::method_not_allowed(request, route.allow(endpoint)),
    }
}

/// One page for all rows, each at its id.
static ROW: Route = Route { path: "/ID", methods: &[("GET", row::get)] };

fn find(path: &str) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.path == path).or_else(|| row::id_in(path).map(|_| &ROW))
}

/// The base of a URL whose Location is a pattern and so does not say: what stands before a path of ours.
pub fn base_of(url: &str) -> &str {
    let row = url.rfind('/').filter(|at| row::id_in(&url[*at..]).is_some());
    let base = row.map(|at| &url[..at]);
    base.or_else(|| ROUTES.iter().find_map(|route| url.strip_suffix(route.path))).unwrap_or(url)
}

/// HEAD keeps a body whose length is known, which the server measures and drops; a stream is never begun.
fn headless(mut response: Response, method: &str) -> Response {
    if method == "HEAD" && matches!(response.body, Body::Stream(_)) {
        response.body = Body::Empty;
    }
    response
}

impl Route {
    /// The value of Allow. Where rows can only be read, none is sent.
    fn allow(&self, endpoint: &Endpoint) -> String {
        let mut allow = String::new();
        let writes = ["/", "/create", ""].contains(&self.path);
        let methods =
            self.methods.iter().filter(|(method, _)| !(endpoint.settings.read_only && writes && *method == "POST"));
        for (method, _) in methods {
            allow.push_str(method);
            allow.push_str(if *method == "GET" { ", HEAD, " } else { ", " });
        }
        allow + "OPTIONS"
    }
}

/// Links on the page are relative to the slash. A browser repeats a POST as it is only after 308.
fn add_slash(request: &mut dyn Request, _: &Endpoint) -> Response {
    let mut target = super::home_of(request.base());
    if let Some(query) = request.query() {
        // httpd refuses control characters in a request line; this keeps a header free of them whatever comes
        target.push('?');
        target.extend(query.chars().filter(|c| c.is_ascii_graphic()));
    }
    let status = if request.method() == "POST" { 308 } else { 301 };
    Response { status, ..Response::default() }.with("Location", target)
}
