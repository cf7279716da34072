//! How many requests of the whole server may be at work in one database at a time.
//!
//! Work that has begun is not taken back: its process or thread is gone until the database answers or a deadline ends
//! it. Under prefork that is a whole child for each request, so no limit within a child helps: the children count
//! together (`tally`). At most a quarter of MaxRequestWorkers, at least one, are at work in a database; while the last
//! that was heard of it is silence, one alone, who finds out for all. Whoever comes on top waits, as in a child's own
//! queue: while others have room, as long as `wait` says; where children are short, only while the work gets on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::wait_queue::{Busy, YOUNG};
use crate::tally::{Entry, Held, Holding, now_ms};

/// The children of a server whose children have one thread each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Children {
    /// Those that serve, or will in a moment.
    pub alive: u32,
    /// Those that wait for a connection.
    pub idle: u32,
}

/// Counts the children of the server; see [`Children`].
pub type Count = dyn Fn() -> Children + Send + Sync;

/// What the admission to any database of a server depends on.
pub struct Admission {
    /// MaxRequestWorkers.
    workers: u32,
    /// None where children have several threads: then what is free is counted in each child (`stall_limit.rs`).
    children: Option<Box<Count>>,
    /// The last count: when, in milliseconds, and how many were alive, in one word. Counting reads all of the scoreboard.
    last: AtomicU64,
}

/// How long a count of the children that live stands.
const COUNT_EVERY_MS: u64 = 50;

/// At most so long until the next look whether somebody has made room.
const LOOK_EVERY: Duration = Duration::from_millis(20);

impl Admission {
    pub fn new(workers: u32, children: Option<Box<Count>>) -> Self {
        Self { workers, children, last: AtomicU64::new(0) }
    }

    /// Lets a request to the database, at the latest at `deadline`.
    pub fn admit<'a>(&self, entry: &'a Entry, deadline: Instant) -> Result<Holding<'a>, Busy> {
        if let Some(working) = self.try_admit(entry) {
            return Ok(working);
        }
        let _waiting = entry.hold(Held::Waiting);
        let began = Instant::now();
        loop {
            if Instant::now() >= deadline || (self.is_crowded() && gets_not_on(entry)) {
                return Err(Busy);
            }
            // the longer it takes, the less often; never all at the same moment
            let pause = (began.elapsed() / 4).clamp(Duration::from_micros(500), LOOK_EVERY);
            thread::sleep(pause + jitter(pause));
            if let Some(working) = self.try_admit(entry) {
                return Ok(working);
            }
        }
    }

    fn try_admit<'a>(&self, entry: &'a Entry) -> Option<Holding<'a>> {
        let working = entry.try_hold(Held::Working, self.at_most(entry))?;
        entry.begins();
        Some(working)
    }

    /// Holds one of something that takes as long as the database likes, such as a check: all of them together have half
    /// the share of the requests.
    pub fn try_aside<'a>(&self, entry: &'a Entry, what: Held) -> Option<Holding<'a>> {
        entry.try_hold(what, (self.share() / 2).max(1))
    }

    /// Whether all children together hold no more of it than that, with what the caller holds.
    pub fn has_room(&self, entry: &Entry, what: Held) -> bool {
        entry.is_within(what, (self.share() / 2).max(1))
    }

    fn at_most(&self, entry: &Entry) -> u64 {
        if entry.is_silent() { 1 } else { self.share() }
    }

    /// A quarter of the workers; where children are few yet, all but those that stay free for others.
    fn share(&self) -> u64 {
        let quarter = (self.workers / 4).max(1);
        let Some(count) = &self.children else { return quarter.into() };
        let alive = self.alive(count);
        u64::from(quarter.min((alive - reserve(alive).min(alive)).max(1)))
    }

    fn alive(&self, count: &Count) -> u32 {
        const BITS: u32 = 24;
        let (now, last) = (now_ms(), self.last.load(Ordering::Relaxed));
        if now.saturating_sub(last >> BITS) < COUNT_EVERY_MS {
            return u32::try_from(last & ((1 << BITS) - 1)).unwrap_or(0);
        }
        let alive = count().alive.min((1 << BITS) - 1);
        self.last.store((now << BITS) | u64::from(alive), Ordering::Relaxed);
        alive
    }

    /// Whether too few children are idle for others to be served at once.
    fn is_crowded(&self) -> bool {
        self.children.as_ref().is_some_and(|count| {
            let children = count();
            children.idle < reserve(children.alive)
        })
    }
}

