//! Reading an error that a statement met: the page's SELECT or its INSERT. By SQLSTATE and routine, with
//! what the catalogue says about the table; an error from inside a trigger or function (context or internal
//! query present) is never taken for one of our own statement. Every class of SQLSTATE has an answer.

use super::draft::{Draft, finding};
use super::facts::{Constraint, Facts, Relation};
use super::pooler;
use super::quote::{ident, literal, qualified};
use super::server;
use super::subject::Subject;
use crate::database::ServerError;
use crate::diagnosis::{Finding, FixKind, Then};

/// What was being tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    Reading,
    Writing,
    /// The checks that a COMMIT would make.
    Committing,
}

/// A session that stands in the way of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    pub pid: i64,
    pub user: String,
    /// "idle in transaction", "active" …; empty when we may not see it.
    pub state: String,
    pub application: String,
    pub mode: String,
}

/// All that is known when a statement fails.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    pub subject: &'a Subject,
    pub facts: &'a Facts,
    pub doing: Doing,
    pub blockers: &'a [Blocker],
}

/// The finding for the server's error.
pub fn refused(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    if pooler::speaks(error) {
        return pooler::refused(subject, error, pooler::When::Statement);
    }
    if let Some(found) = server::state(subject, error) {
        return found;
    }
    let inside = error.internal.is_some() || error.context.is_some();
    let code = error.code.as_str();
    let routine = error.routine.as_deref().unwrap_or_default();
    match (code, routine) {
        ("55P03", _) => locked(scene, false),
        ("57014", _) => cancelled(scene),
        ("25006", _) => super::lasting::read_only(subject, facts),
        ("40001" | "40P01" | "40000", _) => retry(scene, error),
        ("25P02" | "25001" | "25P01", _) => transaction_state(scene, error),
        ("26000" | "42P05", _) | ("0A000", "RevalidateCachedQuery") => prepared(error),
        ("22021" | "22P05" | "22P04", _) if scene.doing == Doing::Reading => stored_bytes(scene, error),
        ("44000", _) => view_check(scene, error),
        (_, "ExecWithCheckOptions" | "check_enable_rls") => row_security(scene, error),
        ("42704", _) if error.position.is_none() || inside => setting_missing(scene, error),
        _ if inside && code.starts_with("P0") => raised(scene, error),
        ("42501" | "42P01" | "42883" | "42703" | "3F000" | "42809", _) if inside => inside_trigger(scene, error),
        _ if inside && scene.doing != Doing::Reading && !trigger_names(facts, subject).is_empty() => {
            inside_trigger(scene, error)
        }
        ("42501", "nextval_internal" | "nextval_oid" | "nextval") => sequence_right(scene, error),
        ("42501", _) => privilege(scene, error),
        ("42P01" | "42703" | "3F000", _) => changed(scene, error),
        ("42809" | "55000" | "0A000", _) if scene.doing == Doing::Writing => not_insertable(scene, error),
        ("23514", _) if error.constraint.is_none() => partition(scene, error),
        (code, _) if code.starts_with("23") => constraint(scene, error),
        ("2200H", _) => sequence_end(scene, error),
        ("22003", _) => number_end(scene, error),
        ("428C9", _) => generated(scene, error),
        ("22001", _) => too_long(scene, error),
        ("42804" | "22P02" | "22007" | "22008" | "42846" | "42883", _) => types(scene, error),
        ("22023", _) => setting_wrong(scene, error),
        (code, _) if code.starts_with("22") => data(scene, error),
        (code, _) if code.starts_with("HV") || code.starts_with("38") || code.starts_with("39") => {
            foreign(scene, error)
        }
        (code, _) if code.starts_with("P0") => raised(scene, error),
        (code, _) if code.starts_with("54") => limit(scene, error),
        _ => unknown(scene, error),
    }
}

/// The id of a finding that may come from a read or a write.
fn id(scene: &Scene, reading: &'static str, writing: &'static str) -> &'static str {
    if scene.doing == Doing::Reading { reading } else { writing }
}

fn what(scene: &Scene) -> &'static str {
    match scene.doing {
        Doing::Reading => "Reading",
        Doing::Writing => "Inserting",
        Doing::Committing => "Committing",
    }
}

fn relation<'a>(scene: &Scene<'a>) -> Option<&'a Relation> {
    scene.facts.chosen(&scene.subject.table)
}

