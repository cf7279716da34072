//! What works without being configured, and commands that prepare a database.

use std::os::unix::fs::MetadataExt;

use crate::support::module::server_account;
use crate::support::{Httpd, Mpm};

crate::on_each_mpm![the_handler_alone_gives_a_working_page];

fn the_handler_alone_gives_a_working_page(mpm: Mpm) {
    let httpd =
        Httpd::builder(mpm).conf("<Location \"/dbtest\">\nSetHandler dbtest\nRequire local\n</Location>").start();
    let state = httpd.root().join("state");
    let made = std::fs::metadata(&state).expect("the state directory is made at start");
    if let Some(account) = server_account() {
        assert_eq!((made.uid(), made.gid()), (account.uid, account.gid));
    }
    assert_eq!(made.mode() & 0o007, 0, "it is nobody else's");
    assert_eq!(std::fs::read_dir(&state).unwrap().count(), 0, "the file is made on first use");
    httpd.get("/dbtest/").expect(200).expect_text("<form");
    httpd.post("/dbtest/", &[("stuff", "first"), ("things", "row")]).expect(303);
    for entry in std::fs::read_dir(&state).unwrap() {
        let entry = entry.unwrap();
        if let Some(account) = server_account() {
            assert_eq!(entry.metadata().unwrap().uid(), account.uid, "{:?}", entry.path());
        }
    }
    httpd.graceful();
    httpd.get("/dbtest/").expect(200).expect_text("first");
}

#[test]
fn a_database_that_was_named_is_never_created_unasked() {
    let httpd = Httpd::builder(Mpm::Event)
        .location("/relative", "DBTestDatabase sqlite:typo.db")
        .location("/absolute", "DBTestDatabase sqlite:${ROOT}/state/other-typo.db")
        .start();
    httpd.allow_log("typo.db");
    for path in ["/relative/", "/absolute/"] {
        httpd.get(path).expect(503);
        httpd.get(&format!("{path}check")).expect(503);
        httpd.post(path, &[("stuff", "a"), ("things", "b")]).expect(503);
    }
    assert_eq!(std::fs::read_dir(httpd.root().join("state")).unwrap().count(), 0);
}
