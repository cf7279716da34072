//! What the catalogues say: the session, and every relation whose name is that of the table in any case and any
//! schema. What could not be asked (a catalogue may be closed to our role) is unknown, never a default: `None`, or
//! named in `unknown`.

use serde::Deserialize;

use crate::database::Table;
use crate::diagnosis::postgresql::quote;

/// The session and the candidates for the table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Facts {
    pub database: String,
    /// current_user: in whose name statements run.
    pub user: String,
    pub session_user: String,
    pub superuser: Option<bool>,
    /// server_version_num.
    pub version: u32,
    /// current_schemas(false): only schemas that exist and that we may use.
    pub path: Vec<String>,
    /// The setting, as written.
    pub search_path: String,
    pub server_encoding: String,
    /// Days until the role's password expires (rolvaliduntil).
    pub valid_days: Option<f64>,
    pub in_recovery: Option<bool>,
    pub read_only: bool,
    pub max_connections: i64,
    /// superuser_reserved_connections and reserved_connections.
    pub reserved: i64,
    pub role_limit: Option<i64>,
    pub database_limit: Option<i64>,
    pub synchronous_standby_names: String,
    pub synchronous_commit: String,
    /// Rows of pg_stat_replication: connected standbys.
    pub standbys: Option<i64>,
    pub backend_pid: i64,
    /// As the session began with it: milliseconds; 0 for none.
    pub statement_timeout: Option<i64>,
    /// Settings that may matter, and all that were set for role, database or connection.
    pub parameters: Vec<Parameter>,
    /// What is set for our role, our database, or our role in it.
    pub settings: Vec<RoleSetting>,
    /// Transactions since the oldest row of the database was frozen.
    pub age: Option<i64>,
    /// The version of the database's collation that its indexes were made by, and that of the system now.
    pub collation_recorded: Option<String>,
    pub collation_actual: Option<String>,
    /// Schemas that our role may not use.
    pub closed: Vec<String>,
    /// Parts of the question that the server did not answer, with what it said.
    #[serde(skip)]
    pub unknown: Vec<(String, String)>,
    /// The catalogue was asked for the relations, and answered.
    #[serde(skip)]
    pub asked: bool,
    /// Other databases that this role may connect to.
    pub databases: Vec<String>,
    pub schemas: Vec<SchemaFacts>,
    pub relations: Vec<Relation>,
}

/// A setting, and where it comes from (pg_settings).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Parameter {
    pub name: String,
    pub setting: String,
    pub source: String,
    /// Only for those who may read it.
    pub file: Option<String>,
    pub line: Option<i64>,
    /// "postmaster": a restart; "sighup": a reload; "user": anybody.
    pub context: String,
    pub reset: Option<String>,
    pub boot: Option<String>,
}

/// One entry of pg_db_role_setting.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RoleSetting {
    /// "user", "database user", "database" or "global", as pg_settings.source has it.
    pub scope: String,
    /// `name=value`.
    pub config: String,
}

/// A schema that search_path or the table's name mentions.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SchemaFacts {
    pub name: String,
    pub usage: bool,
    pub create: bool,
}

