//! Requests that are turned away: told to their visitors each, to the error log by state. The first one is a line; while
//! it goes on there is a count, at most once a minute; then the end, with how many there were. All children of the
//! server count together, so that a hundred of them do not say the same.

use std::time::Duration;

use super::Endpoint;
use super::http::{Level, Request};
use crate::tally::{Counter, Entry, now_ms};

/// How often it is said that it goes on. Milliseconds.
const EVERY: u64 = 60_000;

/// So long after the last one it is over. Milliseconds.
const QUIET: u64 = 5_000;

/// Counts a request that is turned away, and says so if that is news.
pub fn turned_away(request: &dyn Request, endpoint: &Endpoint) {
    if let Some(line) = note(endpoint.entry, now_ms()) {
        request.log(Level::Warning, &format!("{}: {line}", request.base()));
    }
}

/// Called when a request is served: says that it is over.
pub fn served(request: &dyn Request, endpoint: &Endpoint) {
    if endpoint.entry.get(Counter::BusySince) != 0
        && let Some(line) = end(endpoint.entry, now_ms())
    {
        request.log(Level::Notice, &format!("{}: {line}", request.base()));
    }
}

fn note(entry: &Entry, now: u64) -> Option<String> {
    entry.count(Counter::Busy);
    // one after a long pause is a new beginning
    let ended = end(entry, now);
    entry.set(Counter::BusyLast, now);
    let count = entry.count(Counter::BusyNow);
    if entry.swap(Counter::BusySince, 0, now) {
        entry.set(Counter::BusySaid, now);
        let line = "too many requests wait for the database (DBTestConnections, DBTestTimeout wait): answered 503";
        return Some(ended.map_or_else(|| line.to_owned(), |ended| format!("{ended}; again {line}")));
    }
    let said = entry.get(Counter::BusySaid);
    if now.saturating_sub(said) < EVERY || !entry.swap(Counter::BusySaid, said, now) {
        return None;
    }
    let since = now.saturating_sub(entry.get(Counter::BusySince));
    Some(format!("too many requests wait for the database, still: {count} answered 503 in {}", time(since)))
}

fn end(entry: &Entry, now: u64) -> Option<String> {
    let (since, last) = (entry.get(Counter::BusySince), entry.get(Counter::BusyLast));
    if since == 0 || now.saturating_sub(last) < QUIET || !entry.swap(Counter::BusySince, since, 0) {
        return None;
    }
    let count = entry.take(Counter::BusyNow);
    Some(format!(
        "too many requests waited for the database: ended after {count} in {}",
        time(last.saturating_sub(since))
    ))
}

fn time(ms: u64) -> String {
    let seconds = Duration::from_millis(ms).as_secs_f64();
    if seconds < 60.0 { format!("{seconds:.1} s") } else { format!("{:.0} min", seconds / 60.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally;

    #[test]
    fn a_burst_is_a_line_a_count_a_minute_and_an_end() {
        let entry = tally::private();
        let start = 1_000_000;
        let burst = (0..100_000).filter_map(|at| note(&entry, start + at * 2)).collect::<Vec<_>>();
        assert_eq!(burst.len(), 4, "{burst:?}");
        assert!(burst[0].contains("answered 503"));
        assert!(burst[1].ends_with("still: 30001 answered 503 in 1 min"), "{burst:?}");
        assert_eq!(end(&entry, start + 200_000), None, "it may go on");
        let ended = end(&entry, start + 300_000).unwrap();
        assert!(ended.ends_with("ended after 100000 in 3 min"), "{ended}");
        assert_eq!(end(&entry, start + 400_000), None);
        assert!(note(&entry, start + 500_000).is_some(), "the next is news");
        let again = note(&entry, start + 600_000).unwrap();
        assert!(again.contains("ended after 1 in 0.0 s; again"), "{again}");
        assert_eq!(entry.get(Counter::Busy), 100_002);
    }
}
