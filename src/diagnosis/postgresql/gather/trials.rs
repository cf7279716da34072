//! The steps over an open session: the catalogue, then the page's own statements, in a transaction that is
//! always rolled back. (In PostgreSQL a sequence does not go back with it: the write step uses up one id.)

use std::time::Duration;

use super::facts::{self, Facts};
use super::probes;
use crate::database::postgresql::connection::PgConnection;
use crate::database::postgresql::open::Opened;
use crate::database::{Cause, Connection, Error, Stage};
use crate::diagnosis::postgresql::gather::fields;
use crate::diagnosis::postgresql::ladder::Scene;
use crate::diagnosis::postgresql::quote::literal;
use crate::diagnosis::postgresql::rules::durable;
use crate::diagnosis::postgresql::rules::poolers;
use crate::diagnosis::postgresql::rules::privileges;
use crate::diagnosis::postgresql::rules::schema;
use crate::diagnosis::postgresql::rules::statement::{self, Blocker, Doing};
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::{Climb, Finding, Report, Step, Trial};

/// A climb over an open session.
struct Trials<'a> {
    scene: &'a Scene<'a>,
    subject: &'a Subject,
    connection: PgConnection,
    facts: Facts,
    /// For one statement.
    limit: Duration,
    /// Did the server's process turn out to be another than it said: is there a pooler in between?
    pooled: bool,
}

/// Climbs from the session to the top.
pub fn run(scene: &Scene, mut climb: Climb, subject: &Subject, session: Option<Step>, opened: Opened) -> Report {
    let limits = scene.limits(&climb);
    let said = opened.session.startup.backend_pid;
    let address = Some(opened.address.clone());
    let connection = scene.target.connection(opened, &scene.settings.table, &limits);
    let mut trials = Trials { scene, subject, connection, facts: Facts::default(), limit: limits.query, pooled: false };
    match trials.ask() {
        Ok(facts) => trials.facts = facts,
        Err(error) => {
            // the very first statement: whatever it is, it is not yet about the table
            let mut trial = Trial::begin(Stage::Session);
            trial.tried(subject.psql("SELECT 1"));
            let (step, mut finding) = trials.refused(trial, &error, Doing::Reading);
            let waits = matches!(error.cause, Cause::TimedOut(_)) && scene.circumstances.on_request;
            if waits && address.is_some_and(|address| probes::is_pooler(subject, &address)) {
                finding = poolers::keeps_waiting(subject, poolers::When::Statement);
            }
            return climb.fail(step, finding);
        }
    }
    if let Some(session) = session {
        climb.add(session);
    }
    trials.pooled = said.map(i64::from) != Some(trials.facts.backend_pid);
    for rung in [Trials::schema, Trials::privileges, Trials::read] {
        match rung(&mut trials, &mut climb) {
            Ok(step) => climb.add(step),
            Err(failed) => return climb.fail(failed.0, failed.1),
        }
    }
    match trials.write(&mut climb) {
        Ok(()) => climb.finish(),
        Err(failed) => climb.fail(failed.0, failed.1),
    }
}

type Failed = Box<(Step, Finding)>;

