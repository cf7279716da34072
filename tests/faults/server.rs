//! Faults of the server: full, read-only, a standby, locked, out of disk.

use std::cell::RefCell;
use std::rc::Rc;

use super::ground::{Case, Ground};
use super::site::sh;

/// A session of helm's that holds something until it is dropped, or ended by a fix.
fn hold(case: Case, sql: &'static str) -> Case {
    let held: Rc<RefCell<Option<postgres::Client>>> = Rc::default();
    let kept = Rc::clone(&held);
    case.make(move |ground, case| {
        let mut config = postgres::Config::new();
        config.host_path(&ground.cluster.socket_dir).port(ground.cluster.port).user("helm").dbname(&case.database());
        let mut client = config.connect(postgres::NoTls).expect("helm");
        client.batch_execute(&ground.fill(case, sql)).expect(sql);
        *held.borrow_mut() = Some(client);
    })
    .undo(move |_, _| drop(kept.borrow_mut().take()))
}

#[test]
fn locks_timeouts_and_read_only() {
    Ground::new("").run(vec![
        hold(Case::new(&["CAP-14"], "read", "DBT1201").maybe(), "BEGIN; LOCK TABLE stuff IN ACCESS EXCLUSIVE MODE"),
        hold(Case::new(&["CAP-14b"], "write", "DBT1303").maybe(), "BEGIN; LOCK TABLE stuff IN SHARE MODE"),
        Case::new(&["CAP-12"], "read", "DBT1202")
            .sql(
                "ALTER TABLE stuff RENAME TO base; CREATE FUNCTION slow() RETURNS boolean LANGUAGE sql AS 'SELECT pg_sleep(2) IS NULL'; \
                 CREATE VIEW stuff AS SELECT * FROM base WHERE NOT slow(); GRANT SELECT, INSERT ON stuff TO {role}",
            )
            .not_cured("a slow view can be made quick by its author only"),
        Case::new(&["CAP-13"], "read", "DBT1202")
            .sql("ALTER TABLE stuff RENAME TO base; CREATE FUNCTION slow() RETURNS boolean LANGUAGE sql AS 'SELECT pg_sleep(0.3) IS NULL'; \
                 CREATE VIEW stuff AS SELECT * FROM base WHERE NOT slow(); GRANT SELECT, INSERT ON stuff TO {role}; ALTER ROLE {role} SET statement_timeout = 200")
            .not_proved("each row of the view takes 0.3 s"),
        Case::new(&["RDW-02"], "write", "DBT1302").admin("ALTER ROLE {role} SET default_transaction_read_only = on"),
        Case::new(&["RDW-02b"], "write", "DBT1302").admin("ALTER ROLE {role} IN DATABASE {db} SET default_transaction_read_only = on"),
        Case::new(&["RDW-03"], "write", "DBT1302").admin("ALTER DATABASE {db} SET default_transaction_read_only = on"),
        Case::new(&["RDW-04"], "write", "DBT1302").conf("default_transaction_read_only = on"),
        Case::new(&["RDW-04b"], "write", "DBT1302").url(
            "postgresql://{role}:{password}@127.0.0.1:{port}/{db}?options=-c%20default_transaction_read_only%3Don",
        ),
        Case::new(&["RDW-05"], "session", "DBT0911").url("postgresql://{role}:{password}@127.0.0.1:{port}/{db}?target_session_attrs=standby"),
        Case::new(&["RDW-10"], "read", "DBT1204").cold()
            .make(|ground, case| {
                let (database, role) = (case.database(), case.role());
                ground.cluster.psql(&format!("DROP DATABASE {database}"));
                ground.cluster.psql(&format!("CREATE DATABASE {database} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"));
                ground.cluster.psql_in(&database, &format!(
                    "CREATE TABLE stuff (id serial PRIMARY KEY, stuff varchar(255), things text); GRANT SELECT, INSERT ON stuff TO {role}; \
                     GRANT USAGE ON SEQUENCE stuff_id_seq TO {role}; INSERT INTO stuff (stuff, things) VALUES ('good', E'sch\\303\\266n'), (E'caf\\351', 'b')"
                ));
            }).maybe(),
        Case::new(&["DUR-02"], "durable", "DBT1401").make(|ground, _| {
            ground.cluster.conf("synchronous_standby_names = 'nobody'");
            ground.cluster.reload();
        }).maybe().not_proved("the checkpointer lets commits go in its own time after the reload"),
        Case::new(&["CAP-15"], "schema", "DBT1521").conf("max_connections = 10\nsuperuser_reserved_connections = 9").warning(),
    ]);
}

