//! An SQLite database in a directory of its own, served by a private httpd, and the course of every fault.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::applier::{Bench, run};
use super::every_child;
use super::record::Verdict;
use crate::support::{Httpd, Mpm};

/// The table as the module makes it.
pub const TABLE: &str =
    "CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff VARCHAR(255) NOT NULL, things TEXT NOT NULL);";

/// A database that works: its file and directory belong to the server's user.
pub struct Site {
    dir: TempDir,
    pub httpd: Httpd,
}

impl Site {
    /// With a table and a row.
    pub fn new() -> Self {
        Self::with(TABLE)
    }

    /// With these statements.
    pub fn with(sql: &str) -> Self {
        Self::at(sql, &[], "")
    }

    /// With a server that has mounts of its own: what is mounted there is seen by nobody else.
    pub fn apart() -> Self {
        Self::at(TABLE, &["unshare", "--mount", "--propagation", "slave"], "")
    }

    pub fn at(sql: &str, wrapper: &[&str], directives: &str) -> Self {
        Self::served_by(Mpm::Prefork, sql, wrapper, directives)
    }

    /// With several processes, whose connections are as old as the fault.
    pub fn served_by(mpm: Mpm, sql: &str, wrapper: &[&str], directives: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("site").tempdir_in("/var/tmp").expect("a directory in /var/tmp");
        let site = dir.path().join("data");
        let path = dir.path().display();
        sh(&format!("chmod 755 {path}; install -d -o www-data -g www-data -m 755 {}", site.display()));
        let file = site.join("site.db");
        if !sql.is_empty() {
            www_data(&file, sql);
        }
        let httpd = Httpd::builder(mpm)
            .under(wrapper)
            .mpm_conf(every_child::mpm_conf(mpm))
            .conf(every_child::ACCESS_LOG)
            .location(
                "/dbtest",
                &format!(
                    "DBTestDatabase \"sqlite:{}\"\nDBTestDetail full\nDBTestTimeout connect=2s query=1500ms wait=2s\n{directives}",
                    file.display()
                ),
            )
            .start();
        httpd.allow_log("DBT");
        httpd.allow_log("dbtest");
        Self { dir, httpd }
    }

    /// The directory above the database's own, which belongs to root.
    pub fn above(&self) -> &Path {
        self.dir.path()
    }

