//! From what the driver and the stream report to the errors that the rest of the house speaks.

use std::error::Error as _;
use std::time::Duration;

use tokio_postgres::error::{DbError, ErrorPosition};

use crate::database::{Cause, Error, ServerError, Stage};

use super::drive::Failure;
use super::framing;
use super::startup::Startup;
use super::wire::Broken;

/// The cause behind a failure of an operation that had `limit`.
pub fn cause(failure: Failure, limit: Duration) -> Cause {
    match failure {
        Failure::Postgres(error) => match error.as_db_error() {
            Some(error) => Cause::Server(Box::new(server_error(error))),
            None if error.is_closed() => Cause::Closed,
            None => Cause::Driver(chain(&error)),
        },
        Failure::Broken(Broken::TimedOut) => Cause::TimedOut(limit),
        Failure::Broken(Broken::Closed | Broken::Refused) => Cause::Closed,
        Failure::Broken(Broken::Io(error)) => Cause::Io(error),
        Failure::Broken(Broken::Tls(text)) => Cause::Tls { verify: 0, text },
        Failure::Server(error) => Cause::Server(error),
        Failure::Senseless(bytes) => Cause::Malformed(bytes),
        Failure::TooLong(bytes) => {
            Cause::Driver(format!("a message of {bytes} bytes; mod_dbtest takes {} at most", framing::MOST_MESSAGE))
        }
        Failure::Stalled => Cause::Driver("the driver waits for nothing: a bug of mod_dbtest".into()),
    }
}

/// Where a startup failed, and why, by the record of what the server had said until then. `spoke` is true when the
/// server had already proved to speak the protocol by its answer to an SSLRequest.
pub fn startup_error(failure: Failure, startup: &Startup, spoke: bool, limit: Duration, doing: String) -> Error {
    let tls = matches!(&failure, Failure::Broken(Broken::Tls(_)));
    let stage = match startup {
        Startup { refusal: Some(_), .. } => Stage::Authenticated,
        Startup { auth_ok: true, .. } => Stage::Session,
        Startup { auth_request: Some(_), .. } => Stage::Authenticated,
        Startup { spoke: false, .. } if tls => Stage::Tls,
        Startup { spoke: false, .. } if !spoke => Stage::Speaks,
        _ => Stage::Admitted,
    };
    let cause = match (&startup.error, &startup.foreign) {
        _ if startup.refusal.is_some() => startup.refusal.clone().map_or(Cause::Closed, Cause::Login),
        (Some(error), _) => Cause::Server(Box::new(error.clone())),
        (None, Some(bytes)) => Cause::Foreign(bytes.clone()),
        (None, None) => cause(failure, limit),
    };
    Error { stage, doing, cause }
}

/// Whether it was the driver that broke the authentication off. Its kind is private, its words are not translated.
pub fn is_authentication(failure: &Failure) -> bool {
    matches!(failure, Failure::Postgres(error)
        if error.as_db_error().is_none() && error.to_string().starts_with("authentication error"))
}

/// All the fields of an error that came in UTF-8.
pub fn server_error(error: &DbError) -> ServerError {
    let (position, internal) = match error.position() {
        Some(ErrorPosition::Original(position)) => (Some(*position), None),
        Some(ErrorPosition::Internal { position, query }) => (None, Some((*position, query.clone()))),
        None => (None, None),
    };
    let owned = |text: Option<&str>| text.map(str::to_owned);
    ServerError {
        severity: error.parsed_severity().map_or_else(|| error.severity().to_owned(), |severity| severity.to_string()),
        code: error.code().code().to_owned(),
        message: error.message().to_owned(),
        detail: owned(error.detail()),
        hint: owned(error.hint()),
        position,
        internal,
        context: owned(error.where_()),
        schema: owned(error.schema()),
        table: owned(error.table()),
        column: owned(error.column()),
        datatype: owned(error.datatype()),
        constraint: owned(error.constraint()),
        file: owned(error.file()),
        line: error.line(),
        routine: owned(error.routine()),
    }
}

/// The step that a statement's error belongs to. What happened inside a trigger or function (it has a context or an
/// internal query) is not about our table; and a file the server may not open is not about privileges in the database.
pub fn stage_of(error: &ServerError, otherwise: Stage) -> Stage {
    let elsewhere = error.context.is_some() || error.internal.is_some();
    let storage = error.routine.as_deref().is_some_and(|routine| routine.starts_with("md"));
    match error.code.as_str() {
        "42P01" | "42703" | "3F000" if !elsewhere => Stage::Schema,
        "42501" if !elsewhere && !storage => Stage::Privileges,
        _ => otherwise,
    }
}

/// Whether an error that answers an INSERT proves that the row is not stored. `completed` says that the server had
/// reported the INSERT as done, so that only its commit can have failed.
///
/// The proof is in the protocol, not in the code: PostgreSQL itself names file, line and routine in every error, and a
/// proxy that lost its server after the commit (and speaks with whatever SQLSTATE it likes) does not name all three.
/// What ends the session once the INSERT is done may have come after the commit, and a commit that reaches another
/// server (a foreign table's) may fail here and not there. 40003 and 08007 say themselves that the outcome is unknown.
pub fn is_certain(error: &ServerError, completed: bool) -> bool {
    let own = error.file.is_some() && error.line.is_some() && error.routine.is_some();
    let open = matches!(error.code.as_str(), "40003" | "08007");
    let after = completed && (is_fatal(error) || ["08", "57", "58"].iter().any(|class| error.code.starts_with(class)));
    own && !open && !after
}

/// Whether the error ends the session.
pub fn is_fatal(error: &ServerError) -> bool {
    matches!(error.severity.as_str(), "FATAL" | "PANIC")
}

/// Whether the session is as good as a new one after this error: what the row itself is guilty of (classes 22, 23, 44,
/// and P0, raised by a trigger), or a quarrel between transactions (40). All else may hang on how the session was
/// opened: what ALTER ROLE … SET gave it then (default_transaction_read_only, search_path, role, row_security), the
/// server's role then, the plans and libraries that it holds.
pub fn keeps_session(error: &ServerError) -> bool {
    let by_itself = ["22", "23", "44", "P0", "40"].iter().any(|class| error.code.starts_with(class));
    by_itself && !is_fatal(error)
}

/// The driver's own errors, with what lies beneath: its Display alone says only "error parsing response".
fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