/// A relation with the table's name.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Relation {
    pub schema: String,
    pub name: String,
    /// pg_class.relkind: r table, p partitioned, v view, m materialised view, f foreign table, S sequence.
    pub kind: String,
    pub owner: String,
    /// Its rows do not survive a crash of the server.
    pub unlogged: bool,
    /// May we use the schema?
    pub usage: bool,
    /// Position of the schema in current_schemas(false), from 1; 0 for a temporary table, which comes before all.
    pub position: Option<i64>,
    /// pg_relation_is_updatable says INSERT, triggers counted.
    pub insertable: bool,
    pub row_security: bool,
    pub columns: Vec<Column>,
    pub sequences: Vec<Sequence>,
    pub functions: Vec<Function>,
    pub triggers: Vec<Trigger>,
    /// INSTEAD rules on INSERT.
    pub rules: Vec<String>,
    pub constraints: Vec<Constraint>,
    pub policies: Vec<Policy>,
    /// Partitions, or tables that inherit from it.
    pub partitions: i64,
    /// The foreign server of a foreign table.
    pub server: Option<String>,
    /// Of this session only.
    pub temporary: bool,
    /// What a view reads.
    pub bases: Vec<Base>,
    /// Roles that have SELECT and INSERT and of which we are a member without inheriting.
    pub through: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Column {
    pub name: String,
    /// format_type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The type below any domain, by its own name: "int4", "varchar".
    pub base: String,
    /// pg_type.typtype of it: e enum, b base, c composite …
    pub category: String,
    /// Characters, of varchar(n) and char(n).
    pub length: Option<i64>,
    pub not_null: bool,
    pub has_default: bool,
    /// a always, d by default, or empty.
    pub identity: String,
    pub generated: bool,
    /// Generated and stored: what DROP EXPRESSION works on.
    pub stored: bool,
    /// The expression of its default; asked only when a privilege is missing, since reading it may wait for a lock.
    #[serde(skip)]
    pub default: Option<String>,
    pub primary: bool,
    pub select: bool,
    pub insert: bool,
    /// pg_column_is_updatable, which matters for views.
    pub updatable: bool,
}

/// A sequence that a default takes its value from.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Sequence {
    pub schema: String,
    pub name: String,
    pub column: String,
    pub allowed: bool,
    /// Of an identity column: needs no privilege.
    pub identity: bool,
}

/// A function that a default or a CHECK calls.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Function {
    /// With schema and argument types, quoted.
    pub signature: String,
    pub allowed: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Trigger {
    pub name: String,
    /// Its function with schema and argument types, quoted.
    pub function: String,
    pub before: bool,
    pub instead: bool,
    pub insert: bool,
    pub row: bool,
    pub definer: bool,
    /// Its function has a search_path of its own.
    pub own_path: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Constraint {
    pub name: String,
    /// p, u, c, f, x.
    pub kind: String,
    pub columns: Vec<String>,
    pub deferrable: bool,
    pub definition: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Policy {
    pub name: String,
    /// r select, a insert, w update, d delete, * all.
    pub command: String,
    pub permissive: bool,
    /// It concerns our role.
    pub applies: bool,
}

/// A relation that a view reads.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Base {
    pub schema: String,
    pub name: String,
    pub kind: String,
    pub columns: Vec<String>,
    /// Rights of the one in whose name the view reads (its owner, or we for a security_invoker view).
    pub reader: String,
    pub reader_select: bool,
    pub reader_insert: bool,
    /// Our own rights.
    pub select: bool,
    pub insert: bool,
    pub sequences: Vec<Sequence>,
}

impl Facts {
    /// A setting, if pg_settings was read.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    /// The relation that a statement with the table's name gets.
    pub fn chosen<'a>(&'a self, table: &Table) -> Option<&'a Relation> {
        match table.schema() {
            Some(schema) => self.exact(table).find(|relation| relation.schema == schema && relation.usage),
            None => self
                .exact(table)
                .filter(|relation| relation.position.is_some())
                .min_by_key(|relation| relation.position.unwrap_or(i64::MAX)),
        }
    }

    /// Relations whose name is the table's, letter by letter.
    pub fn exact<'a>(&'a self, table: &Table) -> impl Iterator<Item = &'a Relation> + use<'a> {
        let name = table.name().to_owned();
        self.relations.iter().filter(move |relation| relation.name == name)
    }
}

impl Relation {
    pub fn qualified(&self) -> String {
        quote::qualified(&self.schema, &self.name)
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    pub fn is_view(&self) -> bool {
        self.kind == "v"
    }
}

impl Sequence {
    pub fn qualified(&self) -> String {
        quote::qualified(&self.schema, &self.name)
    }
}
