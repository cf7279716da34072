//! What the catalogues say, asked in one round trip that raises no error: the session, and every relation
//! whose name is that of the table in any case and any schema. A plain role may read all of it.
//!
//! The answer is one JSON text, so that the question can grow without a decoder growing beside it.

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
    pub superuser: bool,
    /// server_version_num.
    pub version: u32,
    /// current_schemas(false): only schemas that exist and that we may use.
    pub path: Vec<String>,
    /// The setting, as written.
    pub search_path: String,
    pub server_encoding: String,
    /// Days until the role's password expires (rolvaliduntil).
    pub valid_days: Option<f64>,
    pub in_recovery: bool,
    pub read_only: bool,
    /// pg_settings.source of default_transaction_read_only.
    pub read_only_source: Option<String>,
    pub max_connections: i64,
    /// superuser_reserved_connections and reserved_connections.
    pub reserved: i64,
    pub role_limit: i64,
    pub database_limit: i64,
    pub synchronous_standby_names: String,
    pub synchronous_commit: String,
    /// Rows of pg_stat_replication: connected standbys.
    pub standbys: i64,
    pub backend_pid: i64,
    /// As the session began with it: milliseconds; 0 for none.
    pub statement_timeout: i64,
    /// "user", "database user" or "database", if it was set for one of those.
    pub statement_timeout_source: Option<String>,
    /// Other databases that this role may connect to.
    pub databases: Vec<String>,
    pub schemas: Vec<SchemaFacts>,
    pub relations: Vec<Relation>,
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
    /// Position of the schema in current_schemas(false), from 1.
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
    /// Partitions, of a partitioned table.
    pub partitions: i64,
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

/// A function as it stands in GRANT and ALTER FUNCTION.
const SIGNATURE: &str = "format('%I.%I(%s)', pn.nspname, p.proname, pg_get_function_identity_arguments(p.oid))";

/// Sequences that the defaults of relation `{rel}` take values from, as a JSON array.
fn sequences(relation: &str) -> String {
    format!(
        "coalesce((SELECT json_agg(json_build_object('schema', sn.nspname, 'name', s.relname, 'column', sa.attname, \
           'identity', sd.deptype = 'i', \
           'allowed', has_sequence_privilege(s.oid, 'USAGE') OR has_sequence_privilege(s.oid, 'UPDATE'))) \
         FROM pg_class s JOIN pg_namespace sn ON sn.oid = s.relnamespace \
         JOIN (SELECT dd.refobjid AS seq, ad.adnum AS num, 'n' AS deptype FROM pg_attrdef ad JOIN pg_depend dd \
               ON dd.classid = 'pg_attrdef'::regclass AND dd.objid = ad.oid AND dd.refclassid = 'pg_class'::regclass \
               WHERE ad.adrelid = {relation} \
               UNION SELECT di.objid, di.refobjsubid, 'i' FROM pg_depend di WHERE di.classid = 'pg_class'::regclass \
               AND di.refclassid = 'pg_class'::regclass AND di.refobjid = {relation} AND di.deptype = 'i') sd \
           ON sd.seq = s.oid AND s.relkind = 'S' \
         JOIN pg_attribute sa ON sa.attrelid = {relation} AND sa.attnum = sd.num), '[]'::json)"
    )
}

