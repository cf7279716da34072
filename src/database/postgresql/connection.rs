//! A connection that is open: the page in one round trip, an insert in one, each within its limit.

mod insert;

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::database::{
    About, Cause, Connection, Error, Limits, MOST_TEXT, Page, Row, Rows, ServerError, Stage, Table, WriteError,
};

use super::deadline::Deadline;
use super::drive::{self, Failure, Outcome};
use super::exchange::{self, columns};
use super::failure;
use super::negotiate::{Session, connect_socket};
use super::open::Opened;
use super::settings::PgSettings;
use super::socket::Address;
use super::statements::{self, How, Query, Value};
use super::wire::{Broken, Control, Finished, Transport, Wire};

/// For taking back a statement that took too long. On top of its limit, and so short.
const CANCEL_LIMIT: Duration = Duration::from_millis(250);

/// Whether named statements are safe here.
///
/// Behind a pooler that hands each transaction to another server, the name `s0` is whatever somebody else prepared
/// under it: another table's page, say. So nothing is prepared until the server has proved to be the very process that
/// its greeting named; a pooler makes that number up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direct {
    Unknown,
    Yes,
    No,
}

/// An open connection to PostgreSQL.
pub struct PgConnection {
    session: Session,
    about: About,
    address: Address,
    settings: Arc<PgSettings>,
    /// Of the target: a pooler is in between.
    pooled: Arc<AtomicBool>,
    direct: Direct,
    /// What this connection has prepared.
    prepared: Vec<Query>,
    /// The last request; kept for its memory.
    request: BytesMut,
    table: Table,
    limits: Limits,
    /// The stream stands, and neither side owes the other anything.
    alive: bool,
    /// A statement failed that may succeed in a session opened now.
    stale: bool,
    /// A statement has succeeded.
    proved: bool,
    /// What this session is known to have taken last from the sequence of the ids.
    last_id: Option<i64>,
    /// An INSERT was stored, and gave nothing back.
    silent: bool,
}

/// A request that failed, and how far it had come.
struct Failed {
    failure: Failure,
    /// Something was sent.
    sent: bool,
    /// The server had reported a statement as done.
    completed: bool,
}

impl PgConnection {
    pub fn new(
        opened: Opened,
        settings: Arc<PgSettings>,
        pooled: Arc<AtomicBool>,
        table: &Table,
        limits: &Limits,
    ) -> Self {
        let about = about(&opened);
        let Opened { session, address, .. } = opened;
        let direct = if pooled.load(Ordering::Relaxed) { Direct::No } else { Direct::Unknown };
        let (table, limits) = (table.clone(), *limits);
        let (prepared, request) = (Vec::new(), BytesMut::new());
        Self {
            session,
            about,
            address,
            settings,
            pooled,
            direct,
            prepared,
            request,
            table,
            limits,
            alive: true,
            stale: false,
            proved: false,
            last_id: None,
            silent: false,
        }
    }

    /// Whether it still speaks. What [`Connection::usable`] adds is whether a new session might do better.
    pub fn is_alive(&self) -> bool {
        self.alive
    }

