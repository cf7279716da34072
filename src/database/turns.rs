//! Who of a child's requests may use one of a database's places now, who waits, and who is turned away.
//!
//! First come, first served, in *parties*: requests that want the same answer wait as one, and whichever of them
//! wakes first takes the party's turn for all. A party takes members until its turn begins and not a moment
//! longer, so that nobody is given an answer older than his question.
//!
//! Waiting is bounded, so that a database that hangs never takes the whole child (its static files, too) with it.
//! While the work in a place is younger than [`YOUNG`] anybody may wait for it. Once it is older, only as many
//! requests of the child may wait as the [`Gate`] lets through; the others, also those that wait already, are
//! turned away at once. And nobody waits past his own deadline.
//!
//! Holds no thread, no callback and nothing to clean up; `model.rs` runs it under every schedule.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::sync::{AtomicU8, AtomicU32, Condvar, Mutex, MutexGuard, Ordering, lock, now, wait};

/// How long work may take before waiting for it is rationed. A healthy database answers a page in a few milliseconds.
pub const YOUNG: Duration = Duration::from_millis(100);

/// How long whoever is bound sleeps at a time; the bell wakes him before.
const BOUND: Duration = Duration::from_secs(60);

/// The threads of a child that a sick database may hold, over all its databases.
pub struct Gate {
    most: u32,
    /// Requests at work in a place, and those let through to wait for work that is no longer young.
    held: AtomicU32,
}

impl Gate {
    /// A quarter of the child's threads, and at least one.
    pub fn new(threads_per_child: u32) -> Self {
        Self { most: (threads_per_child / 4).max(1), held: AtomicU32::new(0) }
    }

    fn is_full(&self) -> bool {
        self.held.load(Ordering::SeqCst) >= self.most
    }

    fn pass(&self) -> bool {
        let one_more = |held| (held < self.most).then_some(held + 1);
        self.held.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_ok()
    }

    fn enter(&self, many: u32) {
        self.held.fetch_add(many, Ordering::SeqCst);
    }

    fn leave(&self, many: u32) {
        self.held.fetch_sub(many, Ordering::SeqCst);
    }
}

/// Turned away: too many wait, or the time to wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// The places of one database, and the queue before them.
pub struct Turns {
    places: u32,
    gate: Arc<Gate>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The work in each taken place.
    running: Vec<Run>,
    next_number: u64,
    /// Places that were given to a party none of whose members has woken up yet.
    granted: usize,
    queue: VecDeque<Arc<Party>>,
    /// The last turn that ended did so badly: the database is perhaps sick.
    failed: bool,
}

/// Work in a place: when it began, and its number.
struct Run {
    number: u64,
    began: Instant,
    party: Option<Arc<Party>>,
    /// Requests that cannot go before it ends.
    holds: u32,
}

/// Requests that wait for one turn. What it holds is only touched under the lock of its [`Turns`].
pub struct Party {
    bell: Condvar,
    phase: AtomicU8,
    members: AtomicU32,
    binds: bool,
}

/// Waits in the queue; takes members.
const WAITING: u8 = 0;
/// Has a place, and takes members until one of them wakes up to use it.
const GRANTED: u8 = 1;
/// One member is at work for all.
const RUNNING: u8 = 2;
/// Answered, or left by all its members.
const OVER: u8 = 3;

/// What became of waiting in a party.
pub enum Called<'a> {
    /// Work for all: the party is closed.
    ToWork(Turn<'a>),
    /// Another member did.
    Answered,
}

/// A place, until dropped.
pub struct Turn<'a> {
    turns: &'a Turns,
    number: u64,
    failed: bool,
}

