//! What a visitor and an administrator are told when the database fails. The layers themselves are the fault
//! tests' concern; here it is who sees how much, and that nothing typed is lost.

use crate::support::{Database, Httpd, Kind, Mpm, client};

crate::matrix![what_was_typed_survives_a_failed_write, what_the_table_refuses_is_said_beside_the_field];

fn what_was_typed_survives_a_failed_write(mpm: Mpm, kind: Kind) {
    let database = Database::new(kind);
    let httpd = Httpd::builder(mpm).location("/dbtest", &database.directive()).start();
    httpd.expect_log("/dbtest");
    httpd.get("/dbtest/").expect(200);
    // a trigger of the table refuses
    database.run(match kind {
        Kind::Sqlite => "CREATE TRIGGER no BEFORE INSERT ON stuff BEGIN SELECT RAISE(ABORT, 'not today'); END",
        Kind::Postgresql => {
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''not today''; END'; \
             CREATE TRIGGER no BEFORE INSERT ON stuff FOR EACH ROW EXECUTE FUNCTION no()"
        }
    });
    let reply = httpd.post("/dbtest/", &[("stuff", "a precious text"), ("things", "and its <detail>")]);
    assert!([409, 422, 500, 503].contains(&reply.status), "{}", reply.status);
    reply
        .expect_text("value=\"a precious text\"")
        .expect_text("and its &#60;detail")
        .expect_text("Your row was not saved");
    assert_eq!(database.rows(), []);
    // nothing is left half-done: the next one succeeds
    database.run(match kind {
        Kind::Sqlite => "DROP TRIGGER no",
        Kind::Postgresql => "DROP TRIGGER no ON stuff",
    });
    httpd.post("/dbtest/", &[("stuff", "a precious text"), ("things", "x")]).expect(303);
}

#[test]
fn brief_tells_a_visitor_the_id_and_no_more() {
    let cluster = Database::without_table(Kind::Postgresql);
    // Somebody else's visitor: a proxy's header makes the request no longer this machine's own
    let ask = |detail: &str| {
        let httpd = Httpd::builder(Mpm::Event)
            .location("/dbtest", &format!("{}\nDBTestDetail {detail}", cluster.directive()))
            .start();
        httpd.expect_log("DBT");
        let reply = httpd.request("GET", "/dbtest/", &[("X-Forwarded-For", "203.0.113.9")], b"").expect(503);
        assert!(reply.text().contains("DBT"), "no id in\n{}", reply.text());
        reply.text().to_owned()
    };
    let (_, name) = cluster.cluster();
    let brief = ask("brief");
    assert!(!brief.contains(name) && !brief.contains("42P01"), "{brief}");
    let full = ask("full");
    assert!(full.contains("CREATE TABLE") || full.contains("42P01"), "{full}");
}

#[test]
fn a_failure_is_logged_once_and_its_end_as_well() {
    let database = Database::new(Kind::Postgresql);
    // one child, so that there is one memory of what has been logged
    let httpd = Httpd::builder(Mpm::Event)
        .mpm_conf("StartServers 1\nServerLimit 1\nThreadsPerChild 8\nMaxRequestWorkers 8\nMinSpareThreads 1\n")
        .location("/dbtest", &database.directive())
        .start();
    httpd.expect_log("DBT");
    httpd.get("/dbtest/").expect(200);
    database.run("ALTER TABLE stuff RENAME TO hidden");
    for _ in 0..5 {
        httpd.get("/dbtest/").expect(503);
    }
    let lines: Vec<String> =
        httpd.log().lines().filter(|line| line.contains("dbtest:error")).map(str::to_owned).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    for text in ["DBT", "/dbtest", "42P01"] {
        assert!(lines[0].contains(text), "no {text} in {}", lines[0]);
    }
    database.run("ALTER TABLE hidden RENAME TO stuff");
    httpd.get("/dbtest/").expect(200);
    assert!(httpd.log().contains("works again"), "{}", httpd.log());
}

