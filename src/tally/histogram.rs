//! Times, counted by how long they were.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// From resolving the name to a session that is ready.
    Connect,
    /// What a request asked of the database, on a connection.
    Query,
}

impl Timer {
    pub const ALL: [Self; 2] = [Self::Connect, Self::Query];
}

/// Upper bounds in microseconds; what took longer is counted with the last word only.
pub const BOUNDS_US: [u64; 13] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 250_000, 1_000_000, 2_500_000, 10_000_000];

/// One word a bound, one for what is beyond, and the sum.
pub const WORDS: usize = BOUNDS_US.len() + 2;

/// A histogram as it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    /// How many took at most each of [`BOUNDS_US`]; the last is all of them.
    pub cumulated: Vec<u64>,
    pub sum_us: u64,
}

/// Counts one time in the words of a histogram.
pub fn count(words: &[AtomicU64], took: Duration) {
    let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let bucket = BOUNDS_US.iter().position(|bound| us <= *bound).unwrap_or(BOUNDS_US.len());
    words[bucket].fetch_add(1, Ordering::Relaxed);
    words[WORDS - 1].fetch_add(us, Ordering::Relaxed);
}

pub fn read(words: &[AtomicU64]) -> Histogram {
    let mut sum = 0;
    let cumulate = |word: &AtomicU64| {
        sum += word.load(Ordering::Relaxed);
        sum
    };
    let cumulated = words[..WORDS - 1].iter().map(cumulate).collect();
    Histogram { cumulated, sum_us: words[WORDS - 1].load(Ordering::Relaxed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_its_bucket_and_in_all_above() {
        let words: Vec<AtomicU64> = std::iter::repeat_with(AtomicU64::default).take(WORDS).collect();
        for us in [0, 100, 101, 10_000_000, 10_000_001] {
            count(&words, Duration::from_micros(us));
        }
        let histogram = read(&words);
        assert_eq!(histogram.cumulated[0], 2);
        assert_eq!(histogram.cumulated[1], 3);
        assert_eq!(histogram.cumulated[12..], [4, 5]);
        assert_eq!(histogram.sum_us, 20_000_202);
    }
}