    /// Runs statements without parameters, each row a list of texts: for the diagnosis. In one transaction.
    pub fn simple(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Error> {
        let result = self.run(async |client| client.simple_query(sql).await);
        let messages = result.map_err(|failed| self.error(failed.failure, Stage::Read, "asking".into()))?;
        let rows = messages.iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    }

    /// Runs one request of the driver's to its end.
    fn run<T>(
        &mut self,
        request: impl AsyncFnOnce(&tokio_postgres::Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, Failed> {
        let Session { client, connection, control, .. } = &mut self.session;
        let outcome = drive::run(connection, control, self.limits.query, request(client));
        self.settle(outcome)
    }

    /// Looks at what an outcome means for the connection.
    fn settle<T>(&mut self, outcome: Outcome<T>) -> Result<T, Failed> {
        self.proved |= outcome.result.is_ok();
        outcome.result.map_err(|failure| {
            match server_error_in(&failure) {
                Some(error) if !failure::is_fatal(&error) => {
                    self.stale |= !failure::keeps_session(&error) && !is_unknown_name(&error);
                }
                _ => self.alive = false,
            }
            if matches!(failure, Failure::Broken(Broken::TimedOut)) {
                self.cancel();
            }
            Failed { failure, sent: outcome.sent, completed: false }
        })
    }

    /// Asks the server to drop what it is doing: nobody waits for it any more, yet it may hold locks and one of few
    /// connections for hours.
    fn cancel(&self) {
        let deadline = Deadline::after(CANCEL_LIMIT);
        // in the clear, as libpq 15 does it; the key it carries dies with this connection
        if let Ok(socket) = connect_socket(&self.address, &self.settings, deadline) {
            let control = Control::new(Transport::Plain(socket), deadline);
            let token = self.session.client.cancel_token();
            // best effort: the connection is given up either way
            let _ = drive::start(&control, token.cancel_query_raw(Wire(control.clone()), Finished));
        }
    }

    /// Runs one of the table's statements and hands each row to `each`, which returns false for one that makes no sense.
    /// The first use of a statement sends its text. Only when no pooler is in between is it prepared, by the second use,
    /// which makes it likely that more follow.
    fn query(&mut self, query: Query, values: &[Value], each: &mut dyn FnMut(&[u8]) -> bool) -> Result<(), Failed> {
        self.query_all(query, &[values], &mut |row| row.is_none_or(&mut *each))
    }

    /// The same once for each of `rows` with its values, in one transaction: all of it is done, or nothing. `each` gets
    /// None where the answer to one of them ends.
    fn query_all<'a>(
        &mut self,
        query: Query,
        rows: &[impl AsRef<[Value<'a>]>],
        each: &mut dyn FnMut(Option<&[u8]>) -> bool,
    ) -> Result<(), Failed> {
        let how = match (self.prepared.contains(&query), self.direct) {
            (true, _) => How::Prepared,
            (false, Direct::Yes) => How::Prepare,
            (false, Direct::Unknown) => How::Unnamed { proof: true },
            (false, Direct::No) => How::Unnamed { proof: false },
        };
        match self.ask(query, how, rows, each) {
            // the name is unknown to whoever answered, or known to mean something: nothing was run
            Err(failed) if is_pooler(&failed) && !matches!(how, How::Unnamed { .. }) => {
                self.learn(false);
                self.ask(query, How::Unnamed { proof: false }, rows, each)
            }
            other => other,
        }
    }

    fn ask<'a>(
        &mut self,
        query: Query,
        how: How,
        rows: &[impl AsRef<[Value<'a>]>],
        each: &mut dyn FnMut(Option<&[u8]>) -> bool,
    ) -> Result<(), Failed> {
        self.request.clear();
        statements::request(query, how, &self.table, rows, &mut self.request).map_err(|error| Failed {
            failure: Failure::Broken(Broken::Io(error)),
            sent: false,
            completed: false,
        })?;
        let (mut pid, mut parsed, mut completed) = (None, false, false);
        let outcome = exchange::exchange(&self.session.control, &self.request, self.limits.query, &mut |tag, body| {
            match tag {
                b'D' => {
                    pid = pid.or_else(|| proof(query, how, body));
                    each(Some(body))
                }
                b'1' => {
                    parsed = true;
                    true
                }
                // bound
                b'2' => true,
                b'C' => {
                    completed = true;
                    each(None)
                }
                _ => false,
            }
        });
        // a statement that is prepared stays so, whatever became of its first use
        if parsed && how == How::Prepare {
            self.prepared.push(query);
        }
        self.settle(outcome).map_err(|failed| Failed { completed, ..failed })?;
        if let Some(pid) = pid {
            self.learn(Some(pid) == self.session.startup.backend_pid);
        }
        Ok(())
    }

    fn learn(&mut self, direct: bool) {
        self.direct = if direct { Direct::Yes } else { Direct::No };
        if !direct {
            self.pooled.store(true, Ordering::Relaxed);
            self.prepared.clear();
        }
    }

    /// The error of a statement. `otherwise` is the step it fails at unless the server's code names another.
    fn error(&self, failure: Failure, otherwise: Stage, doing: String) -> Error {
        let cause = failure::cause(failure, self.limits.query);
        let stage = match &cause {
            Cause::Server(error) => failure::stage_of(error, otherwise),
            _ => otherwise,
        };
        Error { stage, doing, cause }
    }

    /// Runs statements that return nothing, in one transaction.
    fn execute(&mut self, sql: &str, stage: Stage, doing: &str) -> Result<(), Error> {
        let result = self.run(async |client| client.batch_execute(sql).await);
        result.map_err(|failed| self.error(failed.failure, stage, format!("{doing} {}", self.table)))
    }
}

impl Connection for PgConnection {
    fn about(&self) -> &About {
        &self.about
    }

    fn page(&mut self, before: Option<i64>, size: u32) -> Result<Page, Error> {
        let start = Instant::now();
        let count = size.saturating_add(1);
        let mut rows = Rows::with_capacity(count as usize);
        let (mut unreadable, mut seen, mut full) = (None, 0, false);
        let mut each = |body: &[u8]| {
            seen += 1;
            full |= rows.text_bytes() > MOST_TEXT;
            if seen > count || full {
                // no more than was asked for; the rest of a long page is on the next
                return seen <= count;
            }
            match row(body) {
                Ok(row) => rows.push(row),
                Err(Unreadable::Row) => return false,
                Err(other) => unreadable = Some(other),
            }
            true
        };
        let result = match before {
            Some(id) => self.query(Query::Before(count), &[Value::Integer(id)], &mut each),
            None => self.query(Query::Newest(count), &[], &mut each),
        };
        let doing = || format!("reading table {}", self.table);
        result.map_err(|failed| self.error(failed.failure, Stage::Read, doing()))?;
        if let Some(problem) = unreadable {
            return Err(Error { stage: Stage::Read, doing: doing(), cause: Cause::Driver(problem.to_string()) });
        }
        let more = full || rows.len() > size as usize;
        rows.truncate(size as usize);
        Ok(Page { rows, more, took: start.elapsed() })
    }

    fn insert(&mut self, stuff: &str, things: &str) -> Result<i64, WriteError> {
        self.insert_one(stuff, things)
    }

    fn insert_together(&mut self, rows: &[(&str, &str)]) -> Result<Vec<Result<i64, WriteError>>, WriteError> {
        self.insert_all(rows)
    }

    fn create_table(&mut self) -> Result<(), Error> {
        self.execute(&statements::create(&self.table), Stage::Schema, "creating table")
    }

    fn reset_table(&mut self) -> Result<(), Error> {
        let sql = format!("DROP TABLE IF EXISTS {}; {}", self.table.quoted(), statements::create(&self.table));
        self.execute(&sql, Stage::Schema, "dropping and creating table")
    }

    fn ping(&mut self) -> Result<(), Error> {
        // that the server answers says nothing about the table
        self.page(None, 0).map(drop)
    }

    fn usable(&self) -> bool {
        self.alive && !self.stale
    }
}

/// The server's own error, if that is what failed.
fn server_error_in(failure: &Failure) -> Option<Cow<'_, ServerError>> {
    match failure {
        Failure::Server(error) => Some(Cow::Borrowed(error)),
        Failure::Postgres(error) => error.as_db_error().map(|error| Cow::Owned(failure::server_error(error))),
        _ => None,
    }
}

/// A named statement that the server behind a pooler does not know, or knows already (26000, 42P05).
fn is_unknown_name(error: &ServerError) -> bool {
    matches!(error.code.as_str(), "26000" | "42P05")
}

/// Whether the error is a pooler's way with named statements, told by the server itself: nothing has been run.
fn is_pooler(failed: &Failed) -> bool {
    matches!(&failed.failure, Failure::Server(error)
        if is_unknown_name(error) && failure::is_certain(error, failed.completed))
}

/// The process id behind a row's own columns, if it was asked for.
fn proof(query: Query, how: How, body: &[u8]) -> Option<i32> {
    if how != (How::Unnamed { proof: true }) {
        return None;
    }
    let pid = match query {
        Query::Insert | Query::Stored => columns(body).and_then(|[_, pid]| pid),
        Query::Newest(_) | Query::Before(_) => columns(body).and_then(|[_, _, _, pid]| pid),
    };
    number(pid?)
}

/// A number as the server writes it: decimal digits, perhaps a minus sign.
fn number<T: FromStr>(value: &[u8]) -> Option<T> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Why a row of the table cannot be shown.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("this is no row")]
    Row,
    /// In a table of somebody else's, without a primary key.
    #[error("a row has no id: its column \"id\" is NULL")]
    Id,
}

/// A row as it lies in its message. A table of somebody else's may hold NULL, which is shown as nothing.
fn row(body: &[u8]) -> Result<Row<'_>, Unreadable> {
    let [id, stuff, things] = columns(body).ok_or(Unreadable::Row)?;
    let id = id.ok_or(Unreadable::Id).and_then(|id| number(id).ok_or(Unreadable::Row))?;
    // the server sends UTF-8 and nothing else: what it cannot convert is an error of its own (22021, 22P05)
    let text = |value| std::str::from_utf8(Option::unwrap_or_default(value)).map_err(|_| Unreadable::Row);
    Ok(Row { id, stuff: text(stuff)?, things: text(things)? })
}

fn about(opened: &Opened) -> About {
    let startup = &opened.session.startup;
    let version = startup.parameter("server_version").unwrap_or("unknown");
    let host = match &opened.address {
        Address::Unix(path) => path.parent().unwrap_or(path).display().to_string(),
        Address::Tcp(address) => match &opened.host.host {
            super::settings::Host::Name(name) => format!("{name} port {}", opened.host.port),
            _ => format!("{} port {}", address.ip(), address.port()),
        },
    };
    About {
        product: "PostgreSQL",
        // "15.18 (Debian 15.18-0+deb12u1)"
        version: version.split(' ').next().unwrap_or(version).to_owned(),
        database: opened.login.database.clone(),
        host,
        role: startup.parameter("session_authorization").unwrap_or(&opened.login.user).to_owned(),
        transport: opened.transport.clone(),
    }
}
