//! Loading and unloading, and what the module does to the server around it.

use std::process::Command;

use crate::support::module::module;
use crate::support::{Database, Httpd, Kind, Mpm, configtest};

crate::on_each_mpm![loads_and_leaves_static_files_alone, declines_what_is_not_its_own];

fn loads_and_leaves_static_files_alone(mpm: Mpm) {
    let httpd = Httpd::builder(mpm).location("/dbtest", "").start();
    httpd.get("/index.html").expect(200).expect_text("a static file");
    httpd.get("/nothing").expect(404);
}

fn declines_what_is_not_its_own(mpm: Mpm) {
    // directives alone are no page
    let httpd = Httpd::builder(mpm)
        .conf("DBTestPageSize 5\n<Location \"/index.html\">\nDBTestReadOnly On\n</Location>")
        .conf("<Location \"/other\">\nSetHandler other\n</Location>")
        .start();
    httpd.expect_log("DBT0185");
    httpd.get("/index.html").expect(200).expect_text("a static file");
    httpd.get("/other").expect(404);
}

#[test]
fn exports_one_symbol() {
    let output = Command::new("nm").args(["-D", "--defined-only"]).arg(module()).output().expect("nm");
    let text = String::from_utf8(output.stdout).expect("nm writes ASCII");
    let ours: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(ours, ["dbtest_module"]);
}

#[test]
fn is_never_unloaded() {
    // a thread-local with a destructor that outlives its code ends the process: see build.rs
    let output = Command::new("readelf").arg("-d").arg(module()).output().expect("readelf");
    assert!(String::from_utf8_lossy(&output.stdout).contains("NODELETE"));
}

#[test]
fn every_directive_has_a_help_text_in_httpd_l() {
    let checked = configtest("", &[]);
    assert!(checked.outcome().success, "{}", checked.outcome().output);
    let httpd = Httpd::builder(Mpm::Event).start();
    let list = httpd.command(&["-L"]).output;
    let mut lines = list.lines().skip_while(|line| !line.starts_with("DBTest"));
    let mut count = 0;
    while let Some(name) = lines.find(|line| line.starts_with("DBTest")) {
        assert!(name.contains("mod_dbtest.c"), "{name}");
        let help = lines.next().unwrap_or_default();
        assert!(help.starts_with('\t') && help.trim().len() > 20, "{name} has no help text: {help:?}");
        let wherever = lines.next().unwrap_or_default();
        assert!(wherever.contains("Allowed in *.conf") && !wherever.contains(".htaccess"), "{name}: {wherever}");
        count += 1;
    }
    assert_eq!(count, 13, "{list}");
}

#[test]
fn no_directive_is_allowed_in_htaccess() {
    let httpd =
        Httpd::builder(Mpm::Event).conf("<Directory \"${ROOT}/htdocs\">\nAllowOverride All\n</Directory>").start();
    httpd.expect_log("not allowed here");
    for directive in ["DBTestDatabase sqlite:/tmp/x", "DBTestReadOnly On", "DBTestDetail full"] {
        std::fs::write(httpd.root().join("htdocs/.htaccess"), format!("{directive}\n")).unwrap();
        httpd.get("/index.html").expect(500);
    }
}

#[test]
fn server_info_describes_the_module() {
    let database = Database::new(Kind::Sqlite);
    let httpd = Httpd::builder(Mpm::Event)
        .module("info")
        .location("/dbtest", &database.directive())
        .conf("<Location \"/server-info\">\nSetHandler server-info\nRequire local\n</Location>")
        .start();
    httpd.get("/server-info?mod_dbtest.c").expect(200).expect_text("DBTestDatabase").expect_text("mod_dbtest.c");
}
