//! When an operation must have ended, and how long it was given in all.

use std::time::{Duration, Instant};

/// A point in time with the limit it came from, which is what a person wants to read.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    start: Instant,
    limit: Duration,
}

impl Deadline {
    /// From now on.
    pub fn after(limit: Duration) -> Self {
        Self { start: Instant::now(), limit }
    }

    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Nothing once it has passed.
    pub fn remaining(&self) -> Duration {
        self.limit.saturating_sub(self.start.elapsed())
    }

    /// The earlier of this one and one in `limit` from now.
    pub fn within(&self, limit: Duration) -> Self {
        match limit < self.remaining() {
            true => Self::after(limit),
            false => *self,
        }
    }
}
