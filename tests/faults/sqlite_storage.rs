//! Where an SQLite file lies, who else has it, and what a migration or a newer SQLite left in it.

use super::site::{Site, TABLE};
use super::sqlite::Background;
use serde_json::Value;

/// It works, and one of the warnings has this id.
#[track_caller]
fn warns(site: &Site, id: &str) -> Value {
    let (status, report) = site.check();
    assert_eq!(
        (status, report["verdict"].as_str(), report["id"].as_str()),
        (200, Some("warn"), Some(id)),
        "{report:#}"
    );
    report
}

#[track_caller]
fn nothing_is_sure(report: &Value) {
    for fix in report["fixes"].as_array().expect("fixes") {
        assert_eq!(fix["sure"].as_bool(), Some(false), "{fix:#}");
    }
}

#[test]
fn a_file_system_that_keeps_no_modes() {
    let site = Site::new();
    site.passes();
    site.sh("truncate -s 16m $ABOVE/disk; mkntfs -F -q $ABOVE/disk > /dev/null 2>&1; cp $DB $ABOVE/kept; \
         ntfs-3g -o uid=0,gid=0,umask=022,allow_other $ABOVE/disk $DIR; cp $ABOVE/kept $DB");
    let report = site.fails("reach", "DBT0466");
    nothing_is_sure(&report);
    let texts = report["fixes"].to_string();
    assert!(!texts.contains("chgrp") && texts.contains("uid="), "{texts}");
    // the first of the choices: a copy on a file system of Linux, and then the directive is sure
    site.apply(&report["fixes"][0]);
    let report = site.fails("resolve", "DBT0351");
    assert_eq!(
        (report["fixes"][0]["kind"].as_str(), report["fixes"][0]["sure"].as_bool()),
        (Some("httpd"), Some(true))
    );
    site.apply(&report["fixes"][0]);
    site.works_in_every_child();
}

#[test]
fn only_the_file_is_mounted() {
    let site = Site::apart();
    site.passes();
    site.sh("mkdir $ABOVE/host; cp $DB $ABOVE/host/site.db; chown -R www-data: $ABOVE/host; chown root: $DIR; \
         nsenter -t $HTTPD -m mount --bind $ABOVE/host/site.db $DB");
    site.httpd.graceful();
    let report = site.fails("reach", "DBT0468");
    nothing_is_sure(&report);
    assert!(report["fixes"][0]["text"].as_str().is_some_and(|text| text.contains("/host:/")), "{report:#}");
    // writable it works, and is still not right
    site.sh("chown www-data: $DIR");
    warns(&site, "DBT0468");
    site.works_in_every_child();
}

#[test]
fn two_names_of_one_file() {
    for mode in ["delete", "wal"] {
        let site = Site::with(&format!("PRAGMA journal_mode={mode}; {TABLE}"));
        site.sh("mkdir $ABOVE/other; ln $DB $ABOVE/other/site.db");
        nothing_is_sure(&warns(&site, "DBT1454"));
        site.works_in_every_child();
        site.sh("rm $ABOVE/other/site.db");
        site.passes();
    }
}

#[test]
fn a_database_in_memory() {
    let site = Site::new();
    site.sh("cp -a $DB $ABOVE/kept; mount -t tmpfs tmpfs $DIR; chown www-data: $DIR; cp -a $ABOVE/kept $DB");
    warns(&site, "DBT1456");
    site.works_in_every_child();
}

#[test]
fn a_log_that_a_reader_keeps_from_being_emptied() {
    let site = Site::with(&format!("PRAGMA journal_mode=wal; {TABLE} INSERT INTO stuff VALUES (1, 'a', 'b');"));
    let reader = Background::sqlite3(&site, "BEGIN; SELECT count(*) FROM stuff;");
    let idle = Background::sqlite3(&site, "SELECT count(*) FROM stuff;");
    super::site::www_data(
        &site.file(),
        "PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=OFF; CREATE TABLE b (x); \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 90) INSERT INTO b SELECT zeroblob(1000000) FROM n; DROP TABLE b;",
    );
    let report = warns(&site, "DBT1455");
    nothing_is_sure(&report);
    let text = report["fixes"][0]["text"].as_str().unwrap_or_default();
    assert_eq!(text, format!("kill {}", reader.pid()), "not {} who only has it open: {report:#}", idle.pid());
}

