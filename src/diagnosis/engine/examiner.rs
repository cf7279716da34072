//! One examination at a time per child and database: who asks while one runs gets its answer, so that a
//! hundred impatient reloads of the check page cost one check.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::config::Resolved;
use crate::database::Target;
use crate::diagnosis::engine::kind::Circumstances;
use crate::diagnosis::report::Report;

/// What examines a target of any kind.
pub type Examine = fn(&Arc<dyn Target>, &Resolved, &Circumstances) -> Report;

/// The examinations of one child.
#[derive(Debug, Default)]
pub struct Examiner {
    running: Mutex<HashMap<String, Arc<Round>>>,
}

/// One examination that is going on, and its answer once there is one.
#[derive(Debug, Default)]
struct Round {
    outcome: Mutex<Outcome>,
    ended: Condvar,
}

#[derive(Debug, Default)]
enum Outcome {
    #[default]
    Running,
    Done(Arc<Report>),
    /// The one who examined panicked.
    Lost,
}

impl Examiner {
    /// Examines `target` by `examine`, or waits for the examination of it that is already running and shares its answer.
    /// The key is what decides the answer: the target and the table, as configured, and who asks.
    pub fn share_examination(
        &self,
        examine: Examine,
        target: &Arc<dyn Target>,
        settings: &Resolved,
        circumstances: &Circumstances,
    ) -> Arc<Report> {
        // a person's check sees more than a stranger's
        let person = if circumstances.on_request { "person" } else { "stranger" };
        let key = format!("{}\n{}\n{}\n{person}", circumstances.location, target.masked(), settings.table);
        self.share(key, || examine(target, settings, circumstances))
    }

    fn share(&self, key: String, examine: impl FnOnce() -> Report) -> Arc<Report> {
        loop {
            let round = {
                let mut running = lock(&self.running);
                match running.get(&key) {
                    Some(round) => Arc::clone(round),
                    None => {
                        let round = Arc::new(Round::default());
                        running.insert(key.clone(), Arc::clone(&round));
                        drop(running);
                        return self.lead(key, &round, examine);
                    }
                }
            };
            if let Some(report) = round.wait() {
                return report;
            }
            // its examiner panicked (and answered 500 for himself): whoever comes first tries again
        }
    }

    fn lead(&self, key: String, round: &Round, examine: impl FnOnce() -> Report) -> Arc<Report> {
        // the guard ends the round however this ends
        let mut guard = Lead { examiner: self, key, round, answer: None };
        let report = Arc::new(examine());
        guard.answer = Some(Arc::clone(&report));
        report
    }
}

struct Lead<'a> {
    examiner: &'a Examiner,
    key: String,
    round: &'a Round,
    answer: Option<Arc<Report>>,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        lock(&self.examiner.running).remove(&self.key);
        *lock(&self.round.outcome) = self.answer.take().map_or(Outcome::Lost, Outcome::Done);
        self.round.ended.notify_all();
    }
}

impl Round {
    fn wait(&self) -> Option<Arc<Report>> {
        let mut outcome = lock(&self.outcome);
        loop {
            match &*outcome {
                Outcome::Running => outcome = self.ended.wait(outcome).unwrap_or_else(PoisonError::into_inner),
                Outcome::Done(report) => return Some(Arc::clone(report)),
                Outcome::Lost => return None,
            }
        }
    }
}

/// A poisoned lock is taken all the same: nothing here is left half-done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn report(database: &str) -> Report {
        Report { database: database.into(), steps: Vec::new(), failure: None, warnings: Vec::new() }
    }

    #[test]
    fn those_who_ask_while_one_runs_share_its_answer() {
        let (examiner, ran, barrier) = (Examiner::default(), AtomicUsize::new(0), Barrier::new(8));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    barrier.wait();
                    let answer = examiner.share("a".into(), || {
                        ran.fetch_add(1, Ordering::SeqCst);
                        thread::sleep(Duration::from_millis(200));
                        report("a")
                    });
                    assert_eq!(answer.database, "a");
                });
            }
        });
        assert_eq!(ran.load(Ordering::SeqCst), 1);
        examiner.share("a".into(), || report("later, and so examined anew"));
        assert!(examiner.running.lock().unwrap().is_empty());
    }

    #[test]
    fn a_panic_reaches_its_own_request_only_and_nobody_hangs() {
        let (examiner, started) = (Examiner::default(), Barrier::new(2));
        thread::scope(|scope| {
            let broken = scope.spawn(|| {
                examiner.share("a".into(), || {
                    started.wait();
                    thread::sleep(Duration::from_millis(100));
                    panic!("injected");
                })
            });
            started.wait();
            assert_eq!(examiner.share("a".into(), || report("second try")).database, "second try");
            assert!(broken.join().is_err());
        });
    }
}