/// Children that are to stay free for others.
fn reserve(alive: u32) -> u32 {
    (alive / 4).max(1)
}

/// Whether those at work have been so for long, or the database is known to say nothing.
fn gets_not_on(entry: &Entry) -> bool {
    entry.is_silent() || entry.newest_work().is_some_and(|since| since > YOUNG)
}

/// Anything below `most`.
fn jitter(most: Duration) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let range = u32::try_from(most.as_nanos()).unwrap_or(u32::MAX).max(1);
    // the clock's last digits and the process tell those who wait apart
    let seed = now.subsec_nanos().wrapping_mul(2_654_435_761).wrapping_add(std::process::id());
    Duration::from_nanos(u64::from(seed % range))
}

/// For children of one thread, with no others around: what unit tests have.
#[cfg(test)]
impl Default for Admission {
    fn default() -> Self {
        Self::new(1000, None)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    use super::*;
    use crate::tally;

    /// Of 40 workers, this many alive and idle.
    fn admission(alive: u32, idle: u32) -> (Admission, Arc<AtomicU32>) {
        let free = Arc::new(AtomicU32::new(idle));
        let seen = Arc::clone(&free);
        let count = move || Children { alive, idle: seen.load(Ordering::SeqCst) };
        (Admission::new(40, Some(Box::new(count))), free)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(400)
    }

    fn fill<'a>(admission: &Admission, entry: &'a Entry) -> Vec<Holding<'a>> {
        std::iter::from_fn(|| admission.try_admit(entry)).collect()
    }

    #[test]
    fn a_quarter_of_the_workers_and_never_all_children_are_at_work() {
        let entry = tally::private();
        for (alive, at_work) in [(0, 1), (1, 1), (2, 1), (4, 3), (12, 9), (40, 10)] {
            assert_eq!(fill(&admission(alive, 0).0, &entry).len(), at_work, "{alive} alive");
        }
        assert_eq!(fill(&Admission::new(400, None), &entry).len(), 100);
    }

    #[test]
    fn beyond_it_one_waits_while_others_have_room_and_is_turned_away_at_once_where_not() {
        let (entry, (admission, idle)) = (tally::private(), admission(4, 4));
        let working = fill(&admission, &entry);
        let waits = |least: Duration, most: Duration| {
            let began = Instant::now();
            assert!(admission.admit(&entry, soon()).is_err());
            let took = began.elapsed();
            assert!(took >= least && took < most, "{took:?}");
        };
        waits(Duration::from_millis(400), Duration::from_secs(2));
        idle.store(0, Ordering::SeqCst);
        waits(Duration::ZERO, Duration::from_millis(300));
        drop(working);
        // what just began may end in a moment
        let working = fill(&admission, &entry);
        waits(YOUNG / 2, Duration::from_millis(390));
        drop(working);
        assert!(admission.admit(&entry, soon()).is_ok());
    }

    #[test]
    fn of_a_silent_database_one_finds_out() {
        let (entry, (admission, _)) = (tally::private(), admission(40, 40));
        entry.came_to(false, true);
        let one = fill(&admission, &entry);
        assert_eq!(one.len(), 1);
        drop(one);
        entry.came_to(true, false);
        assert_eq!(fill(&admission, &entry).len(), 10);
        assert!(admission.try_aside(&entry, Held::Checking).is_some());
    }
}