#[test]
fn limits_and_states_of_the_server() {
    Ground::new("").run(vec![
        hold(Case::new(&["CAP-01"], "admitted", "DBT1501").cold(), "SELECT 1").make(|ground, _| {
            // before the first case's own connection, which a restart ends
            ground.cluster.conf("max_connections = 4\nsuperuser_reserved_connections = 0\nmax_wal_senders = 0");
            ground.cluster.restart();
            FULL.with(|full| *full.borrow_mut() = (0..4).map(|_| helm(ground)).collect());
        })
        .undo(|_, _| FULL.with(|full| full.borrow_mut().clear()))
        .maybe(),
        Case::new(&["CAP-02"], "session", "DBT1502").cold().make(|ground, _| {
            ground.cluster.conf("max_connections = 6\nsuperuser_reserved_connections = 5\nmax_wal_senders = 0");
            ground.cluster.restart();
            FULL.with(|full| *full.borrow_mut() = (0..1).map(|_| helm(ground)).collect());
        })
        .undo(|_, _| FULL.with(|full| full.borrow_mut().clear()))
        .maybe(),
        Case::new(&["CAP-07"], "admitted", "DBT0710").cold()
            .make(|ground, _| {
                FULL.with(|full| full.borrow_mut().push(helm(ground)));
                // a smart shutdown waits for the client
                sh(&format!("kill -TERM {}", ground.cluster.pid()));
            })
            .undo(|ground, _| {
                FULL.with(|full| full.borrow_mut().clear());
                crate::support::postgresql::wait("the server stops", || !ground.cluster.data.join("postmaster.pid").exists());
            })
            .not_cured("the server has to finish stopping first"),
        Case::new(&["DUR-04"], "read", "DBT1404").make(|ground, case| {
            let path = ground.cluster.psql_in(&case.database(), "SELECT pg_relation_filepath('stuff')");
            ground.cluster.psql("CHECKPOINT");
            let path = ground.cluster.data.join(path);
            sh(&format!("chown root: {0}; chmod 600 {0}", path.display()));
        }),
        Case::new(&["DUR-01"], "write", "DBT1403")
            .make(|ground, case| {
                let place = ground.cluster.dir().join("small");
                let place = place.display();
                sh(&format!("mkdir -p {place}; mount -t tmpfs -o size=256k tmpfs {place}; chown postgres: {place}; chmod 700 {place}"));
                ground.cluster.psql(&format!("CREATE TABLESPACE small LOCATION '{place}'"));
                // with this fill factor a new row wants a new page
                ground.cluster.psql_in(&case.database(), "INSERT INTO stuff (stuff, things) SELECT repeat('x', 200), 'x' FROM generate_series(1, 20); ALTER TABLE stuff SET (fillfactor = 10); ALTER TABLE stuff SET TABLESPACE small");
                sh(&format!("dd if=/dev/zero of={place}/full bs=4k 2>/dev/null || true"));
            })
            .undo(|ground, case| {
                let place = ground.cluster.dir().join("small");
                sh(&format!("rm -f {}/full", place.display()));
                ground.cluster.psql(&format!("DROP DATABASE {} WITH (FORCE)", case.database()));
                ground.cluster.psql("CHECKPOINT; ");
                ground.cluster.psql("DROP TABLESPACE small");
                sh(&format!("umount -l {}", place.display()));
            })
            .not_cured("whose files may be deleted is for a person to say"),
        Case::new(&["DUR-03"], "read", "DBT1404")
            .make(|ground, case| {
                let place = ground.cluster.dir().join("ro");
                let place = place.display();
                sh(&format!("mkdir -p {place}; mount -t tmpfs -o size=4m tmpfs {place}; chown postgres: {place}; chmod 700 {place}"));
                ground.cluster.psql(&format!("CREATE TABLESPACE ro LOCATION '{place}'"));
                ground.cluster.psql_in(&case.database(), "ALTER TABLE stuff SET TABLESPACE ro");
                ground.cluster.psql("CHECKPOINT");
                ground.cluster.restart();
                sh(&format!("mount -o remount,ro {place}"));
            })
            .undo(|ground, case| {
                let place = ground.cluster.dir().join("ro");
                sh(&format!("mount -o remount,rw {}", place.display()));
                ground.cluster.psql(&format!("DROP DATABASE {} WITH (FORCE)", case.database()));
                ground.cluster.psql("CHECKPOINT");
                ground.cluster.psql("DROP TABLESPACE ro");
                sh(&format!("umount -l {}", place.display()));
            }),
        Case::new(&["AUT-13"], "speaks", "DBT0508")
            .make(|ground, _| ground.cluster.sigstop())
            .undo(|ground, _| ground.cluster.sigcont())
            .not_cured("the printed fix restarts the system's own PostgreSQL"),
    ]);
}

thread_local! {
    static FULL: RefCell<Vec<postgres::Client>> = const { RefCell::new(Vec::new()) };
}

fn helm(ground: &Ground) -> postgres::Client {
    let mut config = postgres::Config::new();
    config.host_path(&ground.cluster.socket_dir).port(ground.cluster.port).user("helm").dbname("postgres");
    config.connect(postgres::NoTls).expect("helm")
}
