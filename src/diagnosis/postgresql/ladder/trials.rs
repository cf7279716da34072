//! The steps over an open session: the catalogue, then the page's own statements, in a transaction that is
//! always rolled back. (In PostgreSQL a sequence does not go back with it: the write step uses up one id.)

use std::time::Duration;

use crate::database::postgresql::connection::PgConnection;
use crate::database::postgresql::open::Opened;
use crate::database::postgresql::socket::Address;
use crate::database::{Cause, Connection, Error, Stage};
use crate::diagnosis::postgresql::evidence::LARGE;
use crate::diagnosis::postgresql::evidence::facts::Facts;
use crate::diagnosis::postgresql::evidence::fields;
use crate::diagnosis::postgresql::gather::probes;
use crate::diagnosis::postgresql::gather::question;
use crate::diagnosis::postgresql::ladder::login;
use crate::diagnosis::postgresql::quote::literal;
use crate::diagnosis::postgresql::rules::durable;
use crate::diagnosis::postgresql::rules::large_answers;
use crate::diagnosis::postgresql::rules::poolers;
use crate::diagnosis::postgresql::rules::privileges;
use crate::diagnosis::postgresql::rules::schema;
use crate::diagnosis::postgresql::rules::statement::{self, Doing};
use crate::diagnosis::postgresql::scene::Scene;
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::builder::{Climb, Trial};
use crate::diagnosis::report::{Finding, Report, Step};

/// A climb over an open session.
pub(super) struct Trials<'a> {
    pub(super) scene: &'a Scene<'a>,
    pub(super) subject: &'a Subject,
    pub(super) connection: PgConnection,
    pub(super) facts: Facts,
    /// For one statement.
    pub(super) limit: Duration,
    /// server_version_num as the greeting tells it.
    pub(super) version: u32,
    /// Did the server's process turn out to be another than it said: is there a pooler in between?
    pub(super) pooled: bool,
}

