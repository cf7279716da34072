//! The question whose answer is [`Facts`](crate::diagnosis::postgresql::evidence::facts::Facts): one statement, of parts. A part that the server refuses
//! (a catalogue or function that is closed to our role) is left out when the parts are asked one by one.

use crate::database::Table;
use crate::diagnosis::postgresql::quote;

/// One part: its name, and an expression that gives a JSON object.
pub type Part = (&'static str, String);

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

/// What a relation has beside its name and columns; each may be refused by itself.
pub const DETAILS: [&str; 8] =
    ["sequences", "functions", "triggers", "rules", "constraints", "policies", "bases", "through"];

fn columns() -> &'static str {
    "(SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), \
           'base', coalesce(bt.typname, t.typname), 'category', coalesce(bt.typtype, t.typtype), \
           'length', CASE WHEN a.atttypmod > 4 AND t.typname IN ('varchar', 'bpchar') THEN a.atttypmod - 4 END, \
           'not_null', a.attnotnull OR t.typnotnull, 'has_default', a.atthasdef OR t.typdefault IS NOT NULL, \
           'identity', coalesce(to_jsonb(a) ->> 'attidentity', ''), \
           'generated', coalesce(to_jsonb(a) ->> 'attgenerated', '') <> '', 'stored', coalesce(to_jsonb(a) ->> 'attgenerated', '') = 's', \
           'primary', EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey)), \
           'select', has_column_privilege(c.oid, a.attnum, 'SELECT'), \
           'insert', has_column_privilege(c.oid, a.attnum, 'INSERT'), \
           'updatable', CASE WHEN c.relkind = 'v' THEN pg_column_is_updatable(c.oid, a.attnum, true) ELSE true END) \
           ORDER BY a.attnum) \
         FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type bt ON bt.oid = nullif(t.typbasetype, 0) \
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)"
}

/// A detail of relation `c`, as a JSON array.
fn detail(name: &str) -> String {
    match name {
        "sequences" => sequences("c.oid"),
        "functions" => functions(),
        "triggers" => triggers(),
        "rules" => "(SELECT json_agg(u.rulename) FROM pg_rewrite u WHERE u.ev_class = c.oid AND u.ev_type = '3' AND u.is_instead)".into(),
        "constraints" => constraints().into(),
        "policies" => policies().into(),
        "bases" => bases(),
        _ => "(SELECT json_agg(r.rolname) FROM pg_roles r WHERE r.rolname <> current_user AND pg_has_role(r.oid, 'MEMBER') \
              AND NOT pg_has_role(r.oid, 'USAGE') AND has_table_privilege(r.oid, c.oid, 'SELECT') AND has_table_privilege(r.oid, c.oid, 'INSERT'))".into(),
    }
}

fn functions() -> String {
    format!(
        "(SELECT json_agg(DISTINCT jsonb_build_object('signature', {SIGNATURE}, 'allowed', has_function_privilege(p.oid, 'EXECUTE'))) \
         FROM pg_depend fd JOIN pg_proc p ON p.oid = fd.refobjid AND fd.refclassid = 'pg_proc'::regclass \
         JOIN pg_namespace pn ON pn.oid = p.pronamespace \
         WHERE (fd.classid = 'pg_attrdef'::regclass AND fd.objid IN (SELECT oid FROM pg_attrdef WHERE adrelid = c.oid)) \
            OR (fd.classid = 'pg_constraint'::regclass AND fd.objid IN (SELECT oid FROM pg_constraint WHERE conrelid = c.oid AND contype = 'c')))"
    )
}

fn triggers() -> String {
    format!(
        "(SELECT json_agg(json_build_object('name', g.tgname, 'function', {SIGNATURE}, 'before', g.tgtype & 2 <> 0, \
           'instead', g.tgtype & 64 <> 0, 'insert', g.tgtype & 4 <> 0, 'row', g.tgtype & 1 <> 0, 'definer', p.prosecdef, \
           'own_path', coalesce(array_to_string(p.proconfig, ',') ~ '(^|,)search_path=', false))) \
         FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid JOIN pg_namespace pn ON pn.oid = p.pronamespace \
         WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D')"
    )
}