fn table(scene: &Scene) -> String {
    relation(scene).map_or_else(|| scene.subject.table.quoted(), Relation::qualified)
}

fn role(scene: &Scene) -> String {
    let user = if scene.facts.user.is_empty() { &scene.subject.role } else { &scene.facts.user };
    ident(user)
}

/// Somebody holds a lock. `silent`: it was our own time that ran out, not the server's.
pub fn locked(scene: &Scene, silent: bool) -> Finding {
    let subject = scene.subject;
    let Some(first) = scene.blockers.first() else {
        return finding(
            id(scene, "DBT1201", "DBT1303"),
            format!("{} waited in vain for a lock on table {}, and the one who held it is gone now", what(scene), subject.table),
        )
        .maybe(
            FixKind::Sql,
            subject.psql_place(),
            format!(
                "SELECT pid, usename, state, query FROM pg_stat_activity WHERE pid IN (SELECT pid FROM pg_locks WHERE relation = {}::regclass);",
                literal(&table(scene))
            ),
            Then::None,
        )
        .not("not a missing privilege: the statement was accepted, and had to wait");
    };
    let who = format!(
        "process {} of role {}{}{}",
        first.pid,
        first.user,
        if first.state.is_empty() { String::new() } else { format!(" ({})", first.state) },
        if first.application.is_empty() { String::new() } else { format!(", {}", first.application) },
    );
    let ends: Vec<String> =
        scene.blockers.iter().map(|blocker| format!("SELECT pg_terminate_backend({});", blocker.pid)).collect();
    let waited = if silent { "did not end in time" } else { "waited in vain" };
    finding(
        id(scene, "DBT1201", "DBT1303"),
        format!("{} {waited}: {who} holds a lock on table {} ({})", what(scene), subject.table, first.mode),
    )
    .sure(
        FixKind::Sql,
        format!("{} (ends that session; its transaction is undone)", subject.psql_place()),
        ends.join(" "),
        Then::None,
    )
    .not("not a missing privilege: the statement was accepted, and had to wait")
    .not("not a slow query: pg_locks shows who is waited for")
}

/// 57014 without a lock: a timeout of the server's, or somebody cancelled.
fn cancelled(scene: &Scene) -> Finding {
    if !scene.blockers.is_empty() {
        return locked(scene, false);
    }
    let Scene { subject, facts, .. } = *scene;
    let limit = facts.statement_timeout;
    let found = finding(
        id(scene, "DBT1202", "DBT1304"),
        if limit > 0 {
            format!("{} was cancelled by the server: statement_timeout is {limit} ms", what(scene))
        } else {
            format!("{} took too long and was cancelled", what(scene))
        },
    )
    .not("not a lock: pg_locks shows nobody in the way");
    let (user, database) = (ident(&facts.session_user), ident(&facts.database));
    let text = match facts.statement_timeout_source.as_deref() {
        _ if limit == 0 => {
            return found
                .maybe(FixKind::Sql, subject.psql_place(), format!("VACUUM ANALYZE {};", table(scene)), Then::None)
                .maybe(
                    FixKind::Httpd,
                    subject.httpd_place(),
                    "DBTestTimeout connect=3s query=30s wait=1s",
                    Then::Reload,
                );
        }
        Some("user") => format!("ALTER ROLE {user} RESET statement_timeout;"),
        Some("database user") => format!("ALTER ROLE {user} IN DATABASE {database} RESET statement_timeout;"),
        Some("database") => format!("ALTER DATABASE {database} RESET statement_timeout;"),
        _ if subject.settings.options.as_ref().is_some_and(|options| options.contains("statement_timeout")) => {
            return found.sure(
                FixKind::Httpd,
                format!("{} (without options)", subject.httpd_place()),
                subject.directive(|settings| settings.options = None),
                Then::Reload,
            );
        }
        _ => return found.sure(FixKind::PostgresqlConf, subject.conf_place(), "statement_timeout = 0", Then::Reload),
    };
    found.sure(FixKind::Sql, subject.psql_place(), text, Then::None)
}

