//! Values, types and whatever else a statement may meet, down to the SQLSTATE that nobody knows.

use super::said;
use super::{Scene, functions, id, relation, table, what};
use crate::database::ServerError;
use crate::diagnosis::postgresql::evidence::facts::Relation;
use crate::diagnosis::postgresql::quote::{ident, literal};
use crate::diagnosis::postgresql::rules::server;
use crate::diagnosis::postgresql::rules::setting;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

/// Text in the table that is not valid in the database's encoding.
pub(super) fn stored_bytes(scene: &Scene, error: &ServerError) -> Finding {
    let encoding = &scene.facts.server_encoding;
    let name = table(scene);
    let repair = if encoding == "SQL_ASCII" {
        // what is valid stays as it is; what is not is taken for Latin-1, the usual source
        format!(
            "DO $dbtest$ DECLARE r record; BEGIN FOR r IN SELECT ctid AS at, stuff, things FROM {name} LOOP \
             BEGIN PERFORM convert_from(r.stuff::bytea, 'UTF8'), convert_from(r.things::bytea, 'UTF8'); \
             EXCEPTION WHEN OTHERS THEN UPDATE {name} SET stuff = convert_from(convert(r.stuff::bytea, 'LATIN1', 'UTF8'), 'SQL_ASCII'), \
             things = convert_from(convert(r.things::bytea, 'LATIN1', 'UTF8'), 'SQL_ASCII') WHERE ctid = r.at; END; END LOOP; END $dbtest$;"
        )
    } else {
        String::new()
    };
    let found = finding(
        "DBT1204",
        format!(
            "A stored row holds bytes that are no {} text, and cannot be sent as UTF-8: {}",
            encoding, error.message
        ),
    )
    .not("not what a visitor typed: it came on reading, so it is in the table already");
    if repair.is_empty() {
        found.maybe(
            FixKind::Sql,
            scene.subject.psql_place(),
            format!("SELECT id FROM {name} ORDER BY id DESC LIMIT 20;"),
            Then::None,
        )
    } else {
        found.maybe(
            FixKind::Sql,
            format!(
                "{} (takes what is no UTF-8 for Latin-1, the usual source, and writes it anew: save the table first)",
                scene.subject.psql_place()
            ),
            repair,
            Then::None,
        )
    }
}

/// A character that the database's encoding lacks, in what was typed.
pub(super) fn no_such_character(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    let encoding = if facts.server_encoding.is_empty() { "its encoding" } else { facts.server_encoding.as_str() };
    let found = finding(
        "DBT1332",
        format!(
            "Database {} holds text in {encoding}, which lacks a character that was typed: {}",
            subject.database, error.message
        ),
    );
    found.maybe(
        FixKind::Sql,
        format!("{} (shows the encodings; an encoding is fixed: only a copy of the database in UTF-8 takes every character)", subject.psql_place()),
        "SELECT datname, pg_encoding_to_char(encoding), datcollate FROM pg_database;",
        Then::None,
    )
}

/// The table or a column is not found. When the catalogue was asked, it had it a moment ago.
pub(super) fn changed(scene: &Scene, error: &ServerError) -> Finding {
    let subject = scene.subject;
    let Some(relation) = relation(scene) else { return not_found(scene, error) };
    finding(
        id(scene, "DBT1213", "DBT1311"),
        format!("The catalogue shows table {}, and the statement does not find it: {}", subject.table, error.message),
    )
    .maybe(
        FixKind::Sql,
        format!(
            "{} (behind a pooler another client's SET search_path stays; this sets it for good)",
            subject.psql_place()
        ),
        format!(
            "ALTER ROLE {} IN DATABASE {} SET search_path = {};",
            ident(&scene.facts.session_user),
            ident(&scene.facts.database),
            ident(&relation.schema)
        ),
        Then::None,
    )
    .not("not a missing table: the catalogue query of the same session found it")
}

