//! Faults of the table, its columns and the rights on it, on a real PostgreSQL.

use super::ground::{Case, Ground};

#[test]
fn the_table_and_its_schema() {
    Ground::new("").run(vec![
        Case::new(&["SCH-01"], "schema", "DBT1001").sql("DROP TABLE stuff"),
        Case::new(&["SCH-02"], "schema", "DBT1004").sql("CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO {role}; ALTER TABLE stuff SET SCHEMA app"),
        Case::new(&["SCH-03"], "schema", "DBT1003").sql(
            "CREATE SCHEMA sec; ALTER TABLE stuff SET SCHEMA sec; ALTER ROLE {role} IN DATABASE {db} SET search_path = sec, public",
        ),
        Case::new(&["SCH-03b"], "schema", "DBT1003").sql("CREATE SCHEMA \"My Schema\"; ALTER TABLE stuff SET SCHEMA \"My Schema\"").maybe(),
        Case::new(&["SCH-04"], "schema", "DBT1005").sql("ALTER TABLE stuff RENAME TO \"Stuff\""),
        Case::new(&["SCH-05"], "schema", "DBT1002").url("postgresql://{role}:{password}@127.0.0.1:{port}/postgres"),
        Case::new(&["SCH-07"], "schema", "DBT1001").sql("DROP TABLE stuff; ALTER ROLE {role} IN DATABASE {db} SET search_path = nosuch"),
        Case::new(&["SCH-08"], "schema", "DBT1001").sql("DROP TABLE stuff").directives(
            "DBTestDatabase \"postgresql://{role}:{password}@127.0.0.1:{port}/{db}\"\nDBTestTable shop.stuff",
        ),
        Case::new(&["SCH-10"], "schema", "DBT1010").sql(
            "ALTER TABLE stuff RENAME TO base; CREATE VIEW stuff AS SELECT DISTINCT id, stuff, things FROM base; GRANT SELECT, INSERT ON stuff TO {role}",
        ).maybe(),
        Case::new(&["SCH-10b"], "schema", "DBT1010").sql(
            "ALTER TABLE stuff RENAME TO base; REVOKE ALL ON base FROM {role}; CREATE VIEW stuff AS SELECT id, stuff, upper(things) AS things FROM base; \
             GRANT SELECT, INSERT ON stuff TO {role}",
        ).maybe(),
        Case::new(&["SCH-11"], "privileges", "DBT1104").sql(
            "ALTER TABLE stuff RENAME TO base; CREATE ROLE vo{role}; CREATE VIEW stuff AS SELECT * FROM base; ALTER VIEW stuff OWNER TO vo{role}; \
             GRANT SELECT, INSERT ON stuff TO {role}",
        ),
        Case::new(&["SCH-12"], "privileges", "DBT1102").sql(
            "ALTER TABLE stuff RENAME TO base; REVOKE ALL ON base FROM {role}; REVOKE ALL ON SEQUENCE stuff_id_seq FROM {role}; \
             CREATE VIEW stuff AS SELECT * FROM base; GRANT SELECT, INSERT ON stuff TO {role}",
        ),
        Case::new(&["SCH-13"], "schema", "DBT1010").sql(
            "ALTER TABLE stuff RENAME TO base; CREATE MATERIALIZED VIEW stuff AS SELECT * FROM base; GRANT SELECT ON stuff TO {role}",
        ).maybe(),
        Case::new(&["SCH-15"], "write", "DBT1313").table(
            "CREATE TABLE stuff (id serial, stuff varchar(255), things text) PARTITION BY RANGE (id)",
        ).maybe(),
        Case::new(&["SCH-16"], "write", "DBT1319").sql(
            "ALTER TABLE stuff RENAME TO base; CREATE VIEW stuff AS SELECT * FROM base WHERE stuff = 'x' WITH CHECK OPTION; GRANT SELECT, INSERT ON stuff TO {role}",
        ).maybe(),
        Case::new(&["SCH-18"], "schema", "DBT1006").sql("DROP TABLE stuff; CREATE SEQUENCE stuff").maybe(),
    ]);
}

#[test]
fn the_columns() {
    Ground::new("").run(of_the_columns());
}

