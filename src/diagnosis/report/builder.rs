//! Climbing the ladder: takes each rung's time, and fills in the rungs that were not reached, so that
//! every kind's ladder reads as a list of trials and every report has all the rungs.

use std::time::{Duration, Instant};

use crate::database::Stage;
use crate::diagnosis::report::{Finding, Report, State, Step};

/// One rung being tried. Ends as a [`Step`] by one of its verdicts.
#[derive(Debug)]
pub struct Trial {
    stage: Stage,
    began: Instant,
    tried: String,
    evidence: Vec<(&'static str, String)>,
}

impl Trial {
    /// Starts the clock of a rung.
    pub fn begin(stage: Stage) -> Self {
        Self { stage, began: Instant::now(), tried: String::new(), evidence: Vec::new() }
    }

    /// The same thing as a command that one can paste.
    pub fn tried(&mut self, command: impl Into<String>) {
        self.tried = command.into();
    }

    /// Adds a fact.
    pub fn fact(&mut self, name: &'static str, value: impl ToString) {
        self.evidence.push((name, value.to_string()));
    }

    pub fn facts(&mut self, facts: impl IntoIterator<Item = (&'static str, String)>) {
        self.evidence.extend(facts);
    }

    pub fn pass(self, says: impl Into<String>) -> Step {
        self.end(State::Pass, says)
    }

    pub fn warn(self, says: impl Into<String>) -> Step {
        self.end(State::Warn, says)
    }

    pub fn fail(self, says: impl Into<String>) -> Step {
        self.end(State::Fail, says)
    }

    /// It could not be proved, or means nothing here: `why`.
    pub fn skip(self, why: impl Into<String>) -> Step {
        self.end(State::Skip, why)
    }

    fn end(self, state: State, says: impl Into<String>) -> Step {
        let ms = self.began.elapsed().as_secs_f64() * 1000.0;
        Step { stage: self.stage, state, ms, tried: self.tried, says: says.into(), evidence: self.evidence }
    }
}

/// A climb: the report so far, and the time that is left.
#[derive(Debug)]
pub struct Climb {
    report: Report,
    ends: Instant,
}

impl Climb {
    /// Begins a climb of at most `within`, on the database shown as `database` (secrets masked).
    pub fn begin(database: String, within: Duration) -> Self {
        let report = Report { database, steps: Vec::new(), failure: None, warnings: Vec::new() };
        Self { report, ends: Instant::now() + within }
    }

    /// The time that is left; zero when it is over.
    pub fn remaining(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }

    /// Adds a rung that was climbed (or skipped).
    pub fn add(&mut self, step: Step) {
        self.report.steps.push(step);
    }

    /// Adds something to know that is no failure.
    pub fn warn(&mut self, finding: Finding) {
        self.report.warnings.push(finding);
    }

    /// Ends the climb at a rung that failed.
    pub fn fail(mut self, step: Step, finding: Finding) -> Report {
        self.report.steps.push(step);
        self.report.failure = Some(finding);
        self.finish()
    }

    /// Ends the climb: rungs without a step were not reached (after a failure) or mean nothing here.
    pub fn finish(self) -> Report {
        let mut report = self.report;
        let failed = report.failed_at();
        for stage in Stage::ALL {
            if report.steps.iter().any(|step| step.stage == stage) {
                continue;
            }
            let (state, says) = match failed {
                Some(failed) if failed < stage => (State::NotReached, "not reached"),
                _ => (State::Skip, "means nothing for this kind of database"),
            };
            report.steps.push(Step {
                stage,
                state,
                ms: 0.0,
                tried: String::new(),
                says: says.into(),
                evidence: Vec::new(),
            });
        }
        report.steps.sort_by_key(|step| step.stage);
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::report::Verdict;

    fn finding() -> Finding {
        Finding { id: "DBT0390", cause: "x".into(), fixes: Vec::new(), excluded: Vec::new() }
    }

    #[test]
    fn rungs_after_a_failure_are_not_reached_and_those_before_mean_nothing() {
        let mut climb = Climb::begin("x".into(), Duration::from_secs(1));
        climb.add(Trial::begin(Stage::Config).pass("read"));
        let report = climb.fail(Trial::begin(Stage::Reach).fail("refused"), finding());
        assert_eq!(report.steps.len(), Stage::ALL.len());
        assert_eq!(report.failed_at(), Some(Stage::Reach));
        assert_eq!(report.verdict(), Verdict::Fail);
        let state = |stage| report.steps.iter().find(|step| step.stage == stage).unwrap().state;
        assert_eq!(state(Stage::Config), State::Pass);
        assert_eq!(state(Stage::Resolve), State::Skip);
        assert_eq!(state(Stage::Speaks), State::NotReached);
        assert!(report.steps.is_sorted_by_key(|step| step.stage));
    }
}