/// The same, and the catalogue was not asked (or could not be).
fn not_found(scene: &Scene, error: &ServerError) -> Finding {
    let subject = scene.subject;
    let name = subject.table.quoted();
    if error.code == "42703" {
        return finding("DBT1007", format!("Table {} lacks a column: {}", subject.table, error.message)).maybe(
            FixKind::Sql,
            subject.psql_place(),
            format!("ALTER TABLE {name} ADD COLUMN IF NOT EXISTS stuff varchar(255) NOT NULL DEFAULT '', ADD COLUMN IF NOT EXISTS things text NOT NULL DEFAULT '';"),
            Then::None,
        );
    }
    finding(
        "DBT1001",
        format!(
            "Table {} is not found: it is missing, in another database or schema, or its schema may not be used",
            subject.table
        ),
    )
    .maybe(
        FixKind::Sql,
        format!("{} (shows where a table of this name is)", subject.psql_place()),
        format!(
            "SELECT relnamespace::regnamespace, relname, relkind FROM pg_class WHERE lower(relname) = lower({});",
            literal(subject.table.name())
        ),
        Then::None,
    )
}

pub(super) fn not_insertable(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    if relation(scene).is_some_and(|relation| !relation.rules.is_empty()) {
        return functions::swallowed(scene);
    }
    let found = crate::diagnosis::postgresql::rules::schema::read(subject, facts, false);
    found.unwrap_or_else(|| {
        finding("DBT1312", format!("No row can be inserted into {}: {}", subject.table, error.message)).maybe(
            FixKind::Sql,
            subject.psql_place(),
            format!(
                "SELECT relkind, pg_get_viewdef(oid) FROM pg_class WHERE oid = {}::regclass;",
                literal(&table(scene))
            ),
            Then::None,
        )
    })
}

pub(super) fn generated(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    crate::diagnosis::postgresql::rules::schema::read(subject, facts, false).unwrap_or_else(|| {
        finding("DBT1009", format!("The database generates a column that the page sends: {}", error.message)).maybe(
            FixKind::Sql,
            format!("{} (shows the columns)", subject.psql_place()),
            format!(
                "SELECT attname, pg_get_expr(adbin, adrelid) FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum WHERE adrelid = {}::regclass;",
                literal(&table(scene))
            ),
            Then::None,
        )
    })
}

pub(super) fn types(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    crate::diagnosis::postgresql::rules::schema::read(subject, facts, false).unwrap_or_else(|| {
        finding(id(scene, "DBT1214", "DBT1323"), format!("A value does not fit the type of its column: {}", error.message))
            .maybe(
                FixKind::Sql,
                format!("{} (writes the whole table anew, which is locked meanwhile)", subject.psql_place()),
                format!(
                    "ALTER TABLE {} ALTER COLUMN stuff TYPE varchar(255) USING stuff::text, ALTER COLUMN things TYPE text USING things::text;",
                    table(scene)
                ),
                Then::None,
            )
    })
}

/// Whether the message names a setting that was set for our role, our database or both.
pub(super) fn names_a_setting(scene: &Scene, error: &ServerError) -> bool {
    scene.facts.parameters.iter().any(|one| said::names(&error.message, &one.name))
}

/// 22023 from a statement: a setting with a value that does not work here, or an argument.
pub(super) fn setting_wrong(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    let found = finding(
        id(scene, "DBT1215", "DBT1324"),
        format!("A setting or an argument has a value that does not work: {}", error.message),
    );
    // the message names the setting, in every language: only that one is taken back
    let named: Vec<&str> =
        facts.parameters.iter().map(|one| one.name.as_str()).filter(|name| said::names(&error.message, name)).collect();
    let found = match named.as_slice() {
        [name] => setting::reset(subject, facts, name, "DEFAULT", found),
        _ => found,
    };
    said::hinted(scene, error, found).maybe(
        FixKind::Sql,
        format!("{} (shows what is set for the role and the database)", subject.psql_place()),
        "SELECT setdatabase, setrole::regrole, setconfig FROM pg_db_role_setting;",
        Then::None,
    )
}

