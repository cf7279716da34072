//! PostgreSQL's faults beyond the list of known ones: named by their structure, and cured all the same.

use super::ground::{Case, Ground};

#[test]
fn shapes_that_nobody_listed() {
    Ground::new("").run(vec![
        Case::new(&["PGX-01"], "schema", "DBT1008").table("CREATE TABLE stuff (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), stuff varchar(255), things text); INSERT INTO stuff (stuff, things) VALUES ('a', 'b')").maybe(),
        Case::new(&["PGX-02"], "schema", "DBT1008").table("CREATE TABLE stuff (id text PRIMARY KEY, stuff varchar(255), things text); INSERT INTO stuff VALUES ('x', 'a', 'b')").maybe(),
        // numeric holds the number, but takes no identity: a sequence numbers it
        Case::new(&["PGX-03"], "schema", "DBT1011").table("CREATE TABLE stuff (id numeric PRIMARY KEY, stuff varchar(255), things text)"),
        // a trigger might have numbered it: only the insert tells
        Case::new(&["PGX-39"], "write", "DBT1315").table(
            "CREATE DOMAIN number AS integer; CREATE TABLE stuff (id number PRIMARY KEY, stuff varchar(255), things text); \
             CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
             CREATE TRIGGER t BEFORE INSERT ON stuff FOR EACH ROW EXECUTE FUNCTION f()",
        ),
        Case::new(&["PGX-04"], "schema", "DBT1007").sql("ALTER TABLE stuff RENAME COLUMN things TO \"Things\"").maybe(),
        Case::new(&["PGX-05"], "schema", "DBT1007").sql("ALTER TABLE stuff RENAME COLUMN things TO thing; ALTER TABLE stuff ADD COLUMN who text; UPDATE stuff SET who = ''; ALTER TABLE stuff ALTER COLUMN who SET NOT NULL").maybe(),
        Case::new(&["PGX-06"], "schema", "DBT1007").table("CREATE TABLE stuff (stuff varchar(255), things text)"),
        Case::new(&["PGX-07"], "write", "DBT1317").sql("CREATE DOMAIN tiny AS text CONSTRAINT is_tiny CHECK (length(VALUE) < 3); ALTER TABLE stuff ALTER COLUMN things TYPE tiny").maybe(),
        Case::new(&["PGX-08"], "schema", "DBT1405").sql("ALTER TABLE stuff SET UNLOGGED").warning(),
        Case::new(&["PGX-09"], "schema", "DBT0811").admin("ALTER ROLE {role} VALID UNTIL 'tomorrow'").warning(),
        Case::new(&["PGX-10"], "schema", "DBT1008").table("CREATE TABLE stuff (id serial PRIMARY KEY, stuff char(10), things xml)").maybe(),
        Case::new(&["PGX-11"], "privileges", "DBT1106").sql("ALTER TABLE stuff OWNER TO {role}; ALTER TABLE stuff ENABLE ROW LEVEL SECURITY; ALTER TABLE stuff FORCE ROW LEVEL SECURITY"),
        Case::new(&["PGX-12"], "privileges", "DBT1104").sql(
            "ALTER TABLE stuff RENAME TO base; REVOKE ALL ON base FROM {role}; CREATE VIEW stuff WITH (security_invoker = true) AS SELECT * FROM base; GRANT SELECT, INSERT ON stuff TO {role}",
        ),
        Case::new(&["PGX-13"], "write", "DBT1310").sql(
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION USING ERRCODE = ''23514'', MESSAGE = ''never''; END'; \
             CREATE TRIGGER t BEFORE INSERT ON stuff FOR EACH ROW EXECUTE FUNCTION f()",
        ).maybe(),
        Case::new(&["PGX-14"], "write", "DBT1309").sql(
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.things := (1 / 0)::text; RETURN NEW; END'; \
             CREATE TRIGGER t BEFORE INSERT ON stuff FOR EACH ROW EXECUTE FUNCTION f()",
        ).maybe(),
        Case::new(&["PGX-15"], "write", "DBT1330").sql(
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.things := upper(NEW.things); RETURN NEW; END'; \
             CREATE TRIGGER t BEFORE INSERT ON stuff FOR EACH ROW EXECUTE FUNCTION f()",
        ).warning(),
        Case::new(&["PGX-16"], "write", "DBT1318").sql("CREATE UNIQUE INDEX one ON stuff ((1))").maybe(),
        Case::new(&["PGX-17"], "write", "DBT1309").sql(
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO stuff (stuff, things) VALUES (NEW.stuff, NEW.things); RETURN NEW; END'; \
             CREATE TRIGGER t AFTER INSERT ON stuff FOR EACH ROW EXECUTE FUNCTION f()",
        ).maybe(),
        Case::new(&["PGX-18"], "privileges", "DBT1103").sql(
            "CREATE FUNCTION good(text) RETURNS boolean LANGUAGE sql AS 'SELECT true'; REVOKE EXECUTE ON FUNCTION good(text) FROM PUBLIC; ALTER TABLE stuff ADD CHECK (good(things))",
        ),
        Case::new(&["PGX-19"], "read", "DBT1217").sql(
            "CREATE EXTENSION IF NOT EXISTS postgres_fdw; DROP TABLE stuff; CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1', dbname 'x'); \
             CREATE FOREIGN TABLE stuff (id integer, stuff varchar(255), things text) SERVER other; GRANT SELECT, INSERT ON stuff TO {role}",
        ).not_cured("the other server does not exist"),
        Case::new(&["PGX-20"], "read", "DBT1202").admin("ALTER ROLE {role} SET statement_timeout = 1")
            .sql("ALTER TABLE stuff RENAME TO base; CREATE FUNCTION slow() RETURNS boolean LANGUAGE sql AS 'SELECT pg_sleep(0.1) IS NULL'; \
                 CREATE VIEW stuff AS SELECT * FROM base WHERE NOT slow(); GRANT SELECT, INSERT ON stuff TO {role}")
            .not_proved("each row of the view takes 0.1 s"),
    ]);
}