impl Trials<'_> {
    /// Asks the catalogue.
    fn ask(&mut self) -> Result<Facts, Error> {
        // a statement_timeout that is too short is to be named, not met
        self.begin()?;
        let rows = self.connection.simple(&facts::question(&self.scene.settings.table));
        self.rollback();
        let rows = rows?;
        let text = rows.first().and_then(|row| row.first()).and_then(Option::as_deref).unwrap_or_default();
        facts::answer(text).map_err(|error| Error {
            stage: Stage::Schema,
            doing: "reading the catalogue's answer".into(),
            cause: Cause::Driver(error.to_string()),
        })
    }

    fn read_only(&self) -> bool {
        self.scene.settings.read_only
    }

    /// A step's failure, read.
    fn refused(&mut self, mut trial: Trial, error: &Error, doing: Doing) -> (Step, Finding) {
        trial.facts(fields::of_cause(&error.cause));
        let waits = matches!(&error.cause, Cause::TimedOut(_))
            || matches!(&error.cause, Cause::Server(refusal) if ["55P03", "57014"].contains(&refusal.code.as_str()));
        let blockers = if waits { self.blockers(doing) } else { Vec::new() };
        for blocker in &blockers {
            trial.fact(
                "blocked_by",
                format!("pid {} of {} ({}) {}", blocker.pid, blocker.user, blocker.state, blocker.mode),
            );
        }
        let scene = statement::Scene { subject: self.subject, facts: &self.facts, doing, blockers: &blockers };
        let finding = match &error.cause {
            Cause::Server(refusal) => statement::refused(&scene, refusal),
            Cause::TimedOut(_) => statement::too_slow(&scene),
            Cause::Closed | Cause::Io(_) => crate::diagnosis::postgresql::rules::session::hung_up(self.subject, false),
            _ if doing == Doing::Writing => statement::swallowed(&scene),
            cause => statement::unreadable(&scene, &cause.to_string()),
        };
        (trial.fail(error.to_string()), finding)
    }

    fn schema(&mut self, climb: &mut Climb) -> Result<Step, Failed> {
        let mut trial = Trial::begin(Stage::Schema);
        let name = &self.subject.table;
        trial.tried(self.subject.psql(&format!("\\d {name}")));
        trial.fact("database", &self.facts.database);
        trial.fact("search_path", &self.facts.search_path);
        for relation in &self.facts.relations {
            trial.fact(
                "relation",
                format!("{}.{} (relkind {}, owner {})", relation.schema, relation.name, relation.kind, relation.owner),
            );
        }
        if let Some(relation) = self.facts.chosen(name) {
            let columns: Vec<String> =
                relation.columns.iter().map(|column| format!("{} {}", column.name, column.kind)).collect();
            trial.fact("columns", columns.join(", "));
        } else if self.facts.relations.is_empty() && self.scene.circumstances.on_request {
            // perhaps it is in another database: the same login may look
            if let Some(other) = probes::database_with_table(self.subject, &self.facts.databases) {
                let finding = schema::in_another_database(self.subject, &self.facts, &other);
                return Err(Box::new((trial.fail(finding.cause.clone()), finding)));
            }
        }
        if let Some(finding) = schema::read(self.subject, &self.facts, self.read_only()) {
            return Err(Box::new((trial.fail(finding.cause.clone()), finding)));
        }
        let connections = self.scene.settings.connections;
        let mut warnings = schema::warnings(self.subject, &self.facts, self.read_only());
        if !self.pooled {
            warnings.extend(durable::capacity(
                self.subject,
                &self.facts,
                self.scene.circumstances.children,
                connections,
            ));
        }
        if !self.read_only() {
            warnings.extend(durable::forebodings(self.subject, &self.facts));
        }
        let step = match warnings.first() {
            Some(first) => trial.warn(first.cause.clone()),
            None => trial.pass(format!("table {name} is there, with the columns of the model")),
        };
        for warning in warnings {
            climb.warn(warning);
        }
        Ok(step)
    }

    fn privileges(&mut self, _: &mut Climb) -> Result<Step, Failed> {
        let mut trial = Trial::begin(Stage::Privileges);
        trial.tried(self.subject.psql(&format!("\\dp {}", self.subject.table)));
        trial.fact("current_user", &self.facts.user);
        if self.facts.user != self.facts.session_user {
            trial.fact("session_user", &self.facts.session_user);
        }
        if let Some(relation) = self.facts.chosen(&self.subject.table) {
            trial.fact("row_level_security", if relation.row_security { "active" } else { "off" });
        }
        match privileges::read(self.subject, &self.facts, self.read_only()) {
            Some(finding) => Err(Box::new((trial.fail(finding.cause.clone()), finding))),
            None => Ok(trial.pass(format!("role {} has the privileges that the page needs", self.facts.user))),
        }
    }

    /// Begins a transaction in which a lock is given up before a statement, and that before our own time.
    fn begin(&mut self) -> Result<(), Error> {
        let limit = i64::try_from(self.limit.as_millis()).unwrap_or(i64::MAX / 4).max(50);
        // the page itself has whatever the role, database or server sets: that must not be lifted here
        let theirs = if self.facts.statement_timeout > 0 { self.facts.statement_timeout } else { i64::MAX };
        self.connection
            .simple(&format!(
                "BEGIN; SET LOCAL lock_timeout = '{}ms'; SET LOCAL statement_timeout = '{}ms'",
                limit * 2 / 5,
                (limit * 4 / 5).min(theirs)
            ))
            .map(|_| ())
    }

    fn rollback(&mut self) {
        if self.connection.is_alive() {
            // the connection is dropped at the end of the climb anyway, and with it the transaction
            let _ = self.connection.simple("ROLLBACK");
        }
    }

    fn read(&mut self, _: &mut Climb) -> Result<Step, Failed> {
        let mut trial = Trial::begin(Stage::Read);
        let table = self.subject.table.quoted();
        trial.tried(self.subject.psql(&format!("SELECT id, stuff, things FROM {table} ORDER BY id DESC LIMIT 1")));
        let page = self.begin().and_then(|()| self.connection.page(None, 1));
        self.rollback();
        match page {
            Ok(page) if page.rows.is_empty() => Ok(trial.pass("the table can be read; it is empty")),
            Ok(_) => Ok(trial.pass("the newest row was read")),
            Err(error) => Err(Box::new(self.refused(trial, &error, Doing::Reading))),
        }
    }

    /// Write and durable, which share a transaction.
    fn write(&mut self, climb: &mut Climb) -> Result<(), Failed> {
        let table = self.subject.table.quoted();
        let mut trial = Trial::begin(Stage::Write);
        trial.tried(self.subject.psql(&format!(
            "BEGIN; INSERT INTO {table} (stuff, things) VALUES ('mod_dbtest check', 'mod_dbtest check') RETURNING id; ROLLBACK"
        )));
        if self.read_only() {
            climb.add(trial.skip("DBTestReadOnly is on: nothing is ever written"));
            climb.add(Trial::begin(Stage::Durable).skip("DBTestReadOnly is on: nothing is ever written"));
            return Ok(());
        }
        if self.facts.in_recovery || self.facts.read_only {
            let finding = durable::read_only(self.subject, &self.facts);
            trial.fact("in_recovery", self.facts.in_recovery);
            trial.fact("default_transaction_read_only", self.facts.read_only);
            return Err(Box::new((trial.fail(finding.cause.clone()), finding)));
        }
        if !self.scene.circumstances.writes {
            let why = "not tried: whoever only looks changes nothing";
            climb.add(trial.skip(why));
            climb.add(Trial::begin(Stage::Durable).skip(why));
            return Ok(());
        }
        // nobody else's row has this text, should the table want it to be unique
        let text = format!("mod_dbtest check {}", unique());
        let inserted = self.begin().and_then(|()| {
            self.connection.insert(&text, &text).map_err(|error| match error {
                crate::database::WriteError::NotSaved(error) | crate::database::WriteError::Unknown(error) => error,
            })
        });
        let id = match inserted {
            Ok(id) => id,
            Err(error) => {
                self.rollback();
                return Err(Box::new(self.refused(trial, &error, Doing::Writing)));
            }
        };
        trial.fact("id", id);
        if let Some(column) = self.differs(id, &text) {
            climb.warn(statement::altered(
                &statement::Scene { subject: self.subject, facts: &self.facts, doing: Doing::Writing, blockers: &[] },
                column,
            ));
            climb.add(trial.warn("a row was inserted, changed by the database, and rolled back"));
        } else {
            climb.add(trial.pass("a row was inserted, read back and rolled back (which uses up one id)"));
        }
        let step = self.durable();
        self.rollback();
        step.map(|step| climb.add(step))
    }

    /// The column in which another text was stored than was sent.
    fn differs(&mut self, id: i64, text: &str) -> Option<&'static str> {
        let table = self.subject.table.quoted();
        let rows =
            self.connection.simple(&format!("SELECT stuff::text, things::text FROM {table} WHERE id = {id}")).ok()?;
        // a row that cannot be seen again is another matter: row level security
        let row = rows.first()?;
        let same = |index: usize| row.get(index).and_then(Option::as_deref) == Some(text);
        [("stuff", same(0)), ("things", same(1))].into_iter().find(|(_, same)| !same).map(|(name, _)| name)
    }

    /// What a COMMIT would still have to pass, as far as can be known without one.
    fn durable(&mut self) -> Result<Step, Failed> {
        let mut trial = Trial::begin(Stage::Durable);
        trial.tried(self.subject.psql("SHOW synchronous_standby_names"));
        trial.fact("synchronous_commit", &self.facts.synchronous_commit);
        trial.fact("synchronous_standby_names", &self.facts.synchronous_standby_names);
        trial.fact("standbys_connected", self.facts.standbys);
        if let Err(error) = self.connection.simple("SET CONSTRAINTS ALL IMMEDIATE") {
            return Err(Box::new(self.refused(trial, &error, Doing::Committing)));
        }
        if let Some(finding) = durable::synchronous(self.subject, &self.facts) {
            return Err(Box::new((trial.fail(finding.cause.clone()), finding)));
        }
        let lasts = if self.facts.synchronous_commit == "off" {
            " (synchronous_commit is off: a crash may lose the last moments)"
        } else {
            ""
        };
        Ok(trial.pass(format!(
            "deferred constraints hold, no commit would wait for an absent standby{lasts}; the COMMIT itself was not tried, since a check stores nothing"
        )))
    }

    /// Who stands in our way on the table. Over a new connection if ours broke.
    fn blockers(&mut self, doing: Doing) -> Vec<Blocker> {
        let table = &self.subject.table;
        let schema = self.facts.chosen(table).map_or("public", |relation| relation.schema.as_str());
        let question = blockers_question(schema, table.name(), doing);
        self.rollback();
        let rows = if self.connection.is_alive() {
            self.connection.simple(&question)
        } else {
            let limits = self.scene.settings.limits;
            let Ok(opened) = self.scene.target.open(&limits) else { return Vec::new() };
            self.scene.target.connection(opened, table, &limits).simple(&question)
        };
        rows.unwrap_or_default().iter().filter_map(|row| blocker(row)).collect()
    }
}