pub fn of_the_columns() -> Vec<Case> {
    vec![
        Case::new(&["COL-01"], "schema", "DBT1007").sql("ALTER TABLE stuff DROP COLUMN things"),
        Case::new(&["COL-01b"], "schema", "DBT1007").sql("ALTER TABLE stuff DROP COLUMN id"),
        Case::new(&["COL-03"], "schema", "DBT1008").table("CREATE TABLE stuff (id serial PRIMARY KEY, stuff varchar(255), things integer DEFAULT 0)").maybe(),
        Case::new(&["COL-03b"], "schema", "DBT1008").table("CREATE TABLE stuff (id serial PRIMARY KEY, stuff date, things jsonb DEFAULT '{}')").maybe(),
        Case::new(&["COL-03c"], "schema", "DBT1008").table("CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE stuff (id serial PRIMARY KEY, stuff mood DEFAULT 'ok', things text[])").maybe(),
        Case::new(&["COL-04"], "schema", "DBT1008").table("CREATE TABLE stuff (id serial PRIMARY KEY, stuff varchar(255), things bytea); INSERT INTO stuff (stuff, things) VALUES ('a', 'b')").maybe(),
        Case::new(&["COL-05"], "schema", "DBT1011").table("CREATE TABLE stuff (id integer PRIMARY KEY, stuff varchar(255), things text); INSERT INTO stuff VALUES (7, 'a', 'b')"),
        Case::new(&["COL-05b"], "schema", "DBT1011").table("CREATE TABLE stuff (id integer, stuff varchar(255), things text)"),
        Case::new(&["COL-06"], "schema", "DBT1012").sql("ALTER TABLE stuff ADD COLUMN created timestamptz NOT NULL DEFAULT now(), ADD COLUMN who inet; UPDATE stuff SET who = '::1'; \
             ALTER TABLE stuff ALTER COLUMN who SET NOT NULL; ALTER TABLE stuff ALTER COLUMN created DROP DEFAULT").maybe(),
        Case::new(&["COL-08"], "schema", "DBT1009").table("CREATE TABLE stuff (id serial PRIMARY KEY, stuff varchar(255), things text GENERATED ALWAYS AS (upper(stuff)) STORED)").maybe(),
        Case::new(&["COL-09"], "write", "DBT1322").table("CREATE TABLE stuff (id serial PRIMARY KEY, stuff varchar(5), things text)"),
        Case::new(&["COL-10"], "schema", "DBT1013").table("CREATE TABLE stuff (id serial PRIMARY KEY, stuff varchar(100), things text)").warning(),
        Case::new(&["COL-11"], "write", "DBT1317").sql("ALTER TABLE stuff ADD CONSTRAINT short CHECK (length(things) < 4)").maybe(),
        Case::new(&["COL-12"], "schema", "DBT1014").sql("ALTER TABLE stuff ADD UNIQUE (stuff)").warning(),
        Case::new(&["COL-13"], "write", "DBT1314").sql("INSERT INTO stuff SELECT i, 'a', 'b' FROM generate_series(2, 500) i"),
        Case::new(&["COL-14"], "write", "DBT1320").sql("ALTER SEQUENCE stuff_id_seq MAXVALUE 2; SELECT setval('stuff_id_seq', 2)").maybe(),
        Case::new(&["COL-14b"], "write", "DBT1320").sql("SELECT setval('stuff_id_seq', 2147483647)").maybe(),
        Case::new(&["COL-14c"], "write", "DBT1321").sql("ALTER SEQUENCE stuff_id_seq AS bigint; SELECT setval('stuff_id_seq', 2147483647)").maybe(),
        Case::new(&["COL-15"], "write", "DBT1316").sql("CREATE TABLE parent (name varchar(255) PRIMARY KEY); INSERT INTO parent VALUES ('a'); ALTER TABLE stuff ADD FOREIGN KEY (stuff) REFERENCES parent").maybe(),
        Case::new(&["COL-16"], "write", "DBT1329").sql("CREATE RULE none AS ON INSERT TO stuff DO INSTEAD NOTHING").maybe(),
        Case::new(&["COL-16b"], "write", "DBT1329").sql("CREATE FUNCTION eat() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER eat BEFORE INSERT ON stuff FOR EACH ROW EXECUTE FUNCTION eat()").maybe(),
        Case::new(&["COL-17"], "write", "DBT1309").sql(
            "CREATE TABLE audit (t text); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO audit VALUES (NEW.stuff); RETURN NEW; END'; \
             CREATE TRIGGER t AFTER INSERT ON stuff FOR EACH ROW EXECUTE FUNCTION f()",
        ).maybe(),
        Case::new(&["COL-17b"], "write", "DBT1309").sql(
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO nowhere VALUES (NEW.stuff); RETURN NEW; END'; \
             CREATE TRIGGER t AFTER INSERT ON stuff FOR EACH ROW EXECUTE FUNCTION f()",
        ).maybe(),
        Case::new(&["COL-18"], "write", "DBT1310").sql(
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no more rows''; END'; \
             CREATE TRIGGER t BEFORE INSERT ON stuff FOR EACH ROW EXECUTE FUNCTION f()",
        ).maybe(),
        Case::new(&["COL-19"], "durable", "DBT1402").sql(
            "CREATE TABLE parent (name varchar(255) PRIMARY KEY); INSERT INTO parent VALUES ('a'); \
             ALTER TABLE stuff ADD CONSTRAINT late FOREIGN KEY (stuff) REFERENCES parent DEFERRABLE INITIALLY DEFERRED",
        ).maybe(),
        Case::new(&["COL-20"], "privileges", "DBT1103").sql(
            "CREATE FUNCTION nid() RETURNS integer LANGUAGE sql AS 'SELECT (random() * 2000000000)::integer'; REVOKE EXECUTE ON FUNCTION nid() FROM PUBLIC; ALTER TABLE stuff ALTER COLUMN id SET DEFAULT nid()",
        ),
    ]
}

