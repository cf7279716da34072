//! The write-ahead log of an SQLite database removed while httpd writes: no row that was acknowledged is missing.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::every_child;
use super::site::Site;
use crate::support::Mpm;

const WAL: &str = "PRAGMA journal_mode = WAL; CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff VARCHAR(255) NOT NULL, \
                   things TEXT NOT NULL);";

#[test]
fn every_row_that_was_acknowledged_is_in_the_file() {
    for mpm in [Mpm::Prefork, Mpm::Event] {
        let site = Site::served_by(mpm, WAL, &[], "DBTestConnections 2");
        site.httpd.allow_log("AH00161");
        site.httpd.allow_log("AH00484");
        every_child::prove(&site.httpd, "/dbtest");
        let before: u32 = ask(&site, "SELECT count(*) FROM stuff").trim().parse().unwrap();
        let (saved, unsure) = (AtomicU32::new(0), AtomicU32::new(0));
        for _ in 0..5 {
            // one that opens the file just when the log is gone cannot know that others hold another
            every_child::warm(&site.httpd, "/dbtest");
            remove_while_writing(&site, &saved, &unsure);
        }
        every_child::prove(&site.httpd, "/dbtest");
        let counted: u32 = ask(&site, "SELECT count(*) FROM stuff WHERE stuff = 'counted'").trim().parse().unwrap();
        let (saved, unsure) = (saved.into_inner(), unsure.into_inner());
        println!("{mpm:?}: {saved} acknowledged, {unsure} not, {counted} there, {before} before");
        assert!(saved >= 20, "{mpm:?}: {saved}");
        assert!((saved..=saved + unsure).contains(&counted), "{mpm:?}: {saved} acknowledged, {counted} there");
        assert_eq!(ask(&site, "PRAGMA integrity_check"), "ok\n");
    }
}

/// Writes before, while and after the log is removed.
fn remove_while_writing(site: &Site, saved: &AtomicU32, unsure: &AtomicU32) {
    let over = &AtomicBool::new(false);
    let port = site.httpd.port;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    match every_child::post(port, "stuff=counted&things=x") {
                        303 => saved.fetch_add(1, Ordering::Relaxed),
                        _ => unsure.fetch_add(1, Ordering::Relaxed),
                    };
                }
            });
        }
        let pause = || std::thread::sleep(std::time::Duration::from_millis(150));
        pause();
        let file = site.file().display().to_string();
        site.sh(&format!("rm -f {file}-wal {file}-shm"));
        pause();
        over.store(true, Ordering::Relaxed);
    });
}

/// As the server's own user, so that the files beside stay its own.
fn ask(site: &Site, sql: &str) -> String {
    let file = site.file();
    let shell = ["-u", "www-data", "--", "sqlite3", file.to_str().unwrap(), sql];
    let output = std::process::Command::new("runuser").args(shell).output().unwrap();
    assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
