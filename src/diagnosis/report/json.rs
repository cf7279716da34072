//! A report as JSON: the interface that machines read. Its shape is versioned by `schema` and only ever grows.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::diagnosis::report::effect::Effect;
use crate::diagnosis::report::{Finding, Fix, FixKind, Report, State, Step, Then};

/// The version of the shape. A reader may rely on every name below it.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    /// Of the module that examined.
    version: &'static str,
    database: &'a str,
    verdict: crate::diagnosis::report::Verdict,
    failed_at: Option<&'static str>,
    id: Option<&'static str>,
    cause: Option<&'a str>,
    steps: Vec<Rung<'a>>,
    fixes: Vec<Remedy<'a>>,
    excluded: &'a [String],
    /// Every warning with its own fixes; the first is also above when nothing failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning<'a>>,
}

#[derive(Serialize)]
struct Rung<'a> {
    step: &'static str,
    state: &'static str,
    ms: f64,
    says: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    tried: &'a str,
    /// By name; of a name that comes more than once, the last.
    evidence: BTreeMap<&'static str, &'a str>,
    /// All of it, in order, as [name, value].
    facts: Vec<(&'static str, &'a str)>,
}

#[derive(Serialize)]
struct Warning<'a> {
    id: &'static str,
    cause: &'a str,
    fixes: Vec<Remedy<'a>>,
    excluded: &'a [String],
}

#[derive(Serialize)]
struct Remedy<'a> {
    sure: bool,
    effect: Effect,
    kind: FixKind,
    #[serde(rename = "where")]
    place: &'a str,
    text: &'a str,
    then: Then,
    /// What it takes from others; only there if it does.
    #[serde(skip_serializing_if = "str::is_empty")]
    costs: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    undo: &'static str,
}

/// The report as one JSON document.
pub fn json(report: &Report) -> String {
    let finding = report.main_finding();
    let document = Document {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION"),
        database: &report.database,
        verdict: report.verdict(),
        failed_at: report.failed_at().map(crate::database::Stage::name),
        id: finding.map(|finding| finding.id),
        cause: finding.map(|finding| finding.cause.as_str()),
        steps: report.steps.iter().map(rung).collect(),
        fixes: finding.map_or_else(Vec::new, remedies),
        excluded: finding.map_or(&[], |finding| &finding.excluded),
        warnings: report.warnings.iter().map(warning).collect(),
    };
    // serialising strings and numbers into memory cannot fail
    serde_json::to_string(&document).unwrap_or_default()
}

fn rung(step: &Step) -> Rung<'_> {
    Rung {
        step: step.stage.name(),
        state: match step.state {
            State::Pass => "pass",
            State::Warn => "warn",
            State::Fail => "fail",
            // a reader of the four words need not know a fifth: `says` has "not reached"
            State::Skip | State::NotReached => "skip",
        },
        ms: (step.ms * 1000.0).round() / 1000.0,
        says: &step.says,
        tried: &step.tried,
        facts: step.evidence.iter().map(|(name, value)| (*name, value.as_str())).collect(),
        evidence: step.evidence.iter().map(|(name, value)| (*name, value.as_str())).collect(),
    }
}

fn remedies(finding: &Finding) -> Vec<Remedy<'_>> {
    finding.fixes.iter().map(remedy).collect()
}

fn remedy(fix: &Fix) -> Remedy<'_> {
    let price = fix.price();
    Remedy {
        sure: fix.is_sure(),
        effect: price.effect,
        kind: fix.kind,
        place: &fix.place,
        text: &fix.text,
        then: fix.then,
        costs: price.costs,
        undo: price.undo,
    }
}

fn warning(finding: &Finding) -> Warning<'_> {
    Warning { id: finding.id, cause: &finding.cause, fixes: remedies(finding), excluded: &finding.excluded }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::database::Stage;

    #[test]
    fn the_document_has_the_published_shape() {
        let report = Report {
            database: "postgresql://u:***@h/d".into(),
            steps: vec![Step {
                stage: Stage::Admitted,
                state: State::Fail,
                ms: 0.4,
                tried: String::new(),
                says: "no entry".into(),
                evidence: vec![("sqlstate", "28000".into()), ("routine", "auth_failed".into())],
            }],
            failure: Some(Finding {
                id: "DBT0312",
                cause: "c".into(),
                fixes: vec![Fix {
                    sure: true,
                    kind: FixKind::PgHba,
                    place: "pg_hba.conf".into(),
                    text: "local all all peer".into(),
                    then: Then::Reload,
                }],
                excluded: vec!["x".into()],
            }),
            warnings: Vec::new(),
        };
        let value: Value = serde_json::from_str(&super::json(&report)).unwrap();
        let expected = json!({
            "schema": 1, "version": env!("CARGO_PKG_VERSION"), "database": "postgresql://u:***@h/d", "verdict": "fail", "failed_at": "admitted",
            "id": "DBT0312", "cause": "c",
            "steps": [{"step": "admitted", "state": "fail", "ms": 0.4, "says": "no entry",
                       "evidence": {"sqlstate": "28000", "routine": "auth_failed"},
                       "facts": [["sqlstate", "28000"], ["routine", "auth_failed"]]}],
            "fixes": [{"sure": true, "effect": "grants", "kind": "pg_hba", "where": "pg_hba.conf", "text": "local all all peer",
                       "then": "reload"}],
            "excluded": ["x"],
        });
        assert_eq!(value, expected);
    }
}
