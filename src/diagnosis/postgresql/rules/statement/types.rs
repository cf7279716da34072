//! Values, types and whatever else a statement may meet, down to the SQLSTATE that nobody knows.

use super::functions;
use super::{Scene, id, relation, table, what};
use crate::database::ServerError;
use crate::diagnosis::postgresql::gather::facts::Relation;
use crate::diagnosis::postgresql::quote::{ident, literal};
use crate::diagnosis::postgresql::rules::server;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::{Finding, FixKind, Then};

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
        found.sure(FixKind::Sql, scene.subject.psql_place(), repair, Then::None)
    }
}

/// The catalogue had it a moment ago.
pub(super) fn changed(scene: &Scene, error: &ServerError) -> Finding {
    let subject = scene.subject;
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
            relation(scene).map_or("public".into(), |relation| ident(&relation.schema))
        ),
        Then::None,
    )
    .not("not a missing table: the catalogue query of the same session found it")
}

pub(super) fn not_insertable(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    if relation(scene).is_some_and(|relation| !relation.rules.is_empty()) {
        return functions::swallowed(scene);
    }
    let found = crate::diagnosis::postgresql::rules::schema::read(subject, facts, false);
    found.unwrap_or_else(|| {
        finding("DBT1312", format!("No row can be inserted into {}: {}", subject.table, error.message))
            .maybe(
                FixKind::Sql,
                subject.psql_place(),
                format!(
                    "SELECT relkind, pg_get_viewdef(oid) FROM pg_class WHERE oid = {}::regclass;",
                    literal(&table(scene))
                ),
                Then::None,
            )
            .not("not a missing privilege: that would be 42501")
    })
}

pub(super) fn generated(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    crate::diagnosis::postgresql::rules::schema::read(subject, facts, false).unwrap_or_else(|| {
        finding("DBT1009", format!("The database generates a column that the page sends: {}", error.message)).maybe(
            FixKind::Sql,
            subject.psql_place(),
            format!("ALTER TABLE {} ALTER COLUMN things DROP EXPRESSION;", table(scene)),
            Then::None,
        )
    })
}

pub(super) fn types(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    crate::diagnosis::postgresql::rules::schema::read(subject, facts, false).unwrap_or_else(|| {
        finding(id(scene, "DBT1214", "DBT1323"), format!("A value does not fit the type of its column: {}", error.message))
            .sure(
                FixKind::Sql,
                subject.psql_place(),
                format!(
                    "ALTER TABLE {} ALTER COLUMN stuff TYPE varchar(255) USING stuff::text, ALTER COLUMN things TYPE text USING things::text;",
                    table(scene)
                ),
                Then::None,
            )
            .not("not a missing column: the catalogue has all three")
    })
}

/// 22023 from a statement: a setting with a value that does not work here.
pub(super) fn setting_wrong(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    let (user, database) = (ident(&facts.session_user), ident(&facts.database));
    finding(id(scene, "DBT1215", "DBT1324"), format!("A setting of this session has a value that does not work: {}", error.message))
        .sure(
            FixKind::Sql,
            subject.psql_place(),
            format!("ALTER ROLE {user} RESET ALL; ALTER ROLE {user} IN DATABASE {database} RESET ALL; ALTER DATABASE {database} RESET ALL;"),
            Then::None,
        )
        .not("not the row: its texts are plain")
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
    .not("not a privilege and not a lock: class 22 is a data exception")
}

pub(super) fn foreign(scene: &Scene, error: &ServerError) -> Finding {
    let subject = scene.subject;
    let name = relation(scene).filter(|relation| relation.kind == "f").map(Relation::qualified);
    let found = finding(
        id(scene, "DBT1217", "DBT1326"),
        format!("Table {} lies outside this server, and that other side fails: {}", subject.table, error.message),
    )
    .not("not our own connection and not our privileges: class HV, 38 or 39 comes from beyond this server");
    let which = name.unwrap_or_else(|| table(scene));
    found.maybe(
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
    finding(
        id(scene, "DBT1218", "DBT1327"),
        format!("{} exceeds a limit of the server ({}): {}", what(scene), error.code, error.message),
    )
    .maybe(FixKind::PostgresqlConf, scene.subject.conf_place(), "max_stack_depth = 2MB", Then::Reload)
    .maybe(
        FixKind::Sql,
        format!("{} (a trigger that fires itself?)", scene.subject.psql_place()),
        format!(
            "SELECT tgname, tgfoid::regprocedure FROM pg_trigger WHERE tgrelid = {}::regclass;",
            literal(&table(scene))
        ),
        Then::None,
    )
    .not("not a privilege and not a lock: class 54 is a limit of the program")
}

/// Nothing knows this one: its class, all that came, and where to look.
pub(super) fn unknown(scene: &Scene, error: &ServerError) -> Finding {
    finding(
        id(scene, "DBT1219", "DBT1328"),
        format!("{} failed with {} ({}): {}", what(scene), error.code, server::class_name(&error.code), error.message),
    )
    .maybe(
        FixKind::Shell,
        format!("{} (the server's log has the statement)", scene.subject.server_shell()),
        crate::diagnosis::postgresql::server_commands::LOG,
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
        .not("not a refusal by the server: it answered")
}