fn blocker(row: &[Option<String>]) -> Option<Blocker> {
    let text = |index: usize| row.get(index).cloned().flatten().unwrap_or_default();
    Some(Blocker { pid: text(0).parse().ok()?, user: text(1), state: text(2), application: text(3), mode: text(4) })
}

/// Holders of locks on the table that keep our statement out; if none, those whom a waiting one waits for
/// (our statement queues behind it); if none, transactions that have used the table and do nothing.
fn blockers_question(schema: &str, name: &str, doing: Doing) -> String {
    let modes = match doing {
        Doing::Reading => "'AccessExclusiveLock'",
        _ => "'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'",
    };
    format!(
        "WITH on_table AS (SELECT l.pid, l.mode, l.granted FROM pg_locks l JOIN pg_class c ON c.oid = l.relation \
           JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {schema} AND c.relname = {name} \
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.pid <> pg_backend_pid()), \
         holding AS (SELECT pid, mode FROM on_table WHERE granted AND mode IN ({modes})), \
         before_us AS (SELECT unnest(pg_blocking_pids(pid)) AS pid, mode || ' wanted by pid ' || pid AS mode FROM on_table \
           WHERE NOT granted AND mode IN ({modes}) AND NOT EXISTS (SELECT FROM holding)), \
         lingering AS (SELECT o.pid, o.mode FROM on_table o JOIN pg_stat_activity a ON a.pid = o.pid \
           WHERE o.granted AND o.mode <> 'AccessShareLock' AND NOT EXISTS (SELECT FROM holding) AND NOT EXISTS (SELECT FROM before_us)), \
         all_of AS (SELECT * FROM holding UNION ALL SELECT * FROM before_us UNION ALL SELECT * FROM lingering) \
         SELECT DISTINCT ON (b.pid) b.pid, coalesce(a.usename, ''), coalesce(a.state, ''), coalesce(a.application_name, ''), b.mode \
         FROM all_of b LEFT JOIN pg_stat_activity a ON a.pid = b.pid WHERE b.pid > 0",
        schema = literal(schema),
        name = literal(name),
    )
}

/// Not twice the same, in this process or another.
fn unique() -> String {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{}", time.as_nanos(), std::process::id())
}
