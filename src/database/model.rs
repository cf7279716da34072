//! The core of shared reads under every schedule: `wait_queue.rs` and `batch.rs` once more, on locks whose every
//! operation lets another thread go first (shuttle). A schedule in which nobody can go on is a failure, so that a
//! waiter who is never woken is found as well as an answer that is too old.

/// What `sync.rs` is in earnest.
mod sync {
    // the core only changes these under a lock, or in one step: no other thread needs to go first between
    pub use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

    pub use shuttle::sync::{Condvar, Mutex, MutexGuard};

    use std::cell::Cell;
    use std::sync::{LazyLock, PoisonError};
    use std::time::{Duration, Instant};

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);

    thread_local! {
        /// The time since `START`. All threads of a model are one thread in truth.
        static CLOCK: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever waits for a few milliseconds only looks whether it was woken and finds one of them gone; all
    /// others wait until they are woken, for ever if it does not.
    pub fn wait<'a, T>(
        mutex: &'a Mutex<T>,
        wake_up: &Condvar,
        guard: MutexGuard<'a, T>,
        at_most: Duration,
    ) -> MutexGuard<'a, T> {
        if at_most > Duration::from_millis(10) {
            return wake_up.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        drop(guard);
        shuttle::thread::yield_now();
        CLOCK.set(CLOCK.get() + Duration::from_millis(1));
        lock(mutex)
    }

    pub fn now() -> Instant {
        *START + CLOCK.get()
    }

    pub fn restart() {
        CLOCK.set(Duration::ZERO);
    }
}

#[allow(clippy::duplicate_mod, reason = "the same text on other locks is the point")]
#[path = "batch.rs"]
mod batch;
#[allow(clippy::duplicate_mod, reason = "the same text on other locks is the point")]
#[path = "stall_limit.rs"]
mod stall_limit;
#[allow(clippy::duplicate_mod, reason = "the same text on other locks is the point")]
#[path = "wait_queue.rs"]
mod wait_queue;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use batch::{Answers, Batches, Unanswered};
use stall_limit::StallLimit;
use wait_queue::{Permit, WaitQueue};

/// What is asked in a model: `key`, by somebody who waits this long, whose own work may panic.
#[derive(Clone, Copy)]
struct Ask {
    key: u8,
    patience: Duration,
    panics: bool,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Wants an answer that others may share.
    Shares,
    /// Wants a permit for himself.
    Alone,
    /// Brings something that is to be stored once, together with what others bring.
    Brings,
}

const PATIENT: Duration = Duration::from_secs(3600);

const ASK: Ask = Ask { key: 1, patience: PATIENT, panics: false, kind: Kind::Shares };

/// An answer: what was asked, and when the work began, on a clock that ticks at every question and every answer.
type Answer = (u8, u64);

struct World {
    batches: Batches<u8, (), Answer>,
    writes: Batches<u8, u64, Answer>,
    /// What was brought, by the time its bringer arrived.
    stored: std::sync::Mutex<Vec<u64>>,
    acknowledged: std::sync::Mutex<Vec<u64>>,
    queue: WaitQueue,
    clock: AtomicU64,
    at_work: AtomicU64,
    permits: u64,
}

impl World {
    fn new(permits: u32) -> Arc<Self> {
        sync::restart();
        Arc::new(Self {
            batches: Batches::new(),
            writes: Batches::binding(),
            stored: std::sync::Mutex::default(),
            acknowledged: std::sync::Mutex::default(),
            queue: WaitQueue::new(permits, &Arc::new(StallLimit::new(64, Box::new(|| 0)))),
            clock: AtomicU64::new(1),
            at_work: AtomicU64::new(0),
            permits: u64::from(permits),
        })
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// Asks, and checks what comes back; true if it was another's answer.
    fn ask(&self, ask: Ask) -> bool {
        let arrived = self.tick();
        let mut worked = false;
        let mut work = |permit: &mut Permit<'_>| {
            worked = true;
            let began = self.tick();
            assert!(self.at_work.fetch_add(1, Ordering::SeqCst) < self.permits, "more at work than permits");
            shuttle::thread::yield_now();
            self.at_work.fetch_sub(1, Ordering::SeqCst);
            if ask.panics {
                permit.failed();
                std::panic::resume_unwind(Box::new("as asked"));
            }
            (ask.key, began)
        };
        let deadline = sync::now() + ask.patience;
        let answer = catch_unwind(AssertUnwindSafe(|| match ask.kind {
            Kind::Alone => Ok(work(&mut self.queue.take(deadline)?)),
            Kind::Shares => {
                self.batches.answer(&self.queue, ask.key, (), deadline, |permit, _| Answers::All(work(permit)))
            }
            Kind::Brings => self.writes.answer(&self.queue, ask.key, arrived, deadline, |permit, brought| {
                let (key, _) = work(permit);
                self.stored.lock().unwrap().extend(&brought);
                Answers::Each(brought.into_iter().map(|arrived| (key, arrived)).collect())
            }),
        }));
        if ask.kind == Kind::Brings {
            match answer {
                Ok(Ok((_, stored))) => {
                    assert_eq!(stored, arrived, "another's row");
                    self.acknowledged.lock().unwrap().push(arrived);
                }
                Ok(Err(Unanswered::Busy)) => assert!(ask.patience < PATIENT, "a patient one was turned away"),
                // whoever panics does it before it stores
                _ => {}
            }
            return !worked;
        }
        match answer {
            Ok(Ok((key, began))) => {
                assert_eq!(key, ask.key, "another question's answer");
                assert!(began > arrived, "an answer older than the question");
            }
            Ok(Err(Unanswered::Busy)) => assert!(ask.patience < PATIENT, "a patient one was turned away"),
            Ok(Err(Unanswered::Panicked)) => assert!(!worked, "an answer of one's own was lost"),
            Err(_) => assert!(ask.panics && worked, "another's panic"),
        }
        !worked
    }
}

