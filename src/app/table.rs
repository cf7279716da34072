//! The button that creates a missing table (DBTestCreateTable On). The page shows the statement first.

use super::child::{CHILD, Doing};
use super::failure::{self, Attempt};
use super::http::{Request, Response};
use super::negotiate::Format;
use super::{Endpoint, home, origin, problem, wanted_format};

/// Answers POST create.
pub fn post(request: &mut dyn Request, endpoint: &Endpoint) -> Response {
    let format = wanted_format(request, &[Format::Html, Format::Json]);
    if origin::is_foreign(request, endpoint) {
        return problem::foreign(request, format);
    }
    if !endpoint.settings.create_table || endpoint.settings.read_only {
        let message = "The table is not created from here: DBTestCreateTable is Off, or DBTestReadOnly On.";
        return problem::problem_as(format, request, 403, "Not allowed here", message);
    }
    match endpoint.service().create_table() {
        Ok(()) => {
            CHILD.works(request, endpoint, Doing::Creating);
            Response { status: 303, ..Response::default() }.with("Location", home(request))
        }
        Err(refusal) => failure::answer(request, endpoint, format, &Attempt::Create, refusal),
    }
}
