//! What every step of the ladder is given: the target, its settings, and who asks.

use std::time::Duration;

use crate::config::Resolved;
use crate::database::Limits;
use crate::database::postgresql::PgTarget;
use crate::diagnosis::engine::kind::Circumstances;
use crate::diagnosis::host::process::Who;
use crate::diagnosis::report::builder::Climb;

/// What every step of a climb needs to know.
pub struct Scene<'a> {
    pub target: &'a PgTarget,
    pub settings: &'a Resolved,
    pub circumstances: &'a Circumstances,
    pub who: &'a Who,
}

impl Scene<'_> {
    /// The page's limits, cut to the time that is left.
    pub fn limits(&self, climb: &Climb) -> Limits {
        let left = climb.remaining().max(Duration::from_millis(50));
        let Limits { connect, query, wait } = self.settings.limits;
        Limits { connect: connect.min(left), query: query.min(left), wait }
    }
}
