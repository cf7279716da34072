//! Rows that are stored though INSERT … RETURNING gives nothing back.

use super::super::support::PgBouncer;
use super::*;
use crate::database::{Connection, WriteError};

/// A trigger puts the rows into a child table and returns NULL, as partitioning was done before PostgreSQL 10.
fn route(cluster: &Cluster, when: &str) {
    cluster.psql_in(
        "appdb",
        &format!(
            "CREATE TABLE stuff_new (PRIMARY KEY (id)) INHERITS (stuff); GRANT ALL ON stuff_new TO app;
            CREATE FUNCTION route() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO stuff_new VALUES (NEW.*); RETURN NULL; END $$;
            CREATE TRIGGER route BEFORE INSERT ON stuff FOR EACH ROW {when} EXECUTE FUNCTION route()"
        ),
    );
}

fn ids(cluster: &Cluster) -> Vec<i64> {
    let ids = cluster.psql_in("appdb", "SELECT id FROM stuff ORDER BY id");
    ids.lines().map(|id| id.parse().unwrap()).collect()
}

#[test]
fn a_row_in_a_child_table_is_saved_with_its_id() {
    let cluster = trusting();
    route(&cluster, "");
    let mut saved = Vec::new();
    for _ in 0..2 {
        let mut connection = connect(by_socket(&cluster)).unwrap();
        // the same texts again and again, by each way that a statement is sent
        saved.extend((0..4).map(|_| connection.insert("a", "b").unwrap()));
        let together = connection.insert_together(&[("a", "b"), ("a", "b"), ("c", "d")]).unwrap();
        saved.extend(together.into_iter().map(Result::unwrap));
        assert!(connection.usable());
    }
    assert_eq!(saved, ids(&cluster));
}

#[test]
fn only_some_rows_may_be_routed() {
    let cluster = trusting();
    route(&cluster, "WHEN (NEW.stuff = 'new')");
    let mut connection = connect(by_socket(&cluster)).unwrap();
    let rows = ["old", "new", "old", "new", "new"];
    let saved: Vec<_> = rows.iter().map(|stuff| connection.insert(stuff, "").unwrap()).collect();
    assert_eq!(saved, ids(&cluster));
}

#[test]
fn what_is_not_found_is_unknown_and_stored_once() {
    let cluster = trusting();
    route(&cluster, "");
    // another's session may hold what the sequence last gave
    let pooler = PgBouncer::new(&cluster, "\"app\" \"\"\n", "pool_mode = transaction");
    let mut connection = connect(by_tcp(pooler.port)).unwrap();
    for row in 1..4 {
        let answer = connection.insert("a", "b");
        assert!(
            matches!(&answer, Err(WriteError::Unknown(error)) if matches!(error.cause, Cause::NoRow)),
            "{answer:?}"
        );
        assert_eq!(ids(&cluster).len(), row);
    }
    // a row of the same texts that is older must not be taken for it
    let mut connection = connect(by_socket(&cluster)).unwrap();
    connection.insert("c", "d").unwrap();
    cluster.psql_in(
        "appdb",
        "CREATE OR REPLACE FUNCTION route() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
    );
    for _ in 0..3 {
        assert!(matches!(connection.insert("c", "d"), Err(WriteError::Unknown(_))));
    }
    assert!(connection.is_alive());
}

#[test]
fn health_reads_the_table() {
    let cluster = trusting();
    let mut connection = connect(by_socket(&cluster)).unwrap();
    connection.ping().unwrap();
    cluster.psql_in("appdb", "REVOKE SELECT ON stuff FROM app");
    assert_eq!(answer(&connection.ping().unwrap_err()).code, "42501");
    cluster.psql_in("appdb", "GRANT SELECT ON stuff TO app; ALTER TABLE stuff RENAME COLUMN things TO other");
    assert_eq!(answer(&connection.ping().unwrap_err()).code, "42703");
}
