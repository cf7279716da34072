//! A report as plain text: for a terminal, for `Accept: text/plain`, and for "Copy report".

use std::fmt::Write;

use crate::diagnosis::report::{Concerns, Finding, Fix, FixKind, Report, State, Step, Then, Verdict};

/// The longest name of a step. Nothing is wrapped, so that it can be pasted.
const NAME_WIDTH: usize = 13;

/// Whether the text may hold colour: only when it goes to a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Never,
    Ansi,
}

/// The whole report.
pub fn text(report: &Report, colour: Colour) -> String {
    let mut out = String::with_capacity(2048);
    let _ = writeln!(out, "{}", headline(report, colour));
    let _ = writeln!(out, "database: {}\n", one_line(&report.database));
    for step in &report.steps {
        write_step(&mut out, step, colour);
    }
    if let Some(failure) = &report.failure {
        write_finding(&mut out, "cause", failure);
    }
    for warning in &report.warnings {
        write_finding(&mut out, "warning", warning);
    }
    out
}

/// The section of a place that is named as messages name it: "/dbtest", "example.org:80/dbtest", "the main server".
pub fn section(place: &str) -> String {
    match place.find('/') {
        Some(0) => format!("<Location \"{place}\">"),
        Some(at) => format!("<Location \"{}\"> of {}", &place[at..], &place[..at]),
        None => format!("the configuration of {place}"),
    }
}

/// "fail at admitted: DBT0712 …" — the line that stands alone.
pub fn headline(report: &Report, colour: Colour) -> String {
    let verdict = report.verdict();
    let word = match verdict {
        Verdict::Pass => paint("pass", "32", colour),
        Verdict::Warn => paint("warn", "33", colour),
        Verdict::Fail => paint("fail", "31", colour),
    };
    match (report.main_finding(), report.failed_at()) {
        (Some(finding), Some(stage)) => {
            format!("{word} at {}: {} {}", stage.name(), finding.id, one_line(&finding.cause))
        }
        (Some(finding), None) => format!("{word}: {} {}", finding.id, one_line(&finding.cause)),
        _ => format!("{word}: the database can be reached, read and written"),
    }
}

/// How and where a fix is applied, in words: stands before its text.
pub fn instruction(fix: &Fix) -> String {
    let place = one_line(&fix.place);
    let how = match fix.kind {
        // some places say it themselves
        FixKind::PgHba | FixKind::PgIdent if place.contains("first line") => format!("in {place}"),
        FixKind::Httpd if place.starts_with("httpd's configuration") => format!("in {place}"),
        FixKind::PgHba | FixKind::PgIdent => format!("as the first line of {place}"),
        FixKind::Sql => format!("in {place}"),
        FixKind::Shell => format!("as root, {place}"),
        FixKind::Httpd => format!("in httpd's configuration, {place}"),
        FixKind::PostgresqlConf | FixKind::Pgbouncer => format!("in {place}"),
    };
    let certainty = match (fix.is_sure(), fix.sure) {
        (true, _) => "do this",
        // it would cure, and has its price
        (false, true) => "your choice",
        (false, false) => "perhaps",
    };
    format!("{certainty}, {how}:")
}

/// What must follow a fix, in words; empty for nothing.
pub fn afterwards(fix: &Fix) -> &'static str {
    match (fix.then, fix.concerns()) {
        (Then::None, _) => "",
        (Then::Reload, Concerns::Httpd) => "then reload httpd (apachectl graceful)",
        (Then::Restart, Concerns::Httpd) => "then restart httpd (apachectl restart; a graceful one is not enough)",
        (Then::Reload, Concerns::Postgresql) => "then reload PostgreSQL (SELECT pg_reload_conf())",
        (Then::Restart, Concerns::Postgresql) => "then restart PostgreSQL",
        (Then::Reload, Concerns::Pgbouncer) => "then reload PgBouncer (RELOAD on its console)",
        (Then::Restart, Concerns::Pgbouncer) => "then restart PgBouncer",
    }
}

fn write_step(out: &mut String, step: &Step, colour: Colour) {
    let name = step.stage.name();
    let state = match step.state {
        State::Pass => paint("pass", "32", colour),
        State::Warn => paint("warn", "33", colour),
        State::Fail => paint("FAIL", "31", colour),
        State::Skip => "skip".into(),
        State::NotReached => {
            let _ = writeln!(out, "  {name:NAME_WIDTH$}  -     not reached");
            return;
        }
    };
    let _ = writeln!(out, "  {name:NAME_WIDTH$}  {state}  {:>8.1} ms  {}", step.ms, one_line(&step.says));
    if step.state == State::Fail || step.state == State::Warn {
        if !step.tried.is_empty() {
            let _ = writeln!(out, "                 tried: {}", one_line(&step.tried));
        }
        for (name, value) in &step.evidence {
            let _ = writeln!(out, "                 {name}: {}", one_line(value));
        }
    }
}

