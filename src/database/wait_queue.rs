//! Which of a child's requests may use a database now, which wait, and which are turned away.
//!
//! First come, first served, in *cohorts*: requests that want the same answer wait as one, and whichever of them
//! wakes first takes the cohort's permit for all. A cohort takes members until its work begins and not a moment
//! longer, so that no answer is older than its question.
//!
//! Waiting is bounded by `wait`, and by what is left free for others (`stall_limit.rs`): while work is younger than
//! [`YOUNG`] anybody may wait for it; once it is older, only as many as leave threads free. Those in excess, also such
//! as wait already, are turned away at once.
//!
//! Holds no thread, no callback and nothing to clean up; `model.rs` runs it under every schedule.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::stall_limit::StallLimit;
use super::sync::{AtomicU8, AtomicU32, Condvar, Mutex, MutexGuard, Ordering, lock, now, wait};

/// How long work may take before waiting for it is rationed where threads are short. A healthy database answers a page
/// in a few milliseconds.
pub const YOUNG: Duration = Duration::from_millis(100);

/// How long a bound member sleeps at a time; it is woken before.
const BOUND: Duration = Duration::from_secs(60);

/// Turned away: threads are short, or the time to wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// The permits of one database, and the queue for them.
pub struct WaitQueue {
    permits: u32,
    limit: Arc<StallLimit>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The work under each permit.
    running: Vec<Run>,
    next_number: u64,
    /// Places that were given to a cohort none of whose members has woken up yet.
    granted: usize,
    queue: VecDeque<Arc<Cohort>>,
    /// The work that ended last failed as if the database were sick.
    failed: bool,
}

/// Work under a permit: when it began, and its number.
struct Run {
    number: u64,
    began: Instant,
    cohort: Option<Arc<Cohort>>,
    /// Requests that cannot go before it ends.
    holds: u32,
}

/// Requests that wait for one permit. What it holds is only touched under the lock of its [`WaitQueue`].
pub struct Cohort {
    wake_up: Condvar,
    phase: AtomicU8,
    members: AtomicU32,
    binds: bool,
}

/// Waits in the queue; takes members.
const WAITING: u8 = 0;
/// Has a permit, and takes members until one of them wakes up to use it.
const GRANTED: u8 = 1;
/// One member is at work for all.
const RUNNING: u8 = 2;
/// Answered, or left by all its members.
const OVER: u8 = 3;

/// What became of waiting in a cohort.
pub enum Called<'a> {
    /// Work for all: the cohort is closed.
    ToWork(Permit<'a>),
    /// Another member did.
    Answered,
}

/// The right to use the database, until dropped.
pub struct Permit<'a> {
    queue: &'a WaitQueue,
    number: u64,
    failed: bool,
}

