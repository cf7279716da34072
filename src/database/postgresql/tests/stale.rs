//! Sessions that fail by how they were opened are replaced, in every child, at the next request.

use super::super::settings::TargetSessionAttrs;
use super::certainty::service;
use super::*;
use crate::database::{Cause, NotStored, Refusal, Service};

fn code(answer: Result<i64, NotStored>) -> String {
    match answer {
        Err(NotStored::NotSaved(error)) => super::answer(&error).code.clone(),
        other => panic!("{other:?}"),
    }
}

/// Two children with an idle connection each.
fn children(settings: &PgSettings) -> [std::sync::Arc<Service>; 2] {
    [(), ()].map(|()| {
        let child = service(settings.clone());
        child.page(None, 20).unwrap();
        child
    })
}

#[test]
fn what_a_role_or_database_sets_holds_no_longer_than_it_is_set() {
    let cluster = trusting();
    let changes = [
        ("25006", "ALTER ROLE app SET default_transaction_read_only = on", "ALTER ROLE app RESET ALL"),
        ("25006", "ALTER DATABASE appdb SET default_transaction_read_only = on", "ALTER DATABASE appdb RESET ALL"),
    ];
    for (expected, fault, remedy) in changes {
        cluster.psql(fault);
        let children = children(&by_socket(&cluster));
        for child in &children {
            assert_eq!(code(child.insert("a", "b")), expected);
            child.page(None, 20).unwrap();
        }
        cluster.psql(remedy);
        for child in &children {
            child.insert("a", "b").unwrap();
        }
    }
    let children = children(&by_socket(&cluster));
    let rows = cluster.psql_in("appdb", "SELECT count(*) FROM stuff");
    // the idle sessions keep the path that they were opened with
    cluster.psql_in(
        "appdb",
        "CREATE SCHEMA moved; GRANT USAGE ON SCHEMA moved TO app; ALTER TABLE stuff SET SCHEMA moved",
    );
    cluster.psql("ALTER ROLE app SET search_path = moved");
    for (child, id) in children.iter().zip(5..) {
        assert_eq!(child.insert("a", "b").unwrap(), id);
        child.page(None, 20).unwrap();
    }
    assert_eq!(rows, "4");
}

#[test]
fn a_server_that_became_read_only_gives_way_to_the_writable_one() {
    let (first, second) = (trusting(), trusting());
    let host = |port| HostPort { host: Host::Address([127, 0, 0, 1].into()), hostaddr: None, port };
    let settings = PgSettings {
        hosts: vec![host(first.port), host(second.port)],
        target_session_attrs: TargetSessionAttrs::ReadWrite,
        ..by_tcp(0)
    };
    let children = children(&settings);
    first.conf("default_transaction_read_only = on");
    first.reload();
    super::super::support::wait("the setting holds", || first.psql("SHOW default_transaction_read_only") == "on");
    for child in &children {
        child.insert("a", "b").unwrap();
    }
    assert_eq!(first.psql_in("appdb", "SELECT count(*) FROM stuff"), "0");
    assert_eq!(second.psql_in("appdb", "SELECT count(*) FROM stuff"), "2");
}

#[test]
fn a_time_limit_of_the_servers_is_not_waited_for_twice() {
    let cluster = trusting();
    let [child, _] = children(&by_socket(&cluster));
    cluster.psql("ALTER ROLE app SET statement_timeout = '200ms'");
    let fresh = service(by_socket(&cluster));
    fresh.page(None, 20).unwrap();
    cluster.psql_in(
        "appdb",
        "ALTER TABLE stuff RENAME TO rows; GRANT SELECT ON rows TO app; CREATE TABLE calls (at timestamptz);
        CREATE SEQUENCE called; GRANT USAGE ON called TO app;
        CREATE VIEW stuff AS SELECT id, stuff, things FROM rows WHERE nextval('called') > 0 UNION ALL
        SELECT 1, 'slow', pg_sleep(2)::text WHERE nextval('called') > 0; GRANT SELECT ON stuff TO app",
    );
    let Err(Refusal::Database(error)) = fresh.page(None, 20) else { panic!() };
    let Cause::Server(server) = &error.cause else { panic!("{error}") };
    assert_eq!(server.code, "57014");
    assert_eq!(cluster.psql_in("appdb", "SELECT last_value FROM called"), "1");
    cluster.psql("ALTER ROLE app RESET statement_timeout");
    child.page(None, 20).unwrap();
    fresh.page(None, 20).unwrap();
}