#[test]
fn logins_that_nobody_listed() {
    Ground::new("").run(vec![
        Case::new(&["PGX-30"], "session", "DBT0910")
            .url("postgresql://{role}:{password}@127.0.0.1:{port}/{db}?options=-c%20nosuch%3D1"),
        Case::new(&["PGX-31"], "authenticated", "DBT0805").hba("host all all 127.0.0.1/32 gss").maybe(),
        Case::new(&["PGX-32"], "authenticated", "DBT0803")
            .hba("host all all 127.0.0.1/32 pam pamservice=nosuch")
            .maybe(),
        Case::new(&["PGX-33"], "admitted", "DBT0701").by_socket().hba("local all all peer map=nosuch"),
        Case::new(&["PGX-34"], "admitted", "DBT0705")
            .hba("host all all 127.0.0.1/32 scram-sha-256 extra=\"x\"\nhost all all all reject")
            .make(|ground, _| {
                ground.cluster.hba("host all all 127.0.0.1/32 reject");
                ground.cluster.reload();
            }),
        Case::new(&["PGX-35"], "authenticated", "DBT0801")
            .url("postgresql://{role}:wrong@127.0.0.1:{port}/{db}")
            .hba("host all all 127.0.0.1/32 password")
            .maybe(),
        Case::new(&["PGX-36"], "session", "DBT0910")
            .admin("ALTER ROLE {role} PASSWORD '{password}'")
            .url("postgresql://{role}:{password}@127.0.0.1:{port}/{db}?options=-c%20statement_timeout%3D5minutez"),
        Case::new(&["PGX-37"], "session", "DBT0911")
            .url("postgresql://{role}:{password}@127.0.0.1:{port}/{db}?target_session_attrs=read-only"),
        Case::new(&["PGX-38"], "speaks", "DBT0511")
            .url("postgresql://{role}:{password}@/{db}?host={sock}&port={port}&requirepeer=root")
            .maybe(),
    ]);
}
