//! What the administrator wrote: the directives, how sections merge, and what is checked at configtest.

mod settings;

pub use settings::{Detail, Origin, Resolved, Set, Settings};
