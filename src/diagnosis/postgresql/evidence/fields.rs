//! What came back, as facts for a report: every field that the server sent, the errno, the first bytes.

use crate::database::{Cause, ServerError};
use crate::diagnosis::host::path::errno_name;

/// Does this error come from a pooler rather than from PostgreSQL?
pub fn speaks_as_a_pooler(error: &ServerError) -> bool {
    error.code.starts_with("08") && is_bare(error)
}

/// Severity, SQLSTATE and text, and nothing else: PostgreSQL names file, line and routine with every error of its own.
/// PgBouncer since 1.21 passes the SQLSTATE of a server that refused it on, with the text alone.
pub fn is_bare(error: &ServerError) -> bool {
    error.routine.is_none() && error.file.is_none() && error.detail.is_none() && error.context.is_none()
}

/// Every field of a server's error that is there.
pub fn of_server(error: &ServerError) -> Vec<(&'static str, String)> {
    let mut facts = vec![("severity", error.severity.clone()), ("sqlstate", error.code.clone())];
    facts.push(("message", error.message.clone()));
    let optional = [
        ("detail", &error.detail),
        ("hint", &error.hint),
        ("context", &error.context),
        ("schema", &error.schema),
        ("table", &error.table),
        ("column", &error.column),
        ("datatype", &error.datatype),
        ("constraint", &error.constraint),
        ("file", &error.file),
        ("routine", &error.routine),
    ];
    facts.extend(optional.into_iter().filter_map(|(name, value)| value.clone().map(|value| (name, value))));
    if let Some(line) = error.line {
        facts.push(("line", line.to_string()));
    }
    if let Some(position) = error.position {
        facts.push(("position", position.to_string()));
    }
    if let Some((position, query)) = &error.internal {
        facts.push(("internal_position", position.to_string()));
        facts.push(("internal_query", query.clone()));
    }
    facts.retain(|(_, value)| !value.is_empty());
    facts
}

/// The facts of any cause.
pub fn of_cause(cause: &Cause) -> Vec<(&'static str, String)> {
    match cause {
        Cause::Server(error) => of_server(error),
        Cause::Io(error) => {
            let errno = error.raw_os_error().map(|errno| ("errno", errno_name(errno)));
            errno.into_iter().chain([("error", error.to_string())]).collect()
        }
        Cause::TimedOut(limit) => vec![("timed_out_after_ms", limit.as_millis().to_string())],
        Cause::Resolver { code, name, text } => {
            vec![("eai", format!("{name} ({code})")), ("error", text.clone())]
        }
        Cause::Tls { verify, text } => {
            let code = (*verify != 0).then(|| ("verify_code", verify.to_string()));
            code.into_iter().chain([("error", text.clone())]).collect()
        }
        Cause::Foreign(bytes) => vec![("first_bytes", bytes.escape_ascii().to_string())],
        Cause::Closed => vec![("error", "the other side closed the connection".into())],
        Cause::Malformed(bytes) => vec![("first_bytes", bytes.escape_ascii().to_string())],
        Cause::Login(_) | Cause::NoRow => vec![("error", cause.to_string())],
        Cause::Driver(text) => vec![("error", text.clone())],
        Cause::Sqlite { .. } => Vec::new(),
    }
}
