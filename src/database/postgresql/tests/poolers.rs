//! Through PgBouncer, where the next transaction may meet another server process.

use super::super::support::PgBouncer;
use super::*;
use crate::database::{Connection, Stage, WriteError};

#[test]
fn no_statement_is_prepared_behind_a_pooler() {
    let cluster = trusting();
    cluster.conf("log_statement = all");
    cluster.reload();
    for mode in ["transaction", "session", "statement"] {
        let pooler =
            PgBouncer::new(&cluster, "\"app\" \"\"\n", &format!("pool_mode = {mode}\nserver_reset_query_always = 0"));
        let target = PgTarget::new(by_tcp(pooler.port));
        let mut connections: Vec<_> = (0..3).map(|_| connect_to(&target, &LIMITS).unwrap()).collect();
        for round in 0..5 {
            for connection in &mut connections {
                connection.insert(&format!("{mode} {round}"), "").unwrap();
                assert_eq!(connection.page(None, 20).unwrap().rows.get(0).unwrap().stuff, format!("{mode} {round}"));
                connection.page(Some(1), 20).unwrap();
            }
        }
    }
    assert!(!cluster.log().contains("execute dbtest_"), "a named statement was used:\n{}", cluster.log());
}

#[test]
fn directly_they_are_prepared() {
    let cluster = trusting();
    cluster.conf("log_statement = all");
    cluster.reload();
    let mut connection = connect(by_tcp(cluster.port)).unwrap();
    for _ in 0..3 {
        connection.insert("a", "b").unwrap();
        connection.page(None, 20).unwrap();
    }
    let named = |text: &str| {
        cluster.log().lines().filter(|line| line.contains("execute dbtest_") && line.contains(text)).count()
    };
    assert_eq!((named("INSERT"), named("SELECT")), (2, 3), "{}", cluster.log());
}

#[test]
fn statements_that_are_forgotten_are_asked_without_a_name() {
    let cluster = trusting();
    let mut connection = connect(by_socket(&cluster)).unwrap();
    for _ in 0..3 {
        connection.insert("a", "b").unwrap();
        connection.page(None, 20).unwrap();
    }
    connection.simple("DEALLOCATE ALL").unwrap();
    let id = connection.insert("c", "d").unwrap();
    assert_eq!(connection.page(None, 20).unwrap().rows.get(0).unwrap().id, id);
    assert!(connection.usable());
    assert_eq!(cluster.psql_in("appdb", "SELECT count(*) FROM stuff WHERE stuff = 'c'"), "1");
    assert_eq!(connection.simple("SELECT name FROM pg_prepared_statements").unwrap().len(), 0);
}

#[test]
fn a_statement_whose_first_use_fails_is_prepared_all_the_same() {
    let cluster = trusting();
    let mut connection = connect(by_socket(&cluster)).unwrap();
    connection.insert("a", "b").unwrap();
    for _ in 0..3 {
        let error = connection.insert(&"x".repeat(300), "").unwrap_err();
        assert_eq!(answer(error.error()).code, "22001");
    }
    connection.insert("a", "b").unwrap();
    let names = connection.simple("SELECT name FROM pg_prepared_statements").unwrap();
    assert_eq!(names, [[Some("dbtest_insert".to_owned())]], "and no pooler is suspected");
}

#[test]
fn a_pooler_refuses_in_its_own_way() {
    let cluster = trusting();
    let pooler = PgBouncer::new(&cluster, "\"app\" \"geheim\"\n", "auth_type = md5\npool_mode = transaction");
    connect(with_password(by_tcp(pooler.port))).unwrap();
    let wrong = PgSettings { password: Some(Secret::new("falsch")), ..by_tcp(pooler.port) };
    let error = refused(wrong);
    let server = answer(&error);
    assert_eq!((error.stage, server.code.as_str(), server.routine.as_deref()), (Stage::Authenticated, "08P01", None));
    // options are not among the parameters it passes on
    let options = PgSettings { options: Some("-c work_mem=1MB".into()), ..with_password(by_tcp(pooler.port)) };
    assert_eq!(answer(&refused(options)).code, "08P01");
}

#[test]
fn a_server_lost_behind_the_pooler_leaves_an_insert_unknown() {
    let cluster = trusting();
    cluster.psql_in(
        "appdb",
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(5); RETURN NEW; END $$;
        CREATE TRIGGER slow BEFORE INSERT ON stuff FOR EACH ROW EXECUTE FUNCTION slow()",
    );
    let pooler = PgBouncer::new(&cluster, "\"app\" \"\"\n", "pool_mode = transaction");
    let mut connection = connect(by_tcp(pooler.port)).unwrap();
    let error = std::thread::scope(|scope| {
        let insert = scope.spawn(|| connection.insert("a", "b").unwrap_err());
        super::super::support::wait("the insert runs", || {
            cluster.psql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT%' AND state = 'active'") == "1"
        });
        // without a word, as the kernel does it when memory runs out
        let pid = cluster.psql("SELECT pid FROM pg_stat_activity WHERE query LIKE 'INSERT%' AND usename = 'app'");
        std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap();
        insert.join().unwrap()
    });
    let WriteError::Unknown(error) = error else { panic!("{error:?}") };
    assert_eq!((answer(&error).code.as_str(), answer(&error).routine.as_deref()), ("08P01", None));
    assert!(!connection.usable());
}
