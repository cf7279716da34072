//! What the administrator wrote: the directives, how sections merge, and what is checked at configtest.

mod arguments;
pub mod checks;
mod detail;
mod directives;
pub mod dump;
pub mod ids;
#[cfg(test)]
mod manual;
pub mod only;
pub mod overlooked;
mod password;
mod place;
mod resolve;
mod settings;
pub mod state_dir;
#[cfg(test)]
mod tests;

pub use detail::{Detail, Parsed};
pub use directives::{Context, DIRECTIVES};
pub use place::Place;
pub use resolve::{ConfigError, Environment};
pub use settings::{Identity, Origin, Resolved, Settings};
