//! A login that failed for want of a password which DBTestPasswordFile should have given: then that is the cause, and
//! not what the database says about a missing password.

use crate::config::{Resolved, ids};
use crate::database::Stage;
use crate::diagnosis::report::{Finding, Report};

/// The finding in place of a failure at this step, if it is that.
pub fn instead(failed_at: Option<Stage>, settings: &Resolved) -> Option<Finding> {
    let problem = settings.no_password.as_ref().filter(|_| failed_at == Some(Stage::Authenticated))?;
    Some(Finding {
        id: ids::PASSWORD_UNREAD,
        cause: format!(
            "The login has no password, for when httpd read its configuration: {problem}. Then reload httpd"
        ),
        fixes: Vec::new(),
        excluded: Vec::new(),
    })
}

/// The report with that finding.
pub fn explain(mut report: Report, settings: &Resolved) -> Report {
    if let Some(finding) = instead(report.failed_at(), settings) {
        report.failure = Some(finding);
    }
    report
}