/// One run: everybody asks at once. How many were answered by others.
fn run(permits: u32, asks: &[Ask]) -> u64 {
    let world = World::new(permits);
    let threads: Vec<_> = asks
        .iter()
        .map(|ask| {
            let (world, ask) = (Arc::clone(&world), *ask);
            shuttle::thread::spawn(move || world.ask(ask))
        })
        .collect();
    let shared = threads.into_iter().map(|thread| u64::from(thread.join().unwrap())).sum();
    let sorted = |times: &std::sync::Mutex<Vec<u64>>| {
        let mut times = times.lock().unwrap().clone();
        times.sort_unstable();
        times
    };
    assert_eq!(sorted(&world.stored), sorted(&world.acknowledged), "stored once each, and acknowledged");
    shared
}

/// Random schedules, and such as put few threads at a disadvantage for long. How many answers were shared.
fn under_many_schedules(permits: u32, asks: &'static [Ask]) -> u64 {
    let shared = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&shared);
    let model = move || {
        count.fetch_add(run(permits, asks), Ordering::SeqCst);
    };
    shuttle::check_random(model.clone(), 1500);
    shuttle::check_pct(model, 1500, 4);
    shared.load(Ordering::SeqCst)
}

#[test]
fn every_schedule_of_two() {
    shuttle::check_dfs(|| assert!(run(1, &[ASK, ASK]) <= 1), None);
}

#[test]
fn nobody_is_given_an_answer_older_than_his_question() {
    assert!(under_many_schedules(1, &[ASK, ASK, ASK, ASK]) > 0, "answers are shared");
    assert!(under_many_schedules(2, &[ASK, ASK, ASK, ASK, ASK]) > 0);
}

#[test]
fn those_who_share_nothing_have_their_turn_too() {
    const ALONE: Ask = Ask { kind: Kind::Alone, ..ASK };
    under_many_schedules(1, &[ASK, ALONE, ASK, ALONE, ASK]);
    under_many_schedules(2, &[ALONE, Ask { panics: true, ..ALONE }, ASK, ASK, ALONE]);
}

#[test]
fn questions_do_not_mix() {
    const OTHER: Ask = Ask { key: 2, ..ASK };
    assert!(under_many_schedules(1, &[ASK, OTHER, ASK, OTHER, ASK]) > 0);
}

#[test]
fn a_panic_reaches_all_who_wait_and_hangs_none() {
    const PANICS: Ask = Ask { panics: true, ..ASK };
    under_many_schedules(1, &[ASK, PANICS, PANICS, ASK]);
}

#[test]
fn those_who_give_up_hang_none() {
    const IMPATIENT: Ask = Ask { patience: Duration::from_millis(3), ..ASK };
    under_many_schedules(1, &[ASK, IMPATIENT, IMPATIENT, ASK]);
    under_many_schedules(1, &[ASK, IMPATIENT, Ask { key: 2, ..IMPATIENT }, Ask { panics: true, ..IMPATIENT }]);
}

#[test]
fn what_is_brought_is_stored_once_or_its_bringer_turned_away() {
    const BRINGS: Ask = Ask { kind: Kind::Brings, ..ASK };
    const HURRIES: Ask = Ask { patience: Duration::from_millis(2), ..BRINGS };
    assert!(under_many_schedules(1, &[BRINGS, BRINGS, ASK, BRINGS, ASK]) > 0, "rows are stored together");
    under_many_schedules(1, &[BRINGS, HURRIES, HURRIES, BRINGS, HURRIES]);
    under_many_schedules(2, &[Ask { panics: true, ..BRINGS }, BRINGS, HURRIES, BRINGS]);
}