fn constraints() -> &'static str {
    "(SELECT json_agg(json_build_object('name', k.conname, 'kind', k.contype, 'deferrable', k.condeferrable, \
           'definition', pg_get_constraintdef(k.oid), 'columns', coalesce((SELECT json_agg(ka.attname) FROM pg_attribute ka \
             WHERE ka.attrelid = c.oid AND ka.attnum = ANY (k.conkey)), '[]'::json))) \
         FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('p', 'u', 'c', 'f', 'x'))"
}

fn policies() -> &'static str {
    "(SELECT json_agg(json_build_object('name', o.polname, 'command', o.polcmd, 'permissive', o.polpermissive, \
           'applies', 0 = ANY (o.polroles) OR EXISTS (SELECT FROM unnest(o.polroles) AS m (id) WHERE m.id <> 0 AND pg_has_role(m.id, 'USAGE')))) \
         FROM pg_policy o WHERE o.polrelid = c.oid)"
}

fn bases() -> String {
    let base = sequences("b.oid");
    format!(
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
    )
}

/// The relations of the table's name, with these details.
pub fn relations(table: &Table, details: &[&str]) -> String {
    let (name, columns) = (quote::literal(table.name()), columns());
    let details: String =
        details.iter().map(|name| format!(", '{name}', coalesce({}, '[]'::json)", detail(name))).collect();
    format!(
        "json_build_object('relations', coalesce((SELECT json_agg(json_build_object('schema', n.nspname, 'name', c.relname, 'kind', c.relkind, \
           'owner', pg_get_userbyid(c.relowner), 'unlogged', c.relpersistence = 'u', 'temporary', c.relpersistence = 't', \
           'usage', has_schema_privilege(n.oid, 'USAGE'), \
           'position', CASE WHEN n.oid = pg_my_temp_schema() THEN 0 ELSE array_position(current_schemas(false), n.nspname) END, \
           'insertable', CASE WHEN c.relkind IN ('v', 'f') THEN pg_relation_is_updatable(c.oid, true) & 8 <> 0 ELSE c.relkind IN ('r', 'p') END, \
           'row_security', c.relrowsecurity AND row_security_active(c.oid), \
           'columns', coalesce({columns}, '[]'::json), \
           'partitions', (SELECT count(*) FROM pg_inherits h WHERE h.inhparent = c.oid), \
           'server', (SELECT s.srvname FROM pg_foreign_table ft JOIN pg_foreign_server s ON s.oid = ft.ftserver WHERE ft.ftrelid = c.oid){details})) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE lower(c.relname) = lower({name}) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') \
           AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND (n.nspname !~ '^pg_(toast|temp)' OR n.oid = pg_my_temp_schema())), '[]'::json))"
    )
}

/// All parts but the relations. `version`: server_version_num as far as it is known, 0 if not.
pub fn parts(table: &Table, version: u32) -> Vec<Part> {
    let collation = if version >= 150_000 {
        ", 'collation_recorded', datcollversion, 'collation_actual', pg_database_collation_actual_version(oid)"
    } else {
        ""
    };
    vec![
        ("session", SESSION.into()),
        ("recovery", "json_build_object('in_recovery', pg_is_in_recovery())".into()),
        ("roles", ROLES.into()),
        (
            "database",
            format!(
                "(SELECT json_build_object('database_limit', datconnlimit, 'age', age(datfrozenxid){collation}) \
                 FROM pg_database WHERE datname = current_database())"
            ),
        ),
        ("databases", DATABASES.into()),
        ("parameters", PARAMETERS.into()),
        ("settings", SETTINGS.into()),
        ("replication", "json_build_object('standbys', (SELECT count(*) FROM pg_stat_replication))".into()),
        ("schemas", schemas(table)),
    ]
}

/// Functions and settings only: refused to nobody.
const SESSION: &str = "json_build_object('database', current_database(), 'user', current_user, 'session_user', session_user, \
   'version', current_setting('server_version_num')::int, 'path', to_json(current_schemas(false)), \
   'search_path', current_setting('search_path'), 'server_encoding', current_setting('server_encoding'), \
   'read_only', current_setting('default_transaction_read_only') = 'on', \
   'max_connections', current_setting('max_connections')::int, \
   'reserved', current_setting('superuser_reserved_connections')::int + coalesce(current_setting('reserved_connections', true), '0')::int, \
   'synchronous_standby_names', current_setting('synchronous_standby_names'), \
   'synchronous_commit', current_setting('synchronous_commit'), 'backend_pid', pg_backend_pid())";