/// Our own time ran out, nobody is in the way.
pub fn too_slow(scene: &Scene) -> Finding {
    if scene.blockers.is_empty() {
        return finding(
            id(scene, "DBT1203", "DBT1306"),
            format!("{} got no answer within DBTestTimeout's query time: a connection cut silently on the way, or a slow server", what(scene)),
        )
        .maybe(
            FixKind::Httpd,
            scene.subject.httpd_place(),
            scene.subject.directive(|settings| {
                settings.tcp_user_timeout = Some(std::time::Duration::from_secs(5));
                settings.keepalives_idle = Some(std::time::Duration::from_secs(60));
            }),
            Then::Reload,
        )
        .maybe(FixKind::Sql, scene.subject.psql_place(), format!("VACUUM ANALYZE {};", table(scene)), Then::None)
        .not("not a lock: pg_locks shows nobody in the way");
    }
    locked(scene, true)
}

fn retry(scene: &Scene, error: &ServerError) -> Finding {
    finding(
        id(scene, "DBT1208", "DBT1307"),
        format!("{} met another transaction and was undone ({}): try again", what(scene), error.message),
    )
    .maybe(FixKind::Shell, "any shell", "true", Then::None)
    .not("not a fault of table or role: the same statement succeeds when nobody crosses it")
}

fn transaction_state(scene: &Scene, error: &ServerError) -> Finding {
    finding(
        id(scene, "DBT1209", "DBT1308"),
        format!("The transaction was already broken or missing: {}", error.message),
    )
    .maybe(
        FixKind::Shell,
        "a root shell on this machine (new children open new connections)",
        "apachectl graceful",
        Then::None,
    )
    .not("not a privilege and not the table: an earlier statement of this session failed")
}

fn prepared(error: &ServerError) -> Finding {
    finding(
        "DBT1211",
        format!(
            "The server does not know the statement any more ({}): a pooler in between, or the table was changed",
            error.message
        ),
    )
    .maybe(
        FixKind::Shell,
        "a root shell on this machine (new children open new connections)",
        "apachectl graceful",
        Then::None,
    )
    .not("not a privilege: the statement was not even read")
}

/// Text in the table that is not valid in the database's encoding.
fn stored_bytes(scene: &Scene, error: &ServerError) -> Finding {
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

fn row_security(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, .. } = *scene;
    let name = relation(scene).map_or("stuff", |relation| relation.name.as_str());
    let command = if scene.doing == Doing::Reading { "SELECT" } else { "ALL" };
    let clause = if scene.doing == Doing::Reading { "USING (true)" } else { "USING (true) WITH CHECK (true)" };
    let restrictive: Vec<String> = relation(scene)
        .map(|relation| {
            relation
                .policies
                .iter()
                .filter(|policy| policy.applies && !policy.permissive)
                .map(|policy| policy.name.clone())
                .collect()
        })
        .unwrap_or_default();
    let mut found = finding(
        id(scene, "DBT1109", "DBT1110"),
        format!("Row level security of table {} refuses: {}", subject.table, error.message),
    )
    .not("not a missing GRANT: the privileges are there, row level security comes on top");
    if restrictive.is_empty() {
        found = found.sure(
            FixKind::Sql,
            subject.psql_place(),
            format!(
                "CREATE POLICY {} ON {} FOR {command} TO {} {clause};",
                ident(&format!("{name}_dbtest_{}", command.to_lowercase())),
                table(scene),
                role(scene)
            ),
            Then::None,
        );
    }
    for policy in restrictive {
        found = found.maybe(
            FixKind::Sql,
            subject.psql_place(),
            format!("DROP POLICY {} ON {};", ident(&policy), table(scene)),
            Then::None,
        );
    }
    found
}

/// An expression (of a policy, default or check) asks for a setting that is not set.
fn setting_missing(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    let found = finding(
        id(scene, "DBT1111", "DBT1112"),
        format!(
            "A policy, default, check or trigger of table {} wants something that does not exist: {}",
            subject.table, error.message
        ),
    )
    .not("not the table and not its columns: the catalogue has them");
    // a parameter of an extension has a dot in its name; the server quotes it in every language
    let name = error
        .message
        .split(|c: char| !(c.is_alphanumeric() || c == '.' || c == '_'))
        .find(|word| word.contains('.') && !word.starts_with('.') && !word.ends_with('.'));
    match name {
        Some(name) => found.sure(
            FixKind::Sql,
            subject.psql_place(),
            format!(
                "ALTER ROLE {} IN DATABASE {} SET {name} = '';",
                ident(&facts.session_user),
                ident(&facts.database)
            ),
            Then::None,
        ),
        None => found.maybe(
            FixKind::Sql,
            subject.psql_place(),
            format!(
                "SELECT polname, pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = {}::regclass;",
                literal(&table(scene))
            ),
            Then::None,
        ),
    }
}

