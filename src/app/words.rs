//! The words and signs of the pages for times and for what the diagnosis found. Never a colour alone.

use std::borrow::Borrow;

use crate::diagnosis::{Report, State, Verdict};

/// The style class (and word) of a verdict, and its sign.
pub fn verdict(verdict: impl Borrow<Verdict>) -> (&'static str, &'static str) {
    match verdict.borrow() {
        Verdict::Pass => ("pass", "✓"),
        Verdict::Warn => ("warn", "!"),
        Verdict::Fail => ("fail", "✗"),
    }
}

/// The style class of a state, its sign, and its word.
pub fn state(state: impl Borrow<State>) -> (&'static str, &'static str, &'static str) {
    match state.borrow() {
        State::Pass => ("pass", "✓", "pass"),
        State::Fail => ("fail", "✗", "fail"),
        State::Warn => ("warn", "!", "warn"),
        State::Skip => ("skip", "–", "skip"),
        State::NotReached => ("unreached", "·", "not reached"),
    }
}

/// The headline that stands alone.
pub fn headline(report: &Report) -> &str {
    report.main_finding().map_or("The database can be reached, read and written", |finding| &finding.cause)
}

/// Words as a sentence: the first letter large.
pub fn sentence(words: impl AsRef<str>) -> String {
    let words = words.as_ref();
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A duration for people: "0.41 ms", "12.3 ms", "1204 ms".
pub fn milliseconds(ms: impl Borrow<f64>) -> String {
    let ms = *ms.borrow();
    let decimals = match ms {
        ms if ms < 10.0 => 2,
        ms if ms < 100.0 => 1,
        _ => 0,
    };
    format!("{ms:.decimals$} ms")
}
