//! Answers that several requests share: those that wait while a query is in flight are answered
//! together by the next one, which begins after each of them arrived.

use std::hash::Hash;

use super::batch::{Answers, Batches};
use super::service::spent;
use super::wait_queue::Permit;
use super::{Connection, Error, Refusal, Service};

/// The shared answers of one child: `K` says what is asked (page, size, format, base path …), `V` is the
/// finished answer, cheap to clone. Answers of different keys or services never mix.
pub struct Shared<K, V> {
    /// By the address of the service, which is never dropped, and the question.
    batches: Batches<(usize, K), (), Result<V, Refusal>>,
}

impl<K: Eq + Hash + Clone, V: Clone> Shared<K, V> {
    pub fn new() -> Self {
        Self { batches: Batches::new() }
    }

    /// The answer of `work`, or of another request's `work` for an equal key that began after this call did.
    /// `work` must depend on nothing but `key`; it may run twice, on a fresh connection, when an idle one had died.
    pub fn answer(
        &self,
        service: &Service,
        key: K,
        work: impl FnMut(&mut dyn Connection) -> Result<V, Error>,
    ) -> Result<V, Refusal> {
        if service.is_alone() {
            // nobody could share it
            return service.with(work);
        }
        let key = (std::ptr::from_ref(service).addr(), key);
        let read = |permit: &mut Permit<'_>, _| Answers::All(service.read(permit, work));
        let answer = spent::waiting(|| self.batches.answer(service.queue(), key, (), service.deadline(), read));
        answer.unwrap_or_else(|why| Err(why.into()))
    }
}
