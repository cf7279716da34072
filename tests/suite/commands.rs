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
        let outcome = httpd.command(&["-t", "-D", "DBTEST_INIT"]);
        assert!(outcome.success && outcome.output.contains("is there already"), "{}", outcome.output);
        assert_eq!(database.rows().len(), 1);
        // what would be lost is said, and wants a second word
        let outcome = httpd.command(&["-t", "-D", "DBTEST_RESET"]);
        assert_eq!(outcome.code, Some(1), "{}", outcome.output);
        assert!(outcome.output.contains("has 1 row(s)") && outcome.output.contains("DBTEST_YES"), "{}", outcome.output);
        assert_eq!(database.rows().len(), 1);
        let outcome = httpd.command(&["-t", "-D", "DBTEST_RESET", "-D", "DBTEST_YES"]);
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
        httpd.allow_log("a form from the origin");
        httpd.request("POST", "/yes/create", &[("Sec-Fetch-Site", "cross-site")], b"").expect(403);
        httpd.post("/yes/create", &[]).expect(303);
        httpd.post("/yes/", &[("stuff", "a"), ("things", "b")]).expect(303);
        assert_eq!(database.rows().len(), 1);
    }
}

#[test]
fn a_reset_is_of_one_named_place_and_never_of_a_read_only_one() {
    let (development, production) = (Database::new(Kind::Sqlite), Database::new(Kind::Postgresql));
    for database in [&development, &production] {
        database.fill(3);
    }
    let httpd = Httpd::builder(Mpm::Event)
        .location("/development", &development.directive())
        .location("/production", &format!("{}\nDBTestReadOnly On", production.directive()))
        // the same database once more, where it may be written
        .location("/staging", &production.directive())
        .start();
    let reset = |only: &[&str]| httpd.command(&[&["-t", "-D", "DBTEST_RESET", "-D", "DBTEST_YES"], only].concat());
    for (only, expected) in [
        (&[][..], "would empty 2 databases"),
        (&["-c", "DBTestOnly /production"], "DBTestReadOnly is On"),
        (&["-c", "DBTestOnly /staging"], "where DBTestReadOnly is On"),
        (&["-c", "DBTestOnly /other"], "there is no such Location"),
    ] {
        let outcome = reset(only);
        assert_eq!(outcome.code, Some(1), "{only:?}: {}", outcome.output);
        assert!(outcome.output.contains(expected), "{only:?}: {}", outcome.output);
        assert_eq!((development.rows().len(), production.rows().len()), (3, 3), "{only:?}");
    }
    let outcome = reset(&["-c", "DBTestOnly /development"]);
    assert!(outcome.success && outcome.output.contains("with 3 row(s)"), "{}", outcome.output);
    assert_eq!((development.rows().len(), production.rows().len()), (0, 3));
}

#[test]
fn two_locations_of_one_database_are_one() {
    let database = Database::without_table(Kind::Sqlite);
    let builder = || {
        Httpd::builder(Mpm::Event)
            .location("/one", &database.directive())
            .location("/two", &format!("{}\nDBTestPageSize 5", database.directive()))
    };
    let checked = configtest_of(builder(), &["DBTEST_INIT"]);
    let output = &checked.outcome().output;
    assert!(checked.outcome().success, "{output}");
    assert_eq!(output.matches(" created").count(), 1, "{output}");
    assert!(configtest_of(builder(), &["DBTEST_RESET"]).outcome().success);
}

#[test]
fn what_nobody_checked_does_not_pass() {
    for (conf, defines, expected) in [
        ("", &["DBTEST_CHECK"][..], "no place of this server has SetHandler dbtest"),
        ("", &["DBTEST_INIT"], "no place of this server has SetHandler dbtest"),
        ("", &["DBTEST_CHEKC"], "DBTEST_CHECK"),
        ("", &["DBTEST_RESET=/dbtest"], "DBTEST_RESET"),
        ("DBTestOnly /other", &["DBTEST_CHECK"], "there is no such Location"),
    ] {
        let builder = Httpd::builder(Mpm::Event).conf(conf);
        let builder = if conf.is_empty() { builder } else { builder.location("/dbtest", "") };
        let checked = configtest_of(builder, defines);
        let outcome = checked.outcome();
        assert_eq!(outcome.code, Some(1), "{defines:?}: {}", outcome.output);
        assert!(outcome.output.contains(expected), "{defines:?}: {}", outcome.output);
    }
    // what others define for themselves is theirs
    assert!(configtest_of(Httpd::builder(Mpm::Event), &["DBTEST_HOST", "SSL"]).outcome().success);
}