#[test]
fn who_only_has_the_database_open_is_not_said_to_hold_the_lock() {
    let site = Site::with(&format!("PRAGMA journal_mode=wal; {TABLE} INSERT INTO stuff VALUES (1, 'a', 'b');"));
    let idle = Background::sqlite3(&site, "SELECT count(*) FROM stuff;");
    let writer = Background::sqlite3(&site, "BEGIN IMMEDIATE;");
    let report = site.fails("write", "DBT1350");
    let text = report["fixes"][0]["text"].as_str().unwrap_or_default();
    assert_eq!(text, format!("kill {}", writer.pid()), "{report:#}");
    drop(idle);
}

#[test]
fn a_lock_of_a_process_that_cannot_be_seen() {
    for mode in ["delete", "wal"] {
        let wrapper = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
        let site = Site::at(&format!("PRAGMA journal_mode={mode}; {TABLE}"), &wrapper, "");
        let _writer = Background::sqlite3(&site, "BEGIN IMMEDIATE;");
        let report = site.fails("write", "DBT1350");
        let cause = report["cause"].as_str().unwrap_or_default();
        assert!(cause.contains("cannot be seen from here"), "{cause}");
        assert!(!report["excluded"].to_string().contains("a lock:"), "{report:#}");
        nothing_is_sure(&report);
    }
}

#[test]
fn a_trigger_that_leads_to_a_table_before_a_migration() {
    let make = |site: &Site| {
        super::site::www_data(
            &site.file(),
            "CREATE TABLE audit (id INTEGER PRIMARY KEY, stuff_id INTEGER REFERENCES stuff__old(id)); \
             CREATE TRIGGER keep AFTER INSERT ON stuff BEGIN INSERT INTO audit (stuff_id) SELECT id FROM stuff__old WHERE id = NEW.id; END;",
        );
    };
    let site = Site::new();
    site.passes();
    site.warm();
    make(&site);
    let post = site.httpd.post("/dbtest/", &[("stuff", "a"), ("things", "b")]).expect(503);
    assert!(post.text().contains("DBT1354"), "page and check name the same: {}", post.text());
    let report = site.fails("write", "DBT1354");
    assert!(!report["fixes"][0]["text"].as_str().unwrap_or_default().is_empty());
    site.cure(&report);
    site.works_in_every_child();
    // the trigger is there, and does its work
    site.sh("test $(sqlite3 $DB 'SELECT count(*) FROM audit') -gt 3");
}

#[test]
fn objects_of_a_newer_sqlite() {
    for (kind, name, sql) in [
        (
            "trigger",
            "late",
            "CREATE TRIGGER late BEFORE INSERT ON stuff BEGIN SELECT RAISE(FROBNICATE, NEW.stuff); END",
        ),
        ("view", "late", "CREATE VIEW late AS SELECT stuff FROM stuff FROBNICATE BY id"),
    ] {
        for mode in ["delete", "wal"] {
            let site = Site::with(&format!("PRAGMA journal_mode={mode}; {TABLE}"));
            site.passes();
            site.sh(&format!(
                "python3 -c \"import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA writable_schema=ON'); \
                 c.execute('INSERT INTO sqlite_master VALUES (?, ?, ?, 0, ?)', sys.argv[2:]); c.execute('PRAGMA schema_version=99'); c.commit()\" \
                 $DB {kind} {name} {} '{sql}'",
                if kind == "view" { name } else { "stuff" },
            ));
            let report = site.fails("speaks", "DBT0555");
            let cause = report["cause"].as_str().unwrap_or_default();
            assert!(cause.contains(&format!("{kind} {name}")), "{cause}");
            assert_eq!(report["fixes"].as_array().map(Vec::len), Some(0), "nothing is to be rescued: {report:#}");
        }
    }
}

#[test]
fn a_table_without_a_column_is_not_a_missing_table() {
    let site = Site::at(TABLE, &[], "DBTestCreateTable On");
    super::site::www_data(&site.file(), "DROP TABLE stuff; CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT);");
    let report = site.fails("schema", "DBT1051");
    let page = site.httpd.get("/dbtest/").expect(503).expect_text("DBT1051").expect_no_text("is not there");
    assert!(!page.text().contains("DBT1050"), "{}", page.text());
    site.cure(&report);
    site.works_in_every_child();
}
