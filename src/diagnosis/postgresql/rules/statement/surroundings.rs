//! What lies below or around the server, told apart by the routine that raised the error: one SQLSTATE is a full disk
//! here and a small /dev/shm there, a lost table here and a missing package there.

use super::{Scene, id, relation, table, what};
use crate::database::ServerError;
use crate::diagnosis::postgresql::quote::{ident, literal, qualified};
use crate::diagnosis::postgresql::rules::setting;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

/// The finding if one of these routines raised it.
pub(super) fn read(scene: &Scene, error: &ServerError) -> Option<Finding> {
    let routine = error.routine.as_deref().unwrap_or_default();
    let file = error.file.as_deref().unwrap_or_default();
    match (error.code.as_str(), routine) {
        ("58P01" | "42501", _) if routine.starts_with("internal_load_library") || file == "dfmgr.c" => {
            Some(library(scene, error))
        }
        ("42883", "lookup_external_function" | "load_external_function") => Some(library(scene, error)),
        ("53100" | "53200" | "58030", _) if routine.starts_with("dsm_impl") || file == "dsm_impl.c" => {
            Some(shared_memory(scene, error))
        }
        ("XX001" | "XX000", _) if is_toast(error, routine, file) => Some(toast(scene, error)),
        ("54000", _) if is_index(routine, file) => Some(index_row(scene, error)),
        ("0A000", "GetSerializableTransactionSnapshotInt" | "GetSerializableTransactionSnapshot") => {
            Some(serializable_standby(scene, error))
        }
        ("42704", "GetUserMapping") => Some(user_mapping(scene, error)),
        _ => None,
    }
}

/// An index that cannot hold the value; an error of a limit, not of the stack.
fn is_index(routine: &str, file: &str) -> bool {
    [
        "_bt_check_third_page",
        "_bt_findinsertloc",
        "_bt_buildadd",
        "index_form_tuple",
        "index_form_tuple_context",
        "gistplacetopage",
        "GinFormTuple",
        "SpGistPageAddNewItem",
        "spgdoinsert",
        "brin_form_tuple",
    ]
    .contains(&routine)
        || ["nbtutils.c", "nbtinsert.c", "indextuple.c", "gist.c", "ginentrypage.c", "spgdoinsert.c", "brin_tuple.c"]
            .contains(&file)
}

fn is_toast(error: &ServerError, routine: &str, file: &str) -> bool {
    routine.starts_with("toast_fetch_datum")
        || routine == "heap_fetch_toast_slice"
        || file == "detoast.c"
        || error.message.contains("pg_toast_")
}

/// A library of an extension is not there, or is another version.
fn library(scene: &Scene, error: &ServerError) -> Finding {
    let name = error
        .message
        .split(['"', '«', '»', '“', '”', '„'])
        .map(str::trim)
        .find(|part| part.contains("$libdir/") || part.contains("/lib"))
        .and_then(|part| part.rsplit('/').next())
        .unwrap_or_default()
        .to_owned();
    let found = finding(
        id(scene, "DBT1221", "DBT1336"),
        format!(
            "{} calls a function of an extension whose library is not installed on the server: {}",
            what(scene),
            error.message
        ),
    )
    .not(format!(
        "not a lost file of a table: it was raised where libraries are loaded ({})",
        error.routine.as_deref().unwrap_or("dfmgr.c")
    ));
    let place = scene.subject.psql_place();
    let extension = name.split("-1").next().unwrap_or(&name).trim_end_matches(".so").to_owned();
    found
        .maybe(
            FixKind::Shell,
            format!("{} (is the package of the extension there? After an upgrade of PostgreSQL it is another one)", scene.subject.server_shell()),
            format!("ls -l \"$(pg_config --pkglibdir)\" | grep -F -- {}", crate::diagnosis::host::shell::word(&extension)),
            Then::None,
        )
        .maybe(
            FixKind::Sql,
            format!("{place} (shows whose function it is, and whether ALTER EXTENSION … UPDATE is due)"),
            format!(
                "SELECT p.oid::regprocedure, p.probin, e.extname, e.extversion, a.default_version FROM pg_proc p \
                 LEFT JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e' LEFT JOIN pg_extension e ON e.oid = d.refobjid \
                 LEFT JOIN pg_available_extensions a ON a.name = e.extname WHERE p.probin LIKE {};",
                literal(&format!("%{name}%"))
            ),
            Then::None,
        )
}

/// The shared memory of a parallel query: /dev/shm of the server, not its disk.
fn shared_memory(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    let role = ident(&setting::login(subject, facts));
    finding(
        "DBT1508",
        format!("The server's shared memory is too small (/dev/shm; in a container 64 MB unless it is told otherwise): {}", error.message),
    )
    .not("not the disk of the database: it was raised where shared memory is made (dsm_impl)")
    .maybe(
        FixKind::Sql,
        format!("{} (this role's queries then run in one process; back: RESET)", subject.psql_place()),
        format!("ALTER ROLE {role} IN DATABASE {} SET max_parallel_workers_per_gather = 0;", ident(&subject.database)),
        Then::None,
    )
    .maybe(
        FixKind::Shell,
        format!("{} (shows its size; docker run --shm-size=256m, shm_size: in compose, an emptyDir of medium Memory in Kubernetes)", subject.server_shell()),
        "df -h /dev/shm",
        Then::None,
    )
}

