//! Faults of statements as people reported them in public.

use super::ground::{Case, Ground};

#[test]
fn statements_as_reported() {
    Ground::new("").run(vec![
        // the column was made bigint by a migration, and its sequence was forgotten
        Case::new(&["REP-01"], "write", "DBT1320")
            .sql("ALTER TABLE stuff ALTER id TYPE bigint; SELECT setval('stuff_id_seq', 2147483647)"),
        // the sequence was made by hand, and knows nothing of the rows that are there
        Case::new(&["REP-02"], "write", "DBT1314").sql(
            "CREATE SEQUENCE shared; GRANT USAGE ON SEQUENCE shared TO {role}; ALTER TABLE stuff ALTER id SET DEFAULT nextval('shared')",
        ),
        // every policy that lets rows in is overruled by one that is RESTRICTIVE
        Case::new(&["REP-03"], "write", "DBT1110")
            .sql(
                "ALTER TABLE stuff ENABLE ROW LEVEL SECURITY; CREATE POLICY all_of_it ON stuff USING (true); \
                 CREATE POLICY theirs ON stuff AS RESTRICTIVE USING (stuff = 'mine')",
            )
            .maybe(),
        // the function acts for its owner, who lacks the right: no grant to our role is offered
        Case::new(&["REP-04"], "write", "DBT1309")
            .sql(
                "CREATE ROLE own{role}; CREATE TABLE audit (t text); \
                 CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN INSERT INTO audit(t) VALUES (NEW.stuff); RETURN NEW; END'; \
                 ALTER FUNCTION f() OWNER TO own{role}; CREATE TRIGGER t AFTER INSERT ON stuff FOR EACH ROW EXECUTE FUNCTION f()",
            )
            .maybe(),
    ]);
}