pub(super) fn data(scene: &Scene, error: &ServerError) -> Finding {
    finding(
        id(scene, "DBT1216", "DBT1325"),
        format!("{} met a value that PostgreSQL cannot handle ({}): {}", what(scene), error.code, error.message),
    )
    .maybe(
        FixKind::Sql,
        format!(
            "{} (shows defaults, checks and generated columns, where it may come from)",
            scene.subject.psql_place()
        ),
        format!(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = {0}::regclass UNION ALL \
             SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = {0}::regclass;",
            literal(&table(scene))
        ),
        Then::None,
    )
}

pub(super) fn foreign(scene: &Scene, error: &ServerError) -> Finding {
    let subject = scene.subject;
    let name = relation(scene).filter(|relation| relation.kind == "f").map(Relation::qualified);
    let found = finding(
        id(scene, "DBT1217", "DBT1326"),
        format!("Table {} lies outside this server, and that other side fails: {}", subject.table, error.message),
    );
    let which = name.unwrap_or_else(|| table(scene));
    said::hinted(scene, error, found).maybe(
        FixKind::Sql,
        subject.psql_place(),
        format!(
            "SELECT s.srvname, s.srvoptions, t.ftoptions FROM pg_foreign_table t JOIN pg_foreign_server s ON s.oid = t.ftserver WHERE t.ftrelid = {}::regclass;",
            literal(&which)
        ),
        Then::None,
    )
}

pub(super) fn limit(scene: &Scene, error: &ServerError) -> Finding {
    let found = finding(
        id(scene, "DBT1218", "DBT1327"),
        format!("{} exceeds a limit of the server ({}): {}", what(scene), error.code, error.message),
    );
    said::hinted(scene, error, found).maybe(
        FixKind::Sql,
        format!("{} (a trigger that fires itself?)", scene.subject.psql_place()),
        format!(
            "SELECT tgname, tgfoid::regprocedure FROM pg_trigger WHERE tgrelid = {}::regclass;",
            literal(&table(scene))
        ),
        Then::None,
    )
}

/// Nothing knows this one: its class, all that came, and where to look.
pub(super) fn unknown(scene: &Scene, error: &ServerError) -> Finding {
    let mut said = vec![error.message.clone()];
    let fields = [
        ("DETAIL", &error.detail),
        ("HINT", &error.hint),
        ("CONTEXT", &error.context),
        ("routine", &error.routine),
        ("file", &error.file),
    ];
    said.extend(fields.into_iter().filter_map(|(name, value)| value.as_ref().map(|value| format!("{name} {value}"))));
    let found = finding(
        id(scene, "DBT1219", "DBT1328"),
        format!(
            "{} failed, and the cause is open: SQLSTATE {} ({}): {}",
            what(scene),
            error.code,
            server::class_name(&error.code),
            said.join("; ").replace('\n', " ")
        ),
    );
    said::hinted(scene, error, found).maybe(
        FixKind::Sql,
        format!("{} (shows where the server's log is: it has the statement)", scene.subject.psql_place()),
        "SELECT current_setting('data_directory'), current_setting('log_destination'), current_setting('log_directory');",
        Then::None,
    )
}

/// The answer came, and this module could not make sense of it.
pub fn unreadable(scene: &Scene, text: &str) -> Finding {
    finding(id(scene, "DBT1220", "DBT1331"), format!("{} table {} gave an answer that could not be read: {text}", what(scene), scene.subject.table))
        .maybe(
            FixKind::Sql,
            scene.subject.psql_place(),
            format!(
                "ALTER TABLE {} ALTER COLUMN stuff TYPE varchar(255) USING stuff::text, ALTER COLUMN things TYPE text USING things::text;",
                table(scene)
            ),
            Then::None,
        )
}
