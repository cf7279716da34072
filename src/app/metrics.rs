//! Numbers for a monitor: what all children of the server counted together, by the database of this Location. It tells
//! nothing that a stranger should not hear: no host, no role, no path, only the Location itself, which its visitor knows.
//!
//! OpenMetrics 1.0 (github.com/prometheus/OpenMetrics), or, for whoever accepts only that, Prometheus' older text format.

mod exposition;

use std::sync::Arc;
use std::time::Duration;

use super::Endpoint;
use super::http::{Request, Response};
use crate::database::Stage;
use crate::tally::{Counter, Entry, Held, Timer, now_ms};
use exposition::{Exposition, Kind, Version};

/// Answers GET metrics.
pub fn get(request: &mut dyn Request, endpoint: &Endpoint) -> Response {
    let version = Version::for_accept(request.header("Accept"));
    let text = of(endpoint.entry, version, now_ms());
    Response::whole(200, version.content_type(), Arc::new(text.into_bytes())).with("Vary", "Accept")
}

fn of(entry: &Entry, version: Version, now: u64) -> String {
    let mut out = Exposition::new(version, entry.location());
    health(&mut out, entry, now);
    out.family("dbtest_requests", Kind::Counter, "Requests that asked the database, by what became of them.");
    for (outcome, counter) in [
        ("answered", Counter::Answered),
        ("saved", Counter::Saved),
        ("not_saved", Counter::NotSaved),
        ("unknown", Counter::Unknown),
        ("busy", Counter::Busy),
        ("failed", Counter::Failed),
    ] {
        out.sample(&[("outcome", outcome)], entry.get(counter));
    }
    let (open, working) = (entry.sum(Held::Connected), entry.sum(Held::Working));
    out.family("dbtest_connections", Kind::Gauge, "Open connections of all children.");
    out.sample(&[("state", "in_use")], working.min(open));
    out.sample(&[("state", "idle")], open.saturating_sub(working));
    out.family("dbtest_working", Kind::Gauge, "Requests at work in the database, also such as still connect.");
    out.sample(&[], working);
    out.family("dbtest_waiting", Kind::Gauge, "Requests that wait to be let to the database.");
    out.sample(&[], entry.sum(Held::Waiting));
    out.family("dbtest_checks", Kind::Gauge, "Checks that run.");
    out.sample(&[], entry.sum(Held::Checking));
    out.family("dbtest_exports", Kind::Gauge, "Exports that run.");
    out.sample(&[], entry.sum(Held::Exporting));
    out.family("dbtest_connect_duration_seconds", Kind::Histogram, "Time to open a connection, also in vain.");
    out.histogram(&entry.histogram(Timer::Connect));
    out.family("dbtest_query_duration_seconds", Kind::Histogram, "Time of what a request asked, on a connection.");
    out.histogram(&entry.histogram(Timer::Query));
    out.end()
}

/// What is known of the database: what nobody has tried yet has no sample.
fn health(out: &mut Exposition, entry: &Entry, now: u64) {
    let (success, failure) = (entry.get(Counter::LastSuccess), entry.get(Counter::LastFailure));
    out.family("dbtest_up", Kind::Gauge, "Whether the last request that asked the database was answered by it.");
    if success.max(failure) > 0 {
        out.sample(&[], u64::from(success >= failure));
    }
    for (name, help, when) in [
        ("dbtest_last_success_age_seconds", "Time since the database last answered.", success),
        ("dbtest_last_failure_age_seconds", "Time since the database last failed.", failure),
        ("dbtest_last_check_age_seconds", "Time since a check last ended.", entry.get(Counter::LastCheck)),
    ] {
        out.family(name, Kind::Gauge, help);
        if when > 0 {
            out.seconds(&[], Duration::from_millis(now.saturating_sub(when)));
        }
    }
    out.family(
        "dbtest_check_step",
        Kind::Gauge,
        "A step of the last check: 1 it passed, 0 it failed; others are not shown.",
    );
    for (number, stage) in Stage::ALL.iter().enumerate() {
        if let Some(passed) = entry.step(number).checked_sub(1) {
            out.sample(&[("step", stage.name())], passed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally;

    #[test]
    fn what_nobody_tried_has_no_sample() {
        let entry = tally::private();
        let text = of(&entry, Version::OpenMetrics, now_ms());
        assert!(text.contains("# TYPE dbtest_up gauge\n") && !text.contains("\ndbtest_up{"), "{text}");
        entry.came_to(true, false);
        entry.checked([2, 1, 0]);
        let text = of(&entry, Version::OpenMetrics, now_ms() + 2500);
        assert!(text.contains("\ndbtest_up{location=\"\"} 1\n"), "{text}");
        assert!(text.contains("\ndbtest_check_step{location=\"\",step=\"config\"} 1\n"), "{text}");
        assert!(text.contains("\ndbtest_check_step{location=\"\",step=\"who\"} 0\n"), "{text}");
        assert!(!text.contains("step=\"resolve\""), "{text}");
        assert!(text.contains("\ndbtest_last_success_age_seconds{location=\"\"} 2.5"), "{text}");
        assert!(text.ends_with("\n# EOF\n"));
    }
}
