//! Faults that a statement meets below or around the table, and what a server does silently.

use super::ground::{Case, Ground, PASSWORD};
use crate::support::postgresql::Cluster;
use crate::support::{Httpd, Mpm};

/// Warnings and refusals by a setting, and by what a trigger or default calls.
#[test]
fn settings_schemas_and_extensions() {
    Ground::new("").run(vec![
        Case::new(&["STM-01"], "write", "DBT1336")
            .sql(
                "CREATE EXTENSION \"uuid-ossp\"; ALTER TABLE stuff ADD tag uuid NOT NULL DEFAULT uuid_generate_v4(); \
                 UPDATE pg_proc SET probin = '$libdir/uuid-ossp-0.9' WHERE probin = '$libdir/uuid-ossp'",
            )
            .not_cured("the package of the extension is to be installed"),
        Case::new(&["STM-02"], "write", "DBT1113").sql(
            "CREATE SCHEMA kept; ALTER TABLE stuff ALTER id DROP DEFAULT; ALTER SEQUENCE stuff_id_seq OWNED BY NONE; \
             ALTER SEQUENCE stuff_id_seq SET SCHEMA kept; ALTER TABLE stuff ALTER id SET DEFAULT nextval('kept.stuff_id_seq'::text)",
        ),
        Case::new(&["STM-03"], "write", "DBT1309").sql(
            "CREATE SCHEMA tools; GRANT USAGE ON SCHEMA tools TO PUBLIC; CREATE FUNCTION tools.tidy(text) RETURNS text LANGUAGE sql AS 'SELECT trim($1)'; \
             CREATE FUNCTION tidy_up() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.things := tidy(NEW.things); RETURN NEW; END'; \
             CREATE TRIGGER tidy_up BEFORE INSERT ON stuff FOR EACH ROW EXECUTE FUNCTION tidy_up()",
        ),
        Case::new(&["STM-04"], "privileges", "DBT1109").sql(
            "ALTER TABLE stuff ENABLE ROW LEVEL SECURITY; CREATE POLICY all_of_it ON stuff TO {role} USING (true) WITH CHECK (true); \
             ALTER ROLE {role} SET row_security = off",
        ),
        Case::new(&["STM-05"], "write", "DBT1302")
            .admin("ALTER SYSTEM SET default_transaction_read_only = on")
            .make(|ground, _| ground.cluster.reload())
            .undo(|ground, _| {
                ground.cluster.write("postgresql.auto.conf", "");
                ground.cluster.reload();
            }),
        Case::new(&["STM-06"], "read", "DBT1217")
            .sql(
                "CREATE EXTENSION postgres_fdw; DROP TABLE stuff; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1', dbname 'x'); \
                 CREATE FOREIGN TABLE stuff (id integer, stuff varchar(255), things text) SERVER far; GRANT SELECT, INSERT ON stuff TO {role}",
            )
            .not_cured("the other server does not exist"),
        Case::new(&["STM-07"], "read", "DBT1109")
            .sql(
                "ALTER TABLE stuff ENABLE ROW LEVEL SECURITY; \
                 CREATE POLICY again ON stuff TO {role} USING (EXISTS (SELECT FROM stuff s WHERE s.id > 0)) WITH CHECK (true)",
            )
            .not_cured("only its author knows what the policy means"),
        Case::new(&["STM-08"], "read", "DBT1113")
            .sql(
                "CREATE TABLE tenants (name text); INSERT INTO tenants VALUES ('a'); ALTER TABLE stuff ENABLE ROW LEVEL SECURITY; \
                 CREATE POLICY theirs ON stuff TO {role} USING (EXISTS (SELECT FROM tenants)) WITH CHECK (true)",
            )
            .maybe(),
        Case::new(&["STM-09"], "write", "DBT1309")
            .sql(
                "CREATE FUNCTION tidy(text) RETURNS text LANGUAGE sql AS 'SELECT trim($1)'; \
                 CREATE FUNCTION tidy_up() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS 'BEGIN NEW.things := tidy(NEW.things); RETURN NEW; END'; \
                 CREATE TRIGGER tidy_up BEFORE INSERT ON stuff FOR EACH ROW EXECUTE FUNCTION tidy_up()",
            )
            .maybe(),
        Case::new(&["STM-13"], "read", "DBT1215").sql(
            "ALTER TABLE stuff RENAME TO base; CREATE VIEW stuff AS SELECT id, stuff, things FROM base, \
             (SELECT count(*) FROM (SELECT g FROM generate_series(1, 120000) g ORDER BY md5(g::text)) x) y; \
             CREATE FUNCTION put() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN INSERT INTO base (stuff, things) VALUES (NEW.stuff, NEW.things) RETURNING id INTO NEW.id; RETURN NEW; END'; \
             CREATE TRIGGER put INSTEAD OF INSERT ON stuff FOR EACH ROW EXECUTE FUNCTION put(); \
             GRANT SELECT, INSERT ON stuff TO {role}; ALTER ROLE {role} SET temp_file_limit = 64",
        )
        .not_proved("each row of the view sorts 120,000 others"),
    ]);
}