#[test]
fn nothing_is_made_or_changed_but_what_was_asked_for() {
    let all: &[&[&str]] = &[&[], &["DUMP_DBTEST"], &["DBTEST_CHECK"], &["DBTEST_NAGIOS"], &["DBTEST_JSON"]];
    for defines in all {
        let checked = configtest_of(Httpd::builder(Mpm::Event).location("/dbtest", ""), defines);
        assert!(!checked.root().join("state").exists(), "{defines:?}: {}", checked.outcome().output);
        let asked = defines.len() == 1 && !defines.contains(&"DUMP_DBTEST");
        assert_eq!(checked.outcome().success, !asked, "{defines:?}: {}", checked.outcome().output);
    }
    let made = configtest_of(Httpd::builder(Mpm::Event).location("/dbtest", ""), &["DBTEST_INIT", "DBTEST_CHECK"]);
    assert!(made.outcome().success, "{}", made.outcome().output);
    let state = std::fs::metadata(made.root().join("state")).expect("made as at start");
    if let Some(account) = server_account() {
        assert_eq!(state.uid(), account.uid);
    }
}

#[test]
fn a_directory_that_was_there_is_never_given_away() {
    let dir = tempfile::tempdir_in("/tmp").expect("a directory");
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(dir.path().join("somebody-elses"), "").unwrap();
    let conf = format!("DBTestStateDir {}", dir.path().display());
    let builder = || Httpd::builder(Mpm::Event).location("/dbtest", &format!("{conf}\nDBTestDetail full"));
    let before = std::fs::metadata(dir.path()).unwrap();
    let unchanged = || {
        let now = std::fs::metadata(dir.path()).unwrap();
        assert_eq!((now.uid(), now.gid(), now.mode()), (before.uid(), before.gid(), before.mode()));
    };
    for define in ["DBTEST_CHECK", "DBTEST_INIT", "DBTEST_RESET"] {
        let checked = configtest_of(builder(), &[define]);
        if server_account().is_some() {
            assert_eq!(checked.outcome().code, Some(1), "{define}: {}", checked.outcome().output);
        }
        unchanged();
    }
    let httpd = builder().start();
    if server_account().is_some() {
        httpd.expect_log("What this module did not make, it does not change");
        httpd.allow_log("DBT");
        httpd.get("/dbtest/").expect(503);
        httpd.get("/index.html").expect(200);
    }
    unchanged();
}

#[test]
fn a_monitor_is_answered_in_its_own_terms() {
    let (well, ill) = (Database::new(Kind::Postgresql), Database::without_table(Kind::Sqlite));
    let httpd =
        Httpd::builder(Mpm::Event).location("/well", &well.directive()).location("/ill", &ill.directive()).start();
    let run = |words: &[&str]| httpd.command(&[&["-t"], words].concat());
    let only = ["-c", "DBTestOnly /well"];
    let outcome = run(&[&["-D", "DBTEST_CHECK", "-D", "DBTEST_NAGIOS"][..], &only].concat());
    assert!(matches!(outcome.code, Some(0 | 1)), "{}", outcome.output);
    assert!(outcome.output.starts_with("DBTEST ") && outcome.output.contains("| '/well'="), "{}", outcome.output);
    let outcome = run(&["-D", "DBTEST_NAGIOS"]);
    assert_eq!(outcome.code, Some(2), "{}", outcome.output);
    assert!(outcome.output.starts_with("DBTEST CRITICAL - /ill at schema: DBT"), "{}", outcome.output);
    let outcome = run(&["-D", "DBTEST_NAGIOS", "-c", "DBTestOnly /none"]);
    assert_eq!(outcome.code, Some(3), "{}", outcome.output);
    let outcome = run(&["-D", "DBTEST_CHECK", "-D", "DBTEST_JSON"]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.output);
    let json: serde_json::Value = serde_json::from_str(outcome.output.lines().next().unwrap()).expect("one line");
    assert_eq!(json["verdict"], "fail");
    let locations: Vec<&str> =
        json["places"].as_array().unwrap().iter().filter_map(|place| place["location"].as_str()).collect();
    assert_eq!(locations, ["/well", "/ill"]);
}

/// A graceful restart keeps the library in memory, whatever is on the disk by then: what runs says which it is.
#[test]
fn the_version_that_runs_is_told() {
    let httpd = Httpd::builder(Mpm::Event).location("/dbtest", "").start();
    let version = env!("CARGO_PKG_VERSION");
    let server = httpd.get("/index.html").header("server").map(str::to_owned).unwrap_or_default();
    assert!(server.contains(&format!("mod_dbtest/{version}")), "{server}");
    // the port is open before the modules are configured: only an answer shows that they are
    assert!(httpd.log().contains(&format!("mod_dbtest/{version} configured")), "{}", httpd.log());
    httpd.graceful();
    assert_eq!(httpd.get("/index.html").header("server"), Some(server.as_str()), "once, not once a generation");
    assert!(httpd.command(&["-t", "-D", "DUMP_DBTEST"]).output.contains(&format!("mod_dbtest {version} ")));
    assert_eq!(
        httpd.command(&["-t", "-D", "DBTEST_JSON"]).output.matches(version).count(),
        2,
        "of the run, and of the report"
    );
}