/// A long value's pieces are gone: one row is damaged.
fn toast(scene: &Scene, error: &ServerError) -> Finding {
    let name = table(scene);
    finding(
        "DBT1206",
        format!("A long value of one row of {} is damaged, and every list that holds the row fails: {}", scene.subject.table, error.message),
    )
    .not("not the table as a whole: a piece of one long value is missing (TOAST)")
    .maybe(
        FixKind::Sql,
        format!("{} (finds the rows; then save the others, overwrite or delete these, or restore a backup)", scene.subject.psql_place()),
        format!(
            "DO $dbtest$ DECLARE r record; BEGIN FOR r IN SELECT ctid, id FROM {name} LOOP BEGIN \
             PERFORM length(stuff), length(things), md5(stuff::text), md5(things::text) FROM {name} WHERE ctid = r.ctid; \
             EXCEPTION WHEN OTHERS THEN RAISE NOTICE 'id %: %', r.id, SQLERRM; END; END LOOP; END $dbtest$;"
        ),
        Then::None,
    )
    .maybe(
        FixKind::Shell,
        format!("{} (is the disk failing?)", scene.subject.server_shell()),
        "dmesg | grep -iE 'i/o error|ata|nvme' | tail",
        Then::None,
    )
}

/// The text is too long for an index.
fn index_row(scene: &Scene, error: &ServerError) -> Finding {
    let subject = scene.subject;
    // the message names the index, in every language; the field too in some versions
    let index = error.constraint.clone().or_else(|| {
        let quoted = |part: &&str| !part.contains(' ') && !part.is_empty();
        let mut parts = error.message.split(['"', '«', '»', '“', '”', '„']).skip(1);
        parts.find(quoted).map(str::to_owned)
    });
    let says = index.as_deref().map_or("an index".to_owned(), |index| format!("index {index}"));
    let mut found =
        finding("DBT1334", format!("The text is too long for {says} of table {}: {}", subject.table, error.message))
            .not("not max_stack_depth and not a trigger: it was raised where the index row is made");
    let schema = error.schema.as_deref().or(relation(scene).map(|relation| relation.schema.as_str()));
    if let (Some(index), Some(schema)) = (index, schema) {
        found = found.maybe(
            FixKind::Sql,
            format!(
                "{} (if whole texts need not be compared by it; an index on md5(things), or USING hash, takes any length; back: the statement that pg_get_indexdef shows)",
                subject.psql_place()
            ),
            format!("DROP INDEX {};", qualified(schema, &index)),
            Then::None,
        );
    }
    found.maybe(
        FixKind::Sql,
        format!("{} (shows the indexes)", subject.psql_place()),
        format!("SELECT indexdef FROM pg_indexes WHERE tablename = {};", literal(subject.table.name())),
        Then::None,
    )
}

/// A hot standby cannot serve serializable transactions.
fn serializable_standby(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    let name = "default_transaction_isolation";
    let found = finding(
        id(scene, "DBT1222", "DBT1301"),
        format!(
            "The server at {} is a standby, and {name} is serializable ({}), which a standby cannot serve: {}",
            subject.server(),
            setting::where_set(facts, name),
            error.message
        ),
    )
    .not(
        "not a fault of the table: the transaction was refused before it was read (GetSerializableTransactionSnapshot)",
    );
    // it is written on the primary, and comes over from there
    let role = ident(&setting::login(subject, facts));
    found
        .maybe(
            FixKind::Sql,
            format!(
                "psql as a superuser in database {} of the primary (it comes over to the standby)",
                subject.database
            ),
            format!("ALTER ROLE {role} IN DATABASE {} SET {name} = 'repeatable read';", ident(&subject.database)),
            Then::None,
        )
        .maybe(
            FixKind::Httpd,
            format!("{} (for this page only)", subject.httpd_place()),
            subject.directive(|settings| {
                let before = settings.options.take().map(|options| format!("{options} ")).unwrap_or_default();
                settings.options = Some(format!("{before}-c {name}=repeatable\\ read"));
            }),
            Then::Reload,
        )
}

/// The foreign server knows no login for our role.
fn user_mapping(scene: &Scene, error: &ServerError) -> Finding {
    let subject = scene.subject;
    let role = super::role(scene);
    let foreign = relation(scene).and_then(|relation| relation.server.clone());
    let found = finding(
        id(scene, "DBT1217", "DBT1326"),
        format!(
            "Table {} is on a foreign server, on which role {role} has no login (USER MAPPING): {}",
            subject.table, error.message
        ),
    )
    .not("not a privilege on the table: the server got as far as the foreign server's login (GetUserMapping)");
    let place = format!("{} (with the login on the other server)", subject.psql_place());
    match foreign {
        Some(server) => found.maybe(
            FixKind::Sql,
            place,
            format!(
                "CREATE USER MAPPING FOR {role} SERVER {} OPTIONS (user {}, password '<PASSWORD>');",
                ident(&server),
                literal(&subject.role)
            ),
            Then::None,
        ),
        None => found.maybe(
            FixKind::Sql,
            format!("{} (shows the servers; then CREATE USER MAPPING FOR {role} SERVER …)", subject.psql_place()),
            "SELECT srvname, srvoptions FROM pg_foreign_server;",
            Then::None,
        ),
    }
}