fn write_finding(out: &mut String, label: &str, finding: &Finding) {
    let _ = writeln!(out, "\n{label}: {} {}", finding.id, one_line(&finding.cause));
    for fix in &finding.fixes {
        let _ = writeln!(out, "  {}", instruction(fix));
        for line in fix.text.lines() {
            let _ = writeln!(out, "      {}", visible(line));
        }
        let then = afterwards(fix);
        if !then.is_empty() {
            let _ = writeln!(out, "  {then}");
        }
        let price = fix.price();
        if !price.costs.is_empty() {
            let _ = writeln!(out, "  costs: {}; back: {}", price.costs, price.undo);
        }
    }
    for excluded in &finding.excluded {
        let _ = writeln!(out, "  not: {}", one_line(excluded));
    }
}

/// Text from outside (a server's message, a file's first bytes) on one line, free of control characters:
/// a terminal obeys those, and a log line must stay one line.
pub fn one_line(text: &str) -> String {
    if !text.contains(|c: char| c.is_control()) {
        return text.to_owned();
    }
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// The text of a fix as one line that means the same when it is pasted; `None` if there is no such line.
pub fn on_one_line(fix: &Fix) -> Option<String> {
    let lines: Vec<&str> = fix.text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.len() < 2 {
        return Some(fix.text.trim().to_owned());
    }
    let even = |line: &str| line.matches('\'').count().is_multiple_of(2) && line.matches('"').count().is_multiple_of(2);
    let whole = lines.iter().all(|line| even(line) && !line.starts_with('#') && !line.contains('\\'));
    match fix.kind {
        // a shell's reserved words and here-documents span lines
        FixKind::Shell if whole && lines.iter().all(|line| is_whole_command(line)) => Some(lines.join(" && ")),
        FixKind::Sql
            if whole
                && !lines.iter().any(|line| line.contains("--") || line.contains('$') || line.starts_with('.')) =>
        {
            Some(lines.join(" "))
        }
        _ => None,
    }
}

fn is_whole_command(line: &str) -> bool {
    let first = line.split_whitespace().next().unwrap_or_default();
    let last = line.split_whitespace().next_back().unwrap_or_default();
    let reserved = ["for", "while", "if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "{", "}"];
    !line.contains("<<")
        && !reserved.contains(&first)
        && !line.ends_with(['|', '&', ';', '(', '{'])
        && !reserved.contains(&last)
        && !line.contains(" || ")
}

/// A line with control characters made visible; tabs stay.
fn visible(line: &str) -> String {
    line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

fn paint(word: &str, code: &str, colour: Colour) -> String {
    match colour {
        Colour::Never => word.to_owned(),
        Colour::Ansi => format!("\x1b[{code}m{word}\x1b[0m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Stage;

    fn report() -> Report {
        Report {
            database: "sqlite:/srv/app.db".into(),
            steps: vec![Step {
                stage: Stage::Reach,
                state: State::Fail,
                ms: 0.25,
                tried: "stat /srv".into(),
                says: "Permission\x1b[2J denied".into(),
                evidence: vec![("errno", "EACCES".into())],
            }],
            failure: Some(Finding {
                id: "DBT0451",
                cause: "www-data may not enter /srv".into(),
                fixes: vec![Fix {
                    sure: true,
                    kind: FixKind::Shell,
                    place: "on this machine".into(),
                    text: "chmod o+x /srv".into(),
                    then: Then::None,
                }],
                excluded: vec!["SELinux: not enforcing".into()],
            }),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn a_place_is_named_by_its_section() {
        for (place, expected) in [
            ("/dbtest", "<Location \"/dbtest\">"),
            ("example.org:80/a b", "<Location \"/a b\"> of example.org:80"),
            ("the main server", "the configuration of the main server"),
            ("example.org:80", "the configuration of example.org:80"),
        ] {
            assert_eq!(section(place), expected);
        }
    }

    #[test]
    fn the_text_has_headline_evidence_fix_and_no_control_characters() {
        let text = text(&report(), Colour::Never);
        assert!(text.starts_with("fail at reach: DBT0451 www-data may not enter /srv\n"), "{text}");
        assert!(text.contains("\n      chmod o+x /srv\n"), "{text}");
        assert!(text.contains("errno: EACCES"), "{text}");
        assert!(text.contains("not: SELinux: not enforcing"), "{text}");
        assert!(!text.contains('\x1b'), "{text}");
    }

    #[test]
    fn colour_only_when_asked() {
        assert!(super::text(&report(), Colour::Ansi).contains("\x1b[31m"));
    }
}
