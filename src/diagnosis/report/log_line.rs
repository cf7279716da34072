//! A finding as one line of the error log, whose command can be pasted.

use crate::database::Stage;
use crate::diagnosis::report::Finding;
use crate::diagnosis::report::text::{afterwards, instruction, on_one_line, one_line};

/// One line for the error log: id, Location, step, cause, first fix. Free of secrets and control characters.
pub fn log_line(finding: &Finding, step: Stage, location: &str) -> String {
    let mut line = format!("{} {location}: step {}: {}", finding.id, step.name(), finding.cause);
    if let Some(fix) = finding.fixes.first() {
        line.push_str("; ");
        match on_one_line(fix) {
            Some(text) => {
                line.push_str(&instruction(fix));
                line.push(' ');
                line.push_str(&text);
                let then = afterwards(fix);
                if !then.is_empty() {
                    line.push_str(", ");
                    line.push_str(then);
                }
            }
            None => line.push_str(&format!(
                "what to do has several lines: {}/check shows them",
                location.trim_end_matches('/')
            )),
        }
    }
    one_line(&line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::report::{Fix, FixKind, Then};

    #[test]
    fn a_log_line_is_one_line_with_id_location_step_cause_and_fix() {
        let finding = Finding {
            id: "DBT0451",
            cause: "www-data may not\nenter /srv".into(),
            fixes: vec![Fix {
                sure: true,
                kind: FixKind::Shell,
                place: "on this machine".into(),
                text: "chmod o+x /srv".into(),
                then: Then::Restart,
            }],
            excluded: Vec::new(),
        };
        assert_eq!(
            log_line(&finding, Stage::Reach, "/dbtest"),
            "DBT0451 /dbtest: step reach: www-data may not enter /srv; do this, as root, on this machine: \
             chmod o+x /srv, then restart httpd (apachectl restart; a graceful one is not enough)"
        );
    }

    #[test]
    fn several_commands_are_logged_as_one_line_that_means_the_same_or_not_at_all() {
        let line = |kind: FixKind, text: &str| {
            let fix = Fix { sure: true, kind, place: "here".into(), text: text.into(), then: Then::None };
            let finding = Finding { id: "DBT0351", cause: "c".into(), fixes: vec![fix], excluded: Vec::new() };
            log_line(&finding, Stage::Reach, "/dbtest")
        };
        let two = line(FixKind::Shell, "chmod g+rwxs /d\nrunuser -u www-data -- sqlite3 /d/a.db");
        assert!(two.ends_with(": chmod g+rwxs /d && runuser -u www-data -- sqlite3 /d/a.db"), "{two}");
        let sql = line(FixKind::Sql, "GRANT a TO b;\nGRANT c TO d;");
        assert!(sql.ends_with(": GRANT a TO b; GRANT c TO d;"), "{sql}");
        for text in ["cat >f <<E\nx\nE", "for f in *; do\nrm $f\ndone", "echo 'a\nb'", "a || b\nc"] {
            let line = line(FixKind::Shell, text);
            assert!(line.ends_with("; what to do has several lines: /dbtest/check shows them"), "{line}");
        }
    }
}