#[test]
fn what_a_server_does_silently() {
    Ground::new("").run(vec![
        Case::new(&["STM-10"], "durable", "DBT1409").admin("ALTER ROLE {role} SET synchronous_commit = off").warning(),
        Case::new(&["STM-11"], "schema", "DBT1015")
            .sql("CREATE SCHEMA {role} AUTHORIZATION {role}; CREATE TABLE {role}.stuff (LIKE public.stuff INCLUDING ALL); ALTER TABLE {role}.stuff OWNER TO {role}")
            .warning(),
        Case::new(&["STM-12"], "schema", "DBT1016").sql("ALTER TABLE stuff ALTER stuff TYPE char(255)").warning(),
    ]);
}

/// A server with a healthy table, and an httpd on it.
fn healthy() -> (Cluster, Httpd) {
    let cluster = Cluster::with_conf("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256", "");
    cluster.psql(&format!(
        "CREATE ROLE web LOGIN PASSWORD '{PASSWORD}'; \
         CREATE TABLE stuff (id serial PRIMARY KEY, stuff varchar(255) NOT NULL, things text NOT NULL); \
         GRANT SELECT, INSERT ON stuff TO web; GRANT USAGE ON SEQUENCE stuff_id_seq TO web"
    ));
    let url = format!("postgresql://web:{PASSWORD}@127.0.0.1:{}/postgres", cluster.port);
    let httpd =
        Httpd::builder(Mpm::Prefork).location("/d", &format!("DBTestDetail full\nDBTestDatabase \"{url}\"")).start();
    httpd.allow_log("dbtest");
    httpd.allow_log("DBT");
    (cluster, httpd)
}

/// A catalogue that is closed to the role hides facts; it is no fault of the page, which works.
#[test]
fn what_may_not_be_asked_is_unknown_and_no_fault() {
    let (cluster, httpd) = healthy();
    let closed = [
        "SELECT ON pg_catalog.pg_roles",
        "SELECT ON pg_catalog.pg_settings",
        "SELECT ON pg_catalog.pg_database",
        "SELECT ON pg_catalog.pg_db_role_setting",
        "SELECT ON pg_catalog.pg_proc",
        "SELECT ON pg_catalog.pg_class",
        "SELECT ON pg_catalog.pg_stat_replication",
        "EXECUTE ON FUNCTION pg_catalog.pg_is_in_recovery()",
    ];
    for what in closed {
        cluster.psql(&format!("REVOKE {what} FROM PUBLIC"));
        let reply = httpd.get_json("/d/check");
        let report = reply.json();
        assert_eq!((reply.status, report["verdict"].as_str()), (200, Some("pass")), "{what}: {report:#}");
        assert!(report.to_string().contains("unknown"), "{what}: what is unknown is said: {report:#}");
        assert_eq!(httpd.get("/d/").status, 200, "{what}");
        cluster.psql(&format!("GRANT {what} TO PUBLIC"));
    }
    // all of them at once
    for what in closed {
        cluster.psql(&format!("REVOKE {what} FROM PUBLIC"));
    }
    let report = httpd.get_json("/d/check").json();
    assert_eq!(report["verdict"].as_str(), Some("pass"), "{report:#}");
}

/// Partitioning by inheritance: the row is stored, and nobody is told to switch the trigger off.
#[test]
fn a_row_that_a_trigger_routes_into_a_child_is_not_lost() {
    let (cluster, httpd) = healthy();
    cluster.psql(
        "CREATE TABLE stuff_new () INHERITS (stuff); GRANT ALL ON stuff_new TO web; \
         CREATE FUNCTION route() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO stuff_new VALUES (NEW.*); RETURN NULL; END'; \
         CREATE TRIGGER route BEFORE INSERT ON stuff FOR EACH ROW EXECUTE FUNCTION route()",
    );
    let report = httpd.get_json("/d/check").json();
    assert_eq!((report["verdict"].as_str(), report["id"].as_str()), (Some("warn"), Some("DBT1333")), "{report:#}");
    assert!(!report.to_string().contains("DISABLE TRIGGER"), "{report:#}");
    assert_eq!(cluster.psql("SELECT count(*) FROM stuff"), "0", "a check stores nothing");
}
