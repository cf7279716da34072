//! The button that creates a missing table (DBTestCreateTable On). The page shows the statement first.

use super::child::CHILD;
use super::failure::{self, Attempt};
use super::http::{Request, Response};
use super::negotiate::Format;
use super::{Place, home, origin, problem, wanted_format};

/// Answers POST create.
pub fn post(request: &mut dyn Request, place: &Place) -> Response {
    let format = wanted_format(request, &[Format::Html, Format::Json]);
    if origin::is_foreign(request) {
        return problem::foreign(request, format);
    }
    if !place.settings.create_table || place.settings.read_only {
        let message = "The table is not created from here: DBTestCreateTable is Off, or DBTestReadOnly On.";
        return problem::problem_as(format, request, 403, "Not allowed here", message);
    }
    match place.service().create_table() {
        Ok(()) => {
            CHILD.works(request, place);
            Response { status: 303, ..Response::default() }.with("Location", home(request))
        }
        Err(refusal) => failure::answer(request, place, format, &Attempt::Create, refusal),
    }
}