/// The question, for a table.
pub fn question(table: &Table) -> String {
    let name = quote::literal(table.name());
    let schema = table.schema().map_or("NULL".to_owned(), quote::literal);
    let (own, base) = (sequences("c.oid"), sequences("b.oid"));
    let columns = "(SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), \
           'base', coalesce(bt.typname, t.typname), 'category', coalesce(bt.typtype, t.typtype), \
           'length', CASE WHEN a.atttypmod > 4 AND t.typname IN ('varchar', 'bpchar') THEN a.atttypmod - 4 END, \
           'not_null', a.attnotnull OR t.typnotnull, 'has_default', a.atthasdef OR t.typdefault IS NOT NULL, \
           'identity', coalesce(to_jsonb(a) ->> 'attidentity', ''), \
           'generated', coalesce(to_jsonb(a) ->> 'attgenerated', '') <> '', \
           'primary', EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey)), \
           'select', has_column_privilege(c.oid, a.attnum, 'SELECT'), \
           'insert', has_column_privilege(c.oid, a.attnum, 'INSERT'), \
           'updatable', CASE WHEN c.relkind = 'v' THEN pg_column_is_updatable(c.oid, a.attnum, true) ELSE true END) \
           ORDER BY a.attnum) \
         FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type bt ON bt.oid = nullif(t.typbasetype, 0) \
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)";
    let functions = format!(
        "(SELECT json_agg(DISTINCT jsonb_build_object('signature', {SIGNATURE}, 'allowed', has_function_privilege(p.oid, 'EXECUTE'))) \
         FROM pg_depend fd JOIN pg_proc p ON p.oid = fd.refobjid AND fd.refclassid = 'pg_proc'::regclass \
         JOIN pg_namespace pn ON pn.oid = p.pronamespace \
         WHERE (fd.classid = 'pg_attrdef'::regclass AND fd.objid IN (SELECT oid FROM pg_attrdef WHERE adrelid = c.oid)) \
            OR (fd.classid = 'pg_constraint'::regclass AND fd.objid IN (SELECT oid FROM pg_constraint WHERE conrelid = c.oid AND contype = 'c')))"
    );
    let triggers = format!(
        "(SELECT json_agg(json_build_object('name', g.tgname, 'function', {SIGNATURE}, 'before', g.tgtype & 2 <> 0, \
           'instead', g.tgtype & 64 <> 0, 'insert', g.tgtype & 4 <> 0, 'row', g.tgtype & 1 <> 0, 'definer', p.prosecdef)) \
         FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid JOIN pg_namespace pn ON pn.oid = p.pronamespace \
         WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D')"
    );
    let constraints = "(SELECT json_agg(json_build_object('name', k.conname, 'kind', k.contype, 'deferrable', k.condeferrable, \
           'definition', pg_get_constraintdef(k.oid), 'columns', coalesce((SELECT json_agg(ka.attname) FROM pg_attribute ka \
             WHERE ka.attrelid = c.oid AND ka.attnum = ANY (k.conkey)), '[]'::json))) \
         FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('p', 'u', 'c', 'f', 'x'))";
    let policies = "(SELECT json_agg(json_build_object('name', o.polname, 'command', o.polcmd, 'permissive', o.polpermissive, \
           'applies', 0 = ANY (o.polroles) OR EXISTS (SELECT FROM unnest(o.polroles) AS m (id) WHERE m.id <> 0 AND pg_has_role(m.id, 'USAGE')))) \
         FROM pg_policy o WHERE o.polrelid = c.oid)";
    let bases = format!(
        "(SELECT json_agg(json_build_object('schema', bn.nspname, 'name', b.relname, 'kind', b.relkind, 'reader', v.reader, \
           'columns', (SELECT json_agg(ba.attname) FROM pg_attribute ba WHERE ba.attrelid = b.oid AND ba.attnum > 0 AND NOT ba.attisdropped), \
           'reader_select', has_table_privilege(v.reader, b.oid, 'SELECT'), 'reader_insert', has_table_privilege(v.reader, b.oid, 'INSERT'), \
           'select', has_table_privilege(b.oid, 'SELECT'), 'insert', has_table_privilege(b.oid, 'INSERT'), 'sequences', {base})) \
         FROM (SELECT DISTINCT vd.refobjid AS id, CASE WHEN array_to_string(c.reloptions, ',') ~ 'security_invoker=(true|on|1)' \
                 THEN current_user ELSE pg_get_userbyid(c.relowner) END AS reader \
               FROM pg_rewrite w JOIN pg_depend vd ON vd.classid = 'pg_rewrite'::regclass AND vd.objid = w.oid \
                 AND vd.refclassid = 'pg_class'::regclass AND vd.refobjid <> c.oid WHERE w.ev_class = c.oid) v \
         JOIN pg_class b ON b.oid = v.id AND b.relkind IN ('r', 'p', 'v', 'f', 'm') JOIN pg_namespace bn ON bn.oid = b.relnamespace \
         WHERE c.relkind IN ('v', 'm'))"
    );
    let relations = format!(
        "(SELECT json_agg(json_build_object('schema', n.nspname, 'name', c.relname, 'kind', c.relkind, \
           'owner', pg_get_userbyid(c.relowner), 'unlogged', c.relpersistence = 'u', 'usage', has_schema_privilege(n.oid, 'USAGE'), \
           'position', array_position(current_schemas(false), n.nspname), \
           'insertable', CASE WHEN c.relkind IN ('v', 'f') THEN pg_relation_is_updatable(c.oid, true) & 8 <> 0 ELSE c.relkind IN ('r', 'p') END, \
           'row_security', c.relrowsecurity AND row_security_active(c.oid), \
           'columns', coalesce({columns}, '[]'::json), 'sequences', {own}, \
           'functions', coalesce({functions}, '[]'::json), 'triggers', coalesce({triggers}, '[]'::json), \
           'rules', coalesce((SELECT json_agg(u.rulename) FROM pg_rewrite u WHERE u.ev_class = c.oid AND u.ev_type = '3' AND u.is_instead), '[]'::json), \
           'constraints', coalesce({constraints}, '[]'::json), 'policies', coalesce({policies}, '[]'::json), \
           'partitions', (SELECT count(*) FROM pg_inherits h WHERE h.inhparent = c.oid), \
           'bases', coalesce({bases}, '[]'::json), \
           'through', coalesce((SELECT json_agg(r.rolname) FROM pg_roles r WHERE r.rolname <> current_user AND pg_has_role(r.oid, 'MEMBER') \
              AND NOT pg_has_role(r.oid, 'USAGE') AND has_table_privilege(r.oid, c.oid, 'SELECT') AND has_table_privilege(r.oid, c.oid, 'INSERT')), '[]'::json))) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE lower(c.relname) = lower({name}) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') \
           AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)')"
    );
    let schemas = format!(
        "(SELECT json_agg(json_build_object('name', n.nspname, 'usage', has_schema_privilege(n.oid, 'USAGE'), \
           'create', has_schema_privilege(n.oid, 'CREATE'))) FROM pg_namespace n \
         WHERE n.nspname = {schema} OR n.nspname = 'public' OR n.nspname = current_user \
            OR n.nspname = ANY (SELECT btrim(e, ' \"') FROM unnest(string_to_array(current_setting('search_path'), ',')) AS e))"
    );
    format!(
        "SELECT json_build_object('database', current_database(), 'user', current_user, 'session_user', session_user, \
           'superuser', (SELECT rolsuper FROM pg_roles WHERE rolname = current_user), \
           'version', current_setting('server_version_num')::int, 'path', to_json(current_schemas(false)), \
           'search_path', current_setting('search_path'), 'server_encoding', current_setting('server_encoding'), \
           'valid_days', (SELECT extract(epoch FROM rolvaliduntil - now()) / 86400 FROM pg_roles WHERE rolname = session_user AND isfinite(rolvaliduntil)), \
           'in_recovery', pg_is_in_recovery(), 'read_only', current_setting('default_transaction_read_only') = 'on', \
           'read_only_source', (SELECT source FROM pg_settings WHERE name = 'default_transaction_read_only'), \
           'max_connections', current_setting('max_connections')::int, \
           'reserved', current_setting('superuser_reserved_connections')::int + coalesce(current_setting('reserved_connections', true), '0')::int, \
           'role_limit', (SELECT rolconnlimit FROM pg_roles WHERE rolname = session_user), \
           'database_limit', (SELECT datconnlimit FROM pg_database WHERE datname = current_database()), \
           'synchronous_standby_names', current_setting('synchronous_standby_names'), \
           'synchronous_commit', current_setting('synchronous_commit'), \
           'standbys', (SELECT count(*) FROM pg_stat_replication), 'backend_pid', pg_backend_pid(), \
           'statement_timeout', (SELECT reset_val::bigint FROM pg_settings WHERE name = 'statement_timeout'), \
           'statement_timeout_source', (SELECT CASE WHEN s.setrole <> 0 AND s.setdatabase <> 0 THEN 'database user' WHEN s.setrole <> 0 THEN 'user' ELSE 'database' END \
             FROM pg_db_role_setting s WHERE s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user)) \
             AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) \
             AND EXISTS (SELECT FROM unnest(s.setconfig) e WHERE e LIKE 'statement_timeout=%') \
             ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC LIMIT 1), \
           'databases', coalesce((SELECT json_agg(datname) FROM pg_database WHERE datallowconn AND NOT datistemplate \
             AND datname <> current_database() AND has_database_privilege(oid, 'CONNECT')), '[]'::json), \
           'schemas', coalesce({schemas}, '[]'::json), 'relations', coalesce({relations}, '[]'::json))::text"
    )
}

/// Reads the answer.
pub fn answer(json: &str) -> Result<Facts, serde_json::Error> {
    serde_json::from_str(json)
}