    /// The directory of the database.
    pub fn directory(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn file(&self) -> PathBuf {
        self.directory().join("site.db")
    }

    /// Runs commands as root, with `$DIR` the directory, `$DB` the file, `$ABOVE` the directory above and `$HTTPD`
    /// the server's process.
    #[track_caller]
    pub fn sh(&self, commands: &str) {
        run(
            Command::new("sh")
                .args(["-e", "-c", commands])
                .env("DIR", self.directory())
                .env("DB", self.file())
                .env("ABOVE", self.above())
                .env("HTTPD", self.httpd.pid().to_string()),
            "",
        );
    }

    fn bench<'a>(&'a self, file: &'a Path) -> Bench<'a> {
        Bench { httpd: Some(&self.httpd), location: "/dbtest", file: Some(file), ..Bench::default() }
    }

    #[track_caller]
    pub fn check(&self) -> (u16, Value) {
        self.bench(&self.file()).check()
    }

    /// The database works: check passes without a warning.
    #[track_caller]
    pub fn passes(&self) {
        let (status, report) = self.check();
        // some faults are made on a file system in memory, which is said as well
        let passes = report["verdict"] == "pass" || report["verdict"] == "warn" && report["id"] == "DBT1456";
        assert!(status == 200 && passes, "{report:#}");
    }

    /// The fault is named with this step and id; gives the report.
    #[track_caller]
    pub fn fails(&self, step: &str, id: &str) -> Value {
        let (status, report) = self.check();
        let found = (report["failed_at"].as_str(), report["id"].as_str());
        assert_eq!((status, found), (503, (Some(step), Some(id))), "{report:#}");
        super::ground::effects_hold(&report);
        // what the error alone tells has the same id, where reading fails as well
        let health = self.httpd.get("/dbtest/health");
        assert!(health.status == 200 || health.text().contains(id), "{}\n{report:#}", health.text());
        assert_eq!(report["database"].as_str(), Some(&*format!("sqlite:{}", self.file().display())));
        report
    }

    /// The whole course: `make` breaks what works, check names it, its first fix is sure and cures it.
    #[track_caller]
    pub fn fault(self, ids: &[&str], make: impl FnOnce(&Self), step: &str, id: &str) {
        self.passes();
        self.warm();
        let mut verdict = Verdict::of(ids);
        make(&self);
        let report = self.fails(step, id);
        // the children meet the fault as well, and open what they can
        self.warm();
        verdict.named();
        self.cure(&report);
        self.passes();
        self.works_in_every_child();
        verdict.proved();
        verdict
            .sure(report["fixes"].as_array().map_or(0, |fixes| fixes.iter().filter(|fix| fix["sure"] == true).count()));
        verdict.cured("yes");
    }

    /// Each process opens its connection, or what it can.
    #[track_caller]
    pub fn warm(&self) {
        every_child::warm(&self.httpd, "/dbtest");
    }

    /// GET and POST, in each process.
    #[track_caller]
    pub fn works_in_every_child(&self) {
        let conf = std::fs::read_to_string(self.httpd.root().join("httpd.conf")).expect("httpd.conf");
        match conf.contains("DBTestReadOnly On") {
            true => every_child::prove_reading(&self.httpd, "/dbtest"),
            false => every_child::prove(&self.httpd, "/dbtest"),
        }
    }

    /// The same for a fault that is there already.
    #[track_caller]
    pub fn fault_now(self, ids: &[&str], step: &str, id: &str) {
        let mut verdict = Verdict::of(ids);
        let report = self.fails(step, id);
        verdict.named();
        self.cure(&report);
        self.passes();
        self.works_in_every_child();
        verdict.proved();
        verdict
            .sure(report["fixes"].as_array().map_or(0, |fixes| fixes.iter().filter(|fix| fix["sure"] == true).count()));
        verdict.cured("yes");
    }

    /// The same for a fault whose cure takes something away, or guesses: it is offered, and never sure.
    #[track_caller]
    pub fn choice(self, ids: &[&str], make: impl FnOnce(&Self), step: &str, id: &str) {
        self.passes();
        self.warm();
        make(&self);
        self.choice_now(ids, step, id);
    }

    /// The same for a fault that is there already.
    #[track_caller]
    pub fn choice_now(self, ids: &[&str], step: &str, id: &str) {
        let mut verdict = Verdict::of(ids);
        let report = self.fails(step, id);
        verdict.named();
        assert_eq!(report["fixes"][0]["sure"].as_bool(), Some(false), "{report:#}");
        self.apply(&report["fixes"][0]);
        self.passes();
        self.works_in_every_child();
        verdict.cured("yes");
    }

    /// The same for a fault whose fix cannot be applied here.
    #[track_caller]
    pub fn named_only(self, ids: &[&str], make: impl FnOnce(&Self), step: &str, id: &str, why: &str) -> Value {
        self.passes();
        let mut verdict = Verdict::of(ids);
        make(&self);
        let report = self.fails(step, id);
        verdict.named();
        verdict.cured(&format!("not-run-here: {why}"));
        report
    }

    /// Applies the sure fixes, of which the first must be one.
    #[track_caller]
    pub fn cure(&self, report: &Value) {
        let fixes = report["fixes"].as_array().expect("fixes");
        let wide = |fix: &Value| matches!(fix["effect"].as_str(), Some("changes" | "removes"));
        assert!(fixes[0]["sure"] == true || wide(&fixes[0]), "no sure fix: {report:#}");
        // one that has its price is a choice: the first alone
        let chosen = |at: usize, fix: &Value| if wide(&fixes[0]) { at == 0 } else { fix["sure"] == true };
        for (_, fix) in fixes.iter().enumerate().filter(|(at, fix)| chosen(*at, fix)) {
            let text = fix["text"].as_str().unwrap_or_default();
            assert!(!text.contains("777") && !text.contains("setenforce"), "too much: {text}");
            self.apply(fix);
        }
    }

    #[track_caller]
    pub fn apply(&self, fix: &Value) {
        self.bench(&self.file()).apply(fix);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // attributes and mounts would keep the directory from being removed
        let dir = self.dir.path().display();
        // where a database was moved to has the name of its whole path
        let home = format!("/var/lib/dbtest{}", dir.to_string().replace('/', "-"));
        let _ = Command::new("sh")
            .args([
                "-c",
                &format!("chattr -R -i -a {dir}; umount -R -l {dir}/data; umount -R -l {dir}; rm -rf {home}-*"),
            ])
            .output();
    }
}

/// Runs commands as root.
#[track_caller]
pub fn sh(commands: &str) {
    run(Command::new("sh").args(["-e", "-c", commands]), "");
}

/// Runs statements on a file as the server's user.
#[track_caller]
pub fn www_data(file: &Path, sql: &str) {
    run(Command::new("runuser").args(["-u", "www-data", "--", "sqlite3", "-bail"]).arg(file), sql);
}
