//! A PostgreSQL that is well: no check warns of it, changes it, or leaves a mark in its log; and one that speaks
//! French has the same faults as any other.

use std::process::Command;

use super::ground::{Case, Ground, PASSWORD};
use super::site::sh;
use super::{login, table};
use crate::support::postgresql::Cluster;
use crate::support::{Httpd, Mpm};

/// Everything that a check could change: rows, grants, settings, files of the tables.
fn state(cluster: &Cluster) -> String {
    cluster.psql(
        "SELECT string_agg(s::text, E'\\n') FROM stuff s; SELECT relname, relfilenode, relacl, n_tup_upd, n_live_tup \
         FROM pg_class LEFT JOIN pg_stat_user_tables USING (relname) WHERE relnamespace = 'public'::regnamespace ORDER BY relname; \
         SELECT * FROM pg_db_role_setting; SELECT rolname, rolconfig FROM pg_roles; SELECT xmax FROM stuff",
    )
}

#[test]
fn a_healthy_server_is_not_warned_of_not_changed_and_not_heard_of() {
    let cluster = Cluster::with_conf(
        "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256",
        "log_min_messages = warning\nautovacuum = off\nlog_connections = off",
    );
    cluster.psql(&format!(
        "CREATE ROLE web LOGIN PASSWORD '{PASSWORD}'; \
         CREATE TABLE stuff (id serial PRIMARY KEY, stuff varchar(255) NOT NULL, things text NOT NULL); \
         INSERT INTO stuff (stuff, things) SELECT 'a', 'b' FROM generate_series(1, 50); \
         GRANT SELECT, INSERT ON stuff TO web; GRANT USAGE ON SEQUENCE stuff_id_seq TO web"
    ));
    let places = [
        format!("postgresql://web:{PASSWORD}@127.0.0.1:{}/postgres", cluster.port),
        format!("postgresql://web:{PASSWORD}@localhost:{}/postgres", cluster.port),
        format!("postgresql://web:{PASSWORD}@/postgres?host={}&port={}", cluster.socket_dir.display(), cluster.port),
    ];
    let mut builder = Httpd::builder(Mpm::Prefork);
    for (number, url) in places.iter().enumerate() {
        builder = builder.location(&format!("/d{number}"), &format!("DBTestDatabase \"{url}\""));
    }
    let httpd = builder.location("/ro", &format!("DBTestDatabase \"{}\"\nDBTestReadOnly On", places[0])).start();
    httpd.allow_log("dbtest");
    let before = state(&cluster);
    let log = cluster.log();
    for _ in 0..20 {
        for place in ["/d0", "/d1", "/d2", "/ro"] {
            let reply = httpd.get_json(&format!("{place}/check"));
            let report = reply.json();
            assert_eq!((reply.status, report["verdict"].as_str()), (200, Some("pass")), "{report:#}");
        }
    }
    assert_eq!(state(&cluster), before);
    let said = cluster.log()[log.len()..].to_owned();
    assert!(!said.contains("ERROR") && !said.contains("FATAL") && !said.contains("WARNING"), "{said}");
}

#[test]
fn a_server_that_speaks_french_has_the_same_faults() {
    let known = Command::new("locale").arg("-a").output().expect("locale").stdout;
    if !String::from_utf8_lossy(&known).contains("fr_FR") {
        sh("localedef -i fr_FR -f UTF-8 fr_FR.UTF-8");
    }
    let conf = "lc_messages = 'fr_FR.UTF-8'\n";
    let mut ground = Ground::new(conf);
    ground.words.push(("{conf}", conf.to_owned()));
    ground.names_only = true;
    let message = ground.cluster.try_psql("postgres", "SELECT 1/0").expect_err("an error");
    assert!(message.contains("ERREUR"), "no French: {message}");
    let cases: Vec<Case> = [login::of_pg_hba_conf(), login::of_the_password_and_the_role(), table::of_the_privileges()]
        .into_iter()
        .flatten()
        .collect();
    ground.run(cases);
}
