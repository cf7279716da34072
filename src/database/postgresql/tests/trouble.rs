//! Connections that break, and whether a row was stored all the same.

use super::super::support::Pki;
use super::*;
use crate::database::{Connection, Stage, WriteError};

/// Ends every server process of the role `app`, and waits until they are gone.
fn terminate(cluster: &Cluster) {
    cluster.psql("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'app'");
}

#[test]
fn a_connection_that_the_server_ended_while_idle_stores_nothing_and_says_so() {
    let pki = Pki::new("tests");
    let cluster = Cluster::with_conf(TRUST, &pki.conf(&pki.issue("localhost", &[])));
    prepare(&cluster);
    let tls = PgSettings { sslmode: SslMode::Require, ..by_tcp(cluster.port) };
    for settings in [by_socket(&cluster), by_tcp(cluster.port), tls] {
        for warm in [false, true] {
            let mut connection = connect(settings.clone()).unwrap();
            if warm {
                connection.insert("warm", "").unwrap();
                connection.insert("warm", "").unwrap();
            }
            terminate(&cluster);
            let error = connection.insert("a", "b").unwrap_err();
            let WriteError::NotSaved(error) = error else { panic!("{error}") };
            assert_eq!(answer(&error).code, "57P01");
            assert_eq!(error.stage, Stage::Write);
            assert!(!connection.usable());
            assert!(matches!(connection.insert("a", "b"), Err(WriteError::NotSaved(_))), "and for ever after");
        }
    }
    assert_eq!(cluster.psql_in("appdb", "SELECT count(*) FROM stuff WHERE stuff = 'a'"), "0");
}

#[test]
fn a_connection_that_ended_without_a_word_stores_nothing_either() {
    let cluster = trusting();
    for settings in [by_socket(&cluster), by_tcp(cluster.port)] {
        let mut connection = connect(settings).unwrap();
        connection.insert("warm", "").unwrap();
        let pid = connection.simple("SELECT pg_backend_pid()").unwrap()[0][0].clone().unwrap();
        std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap();
        super::super::support::wait("the server recovers", || {
            !std::path::Path::new(&format!("/proc/{pid}")).exists() && cluster.try_psql("appdb", "SELECT 1").is_ok()
        });
        let error = connection.insert("a", "b").unwrap_err();
        let WriteError::NotSaved(error) = error else { panic!("{error}") };
        assert!(matches!(error.cause, Cause::Closed), "{error:?}");
        assert!(!connection.usable());
    }
}

#[test]
fn a_page_over_an_ended_connection_is_an_error_and_the_next_connection_serves() {
    let cluster = trusting();
    for settings in [by_socket(&cluster), by_tcp(cluster.port)] {
        let target = PgTarget::new(settings);
        let mut connection = connect_to(&target, &LIMITS).unwrap();
        connection.page(None, 20).unwrap();
        cluster.restart();
        let error = connection.page(None, 20).unwrap_err();
        assert_eq!(answer(&error).code, "57P01", "the server's farewell is heard");
        assert!(!connection.usable());
        connect_to(&target, &LIMITS).unwrap().page(None, 20).unwrap();
    }
}

#[test]
fn an_insert_that_is_cut_off_is_unknown_and_one_that_is_refused_is_not_saved() {
    let cluster = trusting();
    // the row's own trigger ends its server process without a word
    cluster.psql_in(
        "appdb",
        "CREATE EXTENSION IF NOT EXISTS plpgsql;
        CREATE FUNCTION die() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(3); RETURN NEW; END $$;
        CREATE TRIGGER die BEFORE INSERT ON stuff FOR EACH ROW WHEN (NEW.stuff = 'die') EXECUTE FUNCTION die()",
    );
    let mut connection = connect(by_socket(&cluster)).unwrap();
    let pid = connection.simple("SELECT pg_backend_pid()").unwrap()[0][0].clone().unwrap();
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap()
    });
    let error = connection.insert("die", "").unwrap_err();
    assert!(matches!(error, WriteError::Unknown(_)), "{error}");
    assert!(!connection.usable());
    killer.join().unwrap();
    super::super::support::wait("the server recovers", || cluster.try_psql("appdb", "SELECT 1").is_ok());

    let mut connection = connect(by_socket(&cluster)).unwrap();
    for _ in 0..3 {
        let error = connection.insert(&"x".repeat(256), "").unwrap_err();
        let WriteError::NotSaved(error) = error else { panic!("{error}") };
        assert_eq!((answer(&error).code.as_str(), error.stage), ("22001", Stage::Write));
        let error = connection.insert("nul", "\0").unwrap_err();
        let WriteError::NotSaved(error) = error else { panic!("{error}") };
        assert_eq!(answer(&error).code, "22021");
    }
    assert!(connection.usable());
    assert_eq!(connection.page(None, 20).unwrap().rows.len(), 0);
}

