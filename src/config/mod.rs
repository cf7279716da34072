//! What the administrator wrote: the directives, how sections merge, and what is checked at configtest.

mod arguments;
pub mod checks;
mod directives;
pub mod dump;
mod password;
mod place;
mod resolve;
mod settings;
pub mod state_dir;
#[cfg(test)]
mod tests;

pub use directives::{Context, DIRECTIVES, Directive};
pub use place::Place;
pub use resolve::{ConfigError, Environment};
pub use settings::{Detail, Identity, Origin, Resolved, Set, Settings};