/// Climbs from the session to the top.
pub fn run(scene: &Scene, mut climb: Climb, subject: &Subject, session: Option<Step>, opened: Opened) -> Report {
    let limits = scene.limits(&climb);
    let said = opened.session.startup.backend_pid;
    let address = Some(opened.address.clone());
    let version = opened.session.startup.parameter("server_version").map_or(0, question::number);
    let connection = scene.target.connection(opened, &scene.settings.table, &limits);
    let mut trials =
        Trials { scene, subject, connection, facts: Facts::default(), limit: limits.query, version, pooled: false };
    match trials.ask() {
        Ok(facts) => trials.facts = facts,
        Err(error)
            if matches!(error.cause, Cause::TimedOut(_))
                && scene.circumstances.on_request
                && matches!(address, Some(Address::Tcp(_)))
                && probes::large_answers_are_lost(subject, climb.remaining()) =>
        {
            let mut trial = Trial::begin(Stage::Read);
            trial.tried(subject.psql(&format!("SELECT repeat('x', {})", LARGE)));
            trial.fact("SELECT 1", "answered");
            trial.fact("large_answer", "did not come");
            if let Some(session) = session {
                climb.add(session);
            }
            for stage in [Stage::Schema, Stage::Privileges] {
                climb.add(Trial::begin(stage).skip("the catalogue's answer did not come"));
            }
            return climb.fail(trial.fail(error.to_string()), large_answers::lost(subject));
        }
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
        let elsewhere = match &error.cause {
            Cause::Server(refusal) => self.elsewhere(refusal),
            _ => Vec::new(),
        };
        if matches!(&error.cause, Cause::Server(refusal) if refusal.code == "42501") {
            self.learn_defaults();
        }
        for there in &elsewhere {
            trial.fact("found_in", format!("{}.{} (usage {})", there.schema, there.name, there.usage));
        }
        let mut subject = self.subject.clone();
        login::look_closer(&mut subject, error, &self.scene.circumstances.root, self.scene.who);
        let scene = statement::Scene {
            blockers: &blockers,
            looked_for_locks: waits,
            elsewhere: &elsewhere,
            ..statement::Scene::new(&subject, &self.facts, doing)
        };
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
        for (part, why) in &self.facts.unknown {
            trial.fact("unknown", format!("{part}: {why}"));
        }
        if !self.facts.asked {
            return Ok(trial.skip("the server does not let this role read its catalogue: whether the table can be read and written is tried all the same"));
        }
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
                let here = self.scene.settings.create_table;
                let finding = schema::in_another_database(self.subject, &self.facts, &other, here);
                return Err(Box::new((trial.fail(finding.cause.clone()), finding)));
            }
        }
        if let Some(finding) = schema::read(self.subject, &self.facts, self.read_only()) {
            return Err(Box::new((trial.fail(finding.cause.clone()), finding)));
        }
        let connections = self.scene.settings.connections;
        let mut warnings = durable::of_the_server(self.subject, &self.facts);
        warnings.extend(schema::warnings(self.subject, &self.facts, self.read_only()));
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
        if !self.facts.asked {
            return Ok(
                trial.skip("the server does not let this role read its catalogue: reading and writing will tell")
            );
        }
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

    fn begin(&mut self) -> Result<(), Error> {
        self.begin_as("BEGIN")
    }

    /// Begins a transaction in which a lock is given up before a statement, and that before our own time.
    pub(super) fn begin_as(&mut self, begin: &str) -> Result<(), Error> {
        let limit = i64::try_from(self.limit.as_millis()).unwrap_or(i64::MAX / 4).max(50);
        // the page itself has whatever the role, database or server sets: that must not be lifted here
        let theirs = self.facts.statement_timeout.filter(|limit| *limit > 0).unwrap_or(i64::MAX);
        self.connection
            .simple(&format!(
                "{begin}; SET LOCAL lock_timeout = '{}ms'; SET LOCAL statement_timeout = '{}ms'",
                limit * 2 / 5,
                (limit * 4 / 5).min(theirs)
            ))
            .map(|_| ())
    }

    pub(super) fn rollback(&mut self) {
        if self.connection.is_alive() {
            // the connection is dropped at the end of the climb anyway, and with it the transaction
            let _ = self.connection.simple("ROLLBACK");
        }
    }

    fn read(&mut self, _: &mut Climb) -> Result<Step, Failed> {
        let mut trial = Trial::begin(Stage::Read);
        let table = self.subject.table.quoted();
        // as many rows as the page shows: one among them may be unreadable
        let size = self.scene.settings.page_size;
        trial.tried(
            self.subject.psql(&format!(
                "SELECT id, stuff, things FROM {table} ORDER BY id DESC LIMIT {}",
                size.saturating_add(1)
            )),
        );
        let page = self.begin().and_then(|()| self.connection.page(None, size));
        self.rollback();
        match page {
            Ok(page) if page.rows.is_empty() => Ok(trial.pass("the table can be read; it is empty")),
            Ok(_) => Ok(trial.pass("the newest rows were read")),
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
        if self.facts.in_recovery == Some(true) || self.facts.read_only {
            let finding = durable::read_only(self.subject, &self.facts);
            trial.fact("in_recovery", known(self.facts.in_recovery));
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
            Ok(id) => Some(id),
            // no row came back: that none was stored is not proved by it
            Err(Error { cause: Cause::NoRow, .. }) if self.stored_in(&text).is_some() => None,
            Err(error) => {
                self.rollback();
                return Err(Box::new(self.refused(trial, &error, Doing::Writing)));
            }
        };
        if let Some(id) = id {
            trial.fact("id", id);
        }
        let name = &self.subject.table;
        let inherited = self.facts.chosen(name).is_some_and(|relation| relation.kind == "r" && relation.partitions > 0);
        let child = if inherited { self.stored_in(&text) } else { None };
        if let Some(child) = child.filter(|child| child.as_str() != name.name()) {
            trial.fact("stored_in", &child);
            climb.warn(statement::routed(&statement::Scene::new(self.subject, &self.facts, Doing::Writing), &child));
            climb.add(trial.warn(format!("a row was inserted, found again in {child}, and rolled back")));
        } else if let Some(column) = id.and_then(|id| self.differs(id, &text)) {
            climb.warn(statement::altered(&statement::Scene::new(self.subject, &self.facts, Doing::Writing), column));
            climb.add(trial.warn("a row was inserted, changed by the database, and rolled back"));
        } else {
            climb.add(trial.pass("a row was inserted, read back and rolled back (which uses up one id)"));
        }
        let step = self.durable(climb);
        self.rollback();
        step.map(|step| climb.add(step))
    }

    /// The table, by its name, in which a row with this text is seen.
    fn stored_in(&mut self, text: &str) -> Option<String> {
        let table = self.subject.table.quoted();
        let question = format!(
            "SELECT c.relname FROM {table} t JOIN pg_class c ON c.oid = t.tableoid WHERE t.stuff = {} LIMIT 1",
            literal(text)
        );
        self.connection.simple(&question).ok()?.first()?.first()?.clone()
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
    fn durable(&mut self, climb: &mut Climb) -> Result<Step, Failed> {
        let mut trial = Trial::begin(Stage::Durable);
        trial.tried(self.subject.psql("SHOW synchronous_standby_names"));
        trial.fact("synchronous_commit", &self.facts.synchronous_commit);
        trial.fact("synchronous_standby_names", &self.facts.synchronous_standby_names);
        trial.fact("standbys_connected", known(self.facts.standbys));
        if let Err(error) = self.connection.simple("SET CONSTRAINTS ALL IMMEDIATE") {
            return Err(Box::new(self.refused(trial, &error, Doing::Committing)));
        }
        if let Some(finding) = durable::synchronous(self.subject, &self.facts) {
            return Err(Box::new((trial.fail(finding.cause.clone()), finding)));
        }
        let says = match self.facts.standbys {
            Some(_) => "deferred constraints hold, no commit would wait for an absent standby",
            None => "deferred constraints hold (whether standbys are connected may not be asked)",
        };
        let says = format!("{says}; the COMMIT itself was not tried, since a check stores nothing");
        let warnings = durable::crash(self.subject, &self.facts);
        let Some(first) = warnings.first() else { return Ok(trial.pass(says)) };
        let step = trial.warn(format!("{}; {says}", first.cause));
        for warning in warnings {
            climb.warn(warning);
        }
        Ok(step)
    }
}

fn known<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |value| value.to_string())
}

/// Not twice the same, in this process or another.
fn unique() -> String {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{}", time.as_nanos(), std::process::id())
}
