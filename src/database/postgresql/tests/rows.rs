//! Rows in and out, on every path that a statement can take.

use super::*;
use crate::database::{Connection, Create, Stage, Target, WriteError};

#[test]
fn rows_go_in_and_come_out_by_socket_and_tcp() {
    let cluster = trusting();
    for (settings, transport) in [(by_socket(&cluster), "Unix socket"), (by_tcp(cluster.port), "TCP, not encrypted")] {
        let mut connection = connect(settings).unwrap();
        let id = connection.insert("déjà vu 🐘", "שלום\n'\"\\\u{10FFFF}").unwrap();
        let next = connection.insert("second", "").unwrap();
        assert!(next > id);
        // the text first, then prepared, then by its name
        for _ in 0..4 {
            let page = connection.page(None, 1).unwrap();
            assert_eq!((page.rows.get(0).unwrap().stuff, page.more), ("second", true));
            let page = connection.page(Some(next), 20).unwrap();
            assert_eq!((page.rows.get(0).unwrap().id, page.rows.get(0).unwrap().stuff), (id, "déjà vu 🐘"));
            assert_eq!(page.rows.get(0).unwrap().things, "שלום\n'\"\\\u{10FFFF}");
        }
        connection.ping().unwrap();
        assert!(connection.usable());
        let about = connection.about();
        assert_eq!((about.product, about.database.as_str(), about.role.as_str()), ("PostgreSQL", "appdb", "app"));
        assert_eq!(about.transport, transport);
        assert_eq!(about.version, cluster.psql("SHOW server_version").split(' ').next().unwrap());
    }
}

#[test]
fn a_thousand_rows_are_paged_by_key_without_gap_or_repetition() {
    let cluster = trusting();
    cluster.psql_in(
        "appdb",
        "INSERT INTO stuff (stuff, things) SELECT 's' || n, repeat('x', 300) FROM generate_series(1, 1000) n",
    );
    cluster.psql_in("appdb", "DELETE FROM stuff WHERE id % 7 = 0");
    let mut connection = connect(by_socket(&cluster)).unwrap();
    for size in [1, 20, 100, 2000] {
        let (mut before, mut seen) = (None, Vec::new());
        loop {
            let page = connection.page(before, size).unwrap();
            assert!(page.rows.len() <= size as usize);
            seen.extend(page.rows.iter().map(|row| row.id));
            before = page.rows.last().map(|row| row.id);
            if !page.more {
                break;
            }
        }
        let expected: Vec<i64> = (1..=1000).rev().filter(|id| id % 7 != 0).collect();
        assert_eq!(seen, expected, "pages of {size}");
    }
    assert!(connection.page(Some(0), 20).unwrap().rows.is_empty());
    assert!(connection.page(Some(i64::MIN), 20).unwrap().rows.is_empty());
}

#[test]
fn a_page_is_read_backwards_from_the_index() {
    let cluster = trusting();
    cluster.psql_in("appdb", "INSERT INTO stuff (stuff, things) SELECT 's', 't' FROM generate_series(1, 50000)");
    cluster.psql_in("appdb", "ANALYZE stuff");
    let sql = super::super::statements::Query::Newest(21).sql(&Table::default(), false);
    let plan = cluster.psql_in("appdb", &format!("EXPLAIN {sql}"));
    assert!(plan.contains("Index Scan Backward using stuff_pkey"), "{plan}");
    assert!(!plan.contains("Sort"), "{plan}");
}

#[test]
fn a_large_row_and_an_answer_larger_than_the_buffer_come_through() {
    let cluster = trusting();
    let mut connection = connect(by_socket(&cluster)).unwrap();
    let large = "ü".repeat(3 << 20);
    let id = connection.insert("large", &large).unwrap();
    for _ in 0..3 {
        let page = connection.page(None, 20).unwrap();
        assert_eq!((page.rows.get(0).unwrap().id, page.rows.get(0).unwrap().things == large), (id, true));
    }
}

#[test]
fn an_answer_of_any_length_comes_through_the_driver_too() {
    let cluster = trusting();
    let mut connection = connect(by_socket(&cluster)).unwrap();
    for _ in 0..3 {
        let rows = connection.simple("SELECT n, repeat('x', n % 300) FROM generate_series(1, 20000) n").unwrap();
        assert_eq!((rows.len(), rows[19_999][0].as_deref()), (20_000, Some("20000")));
        connection.page(None, 20).unwrap();
    }
}