/// The triggers that an insert fires.
fn trigger_names(facts: &Facts, subject: &Subject) -> Vec<String> {
    let Some(relation) = facts.chosen(&subject.table) else { return Vec::new() };
    relation.triggers.iter().filter(|trigger| trigger.insert).map(|trigger| trigger.name.clone()).collect()
}

/// A trigger of ours failed inside: on a table, function or privilege of its own.
fn inside_trigger(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, .. } = *scene;
    let context = error.context.as_deref().unwrap_or_default().replace('\n', "; ");
    let mut found = finding(
        id(scene, "DBT1205", "DBT1309"),
        format!("{} fires a trigger or function that fails: {} (in: {context})", what(scene), error.message),
    )
    .not(format!("not table {} itself: the server gives a context, so the error is inside a function", subject.table));
    let candidates: Vec<_> = relation(scene)
        .map(|relation| relation.triggers.iter().filter(|trigger| trigger.insert).collect())
        .unwrap_or_default();
    // the name of the function stands in the context, in every language
    let named: Vec<_> = candidates
        .iter()
        .filter(|trigger| {
            let plain = trigger
                .function
                .split('(')
                .next()
                .unwrap_or_default()
                .rsplit('.')
                .next()
                .unwrap_or_default()
                .trim_matches('"');
            context.contains(plain)
        })
        .copied()
        .collect();
    let chosen = if named.is_empty() { candidates } else { named };
    if error.code == "42501" {
        for trigger in &chosen {
            found = found.sure(
                FixKind::Sql,
                format!("{} (the function then acts with its owner's rights)", subject.psql_place()),
                format!("ALTER FUNCTION {} SECURITY DEFINER;", trigger.function),
                Then::None,
            );
        }
    }
    for trigger in &chosen {
        let text = format!("ALTER TABLE {} DISABLE TRIGGER {};", table(scene), ident(&trigger.name));
        let place = format!("{} (if the trigger can be done without)", subject.psql_place());
        found = if error.code == "42501" || chosen.len() > 1 {
            found.maybe(FixKind::Sql, place, text, Then::None)
        } else {
            found.sure(FixKind::Sql, place, text, Then::None)
        };
    }
    if chosen.is_empty() {
        found = found.maybe(
            FixKind::Sql,
            subject.psql_place(),
            format!(
                "SELECT tgname, tgfoid::regprocedure FROM pg_trigger WHERE tgrelid = {}::regclass;",
                literal(&table(scene))
            ),
            Then::None,
        );
    }
    found
}

fn raised(scene: &Scene, error: &ServerError) -> Finding {
    let mut found = inside_trigger(scene, error);
    found.id = id(scene, "DBT1212", "DBT1310");
    found.cause = format!("A function in the database refuses the row by its own rule: {}", error.message);
    found
}

fn sequence_right(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    let all: Vec<String> = relation(scene)
        .map(|relation| {
            let below = relation.bases.iter().flat_map(|base| &base.sequences);
            relation
                .sequences
                .iter()
                .chain(below)
                .filter(|sequence| !sequence.identity)
                .map(|sequence| sequence.qualified())
                .collect()
        })
        .unwrap_or_default();
    let text: Vec<String> =
        all.iter().map(|name| format!("GRANT USAGE ON SEQUENCE {name} TO {};", role(scene))).collect();
    let found = finding(
        "DBT1102",
        format!("Role {} may not use the sequence that numbers the rows: {}", facts.user, error.message),
    )
    .not("not a right on the table: the sequence was reached");
    if text.is_empty() {
        let schema = relation(scene).map_or("public", |relation| relation.schema.as_str());
        let all = format!("GRANT USAGE ON ALL SEQUENCES IN SCHEMA {} TO {};", ident(schema), role(scene));
        return found.sure(FixKind::Sql, subject.psql_place(), all, Then::None);
    }
    found.sure(FixKind::Sql, subject.psql_place(), text.join(" "), Then::None)
}

