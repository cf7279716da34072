//! A connection that is open: the page in one round trip, an insert in one, each within its limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio_postgres::types::{ToSql, Type};

use crate::database::{About, Cause, Connection, Error, Limits, Page, Row, ServerError, Stage, Table, WriteError};

use super::deadline::Deadline;
use super::drive::{self, Failure};
use super::failure;
use super::negotiate::{Session, connect_socket};
use super::open::Opened;
use super::settings::PgSettings;
use super::socket::Address;
use super::statements::{self, Cache, Prepared, Query};
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
    // first: statements that are dropped after it need not be closed one by one
    session: Session,
    about: About,
    address: Address,
    settings: Arc<PgSettings>,
    /// Of the target: a pooler is in between.
    pooled: Arc<AtomicBool>,
    direct: Direct,
    cache: Cache,
    table: Table,
    limits: Limits,
    usable: bool,
}

/// A request that failed, and whether anything was sent.
struct Failed {
    failure: Failure,
    sent: bool,
}

type Parameters<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

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
        let (table, limits, cache) = (table.clone(), *limits, Cache::default());
        Self { session, about, address, settings, pooled, direct, cache, table, limits, usable: true }
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

    /// The last value that the server reported of a parameter, e.g. `server_version`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.session.connection.parameter(name)
    }

    /// Runs one request to its end.
    fn run<T>(
        &mut self,
        request: impl AsyncFnOnce(&tokio_postgres::Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, Failed> {
        let Session { client: Some(client), connection, control, .. } = &mut self.session else {
            return Err(Failed { failure: Failure::Broken(Broken::Closed), sent: false });
        };
        let outcome = drive::run(connection, control, self.limits.query, request(client));
        outcome.result.map_err(|failure| {
            self.usable = self.usable && leaves_usable(&failure);
            if matches!(failure, Failure::Broken(Broken::TimedOut)) {
                self.cancel();
            }
            Failed { failure, sent: outcome.sent }
        })
    }

    /// Asks the server to drop what it is doing: nobody waits for it any more, yet it may hold locks and one of few
    /// connections for hours.
    fn cancel(&self) {
        let Some(client) = &self.session.client else { return };
        let deadline = Deadline::after(CANCEL_LIMIT);
        // in the clear, as libpq 15 does it; the key it carries dies with this connection
        if let Ok(socket) = connect_socket(&self.address, &self.settings, deadline) {
            let control = Control::new(deadline);
            let wire = Wire::new(Transport::Plain(socket), control.clone());
            // best effort: the connection is given up either way
            let _ = drive::start(&control, client.cancel_token().cancel_query_raw(wire, Finished));
        }
    }

    /// Runs one of the table's statements, in the way that costs least and is safe.
    fn query(&mut self, query: Query, parameters: Parameters) -> Result<Vec<tokio_postgres::Row>, Failed> {
        let statement = match self.cache.get(query) {
            Some(Prepared::Named(statement)) => Some(statement.clone()),
            Some(Prepared::UsedOnce) if self.direct == Direct::Yes => self.prepare(query, parameters)?,
            _ => None,
        };
        let Some(statement) = statement else { return self.query_typed(query, parameters) };
        let values: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|(value, _)| *value).collect();
        match self.run(async |client| client.query(&statement, &values).await) {
            // nothing was run: the name is unknown to whoever answered
            Err(failed) if self.is_pooler(&failed) => self.query_typed(query, parameters),
            other => other,
        }
    }

    /// Sends the statement's text with its parameters. Until it is known, asks who answers.
    fn query_typed(&mut self, query: Query, parameters: Parameters) -> Result<Vec<tokio_postgres::Row>, Failed> {
        let proof = self.direct == Direct::Unknown;
        let sql = query.sql(&self.table, proof);
        let rows = self.run(async |client| client.query_typed(&sql, parameters).await)?;
        if proof && let Some(row) = rows.first() {
            let pid = row.try_get::<_, i32>(row.len() - 1).ok();
            self.learn(pid.is_some() && pid == self.session.startup.backend_pid);
        }
        if self.cache.get(query).is_none() {
            self.cache.put(query, Prepared::UsedOnce);
        }
        Ok(rows)
    }

    fn prepare(&mut self, query: Query, parameters: Parameters) -> Result<Option<tokio_postgres::Statement>, Failed> {
        let sql = query.sql(&self.table, false);
        let types: Vec<Type> = parameters.iter().map(|(_, kind)| kind.clone()).collect();
        match self.run(async |client| client.prepare_typed(&sql, &types).await) {
            Ok(statement) => {
                self.cache.put(query, Prepared::Named(statement.clone()));
                Ok(Some(statement))
            }
            Err(failed) if self.is_pooler(&failed) => Ok(None),
            // the statement itself was not sent
            Err(failed) => Err(Failed { sent: false, ..failed }),
        }
    }

    /// Whether the error is a pooler's way with named statements (26000 and 42P05, of the server it found); if so, none
    /// are used from now on.
    fn is_pooler(&mut self, failed: &Failed) -> bool {
        let Failure::Postgres(error) = &failed.failure else { return false };
        let pooler = error.code().is_some_and(|code| ["26000", "42P05"].contains(&code.code()));
        if pooler {
            self.learn(false);
        }
        pooler
    }

    fn learn(&mut self, direct: bool) {
        self.direct = if direct { Direct::Yes } else { Direct::No };
        if !direct {
            self.pooled.store(true, Ordering::Relaxed);
            self.cache.clear();
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

    fn rows(&mut self, before: Option<i64>, count: u32) -> Result<Vec<tokio_postgres::Row>, Error> {
        let result = match &before {
            Some(id) => self.query(Query::Before(count), &[(id, Type::INT8)]),
            None => self.query(Query::Newest(count), &[]),
        };
        result.map_err(|failed| self.error(failed.failure, Stage::Read, format!("reading table {}", self.table)))
    }

    fn row(&self, row: &tokio_postgres::Row) -> Result<Row, Error> {
        let text = |column| row.try_get::<_, Option<&str>>(column).map(|text| text.unwrap_or_default().to_owned());
        let read = || Ok(Row { id: row.try_get(0)?, stuff: text(1)?, things: text(2)? });
        read().map_err(|error| {
            self.error(Failure::Postgres(error), Stage::Read, format!("reading a row of table {}", self.table))
        })
    }
}

impl Connection for PgConnection {
    fn about(&self) -> &About {
        &self.about
    }

    fn page(&mut self, before: Option<i64>, size: u32) -> Result<Page, Error> {
        let start = Instant::now();
        let found = self.rows(before, size.saturating_add(1))?;
        let size = size as usize;
        let rows = found.iter().take(size).map(|row| self.row(row)).collect::<Result<_, _>>()?;
        Ok(Page { rows, more: found.len() > size, took: start.elapsed() })
    }

    fn insert(&mut self, stuff: &str, things: &str) -> Result<i64, WriteError> {
        let doing = format!("inserting into table {}", self.table);
        // a server that said goodbye meanwhile has certainly stored nothing
        let Session { connection, control, .. } = &mut self.session;
        if let Err(failure) = drive::look(connection, control, self.limits.query) {
            self.usable = false;
            return Err(WriteError::NotSaved(self.error(failure, Stage::Write, doing)));
        }
        match self.query(Query::Insert, &[(&stuff, Type::TEXT), (&things, Type::TEXT)]) {
            Ok(rows) => match rows.first().and_then(|row| row.try_get(0).ok()) {
                Some(id) => Ok(id),
                None => Err(WriteError::NotSaved(Error {
                    stage: Stage::Write,
                    doing,
                    cause: Cause::Driver("the server stored no row: a trigger or a rule of the table took it".into()),
                })),
            },
            Err(failed) => {
                let error = self.error(failed.failure, Stage::Write, doing);
                let refused = match &error.cause {
                    Cause::Server(error) => failure::is_certain(error),
                    _ => !failed.sent,
                };
                Err(if refused { WriteError::NotSaved(error) } else { WriteError::Unknown(error) })
            }
        }
    }

    fn create_table(&mut self) -> Result<(), Error> {
        self.execute(&statements::create(&self.table), Stage::Schema, "creating table")
    }

    fn reset_table(&mut self) -> Result<(), Error> {
        let sql = format!("DROP TABLE IF EXISTS {}; {}", self.table.quoted(), statements::create(&self.table));
        self.execute(&sql, Stage::Schema, "dropping and creating table")
    }

    fn ping(&mut self) -> Result<(), Error> {
        let result = self.run(async |client| client.check_connection().await);
        result.map_err(|failed| self.error(failed.failure, Stage::Session, "sending an empty query".into()))
    }

    fn usable(&self) -> bool {
        self.usable
    }
}

/// A server that answered with an ordinary error goes on; one that answered FATAL is gone.
fn leaves_usable(failure: &Failure) -> bool {
    let Failure::Postgres(error) = failure else { return false };
    match error.as_db_error() {
        Some(error) => !is_fatal(&failure::server_error(error)),
        None => !error.is_closed(),
    }
}

fn is_fatal(error: &ServerError) -> bool {
    matches!(error.severity.as_str(), "FATAL" | "PANIC")
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
