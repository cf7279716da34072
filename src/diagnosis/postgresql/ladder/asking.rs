//! The questions that are asked over an open session: what the catalogue knows, who holds a lock, where a name is.

use serde_json::Value;

use super::trials::Trials;
use crate::database::{Cause, Error, ServerError, Stage, Table};
use crate::diagnosis::postgresql::evidence::facts::{Facts, Relation};
use crate::diagnosis::postgresql::gather::{answer, question};
use crate::diagnosis::postgresql::quote::literal;
use crate::diagnosis::postgresql::rules::statement::{self, Blocker, Doing, Elsewhere};

impl Trials<'_> {
    /// Asks the catalogue: all at once, or, if the server refuses that, part by part. What it does not answer is unknown.
    pub(super) fn ask(&mut self) -> Result<Facts, Error> {
        let table = Table::clone(&self.scene.settings.table);
        let facts = match self.ask_for(&question::whole(&table, self.version)) {
            Ok(value) => answer::from_parts(value, Vec::new()),
            Err(Error { cause: Cause::Server(refusal), .. })
                if self.connection.is_alive() && !is_time(&refusal.code) =>
            {
                let (value, unknown) = self.ask_in_parts(&table)?;
                answer::from_parts(value, unknown)
            }
            Err(error) => return Err(error),
        };
        facts.map_err(|error| unread(&error))
    }

    /// One question, whose answer is a JSON object.
    fn ask_for(&mut self, question: &str) -> Result<Value, Error> {
        // a statement_timeout that is too short is to be named, not met; a standby serves no serializable transaction
        self.begin_as("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY")?;
        let rows = self.connection.simple(question);
        self.rollback();
        let rows = rows?;
        let text = rows.first().and_then(|row| row.first()).and_then(Option::as_deref).unwrap_or_default();
        serde_json::from_str(text).map_err(|error| unread(&error))
    }

    /// What is answered of the question, and the parts that are not.
    fn ask_in_parts(&mut self, table: &Table) -> Result<(Value, Vec<(String, String)>), Error> {
        let (mut all, mut unknown) = (serde_json::Map::new(), Vec::new());
        for (name, part) in question::parts(table, self.version) {
            match self.ask_for(&question::alone(&part)) {
                Ok(Value::Object(some)) => all.extend(some),
                Ok(_) => unknown.push((name.to_owned(), "no answer".to_owned())),
                // without the least of it nothing works
                Err(error) if name == "session" || !self.connection.is_alive() => return Err(error),
                Err(error) => unknown.push((name.to_owned(), error.to_string())),
            }
        }
        let mut details = Vec::new();
        for detail in question::DETAILS {
            match self.ask_for(&question::alone(&question::relations(table, &[detail]))) {
                Ok(_) => details.push(detail),
                Err(error) => unknown.push((detail.to_owned(), error.to_string())),
            }
        }
        match self.ask_for(&question::alone(&question::relations(table, &details))) {
            Ok(Value::Object(some)) => all.extend(some),
            Ok(_) => {}
            Err(error) => unknown.push(("relations".to_owned(), error.to_string())),
        }
        Ok((Value::Object(all), unknown))
    }

    /// The expressions of the columns' defaults, in which names may stand that no dependency records.
    pub(super) fn learn_defaults(&mut self) {
        let Some(name) = self.facts.chosen(&self.subject.table).map(Relation::qualified) else { return };
        if !self.connection.is_alive() {
            return;
        }
        self.rollback();
        let rows = self.connection.simple(&format!(
            "SELECT a.attname, pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid \
             AND a.attnum = d.adnum WHERE d.adrelid = {}::regclass",
            literal(&name)
        ));
        let defaults: Vec<(String, String)> = rows
            .unwrap_or_default()
            .into_iter()
            .filter_map(|row| Some((row.first()?.clone()?, row.get(1)?.clone()?)))
            .collect();
        let relations = self.facts.relations.iter_mut().filter(|relation| relation.qualified() == name);
        for column in relations.flat_map(|relation| &mut relation.columns) {
            column.default = defaults.iter().find(|(name, _)| *name == column.name).map(|(_, default)| default.clone());
        }
    }

    /// Where the database has what an error's words name, though this session does not look there.
    pub(super) fn elsewhere(&mut self, refusal: &ServerError) -> Vec<Elsewhere> {
        let question = match refusal.code.as_str() {
            "42883" | "42P01" | "42704" => elsewhere_question(&refusal.message),
            "42501" => closed_question(&refusal.message),
            _ => return Vec::new(),
        };
        if !self.connection.is_alive() {
            return Vec::new();
        }
        self.rollback();
        let rows = self.connection.simple(&question);
        let text = |row: &[Option<String>], index: usize| row.get(index).cloned().flatten().unwrap_or_default();
        let found = |row: &Vec<Option<String>>| Elsewhere {
            schema: text(row, 0),
            name: text(row, 1),
            usage: text(row, 2) == "t",
            exact: text(row, 3) == "t",
            in_path: text(row, 4) == "t",
        };
        rows.unwrap_or_default().iter().map(found).collect()
    }

    /// Who stands in our way on the table. Over a new connection if ours broke.
    pub(super) fn blockers(&mut self, doing: Doing) -> Vec<Blocker> {
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

/// The words of a message, as SQL has lists.
fn named(message: &str) -> String {
    let words: Vec<String> = statement::words(message).take(30).map(literal).collect();
    if words.is_empty() { "''".into() } else { words.join(", ") }
}

/// Functions, relations and types that a message names: where they are, whether the arguments are those that were
/// asked for, and whether the session looks there.
fn elsewhere_question(message: &str) -> String {
    format!(
        "SELECT DISTINCT n.nspname, o.name, has_schema_privilege(n.oid, 'USAGE'), o.exact, n.nspname = ANY (current_schemas(true)) AS here \
         FROM (SELECT pronamespace AS schema, proname AS name, \
             position(proname || '(' || coalesce((SELECT string_agg(format_type(t, NULL), ', ' ORDER BY i) FROM unnest(proargtypes) WITH ORDINALITY AS x (t, i)), '') || ')' IN {message}) > 0 AS exact FROM pg_proc \
           UNION SELECT relnamespace, relname, true FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') UNION SELECT typnamespace, typname, true FROM pg_type WHERE typtype IN ('b', 'e', 'd')) o \
         JOIN pg_namespace n ON n.oid = o.schema WHERE o.name IN ({words}) AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' LIMIT 5",
        message = literal(message),
        words = named(message),
    )
}

/// Relations that a message names and that our role may not read.
fn closed_question(message: &str) -> String {
    format!(
        "SELECT n.nspname, c.relname, has_schema_privilege(n.oid, 'USAGE'), true, n.nspname = ANY (current_schemas(true)) FROM pg_class c \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname IN ({}) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
           AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND NOT has_table_privilege(c.oid, 'SELECT') LIMIT 5",
        named(message)
    )
}

/// A lock or a limit: asking in parts would wait again.
fn is_time(code: &str) -> bool {
    ["57014", "55P03"].contains(&code) || code.starts_with("57P") || code.starts_with("08")
}

fn unread(error: &serde_json::Error) -> Error {
    Error {
        stage: Stage::Schema,
        doing: "reading the catalogue's answer".into(),
        cause: Cause::Driver(error.to_string()),
    }
}