/// A privilege that the catalogue query did not foresee.
fn privilege(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, doing, .. } = *scene;
    let found = finding("DBT1113", format!("Role {} lacks a privilege: {}", facts.user, error.message));
    let missing = relation(scene)
        .map(|relation| super::privileges::missing(facts, relation, doing == Doing::Reading))
        .unwrap_or_default();
    if !missing.is_empty() {
        return found.sure(FixKind::Sql, subject.psql_place(), missing.join(" "), Then::None);
    }
    found
        .maybe(
            FixKind::Sql,
            subject.psql_place(),
            format!("GRANT SELECT, INSERT ON {} TO {};", table(scene), role(scene)),
            Then::None,
        )
        .maybe(
            FixKind::Sql,
            format!("{} (if a type or function is meant)", subject.psql_place()),
            format!("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {};", role(scene)),
            Then::None,
        )
        .not("not a right on the table itself: the catalogue shows SELECT and INSERT granted")
}

/// The catalogue had it a moment ago.
fn changed(scene: &Scene, error: &ServerError) -> Finding {
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

fn not_insertable(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    if relation(scene).is_some_and(|relation| !relation.rules.is_empty()) {
        return swallowed(scene);
    }
    let found = super::table::read(subject, facts, false);
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

fn partition(scene: &Scene, error: &ServerError) -> Finding {
    let subject = scene.subject;
    let (schema, name) =
        relation(scene).map_or(("public", subject.table.name()), |r| (r.schema.as_str(), r.name.as_str()));
    finding(
        "DBT1313",
        format!("Table {} is partitioned, and no partition takes the new row: {}", subject.table, error.message),
    )
    .sure(
        FixKind::Sql,
        subject.psql_place(),
        format!(
            "CREATE TABLE {} PARTITION OF {} DEFAULT;",
            qualified(schema, &format!("{name}_default")),
            table(scene)
        ),
        Then::None,
    )
    .not("not a CHECK constraint, though the SQLSTATE is the same (23514): no constraint is named")
}

fn constraint(scene: &Scene, error: &ServerError) -> Finding {
    let subject = scene.subject;
    let name = error.constraint.as_deref().unwrap_or_default();
    let known =
        relation(scene).and_then(|relation| relation.constraints.iter().find(|constraint| constraint.name == name));
    match error.code.as_str() {
        "23502" => not_null(scene, error),
        "23505" if is_key_of_id(known, scene) => behind(scene),
        _ => rule(scene, error, known, subject),
    }
}

/// Is it the primary key of id, for which the page sent no value?
fn is_key_of_id(known: Option<&Constraint>, scene: &Scene) -> bool {
    match known {
        Some(constraint) => constraint.columns == ["id"],
        // a unique index without a constraint has the table's name in front, by custom only: then the column's
        None => relation(scene)
            .is_some_and(|relation| relation.constraints.iter().all(|constraint| constraint.columns != ["id"])),
    }
}

fn behind(scene: &Scene) -> Finding {
    let name = table(scene);
    let sequence =
        relation(scene).and_then(|relation| relation.sequences.iter().find(|sequence| sequence.column == "id"));
    let which = match sequence {
        Some(sequence) => format!("{}::regclass", literal(&sequence.qualified())),
        None => format!("pg_get_serial_sequence({}, 'id')::regclass", literal(&name)),
    };
    finding(
        "DBT1314",
        format!(
            "The sequence that numbers the rows of {} is behind: it gives an id that is in the table already",
            scene.subject.table
        ),
    )
    .sure(
        FixKind::Sql,
        scene.subject.psql_place(),
        format!("SELECT setval({which}, (SELECT max(id) FROM {name}));"),
        Then::None,
    )
    .not("not a duplicate that a visitor typed: the page sends no id")
}

fn not_null(scene: &Scene, error: &ServerError) -> Finding {
    let column = error.column.as_deref().unwrap_or("id");
    let found = finding(
        "DBT1315",
        format!("Column {column} of table {} must have a value, and nobody gives one", scene.subject.table),
    )
    .not("not the columns of the form: stuff and things were sent");
    found.sure(
        FixKind::Sql,
        scene.subject.psql_place(),
        format!("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL;", table(scene), ident(column)),
        Then::None,
    )
}

/// A CHECK, a foreign key, a unique or exclusion constraint that our row does not obey.
fn rule(scene: &Scene, error: &ServerError, known: Option<&Constraint>, subject: &Subject) -> Finding {
    let name = error.constraint.as_deref().unwrap_or_default();
    let definition = known.map_or(String::new(), |constraint| format!(" ({})", constraint.definition));
    let kind = match error.code.as_str() {
        "23503" => "foreign key",
        "23505" => "unique constraint",
        "23514" => "CHECK",
        "23P01" => "exclusion constraint",
        _ => "constraint",
    };
    let deferred = if scene.doing == Doing::Committing { ", which is checked only at COMMIT" } else { "" };
    let number = match (scene.doing, error.code.as_str()) {
        (Doing::Committing, _) => "DBT1402",
        (_, "23503") => "DBT1316",
        (_, "23514") => "DBT1317",
        _ => "DBT1318",
    };
    let found = finding(
        number,
        format!(
            "Table {} has the {kind} {name}{definition}{deferred}, which an ordinary row does not obey",
            subject.table
        ),
    )
    .not("not a missing privilege and not a wrong type: the row was complete, a rule of the table refused it");
    if name.is_empty() {
        return found.maybe(
            FixKind::Sql,
            subject.psql_place(),
            format!(
                "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = {}::regclass;",
                literal(&table(scene))
            ),
            Then::None,
        );
    }
    let text = if known.is_some() || !matches!(error.code.as_str(), "23505") {
        format!("ALTER TABLE {} DROP CONSTRAINT {};", table(scene), ident(name))
    } else {
        format!("DROP INDEX {};", relation(scene).map_or(ident(name), |relation| qualified(&relation.schema, name)))
    };
    found.sure(
        FixKind::Sql,
        format!("{} (if the rule is not meant for this page's rows)", subject.psql_place()),
        text,
        Then::None,
    )
}

fn view_check(scene: &Scene, error: &ServerError) -> Finding {
    finding(
        "DBT1319",
        format!(
            "{} is a view WITH CHECK OPTION, and the new row is not one it would show: {}",
            scene.subject.table, error.message
        ),
    )
    .sure(
        FixKind::Sql,
        scene.subject.psql_place(),
        format!("ALTER VIEW {} RESET (check_option);", table(scene)),
        Then::None,
    )
    .not("not a CHECK of the table: that would be 23514")
}

fn sequence_end(scene: &Scene, error: &ServerError) -> Finding {
    let sequence = relation(scene).and_then(|relation| {
        let below = relation.bases.iter().flat_map(|base| &base.sequences);
        relation.sequences.iter().chain(below).find(|sequence| sequence.column == "id")
    });
    let found = finding("DBT1320", format!("The sequence that numbers the rows is at its end: {}", error.message))
        .not("not the column's type: the sequence has a limit of its own");
    let name = table(scene);
    let text = match sequence {
        Some(sequence) if sequence.identity => {
            format!(
                "ALTER TABLE {name} ALTER COLUMN id TYPE bigint, ALTER COLUMN id SET NO MAXVALUE; ALTER SEQUENCE {} AS bigint NO MAXVALUE;",
                sequence.qualified()
            )
        }
        Some(sequence) => {
            format!(
                "ALTER SEQUENCE {} AS bigint NO MAXVALUE; ALTER TABLE {name} ALTER COLUMN id TYPE bigint;",
                sequence.qualified()
            )
        }
        None => {
            return found.maybe(
                FixKind::Sql,
                scene.subject.psql_place(),
                format!("ALTER TABLE {name} ALTER COLUMN id TYPE bigint;"),
                Then::None,
            );
        }
    };
    found.sure(FixKind::Sql, scene.subject.psql_place(), text, Then::None)
}

fn number_end(scene: &Scene, error: &ServerError) -> Finding {
    finding("DBT1321", format!("The next id is too large for column id: {}", error.message))
        .sure(
            FixKind::Sql,
            scene.subject.psql_place(),
            format!("ALTER TABLE {} ALTER COLUMN id TYPE bigint;", table(scene)),
            Then::None,
        )
        .not("not a number that a visitor typed: the page sends texts only")
}

fn generated(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    super::table::read(subject, facts, false).unwrap_or_else(|| {
        finding("DBT1009", format!("The database generates a column that the page sends: {}", error.message)).maybe(
            FixKind::Sql,
            subject.psql_place(),
            format!("ALTER TABLE {} ALTER COLUMN things DROP EXPRESSION;", table(scene)),
            Then::None,
        )
    })
}

fn too_long(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    let longer = facts.chosen(&subject.table).and_then(|relation| super::table::short_column(subject, relation));
    let found =
        finding("DBT1322", format!("A column of table {} is too short for the text: {}", subject.table, error.message))
            .not("not a text that is longer than the form permits: the check sends a short one");
    match longer.as_ref().and_then(|finding| finding.fixes.first()) {
        Some(fix) => found.sure(fix.kind, fix.place.clone(), fix.text.clone(), fix.then),
        None => found.sure(
            FixKind::Sql,
            subject.psql_place(),
            format!(
                "ALTER TABLE {} ALTER COLUMN stuff TYPE varchar(255), ALTER COLUMN things TYPE text;",
                table(scene)
            ),
            Then::None,
        ),
    }
}

fn types(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    super::table::read(subject, facts, false).unwrap_or_else(|| {
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
fn setting_wrong(scene: &Scene, error: &ServerError) -> Finding {
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

fn data(scene: &Scene, error: &ServerError) -> Finding {
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

fn foreign(scene: &Scene, error: &ServerError) -> Finding {
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

fn limit(scene: &Scene, error: &ServerError) -> Finding {
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
fn unknown(scene: &Scene, error: &ServerError) -> Finding {
    finding(
        id(scene, "DBT1219", "DBT1328"),
        format!("{} failed with {} ({}): {}", what(scene), error.code, server::class_name(&error.code), error.message),
    )
    .maybe(
        FixKind::Shell,
        format!("{} (the server's log has the statement)", scene.subject.server_shell()),
        "tail -n 50 $(ls -t /var/log/postgresql/*.log /var/lib/pgsql/data/log/* 2>/dev/null | head -n 1)",
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

/// The finding when nothing is known but the error: the catalogue was not asked.
pub fn by_error_alone(scene: &Scene, error: &ServerError) -> Finding {
    let subject = scene.subject;
    let inside = error.internal.is_some() || error.context.is_some();
    let name = subject.table.quoted();
    let role = role(scene);
    match error.code.as_str() {
        "42P01" if !inside => finding(
            "DBT1001",
            format!("Table {} is not found: it is missing, in another database or schema, or its schema may not be used", subject.table),
        )
        .maybe(
            FixKind::Shell,
            "a browser on this machine (the check tells which it is)",
            "curl -s http://localhost/dbtest/check",
            Then::None,
        ),
        "42703" if !inside => finding("DBT1007", format!("Table {} lacks a column: {}", subject.table, error.message)).maybe(
            FixKind::Sql,
            subject.psql_place(),
            format!("ALTER TABLE {name} ADD COLUMN IF NOT EXISTS stuff varchar(255) NOT NULL DEFAULT '', ADD COLUMN IF NOT EXISTS things text NOT NULL DEFAULT '';"),
            Then::None,
        ),
        "42501" if !inside && error.routine.as_deref() == Some("aclcheck_error") => {
            finding("DBT1101", format!("Role {} lacks a privilege: {}", subject.role, error.message)).maybe(
                FixKind::Sql,
                subject.psql_place(),
                format!("GRANT SELECT, INSERT ON {name} TO {role};"),
                Then::None,
            )
        }
        "25006" => finding("DBT1302", format!("The server takes no rows here: a standby, or default_transaction_read_only is on ({})", error.message)),
        _ => refused(scene, error),
    }
}

/// The statement succeeded and returned no row: a trigger or rule swallowed it.
pub fn swallowed(scene: &Scene) -> Finding {
    let subject = scene.subject;
    let found = finding(
        "DBT1329",
        format!(
            "An insert into {} stores nothing: a trigger throws the row away, or a rule does something else instead",
            subject.table
        ),
    )
    .not("not a privilege and not a lock: PostgreSQL raised no error at all");
    let Some(relation) = relation(scene) else { return found };
    if let Some(rule) = relation.rules.first() {
        return found.sure(
            FixKind::Sql,
            subject.psql_place(),
            format!("DROP RULE {} ON {};", ident(rule), relation.qualified()),
            Then::None,
        );
    }
    let suspects: Vec<_> = relation
        .triggers
        .iter()
        .filter(|trigger| trigger.insert && (trigger.before || trigger.instead) && trigger.row)
        .collect();
    let sure = suspects.len() == 1;
    suspects.into_iter().fold(found, |found, trigger| {
        let text = format!("ALTER TABLE {} DISABLE TRIGGER {};", relation.qualified(), ident(&trigger.name));
        if sure {
            found.sure(FixKind::Sql, subject.psql_place(), text, Then::None)
        } else {
            found.maybe(FixKind::Sql, subject.psql_place(), text, Then::None)
        }
    })
}

/// What was stored is not what was sent.
pub fn altered(scene: &Scene, column: &str) -> Finding {
    let subject = scene.subject;
    let found = finding(
        "DBT1330",
        format!(
            "The database stores another text in column {column} of {} than was sent: a trigger or rule changes it",
            subject.table
        ),
    );
    let Some(relation) = relation(scene) else { return found };
    let suspects: Vec<_> = relation.triggers.iter().filter(|trigger| trigger.insert && trigger.before).collect();
    suspects.into_iter().fold(found, |found, trigger| {
        found.maybe(
            FixKind::Sql,
            format!("{} (if that is not meant)", subject.psql_place()),
            format!("ALTER TABLE {} DISABLE TRIGGER {};", relation.qualified(), ident(&trigger.name)),
            Then::None,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::facts::Trigger;
    use super::super::subject::tests::over_tcp;
    use super::*;

    fn error(code: &str, routine: &str) -> ServerError {
        ServerError { code: code.into(), routine: Some(routine.into()), ..ServerError::default() }
    }

    fn facts() -> Facts {
        let relation = Relation {
            schema: "public".into(),
            name: "stuff".into(),
            kind: "r".into(),
            usage: true,
            position: Some(1),
            constraints: vec![Constraint {
                name: "stuff_pkey".into(),
                kind: "p".into(),
                columns: vec!["id".into()],
                ..Constraint::default()
            }],
            triggers: vec![Trigger {
                name: "audit".into(),
                function: "public.f()".into(),
                insert: true,
                row: true,
                ..Trigger::default()
            }],
            ..Relation::default()
        };
        Facts {
            user: "flasktest".into(),
            session_user: "flasktest".into(),
            database: "d".into(),
            relations: vec![relation],
            ..Facts::default()
        }
    }

    fn read(doing: Doing, error: &ServerError) -> Finding {
        let (subject, facts) = (over_tcp(), facts());
        refused(&Scene { subject: &subject, facts: &facts, doing, blockers: &[] }, error)
    }

    #[test]
    fn an_error_inside_a_trigger_is_never_our_table() {
        let inside =
            ServerError { context: Some("PL/pgSQL function f() line 1".into()), ..error("42P01", "parserOpenTable") };
        let found = read(Doing::Writing, &inside);
        assert_eq!(found.id, "DBT1309");
        assert_eq!(found.fixes[0].text, "ALTER TABLE \"public\".\"stuff\" DISABLE TRIGGER \"audit\";");
        let found = read(Doing::Writing, &ServerError { code: "42501".into(), ..inside });
        assert_eq!(found.fixes[0].text, "ALTER FUNCTION public.f() SECURITY DEFINER;");
    }

    #[test]
    fn a_primary_key_that_the_page_did_not_send_is_a_sequence_behind() {
        let duplicate = ServerError { constraint: Some("stuff_pkey".into()), ..error("23505", "_bt_check_unique") };
        assert_eq!(read(Doing::Writing, &duplicate).id, "DBT1314");
        let other = ServerError { constraint: Some("stuff_stuff_key".into()), ..duplicate };
        assert_eq!(read(Doing::Writing, &other).id, "DBT1318");
    }

    #[test]
    fn a_missing_partition_is_no_check() {
        assert_eq!(read(Doing::Writing, &error("23514", "ExecFindPartition")).id, "DBT1313");
        let check = ServerError { constraint: Some("c".into()), ..error("23514", "ExecConstraints") };
        assert_eq!(read(Doing::Writing, &check).id, "DBT1317");
        assert_eq!(read(Doing::Committing, &check).id, "DBT1402");
    }

    #[test]
    fn every_class_of_sqlstate_has_an_answer_with_a_fix() {
        let classes = "01 02 03 08 09 0A 0B 0F 0L 0P 0Z 20 21 22 23 24 25 26 27 28 2B 2D 2F 34 38 39 3B 3D 3F 40 42 44 53 54 55 57 58 72 F0 HV P0 XX";
        for class in classes.split(' ') {
            for doing in [Doing::Reading, Doing::Writing, Doing::Committing] {
                let found = read(doing, &error(&format!("{class}000"), "somewhere"));
                assert!(!found.fixes.is_empty() && !found.cause.is_empty(), "{class}: {}", found.id);
            }
        }
    }
}