#[test]
fn the_privileges() {
    Ground::new("").run(of_the_privileges());
}

pub fn of_the_privileges() -> Vec<Case> {
    vec![
        Case::new(&["PRV-01"], "privileges", "DBT1101").sql("REVOKE ALL ON stuff FROM {role}; REVOKE ALL ON SEQUENCE stuff_id_seq FROM {role}"),
        Case::new(&["PRV-02"], "privileges", "DBT1101").sql("REVOKE INSERT ON stuff FROM {role}"),
        Case::new(&["PRV-03"], "privileges", "DBT1102").sql("REVOKE ALL ON SEQUENCE stuff_id_seq FROM {role}"),
        Case::new(&["PRV-04"], "privileges", "DBT1101").sql("REVOKE ALL ON stuff FROM {role}; GRANT SELECT (id, stuff), INSERT ON stuff TO {role}"),
        Case::new(&["PRV-06"], "privileges", "DBT1106").sql("ALTER TABLE stuff ENABLE ROW LEVEL SECURITY"),
        Case::new(&["PRV-07"], "privileges", "DBT1107").sql("ALTER TABLE stuff ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON stuff FOR INSERT TO {role} WITH CHECK (true)").maybe(),
        Case::new(&["PRV-07b"], "privileges", "DBT1108").sql("ALTER TABLE stuff ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON stuff FOR SELECT TO {role} USING (true)").maybe(),
        Case::new(&["PRV-08"], "read", "DBT1111").sql("ALTER TABLE stuff ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON stuff TO {role} USING (current_setting('app.tenant') IS NOT NULL)").maybe(),
        Case::new(&["PRV-09"], "write", "DBT1110").sql(
            "ALTER TABLE stuff ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON stuff TO {role} USING (true) WITH CHECK (stuff = 'mine')",
        ).maybe(),
        Case::new(&["PRV-11"], "privileges", "DBT1105").sql(
            "REVOKE ALL ON stuff FROM {role}; REVOKE ALL ON SEQUENCE stuff_id_seq FROM {role}; CREATE ROLE grp{role}; \
             GRANT SELECT, INSERT ON stuff TO grp{role}; GRANT USAGE ON SEQUENCE stuff_id_seq TO grp{role}; ALTER ROLE {role} NOINHERIT; GRANT grp{role} TO {role}",
        ),
        Case::new(&["DBN-08"], "privileges", "DBT1101").sql("CREATE ROLE app{role}; ALTER ROLE {role} SET role TO app{role}; REVOKE ALL ON stuff FROM {role}"),
    ]
}
