//! Errors as the server sends them, and what is read from them.

use super::*;
use crate::diagnosis::postgresql::evidence::facts::{Constraint, Trigger};
use crate::diagnosis::postgresql::subject::tests::over_tcp;

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
    refused(&Scene::new(&subject, &facts, doing), error)
}

#[test]
fn an_error_inside_a_trigger_is_never_our_table() {
    let inside =
        ServerError { context: Some("PL/pgSQL function f() line 1".into()), ..error("42P01", "parserOpenTable") };
    let found = read(Doing::Writing, &inside);
    assert_eq!(found.id, "DBT1309");
    assert!(found.fixes.iter().all(|fix| !fix.sure), "a trigger is nobody's to switch off: {found:?}");
    let query = (1, "INSERT INTO audit VALUES (NEW.stuff)".to_owned());
    let denied = ServerError {
        code: "42501".into(),
        message: "permission denied for table audit".into(),
        internal: Some(query),
        ..inside
    };
    let found = read(Doing::Writing, &denied);
    assert_eq!((found.fixes[0].sure, found.fixes[0].text.as_str()), (false, "GRANT INSERT ON audit TO \"flasktest\";"));
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

#[test]
fn one_sqlstate_from_two_places_is_two_causes() {
    let long = ServerError {
        message: "index row size 20016 exceeds btree version 4 maximum 2704 for index \"stuff_things\"".into(),
        ..error("54000", "_bt_check_third_page")
    };
    let found = read(Doing::Writing, &long);
    assert_eq!(found.id, "DBT1334");
    assert!(found.cause.contains("index stuff_things"), "{}", found.cause);
    assert_eq!(read(Doing::Writing, &error("54001", "check_stack_depth")).id, "DBT1327");
    let library = ServerError {
        message: "could not access file \"$libdir/uuid-ossp-1.0\": No such file or directory".into(),
        ..error("58P01", "internal_load_library")
    };
    assert_eq!(read(Doing::Writing, &library).id, "DBT1336");
    assert_eq!(read(Doing::Reading, &error("58P01", "mdopenfork")).id, "DBT1406");
    assert_eq!(read(Doing::Reading, &error("53100", "dsm_impl_posix")).id, "DBT1508");
    assert_eq!(read(Doing::Reading, &error("53100", "mdextend")).id, "DBT1403");
    assert_eq!(read(Doing::Reading, &error("42704", "GetUserMapping")).id, "DBT1217");
    assert_eq!(read(Doing::Reading, &error("0A000", "GetSerializableTransactionSnapshot")).id, "DBT1222");
}

#[test]
fn the_error_alone_goes_through_the_same_rules() {
    let subject = over_tcp();
    let nothing = Facts::default();
    let alone = |error: &ServerError| refused(&Scene::new(&subject, &nothing, Doing::Writing), error).id;
    let duplicate = ServerError {
        constraint: Some("stuff_pkey".into()),
        detail: Some("Key (id)=(7) already exists.".into()),
        ..error("23505", "_bt_check_unique")
    };
    assert_eq!(alone(&duplicate), "DBT1314");
    let other = ServerError { detail: Some("Key (stuff)=(a) already exists.".into()), ..duplicate };
    assert_eq!(alone(&other), "DBT1318");
    assert_eq!(alone(&error("42P01", "parserOpenTable")), "DBT1001");
    assert_eq!(alone(&error("42703", "errorMissingColumn")), "DBT1007");
    assert_eq!(alone(&error("25006", "PreventCommandIfReadOnly")), "DBT1337");
    let denied =
        ServerError { message: "permission denied for table stuff".into(), ..error("42501", "aclcheck_error") };
    assert_eq!(alone(&denied), "DBT1101");
    assert_eq!(alone(&ServerError { message: "permission denied for table base".into(), ..denied }), "DBT1113");
}

#[test]
fn what_no_rule_knows_is_shown_as_it_came_and_called_open() {
    let strange = ServerError {
        message: "frobnication failed".into(),
        hint: Some("Set frob.level.".into()),
        detail: Some("Level is 3.".into()),
        ..error("72001", "frob")
    };
    let found = read(Doing::Writing, &strange);
    assert!(found.cause.contains("the cause is open"), "{}", found.cause);
    for said in ["Level is 3.", "Set frob.level.", "routine frob"] {
        assert!(found.cause.contains(said), "{said}: {}", found.cause);
    }
    assert_eq!(found.fixes[0].text, "-- Set frob.level.");
    assert!(found.excluded.is_empty(), "nothing was looked at that excludes anything");
}