const ROLES: &str = "json_build_object('superuser', (SELECT rolsuper FROM pg_roles WHERE rolname = current_user), \
   'valid_days', (SELECT extract(epoch FROM rolvaliduntil - now()) / 86400 FROM pg_roles WHERE rolname = session_user AND isfinite(rolvaliduntil)), \
   'role_limit', (SELECT rolconnlimit FROM pg_roles WHERE rolname = session_user))";

const DATABASES: &str = "json_build_object('databases', coalesce((SELECT json_agg(datname) FROM pg_database WHERE datallowconn AND NOT datistemplate \
   AND datname <> current_database() AND has_database_privilege(oid, 'CONNECT')), '[]'::json))";

const PARAMETERS: &str = "json_build_object('parameters', coalesce((SELECT json_agg(json_build_object('name', name, 'setting', setting, 'source', source, \
   'file', sourcefile, 'line', sourceline, 'context', context, 'reset', reset_val, 'boot', boot_val)) FROM pg_settings \
   WHERE name IN ('default_transaction_read_only', 'default_transaction_isolation', 'statement_timeout', 'row_security', 'fsync', \
     'full_page_writes', 'synchronous_commit', 'synchronous_standby_names', 'search_path', 'max_connections') \
     OR source IN ('user', 'database user', 'database', 'global')), '[]'::json))";

const SETTINGS: &str = "json_build_object('settings', coalesce((SELECT json_agg(json_build_object('config', e, 'scope', \
     CASE WHEN s.setrole <> 0 AND s.setdatabase <> 0 THEN 'database user' WHEN s.setrole <> 0 THEN 'user' \
          WHEN s.setdatabase <> 0 THEN 'database' ELSE 'global' END)) \
   FROM pg_db_role_setting s, unnest(s.setconfig) AS e \
   WHERE s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user)) \
     AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))), '[]'::json))";

fn schemas(table: &Table) -> String {
    let schema = table.schema().map_or("NULL".to_owned(), quote::literal);
    format!(
        "json_build_object('schemas', coalesce((SELECT json_agg(json_build_object('name', n.nspname, 'usage', has_schema_privilege(n.oid, 'USAGE'), \
           'create', has_schema_privilege(n.oid, 'CREATE'))) FROM pg_namespace n \
         WHERE n.nspname = {schema} OR n.nspname = 'public' OR n.nspname = current_user \
            OR n.nspname = ANY (SELECT btrim(e, ' \"') FROM unnest(string_to_array(current_setting('search_path'), ',')) AS e)), '[]'::json), \
         'closed', coalesce((SELECT json_agg(n.nspname) FROM pg_namespace n WHERE n.nspname !~ '^pg_' \
           AND NOT has_schema_privilege(n.oid, 'USAGE')), '[]'::json))"
    )
}

/// One part as a statement.
pub fn alone(part: &str) -> String {
    format!("SELECT ({part})::text")
}

/// The whole question, for a table.
pub fn whole(table: &Table, version: u32) -> String {
    let mut objects: Vec<String> =
        parts(table, version).into_iter().map(|(_, part)| format!("({part})::jsonb")).collect();
    objects.push(format!("({})::jsonb", relations(table, &DETAILS)));
    format!("SELECT ({})::text", objects.join(" || "))
}

/// server_version_num, of the version as a server greets with it: "15.18 (Debian 15.18-0)", "9.6.24", "17beta1".
pub fn number(version: &str) -> u32 {
    let major: String = version.chars().take_while(char::is_ascii_digit).collect();
    major.parse::<u32>().unwrap_or(0) * 10_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_tells_the_major_version() {
        assert_eq!(number("15.18 (Debian 15.18-0+deb12u1)"), 150_000);
        assert_eq!(number("18beta1"), 180_000);
        assert_eq!(number("unknown"), 0);
    }
}