/// What a newcomer finds.
pub enum Found<'a> {
    /// A free place, which is now his.
    Turn(Turn<'a>),
    /// The queue.
    Queue(Queue<'a>),
}

impl State {
    fn taken(&self) -> usize {
        self.running.len() + self.granted
    }

    /// When the work began that a member of the party waits for: the party's own, or else what was begun last,
    /// since as long as any place is taken anew places do come free.
    fn awaited(&self, party: &Arc<Party>) -> Option<Instant> {
        let own = self.running.iter().find(|run| run.party.as_ref().is_some_and(|other| Arc::ptr_eq(other, party)));
        own.or(self.running.iter().max_by_key(|run| run.number)).map(|run| run.began)
    }
}

impl Party {
    /// A party that `binds` keeps its members once its turn has begun, however long that takes: what they asked for
    /// cannot be taken back. (The work itself ends within its own limits.) So all of them count as at work, and it
    /// takes few of them.
    pub fn new(binds: bool) -> Self {
        Self { bell: Condvar::new(), phase: AtomicU8::new(WAITING), members: AtomicU32::new(0), binds }
    }

    /// Whether nobody can join it any more.
    pub fn is_closed(&self) -> bool {
        self.phase.load(Ordering::SeqCst) > GRANTED
    }
}

impl Turns {
    /// `places` requests may be at work at once; never more than the gate lets through, so that
    /// one database cannot take more of the child than that.
    pub fn new(places: u32, gate: &Arc<Gate>) -> Self {
        let places = places.clamp(1, gate.most);
        Self { places, gate: Arc::clone(gate), state: Mutex::default() }
    }

    /// A turn of one's own.
    pub fn take(&self, deadline: Instant) -> Result<Turn<'_>, Busy> {
        let queue = match self.arrive()? {
            Found::Turn(turn) => return Ok(turn),
            Found::Queue(queue) => queue,
        };
        let party = Arc::new(Party::new(false));
        match self.wait_in(self.enqueue(queue, &party), &party, deadline, || ())? {
            Called::ToWork(turn) => Ok(turn),
            Called::Answered => unreachable!("a party of one is answered by nobody else"),
        }
    }

    /// Takes a free place if nobody waits for one; else stands before the queue.
    pub fn arrive(&self) -> Result<Found<'_>, Busy> {
        let mut state = lock(&self.state);
        if state.taken() >= self.places as usize || !state.queue.is_empty() {
            return Ok(Found::Queue(Queue(state)));
        }
        if state.failed && self.gate.is_full() {
            // no need to find out with one more thread whether it still is
            return Err(Busy);
        }
        Ok(Found::Turn(self.begin(&mut state, None)))
    }

    /// Puts a new party at the end of the queue, with one member.
    pub fn enqueue<'a>(&'a self, mut queue: Queue<'a>, party: &Arc<Party>) -> Queue<'a> {
        party.members.store(1, Ordering::SeqCst);
        queue.0.queue.push_back(Arc::clone(party));
        queue
    }

    /// Joins a party that still takes members.
    pub fn join(&self, party: &Party) -> Option<Queue<'_>> {
        let state = lock(&self.state);
        let most = if party.binds { (self.gate.most / self.places).max(1) } else { u32::MAX };
        if party.is_closed() || party.members.load(Ordering::SeqCst) >= most {
            return None;
        }
        party.members.fetch_add(1, Ordering::SeqCst);
        Some(Queue(state))
    }

    /// Waits as a member of the party. `leaving` is done, under the lock, if that ends in nothing while the
    /// party's turn has not begun.
    pub fn wait_in<'a>(
        &'a self,
        queue: Queue<'a>,
        party: &Arc<Party>,
        deadline: Instant,
        leaving: impl FnOnce(),
    ) -> Result<Called<'a>, Busy> {
        let mut state = queue.0;
        let mut passed = false;
        let outcome = loop {
            let phase = party.phase.load(Ordering::SeqCst);
            match phase {
                GRANTED => {
                    state.granted -= 1;
                    break Ok(Called::ToWork(self.begin(&mut state, Some(Arc::clone(party)))));
                }
                OVER => break Ok(Called::Answered),
                _ => {}
            }
            let now = now();
            let old = state.awaited(party).unwrap_or(now) + YOUNG;
            let bound = phase == RUNNING && party.binds;
            if bound && std::mem::take(&mut passed) {
                // he is now counted with those at work
                self.gate.leave(1);
            }
            if !bound && (now >= deadline || (now >= old && !passed && !self.pass(&mut passed))) {
                self.abandon(&mut state, party);
                if phase == WAITING {
                    leaving();
                }
                break Err(Busy);
            }
            let until = match (bound, passed) {
                (true, _) => now + BOUND,
                (false, true) => deadline,
                (false, false) => deadline.min(old),
            };
            state = wait(&self.state, &party.bell, state, until.saturating_duration_since(now));
        };
        drop(state);
        if passed {
            self.gate.leave(1);
        }
        outcome
    }

    fn pass(&self, passed: &mut bool) -> bool {
        *passed = self.gate.pass();
        *passed
    }

    fn begin(&self, state: &mut State, party: Option<Arc<Party>>) -> Turn<'_> {
        let mut holds = 1;
        if let Some(party) = &party {
            party.phase.store(RUNNING, Ordering::SeqCst);
            if party.binds {
                holds = party.members.load(Ordering::SeqCst);
            }
        }
        self.gate.enter(holds);
        let number = state.next_number;
        state.next_number += 1;
        state.running.push(Run { number, began: now(), party, holds });
        Turn { turns: self, number, failed: false }
    }

    /// A member goes. With the last one goes the party.
    fn abandon(&self, state: &mut State, party: &Arc<Party>) {
        let left = party.members.fetch_sub(1, Ordering::SeqCst) - 1;
        if left == 0 && party.phase.load(Ordering::SeqCst) == WAITING {
            party.phase.store(OVER, Ordering::SeqCst);
            state.queue.retain(|other| !Arc::ptr_eq(other, party));
        }
    }

    /// Gives the place that has come free to those who wait longest; it is for the caller to wake one of them. (More
    /// than one never is free while somebody waits.)
    fn grant(&self, state: &mut State) -> Option<Arc<Party>> {
        let party = state.queue.pop_front()?;
        party.phase.store(GRANTED, Ordering::SeqCst);
        state.granted += 1;
        Some(party)
    }
}

/// The queue, locked, for as long as it takes to get into it.
pub struct Queue<'a>(MutexGuard<'a, State>);

impl Turn<'_> {
    /// The work in this place failed as if the database were sick.
    pub fn failed(&mut self) {
        self.failed = true;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.turns.state);
        state.failed = self.failed;
        let place = state.running.iter().position(|run| run.number == self.number);
        let ended = place.map(|place| state.running.swap_remove(place));
        let answered = ended.as_ref().and_then(|run| run.party.as_ref());
        if let Some(party) = answered {
            party.phase.store(OVER, Ordering::SeqCst);
        }
        let next = self.turns.grant(&mut state);
        // those who wake up want the lock: woken while we hold it, they would only go to sleep again
        drop(state);
        self.turns.gate.leave(ended.as_ref().map_or(0, |run| run.holds));
        if let Some(party) = next {
            party.bell.notify_one();
        }
        if let Some(party) = answered {
            party.bell.notify_all();
        }
    }
}