/// What a newcomer finds.
pub enum Found<'a> {
    /// A free permit, which the newcomer now has.
    Permit(Permit<'a>),
    /// The queue.
    Queue(Queue<'a>),
}

impl State {
    fn taken(&self) -> usize {
        self.running.len() + self.granted
    }

    /// When the work began that a member of the cohort waits for: the cohort's own, or else what was begun last,
    /// since as long as any work is begun permits do come free.
    fn awaited(&self, cohort: &Arc<Cohort>) -> Option<Instant> {
        let own = self.running.iter().find(|run| run.cohort.as_ref().is_some_and(|other| Arc::ptr_eq(other, cohort)));
        own.or(self.running.iter().max_by_key(|run| run.number)).map(|run| run.began)
    }
}

impl Cohort {
    /// A cohort that `binds` keeps its members once its work has begun, however long that takes: what they asked for
    /// cannot be taken back. (The work itself ends within its own limits.) So all of them count as at work, and it
    /// takes few of them.
    pub fn new(binds: bool) -> Self {
        Self { wake_up: Condvar::new(), phase: AtomicU8::new(WAITING), members: AtomicU32::new(0), binds }
    }

    /// Whether nobody can join it any more.
    pub fn is_closed(&self) -> bool {
        self.phase.load(Ordering::SeqCst) > GRANTED
    }
}

impl WaitQueue {
    /// `permits` requests may be at work at once; never more than a quarter of the child, which work that has begun
    /// does not give back.
    pub fn new(permits: u32, limit: &Arc<StallLimit>) -> Self {
        let permits = permits.clamp(1, limit.at_work_at_most());
        Self { permits, limit: Arc::clone(limit), state: Mutex::default() }
    }

    /// A permit for one request alone.
    pub fn take(&self, deadline: Instant) -> Result<Permit<'_>, Busy> {
        let queue = match self.arrive()? {
            Found::Permit(permit) => return Ok(permit),
            Found::Queue(queue) => queue,
        };
        let cohort = Arc::new(Cohort::new(false));
        match self.wait_in(self.enqueue(queue, &cohort), &cohort, deadline, || ())? {
            Called::ToWork(permit) => Ok(permit),
            Called::Answered => unreachable!("a cohort of one is answered by nobody else"),
        }
    }

    /// Takes a free permit if nobody waits for one; else the queue, locked.
    pub fn arrive(&self) -> Result<Found<'_>, Busy> {
        let mut state = lock(&self.state);
        if state.taken() >= self.permits as usize || !state.queue.is_empty() {
            return Ok(Found::Queue(Queue(state)));
        }
        if state.failed && self.limit.is_full() {
            // no need to find out with one more thread whether it still is
            return Err(Busy);
        }
        Ok(Found::Permit(self.begin(&mut state, None)))
    }

    /// Puts a new cohort at the end of the queue, with one member.
    pub fn enqueue<'a>(&'a self, mut queue: Queue<'a>, cohort: &Arc<Cohort>) -> Queue<'a> {
        cohort.members.store(1, Ordering::SeqCst);
        queue.0.queue.push_back(Arc::clone(cohort));
        queue
    }

    /// Joins a cohort that still takes members.
    pub fn join(&self, cohort: &Cohort) -> Option<Queue<'_>> {
        let state = lock(&self.state);
        let most = if cohort.binds { (self.limit.at_work_at_most() / self.permits).max(1) } else { u32::MAX };
        if cohort.is_closed() || cohort.members.load(Ordering::SeqCst) >= most {
            return None;
        }
        cohort.members.fetch_add(1, Ordering::SeqCst);
        Some(Queue(state))
    }

    /// Waits as a member of the cohort. `leaving` is done, under the lock, if that ends in nothing while the
    /// cohort's work has not begun.
    pub fn wait_in<'a>(
        &'a self,
        queue: Queue<'a>,
        cohort: &Arc<Cohort>,
        deadline: Instant,
        leaving: impl FnOnce(),
    ) -> Result<Called<'a>, Busy> {
        let mut state = queue.0;
        let mut waiting = self.limit.wait();
        loop {
            let phase = cohort.phase.load(Ordering::SeqCst);
            match phase {
                GRANTED => {
                    state.granted -= 1;
                    return Ok(Called::ToWork(self.begin(&mut state, Some(Arc::clone(cohort)))));
                }
                OVER => return Ok(Called::Answered),
                _ => {}
            }
            let now = now();
            let old = state.awaited(cohort).unwrap_or(now) + YOUNG;
            let bound = phase == RUNNING && cohort.binds;
            if bound {
                waiting.is_at_work();
            } else if now >= deadline || (now >= old && !waiting.may_stay()) {
                self.abandon(&mut state, cohort);
                if phase == WAITING {
                    leaving();
                }
                return Err(Busy);
            }
            let until = match (bound, waiting.was_let_through()) {
                (true, _) => now + BOUND,
                (false, true) => deadline,
                (false, false) => deadline.min(old),
            };
            state = wait(&self.state, &cohort.wake_up, state, until.saturating_duration_since(now));
        }
    }

    fn begin(&self, state: &mut State, cohort: Option<Arc<Cohort>>) -> Permit<'_> {
        let mut holds = 1;
        if let Some(cohort) = &cohort {
            cohort.phase.store(RUNNING, Ordering::SeqCst);
            if cohort.binds {
                holds = cohort.members.load(Ordering::SeqCst);
            }
        }
        self.limit.enter(holds);
        let number = state.next_number;
        state.next_number += 1;
        state.running.push(Run { number, began: now(), cohort, holds });
        Permit { queue: self, number, failed: false }
    }

    /// A member goes. With the last one goes the cohort.
    fn abandon(&self, state: &mut State, cohort: &Arc<Cohort>) {
        let left = cohort.members.fetch_sub(1, Ordering::SeqCst) - 1;
        if left == 0 && cohort.phase.load(Ordering::SeqCst) == WAITING {
            cohort.phase.store(OVER, Ordering::SeqCst);
            state.queue.retain(|other| !Arc::ptr_eq(other, cohort));
        }
    }

    /// Gives the permit that has come free to those who wait longest; it is for the caller to wake one of them. (More
    /// than one never is free while somebody waits.)
    fn grant(&self, state: &mut State) -> Option<Arc<Cohort>> {
        let cohort = state.queue.pop_front()?;
        cohort.phase.store(GRANTED, Ordering::SeqCst);
        state.granted += 1;
        Some(cohort)
    }
}

/// The queue, locked, for as long as it takes to get into it.
pub struct Queue<'a>(MutexGuard<'a, State>);

impl Permit<'_> {
    /// The work under this permit failed as if the database were sick.
    pub fn failed(&mut self) {
        self.failed = true;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.queue.state);
        state.failed = self.failed;
        let at = state.running.iter().position(|run| run.number == self.number);
        let ended = at.map(|at| state.running.swap_remove(at));
        let answered = ended.as_ref().and_then(|run| run.cohort.as_ref());
        if let Some(cohort) = answered {
            cohort.phase.store(OVER, Ordering::SeqCst);
        }
        let next = self.queue.grant(&mut state);
        // those who wake up want the lock: woken while we hold it, they would only go to sleep again
        drop(state);
        self.queue.limit.leave(ended.as_ref().map_or(0, |run| run.holds));
        if let Some(cohort) = next {
            cohort.wake_up.notify_one();
        }
        if let Some(cohort) = answered {
            cohort.wake_up.notify_all();
        }
    }
}
