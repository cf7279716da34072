//! One permit for all who ask alike while it is awaited: the core of shared reads (one answer for all) and of
//! writes that are committed together (each caller gets the answer to its own).
//!
//! Knows nothing of databases: `model.rs` runs it, with `wait_queue.rs`, under every schedule.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use super::sync::{Mutex, lock};
use super::wait_queue::{Busy, Called, Cohort, Found, Permit, WaitQueue};

/// The questions (`K`) that wait for a permit, each with what those who asked it brought (`I`) and will get (`V`).
pub struct Batches<K, I, V> {
    waiting: Mutex<HashMap<K, Arc<Batch<I, V>>>>,
    binding: bool,
}

struct Batch<I, V> {
    cohort: Arc<Cohort>,
    /// What each member brought; none once it was taken to work, or taken away by a member who gave up.
    brought: Mutex<Vec<Option<I>>>,
    /// None after the cohort's permit: whoever took it panicked.
    answers: Mutex<Option<Delivered<V>>>,
}

/// What the work comes to.
pub enum Answers<V> {
    /// The same for all.
    All(V),
    /// One answer for each caller, in the order of what was brought.
    Each(Vec<V>),
}

/// The answers once each caller is to find its own.
enum Delivered<V> {
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

    /// Whoever has waited long enough may go until its permit has begun: see [`Cohort::new`].
    pub fn binding() -> Self {
        Self { binding: true, ..Self::new() }
    }

    /// The answer of `work`, or of the `work` of another caller with an equal key that began after this call did and
    /// was given what this caller brought.
    pub fn answer(
        &self,
        queue: &WaitQueue,
        key: K,
        brought: I,
        deadline: Instant,
        work: impl FnOnce(&mut Permit<'_>, Vec<I>) -> Answers<V>,
    ) -> Result<V, Unanswered> {
        let mut waiting = lock(&self.waiting);
        let joined = waiting.get(&key).and_then(|batch| Some((queue.join(&batch.cohort)?, Arc::clone(batch))));
        let (locked, batch) = match joined {
            Some(joined) => joined,
            None => match queue.arrive()? {
                Found::Permit(mut permit) => {
                    drop(waiting);
                    return work(&mut permit, vec![brought]).first().ok_or(Unanswered::Panicked);
                }
                Found::Queue(locked) => {
                    let batch = Arc::new(Batch::new(self.binding));
                    waiting.insert(key.clone(), Arc::clone(&batch));
                    (queue.enqueue(locked, &batch.cohort), batch)
                }
            },
        };
        drop(waiting);
        // the queue is locked: the cohort's permit cannot begin before we have sat down
        let slot = batch.join(brought);
        let called = queue.wait_in(locked, &batch.cohort, deadline, || batch.leave(slot));
        // whoever worked for all has done so before it began
        if !matches!(called, Ok(Called::Answered)) && batch.cohort.is_closed() {
            self.forget(&key, &batch);
        }
        if let Called::ToWork(mut permit) = called? {
            batch.work(|brought| work(&mut permit, brought));
        }
        batch.answer(slot).ok_or(Unanswered::Panicked)
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
        Self { cohort: Arc::new(Cohort::new(binding)), brought: Mutex::new(Vec::new()), answers: Mutex::new(None) }
    }

    fn join(&self, brought: I) -> usize {
        let mut all = lock(&self.brought);
        all.push(Some(brought));
        all.len() - 1
    }

    fn leave(&self, slot: usize) {
        lock(&self.brought)[slot] = None;
    }

    /// Works with all that was brought, and puts each answer at the slot of whom it is for.
    fn work(&self, work: impl FnOnce(Vec<I>) -> Answers<V>) {
        let brought = std::mem::take(&mut *lock(&self.brought));
        let slots: Vec<bool> = brought.iter().map(Option::is_some).collect();
        let answers = match work(brought.into_iter().flatten().collect()) {
            Answers::All(answer) => Delivered::All(answer),
            Answers::Each(answers) => {
                let mut answers = answers.into_iter();
                Delivered::Each(slots.into_iter().map(|taken| taken.then(|| answers.next()).flatten()).collect())
            }
        };
        *lock(&self.answers) = Some(answers);
    }

    fn answer(&self, slot: usize) -> Option<V> {
        match lock(&self.answers).as_ref()? {
            Delivered::All(answer) => Some(answer.clone()),
            Delivered::Each(answers) => answers.get(slot)?.clone(),
        }
    }
}
