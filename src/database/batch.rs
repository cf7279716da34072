//! One answer for all who ask the same while a turn is awaited: the core of shared reads.
//!
//! Knows nothing of databases: `model.rs` runs it, with `turns.rs`, under every schedule.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use super::sync::{Mutex, lock};
use super::turns::{Busy, Called, Found, Party, Turn, Turns};

/// The questions that wait for a turn, each with those who asked it.
pub struct Batches<K, V> {
    waiting: Mutex<HashMap<K, Arc<Batch<V>>>>,
}

struct Batch<V> {
    party: Arc<Party>,
    /// None after the party's turn: whoever took it panicked.
    answer: Mutex<Option<V>>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    Busy,
    /// The member who worked for all panicked.
    Panicked,
}

impl From<Busy> for Unanswered {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Batches<K, V> {
    pub fn new() -> Self {
        Self { waiting: Mutex::new(HashMap::new()) }
    }

    /// The answer of `work`, or of the `work` of another caller with an equal key that began after this call did.
    pub fn answer(
        &self,
        turns: &Turns,
        key: K,
        deadline: Instant,
        work: impl FnOnce(&mut Turn<'_>) -> V,
    ) -> Result<V, Unanswered> {
        let mut waiting = lock(&self.waiting);
        let joined = waiting.get(&key).and_then(|batch| Some((turns.join(&batch.party)?, Arc::clone(batch))));
        let (queue, batch) = match joined {
            Some(joined) => joined,
            None => match turns.arrive()? {
                Found::Turn(mut turn) => {
                    drop(waiting);
                    return Ok(work(&mut turn));
                }
                Found::Queue(queue) => {
                    let batch = Arc::new(Batch { party: Arc::default(), answer: Mutex::new(None) });
                    waiting.insert(key.clone(), Arc::clone(&batch));
                    (turns.enqueue(queue, &batch.party), batch)
                }
            },
        };
        drop(waiting);
        let called = turns.wait_in(queue, &batch.party, deadline);
        if batch.party.is_closed() {
            self.forget(&key, &batch);
        }
        match called? {
            Called::ToWork(mut turn) => {
                let answer = work(&mut turn);
                *lock(&batch.answer) = Some(answer.clone());
                Ok(answer)
            }
            Called::Answered => lock(&batch.answer).clone().ok_or(Unanswered::Panicked),
        }
    }

    /// Forgets a batch that takes no more members.
    fn forget(&self, key: &K, batch: &Arc<Batch<V>>) {
        let mut waiting = lock(&self.waiting);
        if waiting.get(key).is_some_and(|found| Arc::ptr_eq(found, batch)) {
            waiting.remove(key);
        }
    }
}