#[test]
fn the_table_is_created_and_reset_by_statements_that_are_shown() {
    let cluster = trusting();
    cluster.psql_in("appdb", "DROP TABLE stuff");
    cluster.psql_in("appdb", "ALTER SCHEMA public OWNER TO app");
    let target = PgTarget::new(by_socket(&cluster));
    let mut connection = connect_to(&target, &LIMITS).unwrap();
    let error = connection.page(None, 20).unwrap_err();
    assert_eq!((error.stage, answer(&error).code.as_str()), (Stage::Schema, "42P01"));
    assert!(connection.is_alive() && !connection.usable(), "it speaks, and a new one may know another search_path");
    connection.create_table().unwrap();
    for _ in 0..3 {
        // the driver and we ourselves speak over the same stream, in turns
        assert_eq!(answer(&connection.create_table().unwrap_err()).code, "42P07");
        assert!(connection.page(None, 20).unwrap().rows.is_empty());
        connection.ping().unwrap();
    }
    assert_eq!(connection.insert("a", "b").unwrap(), 1);
    connection.page(None, 20).unwrap();
    connection.page(None, 20).unwrap();
    connection.reset_table().unwrap();
    // the statement that was prepared is good for the new table as well
    assert!(connection.page(None, 20).unwrap().rows.is_empty());
    assert_eq!(connection.insert("a", "b").unwrap(), 1);
    let described = cluster.psql_in("appdb", "SELECT column_name, data_type, character_maximum_length, is_nullable FROM information_schema.columns WHERE table_name = 'stuff' ORDER BY ordinal_position");
    assert_eq!(described, "id|integer||NO\nstuff|character varying|255|NO\nthings|text||NO");
}

#[test]
fn a_failed_reset_leaves_the_table_and_no_transaction() {
    let cluster = trusting();
    let mut connection = connect(by_socket(&cluster)).unwrap();
    connection.insert("kept", "").unwrap();
    cluster.psql_in("appdb", "REVOKE CREATE ON SCHEMA public FROM PUBLIC; REVOKE CREATE ON SCHEMA public FROM app; ALTER SCHEMA public OWNER TO helm");
    let error = connection.reset_table().unwrap_err();
    assert_eq!(answer(&error).code, "42501");
    assert_eq!(connection.page(None, 20).unwrap().rows.get(0).unwrap().stuff, "kept");
    assert_eq!(cluster.psql("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"), "0");
}

#[test]
fn a_table_in_a_schema_with_other_types_answers_too() {
    let cluster = trusting();
    cluster.psql_in("appdb", "CREATE DOMAIN word AS varchar(10); CREATE SCHEMA app AUTHORIZATION app; SET ROLE app;
        CREATE TABLE app.\"Häuser\" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stuff word NOT NULL, things json NOT NULL)");
    let target = PgTarget::new(by_socket(&cluster));
    let table = Table::parse("app.Häuser").unwrap();
    let mut connection = target.connect(&table, &LIMITS, Create::Never).unwrap();
    for _ in 0..3 {
        // $2 has the type text, which is no json: the server says so, and goes on
        let Err(WriteError::NotSaved(error)) = connection.insert("wort", "{}") else { panic!("json took a text") };
        assert_eq!((answer(&error).code.as_str(), error.stage), ("42804", Stage::Write));
        connection.page(Some(9), 20).unwrap();
    }
    cluster.psql_in("appdb", "INSERT INTO app.\"Häuser\" (stuff, things) VALUES ('wort', '{\"a\": 1}')");
    assert_eq!(connection.page(None, 20).unwrap().rows.get(0).unwrap().things, "{\"a\": 1}");
}

