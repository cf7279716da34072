//! What can go wrong with a database, as evidence: the stage that failed and the cause in the
//! terms of whoever reported it. Nothing here is decided by a message's wording, which servers translate.

use std::fmt;
use std::io;
use std::time::Duration;

use super::login::LoginRefusal;

/// The steps between configuration and a durable row, in order. Each is proved before the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    Config,
    Who,
    Resolve,
    Reach,
    Speaks,
    Tls,
    Admitted,
    Authenticated,
    Session,
    Schema,
    Privileges,
    Read,
    Write,
    Durable,
}

impl Stage {
    /// All stages, first to last.
    pub const ALL: [Stage; 14] = [
        Stage::Config,
        Stage::Who,
        Stage::Resolve,
        Stage::Reach,
        Stage::Speaks,
        Stage::Tls,
        Stage::Admitted,
        Stage::Authenticated,
        Stage::Session,
        Stage::Schema,
        Stage::Privileges,
        Stage::Read,
        Stage::Write,
        Stage::Durable,
    ];

    /// The name in reports: a word of the interface, never to change.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Config => "config",
            Stage::Who => "who",
            Stage::Resolve => "resolve",
            Stage::Reach => "reach",
            Stage::Speaks => "speaks",
            Stage::Tls => "tls",
            Stage::Admitted => "admitted",
            Stage::Authenticated => "authenticated",
            Stage::Session => "session",
            Stage::Schema => "schema",
            Stage::Privileges => "privileges",
            Stage::Read => "read",
            Stage::Write => "write",
            Stage::Durable => "durable",
        }
    }
}

/// A failed step: which one, what was being done, and what came back.
#[derive(Debug)]
pub struct Error {
    /// The step that did not succeed; all before it did.
    pub stage: Stage,
    /// What was tried, with the place, e.g. "connecting to 127.0.0.1 port 5432". Free of secrets.
    pub doing: String,
    /// What came back.
    pub cause: Cause,
}

/// What came back from a failed step.
#[derive(Debug)]
pub enum Cause {
    /// The operating system refused.
    Io(io::Error),
    /// Nothing came within this time.
    TimedOut(Duration),
    /// getaddrinfo(3) failed: its EAI_ code, name ("EAI_NONAME") and text.
    Resolver { code: i32, name: &'static str, text: String },
    /// The server answered with an ErrorResponse.
    Server(Box<ServerError>),
    /// SQLite's extended result code, its message, and errno where it kept one.
    Sqlite { code: i32, message: String, errno: Option<i32> },
    /// TLS: OpenSSL's X509_V_ERR_ code if verification failed, else 0, and its whole error queue as text.
    Tls { verify: i32, text: String },
    /// The peer closed the connection.
    Closed,
    /// The peer does not speak the protocol: the first bytes it sent.
    Foreign(Vec<u8>),
    /// We gave a login up: the server asked for what is not allowed or not known, or did not prove itself.
    Login(LoginRefusal),
    /// An answer that is not in PostgreSQL's protocol: the first bytes of the message that makes no sense.
    Malformed(Vec<u8>),
    /// INSERT … RETURNING succeeded and gave no row back, and the row was not found: a trigger or rule of the table took
    /// it. It may have stored it elsewhere, or changed.
    NoRow,
    /// The driver refused, or the answer made no sense.
    Driver(String),
}

/// Every field that PostgreSQL sends with an error (protocol, "Error and Notice Message Fields").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerError {
    /// Untranslated severity (field V; S before 9.6).
    pub severity: String,
    /// SQLSTATE.
    pub code: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    pub position: Option<u32>,
    /// Position in, and text of, a statement the server ran for us (a trigger's, say).
    pub internal: Option<(u32, String)>,
    /// Call stack inside the server (field W).
    pub context: Option<String>,
    pub schema: Option<String>,
    pub table: Option<String>,
    pub column: Option<String>,
    pub datatype: Option<String>,
    pub constraint: Option<String>,
    pub file: Option<String>,
    pub line: Option<u32>,
    /// The function that raised it. Absent from PgBouncer's errors.
    pub routine: Option<String>,
}

/// Why a row was not inserted, and whether it is in the table all the same.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The row is certainly not stored.
    #[error("not saved: {0}")]
    NotSaved(Error),
    /// The connection broke or time ran out after the statement was sent: the row may be stored.
    #[error("perhaps saved: {0}")]
    Unknown(Error),
}

#[cfg(test)]
impl WriteError {
    pub fn error(&self) -> &Error {
        match self {
            WriteError::NotSaved(error) | WriteError::Unknown(error) => error,
        }
    }
}

/// SQLSTATE 42P01, undefined_table (PostgreSQL, appendix "PostgreSQL Error Codes").
const UNDEFINED_TABLE: &str = "42P01";

impl Error {
    /// Whether the table itself is not there, so that creating it is the cure.
    pub fn is_missing_table(&self) -> bool {
        match &self.cause {
            Cause::Server(error) => error.code == UNDEFINED_TABLE,
            // SQLITE_ERROR is all that SQLite says; the stage tells what it was about
            Cause::Sqlite { code, .. } => self.stage == Stage::Schema && *code == 1,
            _ => false,
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    /// One line, for the error log: what was tried and the whole of what came back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed at step {}: {}", self.doing, self.stage.name(), self.cause)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Io(error) => write!(f, "{error}"),
            Cause::TimedOut(limit) => write!(f, "no answer within {limit:?}"),
            Cause::Resolver { name, text, .. } => write!(f, "{text} ({name})"),
            Cause::Server(error) => write!(f, "{error}"),
            Cause::Sqlite { code, message, errno } => {
                write!(f, "{message} (SQLite code {code}")?;
                if let Some(errno) = errno {
                    write!(f, ", {}", io::Error::from_raw_os_error(*errno))?;
                }
                f.write_str(")")
            }
            Cause::Tls { text, .. } => f.write_str(text),
            Cause::Closed => f.write_str("the other side closed the connection"),
            Cause::Foreign(bytes) => write!(f, "the answer is not PostgreSQL's: \"{}\"", bytes.escape_ascii()),
            Cause::Login(refusal) => write!(f, "{refusal}"),
            Cause::Malformed(bytes) => {
                write!(f, "the answer is not in PostgreSQL's protocol: \"{}\"", bytes.escape_ascii())
            }
            Cause::NoRow => {
                f.write_str("the server stored no row that can be found: a trigger or a rule of the table took it")
            }
            Cause::Driver(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.severity, self.code, self.message)?;
        for (name, value) in [("DETAIL", &self.detail), ("HINT", &self.hint), ("CONTEXT", &self.context)] {
            if let Some(value) = value {
                write!(f, "; {name}: {}", value.replace('\n', " "))?;
            }
        }
        if let Some(routine) = &self.routine {
            write!(f, " ({routine})")?;
        }
        Ok(())
    }
}