#[test]
fn an_error_at_commit_is_the_answer() {
    let cluster = trusting();
    cluster.psql_in("appdb", "ALTER TABLE stuff ADD CONSTRAINT once UNIQUE (stuff) DEFERRABLE INITIALLY DEFERRED");
    let mut connection = connect(by_socket(&cluster)).unwrap();
    for _ in 0..4 {
        connection.insert("only", "one").ok();
    }
    let WriteError::NotSaved(error) = connection.insert("only", "one").unwrap_err() else { panic!() };
    let server = answer(&error);
    assert_eq!((server.code.as_str(), server.constraint.as_deref()), ("23505", Some("once")));
    assert!(server.detail.as_deref().is_some_and(|detail| detail.contains("only")));
    assert_eq!(connection.page(None, 20).unwrap().rows.len(), 1);
}

#[test]
fn every_field_of_an_error_arrives() {
    let cluster = trusting();
    cluster.psql_in(
        "appdb",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM * FROM nowhere; RETURN NEW; END $$;
        CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'm' USING DETAIL = 'd', HINT = 'h', ERRCODE = 'AB123', TABLE = 't', COLUMN = 'c', SCHEMA = 's',
           DATATYPE = 'y', CONSTRAINT = 'n'; END $$;
        CREATE TRIGGER f BEFORE INSERT ON stuff FOR EACH ROW WHEN (NEW.stuff = 'f') EXECUTE FUNCTION f();
        CREATE TRIGGER g BEFORE INSERT ON stuff FOR EACH ROW WHEN (NEW.stuff = 'g') EXECUTE FUNCTION g()",
    );
    let mut connection = connect(by_socket(&cluster)).unwrap();
    let error = connection.insert("f", "").unwrap_err();
    let server = answer(error.error());
    assert_eq!((server.code.as_str(), error.error().stage), ("42P01", Stage::Write), "not our table");
    let (position, query) = server.internal.clone().unwrap();
    assert!(position > 0 && query.contains("nowhere"), "{query}");
    assert!(server.context.as_deref().is_some_and(|context| context.contains("f()")));
    let error = connection.insert("g", "").unwrap_err();
    let server = answer(error.error());
    let all = [
        &server.detail,
        &server.hint,
        &server.table,
        &server.column,
        &server.schema,
        &server.datatype,
        &server.constraint,
    ];
    assert_eq!(all.map(|field| field.as_deref().unwrap()), ["d", "h", "t", "c", "s", "y", "n"]);
    assert_eq!((server.severity.as_str(), server.code.as_str(), server.message.as_str()), ("ERROR", "AB123", "m"));
    assert!(server.file.is_some() && server.line.is_some() && server.routine.is_some());
    cluster.psql_in("appdb", "ALTER TABLE stuff RENAME COLUMN things TO other");
    let error = connection.page(None, 20).unwrap_err();
    assert_eq!((error.stage, answer(&error).code.as_str()), (Stage::Schema, "42703"));
    assert!(answer(&error).position.is_some());
}

#[test]
fn a_trigger_that_swallows_the_row_is_noticed() {
    let cluster = trusting();
    cluster.psql_in(
        "appdb",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
        CREATE TRIGGER f BEFORE INSERT ON stuff FOR EACH ROW EXECUTE FUNCTION f()",
    );
    let error = connect(by_socket(&cluster)).unwrap().insert("a", "b").unwrap_err();
    // that it is nowhere is not proved
    assert!(matches!(&error, WriteError::Unknown(error) if matches!(error.cause, Cause::NoRow)), "{error}");
}

#[test]
fn missing_rights_are_a_step_of_their_own() {
    let cluster = trusting();
    cluster.psql("CREATE ROLE guest LOGIN");
    let mut connection = connect(PgSettings { user: Some("guest".into()), ..by_socket(&cluster) }).unwrap();
    let error = connection.page(None, 20).unwrap_err();
    assert_eq!((error.stage, answer(&error).code.as_str()), (Stage::Privileges, "42501"));
    cluster.psql_in("appdb", "GRANT SELECT, INSERT ON stuff TO guest");
    let error = connection.insert("a", "b").unwrap_err();
    assert_eq!((error.error().stage, answer(error.error()).code.as_str()), (Stage::Privileges, "42501"));
    cluster.psql_in("appdb", "GRANT USAGE ON SEQUENCE stuff_id_seq TO guest");
    connection.insert("a", "b").unwrap();
}

#[test]
fn a_connection_that_is_dropped_says_goodbye() {
    let cluster = trusting();
    cluster.conf("log_disconnections = on\nlog_min_messages = debug1");
    cluster.reload();
    drop(connect(by_tcp(cluster.port)).unwrap());
    super::super::support::wait("the server sees the end", || cluster.log().contains("disconnection: "));
    assert!(!cluster.log().contains("unexpected EOF"), "{}", cluster.log());
}
