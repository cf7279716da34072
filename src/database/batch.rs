//! One turn for all who ask alike while it is awaited: the core of shared reads (one answer for all) and of
//! writes that are committed together (to each his own).
//!
//! Knows nothing of databases: `model.rs` runs it, with `turns.rs`, under every schedule.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use super::sync::{Mutex, lock};
use super::turns::{Busy, Called, Found, Party, Turn, Turns};

/// The questions (`K`) that wait for a turn, each with what those who asked it brought (`I`) and will get (`V`).
pub struct Batches<K, I, V> {
    waiting: Mutex<HashMap<K, Arc<Batch<I, V>>>>,
    binding: bool,
}

struct Batch<I, V> {
    party: Arc<Party>,
    /// What each member brought; none once it was taken to work, or taken away by a member who gave up.
    brought: Mutex<Vec<Option<I>>>,
    /// None after the party's turn: whoever took it panicked.
    answers: Mutex<Option<Seated<V>>>,
}

/// What the work comes to.
pub enum Answers<V> {
    /// The same for all.
    All(V),
    /// To each his own, in the order of what was brought.
    Each(Vec<V>),
}

/// The answers once everybody is to find his own.
enum Seated<V> {
    All(V),
    Each(Vec<Option<V>>),
}

impl<V> Answers<V> {
    /// The first one's.
    fn first(self) -> Option<V> {
        match self {
            Self::All(answer) => Some(answer),
            Self::Each(answers) => answers.into_iter().next(),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// Nothing was done.
    Busy,
    /// The member who worked for all panicked.
    Panicked,
}

impl From<Busy> for Unanswered {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl<K: Eq + Hash + Clone, I, V: Clone> Batches<K, I, V> {
    /// Whoever has waited long enough may go at any time.
    pub fn new() -> Self {
        Self { waiting: Mutex::new(HashMap::new()), binding: false }
    }

    /// Whoever has waited long enough may go until his turn has begun: see [`Party::new`].
    pub fn binding() -> Self {
        Self { binding: true, ..Self::new() }
    }

    /// The answer of `work`, or of the `work` of another caller with an equal key that began after this call did and
    /// was given what this caller brought.
    pub fn answer(
        &self,
        turns: &Turns,
        key: K,
        brought: I,
        deadline: Instant,
        work: impl FnOnce(&mut Turn<'_>, Vec<I>) -> Answers<V>,
    ) -> Result<V, Unanswered> {
        let mut waiting = lock(&self.waiting);
        let joined = waiting.get(&key).and_then(|batch| Some((turns.join(&batch.party)?, Arc::clone(batch))));
        let (queue, batch) = match joined {
            Some(joined) => joined,
            None => match turns.arrive()? {
                Found::Turn(mut turn) => {
                    drop(waiting);
                    return work(&mut turn, vec![brought]).first().ok_or(Unanswered::Panicked);
                }
                Found::Queue(queue) => {
                    let batch = Arc::new(Batch::new(self.binding));
                    waiting.insert(key.clone(), Arc::clone(&batch));
                    (turns.enqueue(queue, &batch.party), batch)
                }
            },
        };
        drop(waiting);
        // the queue is locked: the party's turn cannot begin before we have sat down
        let seat = batch.sit(brought);
        let called = turns.wait_in(queue, &batch.party, deadline, || batch.leave(seat));
        // whoever worked for all has done so before he began
        if !matches!(called, Ok(Called::Answered)) && batch.party.is_closed() {
            self.forget(&key, &batch);
        }
        if let Called::ToWork(mut turn) = called? {
            batch.work(|brought| work(&mut turn, brought));
        }
        batch.answer(seat).ok_or(Unanswered::Panicked)
    }

    /// Forgets a batch that takes no more members.
    fn forget(&self, key: &K, batch: &Arc<Batch<I, V>>) {
        let mut waiting = lock(&self.waiting);
        if waiting.get(key).is_some_and(|found| Arc::ptr_eq(found, batch)) {
            waiting.remove(key);
        }
    }
}

impl<I, V: Clone> Batch<I, V> {
    fn new(binding: bool) -> Self {
        Self { party: Arc::new(Party::new(binding)), brought: Mutex::new(Vec::new()), answers: Mutex::new(None) }
    }

    fn sit(&self, brought: I) -> usize {
        let mut all = lock(&self.brought);
        all.push(Some(brought));
        all.len() - 1
    }

    fn leave(&self, seat: usize) {
        lock(&self.brought)[seat] = None;
    }

    /// Works with all that was brought, and puts each answer at the seat of whom it is for.
    fn work(&self, work: impl FnOnce(Vec<I>) -> Answers<V>) {
        let brought = std::mem::take(&mut *lock(&self.brought));
        let seats: Vec<bool> = brought.iter().map(Option::is_some).collect();
        let answers = match work(brought.into_iter().flatten().collect()) {
            Answers::All(answer) => Seated::All(answer),
            Answers::Each(answers) => {
                let mut answers = answers.into_iter();
                Seated::Each(seats.into_iter().map(|taken| taken.then(|| answers.next()).flatten()).collect())
            }
        };
        *lock(&self.answers) = Some(answers);
    }

    fn answer(&self, seat: usize) -> Option<V> {
        match lock(&self.answers).as_ref()? {
            Seated::All(answer) => Some(answer.clone()),
            Seated::Each(answers) => answers.get(seat)?.clone(),
        }
    }
}