#[test]
fn other_encodings_of_the_database_are_converted_by_the_server() {
    let cluster = trusting();
    cluster.psql("CREATE DATABASE latin OWNER app ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    let mut connection = connect(PgSettings { dbname: Some("latin".into()), ..by_socket(&cluster) }).unwrap();
    cluster.psql_in("latin", "GRANT CREATE ON SCHEMA public TO app");
    connection.create_table().unwrap();
    connection.insert("déjà", "vu").unwrap();
    assert_eq!(connection.page(None, 20).unwrap().rows.get(0).unwrap().stuff, "déjà");
    let Err(WriteError::NotSaved(error)) = connection.insert("🐘", "") else { panic!("an elephant in LATIN1") };
    assert_eq!(answer(&error).code, "22P05");
    connection.insert("still", "usable").unwrap();
}

#[test]
fn rows_that_cannot_be_shown_are_named_and_the_connection_goes_on() {
    let cluster = trusting();
    cluster.psql("CREATE DATABASE ascii OWNER app ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0");
    cluster.psql_in("ascii", "CREATE TABLE stuff (id int, stuff text, things text); GRANT ALL ON stuff TO app");
    let mut connection = connect(PgSettings { dbname: Some("ascii".into()), ..by_socket(&cluster) }).unwrap();
    let cases = [("(7, E'\\xff', 'b')", "ERROR 22021"), ("(NULL, 'a', 'b')", "\"id\" is NULL")];
    for (row, problem) in cases {
        cluster.psql_in("ascii", &format!("TRUNCATE stuff; INSERT INTO stuff VALUES {row}"));
        for _ in 0..3 {
            let error = connection.page(None, 20).unwrap_err();
            assert_eq!(error.stage, Stage::Read);
            assert!(error.to_string().contains(problem), "{error}");
            assert!(connection.usable());
        }
    }
    cluster.psql_in("ascii", "TRUNCATE stuff; INSERT INTO stuff VALUES (1, NULL, 'é')");
    let page = connection.page(None, 20).unwrap();
    assert_eq!((page.rows.get(0).unwrap().stuff, page.rows.get(0).unwrap().things), ("", "é"));
}

/// Inserts three rows together, the second of them "bad": which were acknowledged, and what is in the table.
fn together(cluster: &Cluster, connection: &mut dyn Connection) -> ([bool; 3], String) {
    let rows = [("a", "1"), ("bad", "2"), ("c", "3")];
    let answers = connection.insert_together(&rows).unwrap();
    for (answer, (stuff, _)) in answers.iter().zip(rows) {
        match answer {
            Ok(id) => assert_eq!(cluster.psql_in("appdb", &format!("SELECT stuff FROM stuff WHERE id = {id}")), stuff),
            // what a trigger swallowed is not proved to be nowhere
            Err(WriteError::Unknown(error)) => assert!(matches!(error.cause, Cause::NoRow), "{error}"),
            Err(WriteError::NotSaved(_)) => {}
        }
    }
    let saved: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    let stored = cluster.psql_in("appdb", "SELECT string_agg(stuff, ',' ORDER BY id) FROM stuff");
    (saved.try_into().unwrap(), stored)
}

#[test]
fn of_rows_inserted_together_none_drags_another_down() {
    let cluster = trusting();
    let ignore = "CREATE FUNCTION ignore() RETURNS trigger LANGUAGE plpgsql AS \
                  $$ BEGIN IF new.stuff = 'bad' THEN RETURN NULL; END IF; RETURN new; END $$;";
    let late = "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS \
                $$ BEGIN IF new.stuff = 'bad' THEN RAISE 'no'; END IF; RETURN NULL; END $$;";
    cluster.psql_in("appdb", &format!("{ignore} {late}"));
    for (change, undo, bad) in [
        ("", "", true),
        ("ALTER TABLE stuff ADD CONSTRAINT c CHECK (stuff <> 'bad')", "ALTER TABLE stuff DROP CONSTRAINT c", false),
        (
            "CREATE TRIGGER t BEFORE INSERT ON stuff FOR EACH ROW EXECUTE FUNCTION ignore()",
            "DROP TRIGGER t ON stuff",
            false,
        ),
        // the commit itself fails
        (
            "CREATE CONSTRAINT TRIGGER t AFTER INSERT ON stuff DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION late()",
            "DROP TRIGGER t ON stuff",
            false,
        ),
    ] {
        cluster.psql_in("appdb", &format!("TRUNCATE stuff; {change}"));
        let mut connection = connect(by_socket(&cluster)).unwrap();
        // the text first, then prepared, then by its name
        for _ in 0..3 {
            let (saved, stored) = together(&cluster, &mut connection);
            assert_eq!(saved, [true, bad, true], "{change}");
            assert_eq!(stored, if bad { "a,bad,c" } else { "a,c" }, "{change}");
            assert!(connection.usable());
            cluster.psql_in("appdb", "TRUNCATE stuff");
        }
        cluster.psql_in("appdb", undo);
    }
}

#[test]
fn rows_inserted_together_are_one_transaction() {
    let cluster = trusting();
    let mut connection = connect(by_socket(&cluster)).unwrap();
    for _ in 0..3 {
        connection.insert_together(&[("a", "b"); 50]).unwrap().into_iter().collect::<Result<Vec<_>, _>>().unwrap();
    }
    let found = cluster.psql_in("appdb", "SELECT count(*), count(DISTINCT xmin::text) FROM stuff");
    assert_eq!(found, "150|3");
}
