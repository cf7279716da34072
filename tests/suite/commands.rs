//! `httpd -t -D …`: what an administrator asks on the command line.

use std::os::unix::fs::MetadataExt;

use crate::support::httpd::configtest_of;
use crate::support::module::server_account;
use crate::support::{Database, Httpd, Kind, Mpm};

#[test]
fn dump_dbtest_shows_what_was_resolved_and_where_it_was_written() {
    let database = Database::new(Kind::Sqlite);
    let builder = Httpd::builder(Mpm::Event)
        .conf("DBTestPageSize 7")
        .location("/dbtest", &format!("{}\nDBTestTimeout query=9s", database.directive()))
        .location("/other", "DBTestDatabase postgresql://flask:hidden@db.example/site?sslmode=require");
    let checked = configtest_of(builder, &["DUMP_DBTEST"]);
    let output = &checked.outcome().output;
    assert!(checked.outcome().success, "{output}");
    for text in ["/dbtest", "/other", "site.db", "db.example", "httpd.conf:", "DBTestPageSize", "DBTestTimeout"] {
        assert!(output.contains(text), "no {text} in\n{output}");
    }
    assert!(!output.contains("hidden"), "{output}");
}

#[test]
fn dbtest_init_makes_the_table_as_the_servers_user() {
    for kind in [Kind::Sqlite, Kind::Postgresql] {
        let database = Database::without_table(kind);
        if kind == Kind::Sqlite {
            std::fs::remove_file(database.file()).unwrap();
        }
        let httpd = Httpd::builder(Mpm::Event).location("/dbtest", &database.directive()).start();
        httpd.allow_log("DBT");
        assert_eq!(httpd.get("/dbtest/").status, 503);
        let outcome = httpd.command(&["-t", "-D", "DBTEST_INIT"]);
        assert!(outcome.success, "{}", outcome.output);
        httpd.post("/dbtest/", &[("stuff", "a"), ("things", "kept")]).expect(303);
        if let (Kind::Sqlite, Some(account)) = (kind, server_account()) {
            assert_eq!(std::fs::metadata(database.file()).unwrap().uid(), account.uid);
        }
        // again: it is there, and nothing is lost
        httpd.command(&["-t", "-D", "DBTEST_INIT"]);
        assert_eq!(database.rows().len(), 1);
        let outcome = httpd.command(&["-t", "-D", "DBTEST_RESET"]);
        assert!(outcome.success, "{}", outcome.output);
        assert_eq!(database.rows().len(), 0);
        httpd.get("/dbtest/").expect(200).expect_no_text("kept");
    }
}

#[test]
fn dbtest_check_passes_and_fails_by_its_exit_status() {
    let database = Database::new(Kind::Postgresql);
    let httpd = Httpd::builder(Mpm::Event).location("/dbtest", &database.directive()).start();
    let outcome = httpd.command(&["-t", "-D", "DBTEST_CHECK"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.output);
    assert!(outcome.output.contains("authenticated"), "{}", outcome.output);
    database.run("DROP TABLE stuff");
    let outcome = httpd.command(&["-t", "-D", "DBTEST_CHECK"]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.output);
    assert!(outcome.output.contains("schema"), "{}", outcome.output);
    assert!(!outcome.output.contains('\u{1b}'), "colour is for terminals");
}

/// The page's own way: a button, and the statement that it will run.
#[test]
fn the_page_offers_to_create_the_table_where_allowed() {
    for kind in [Kind::Sqlite, Kind::Postgresql] {
        let database = Database::without_table(kind);
        let httpd = Httpd::builder(Mpm::Event)
            .location("/yes", &format!("{}\nDBTestCreateTable On", database.directive()))
            .location("/no", &database.directive())
            .start();
        httpd.allow_log("/yes");
        httpd.allow_log("/no");
        httpd.get("/no/").expect(503).expect_no_text("/no/create");
        assert!(httpd.post("/no/create", &[]).status >= 400);
        httpd.get("/yes/").expect(503).expect_text("CREATE TABLE").expect_text("<button");
        httpd.request("POST", "/yes/create", &[("Sec-Fetch-Site", "cross-site")], b"").expect(403);
        httpd.post("/yes/create", &[]).expect(303);
        httpd.post("/yes/", &[("stuff", "a"), ("things", "b")]).expect(303);
        assert_eq!(database.rows().len(), 1);
    }
}