#[test]
fn health_is_one_line_and_cheap() {
    let database = Database::new(Kind::Postgresql);
    let httpd = Httpd::builder(Mpm::Event).location("/dbtest", &database.directive()).start();
    httpd.allow_log("/dbtest");
    let reply = httpd.get("/dbtest/health").expect(200);
    assert_eq!(reply.text().trim_end().lines().count(), 1, "{}", reply.text());
    for _ in 0..20 {
        httpd.get("/dbtest/health").expect(200);
    }
    let (cluster, name) = database.cluster();
    cluster.psql(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
    cluster.psql(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"));
    httpd.wait("503", |httpd| httpd.get("/dbtest/health").status == 503);
    cluster.psql(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"));
    httpd.wait("200", |httpd| httpd.get("/dbtest/health").status == 200);
}

#[test]
fn a_row_whose_fate_is_unknown_is_said_to_be_unknown() {
    let database = Database::new(Kind::Postgresql);
    // the answer to the insert never comes: the trigger sleeps longer than we wait
    database.run(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3); RETURN NEW; END'; \
         CREATE TRIGGER slow BEFORE INSERT ON stuff FOR EACH ROW EXECUTE FUNCTION slow()",
    );
    let httpd = Httpd::builder(Mpm::Event)
        .location("/dbtest", &format!("{}\nDBTestTimeout query=500ms", database.directive()))
        .start();
    httpd.allow_log("/dbtest");
    let body = client::form(&[("stuff", "perhaps"), ("things", "x")]);
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json")];
    let reply = httpd.request("POST", "/dbtest/", &headers, body.as_bytes());
    assert!(reply.status >= 500, "{}", reply.status);
    let saved = reply.json()["error"]["saved"].as_str().expect("saved").to_owned();
    // the server may have been told to stop in time; then "no" must be the truth
    std::thread::sleep(std::time::Duration::from_secs(4));
    match saved.as_str() {
        "no" => assert_eq!(database.rows(), []),
        "unknown" => {}
        other => panic!("saved: {other}"),
    }
}

fn what_the_table_refuses_is_said_beside_the_field(mpm: Mpm, kind: Kind) {
    let database = Database::without_table(kind);
    let id = if kind == Kind::Sqlite { "INTEGER PRIMARY KEY" } else { "serial PRIMARY KEY" };
    database.run(&format!(
        "CREATE TABLE stuff (id {id}, stuff varchar(255) NOT NULL UNIQUE, things text NOT NULL, \
         CONSTRAINT mild_things CHECK (things <> 'bad'))"
    ));
    // a line of level warn or worse would fail this test
    let httpd = Httpd::builder(mpm).location("/dbtest", &database.directive()).start();
    let post = |stuff: &str, things: &str| httpd.post("/dbtest/", &[("stuff", stuff), ("things", things)]);
    post("one", "good").expect(303);
    let bad = post("two", "bad").expect(422);
    bad.clone().expect_text("id=\"things-mistake\"").expect_text("mild_things").expect_text("value=\"two\"");
    post("one", "again").expect(409).expect_text("id=\"stuff-mistake\"").expect_text("already");
    post("two", "good").expect(303);
    assert_eq!(database.rows().len(), 2);
}

#[test]
fn what_an_encoding_or_an_index_cannot_hold_is_said_beside_the_field() {
    let database = Database::new(Kind::Postgresql);
    let (cluster, name) = database.cluster();
    cluster.psql(&format!("CREATE DATABASE {name}_latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C' OWNER {name}"));
    cluster.psql_in(
        &format!("{name}_latin"),
        &format!(
            "SET ROLE {name}; CREATE TABLE stuff (id serial PRIMARY KEY, stuff varchar(255) NOT NULL, things text NOT NULL); \
             CREATE INDEX ON stuff (things)"
        ),
    );
    let directive = format!("DBTestDatabase \"{}\"", cluster.socket_url(name, &format!("{name}_latin")));
    let httpd = Httpd::builder(Mpm::Event).location("/dbtest", &directive).start();
    let post = |stuff: &str, things: &str| httpd.post("/dbtest/", &[("stuff", stuff), ("things", things)]);
    post("caf\u{e9}", "good").expect(303);
    post("10 \u{20ac}", "good").expect(422).expect_text("id=\"stuff-mistake\"").expect_text("encoding");
    // a text that does not compress
    let mut state = 1_u64;
    let mut long = String::new();
    while long.len() < 20_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        long.push_str(&format!("{:016x}", state));
    }
    post("x", &long).expect(422).expect_text("id=\"things-mistake\"").expect_text("index");
}
