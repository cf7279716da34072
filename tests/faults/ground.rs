//! A PostgreSQL server and an httpd with one Location for each case: the cases of a group run one after the other
//! on them, each with a role and a database of its own. Everything in a network namespace of its own, so that no
//! other server of this machine is seen, ports are free and packet filters hurt nobody.

use std::fs::File;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;
use std::os::fd::AsFd;

use super::applier::Bench;
use super::every_child;
use super::record::Verdict;
use super::site::sh;
use crate::support::postgresql::{Cluster, PgBouncer};
use crate::support::{Httpd, Mpm};

/// Of every role, unless a case says otherwise.
pub const PASSWORD: &str = "s3cret-Pass";

/// What pg_hba.conf says unless a case says otherwise.
const HBA: &str =
    "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256";

/// What may be done about a fault here.
#[derive(Clone)]
enum Cure {
    /// The first fix is sure, and cures it.
    Sure,
    /// No fix is sure: one of them cures it.
    Maybe,
    /// It cannot be applied here: why.
    Not(&'static str),
    /// It is a warning, not a failure: the first fix takes it away.
    Warning,
    /// The same, which cannot be taken away here: why.
    WarnsOnly(&'static str),
}

type Step = Box<dyn Fn(&Ground, &Case)>;

/// One fault.
pub struct Case {
    ids: &'static [&'static str],
    /// Its place in the group: names its Location, role and database.
    number: usize,
    directives: String,
    make: Vec<Step>,
    undo: Vec<Step>,
    step: &'static str,
    id: &'static str,
    cure: Cure,
    /// No fix may be sure, and the first says this of itself.
    bait: Option<&'static str>,
    /// No child has a connection when the fault is made: for faults that count connections.
    cold: bool,
    /// Why a proof by many requests right after the cure says nothing.
    not_proved: Option<&'static str>,
    /// The sure fix, as it is to be typed where its files are mounted from.
    under: Option<&'static str>,
    /// What is in the file of DBTestPasswordFile.
    password_file: Option<&'static str>,
}

impl Case {
    /// A row of the list of known faults, which fails at `step` with `id`.
    pub fn new(ids: &'static [&'static str], step: &'static str, id: &'static str) -> Self {
        let directives = "DBTestDatabase \"postgresql://{role}:{password}@127.0.0.1:{port}/{db}\"".to_owned();
        Self {
            ids,
            number: 0,
            directives,
            make: Vec::new(),
            undo: Vec::new(),
            step,
            id,
            cure: Cure::Sure,
            bait: None,
            cold: false,
            not_proved: None,
            under: None,
            password_file: None,
        }
    }

    /// Another DBTestDatabase. `{role}`, `{password}`, `{port}`, `{db}`, `{sock}` are filled in, here and everywhere.
    pub fn url(self, url: &str) -> Self {
        self.directives(&format!("DBTestDatabase \"{url}\""))
    }

    /// Over the Unix socket, with the password.
    pub fn by_socket(self) -> Self {
        self.url("postgresql://{role}:{password}@/{db}?host={sock}&port={port}")
    }

    pub fn directives(mut self, directives: &str) -> Self {
        self.directives = directives.to_owned();
        self
    }

    pub fn make(mut self, step: impl Fn(&Ground, &Case) + 'static) -> Self {
        self.make.push(Box::new(step));
        self
    }

    pub fn undo(mut self, step: impl Fn(&Ground, &Case) + 'static) -> Self {
        self.undo.push(Box::new(step));
        self
    }

    /// Statements as a superuser in the case's database.
    pub fn sql(self, sql: &'static str) -> Self {
        self.make(move |ground, case| {
            ground.cluster.psql_in(&case.database(), &ground.fill(case, sql));
        })
    }

    /// The same in the database postgres.
    pub fn admin(self, sql: &'static str) -> Self {
        self.make(move |ground, case| {
            ground.cluster.psql(&ground.fill(case, sql));
        })
    }

    /// Instead of the table that works.
    pub fn table(self, sql: &'static str) -> Self {
        self.sql("DROP TABLE stuff").sql(sql).sql(
            "DO $$ BEGIN IF to_regclass('stuff') IS NOT NULL THEN GRANT SELECT, INSERT ON stuff TO {role}; END IF; END $$; \
             GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
        )
    }

    /// pg_hba.conf, and a reload.
    pub fn hba(self, lines: &'static str) -> Self {
        self.make(move |ground, case| {
            ground.cluster.hba(&ground.fill(case, lines));
            ground.cluster.reload();
        })
    }

    /// Lines of postgresql.conf, and a restart.
    pub fn conf(self, lines: &'static str) -> Self {
        self.make(move |ground, case| {
            ground.cluster.conf(&ground.fill(case, lines));
            ground.cluster.restart();
        })
    }

    /// Commands as root.
    pub fn sh(self, commands: &'static str) -> Self {
        self.make(move |ground, case| sh(&ground.fill(case, commands)))
    }

    /// Commands as root, afterwards.
    pub fn undo_sh(self, commands: &'static str) -> Self {
        self.undo(move |ground, case| sh(&ground.fill(case, commands)))
    }

    pub fn maybe(mut self) -> Self {
        self.cure = Cure::Maybe;
        self
    }

    /// A file for DBTestPasswordFile, `{data}/dbtest.pass`, which is there before httpd reads its configuration.
    pub fn password_file(mut self, password: &'static str) -> Self {
        self.password_file = Some(password);
        self
    }

    /// Every fix is a candidate only, and the first says `word` where it is applied.
    pub fn fix_not_sure(mut self, word: &'static str) -> Self {
        self.bait = Some(word);
        self
    }

    /// The printed command changes a file that httpd sees at another place: the same there.
    pub fn under(mut self, command: &'static str) -> Self {
        self.under = Some(command);
        self
    }

    /// The connections of warmed children would be part of what is counted.
    pub fn cold(mut self) -> Self {
        self.cold = true;
        self
    }

    /// The cure is checked, and the page is not asked in every child.
    pub fn not_proved(mut self, why: &'static str) -> Self {
        self.not_proved = Some(why);
        self
    }

    pub fn not_cured(mut self, why: &'static str) -> Self {
        self.cure = Cure::Not(why);
        self
    }

    /// A warning that stays.
    pub fn warns_only(mut self, why: &'static str) -> Self {
        self.cure = Cure::WarnsOnly(why);
        self
    }

    pub fn warning(mut self) -> Self {
        self.cure = Cure::Warning;
        self
    }

    pub fn role(&self) -> String {
        format!("web{}", self.number)
    }

    pub fn database(&self) -> String {
        format!("site{}", self.number)
    }

    pub fn location(&self) -> String {
        format!("/c{}", self.number)
    }
}

/// A network namespace, for as long as the value lives; this thread is in it, and what it starts.
struct Network(String);

impl Network {
    fn enter() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("dbtest{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        sh(&format!("ip netns add {name}; ip -n {name} link set lo up"));
        let file = File::open(format!("/run/netns/{name}")).expect("the namespace");
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("setns as root");
        Self(name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

/// What the cases of a group stand on.
pub struct Ground {
    // in this order: the servers end before their network does
    httpd: Option<Httpd>,
    pub pooler: Option<PgBouncer>,
    pub cluster: Cluster,
    /// The faults were counted already: name them, and leave it at that.
    pub names_only: bool,
    /// What httpd is started by, e.g. with mounts of its own.
    pub under: Vec<String>,
    /// Replaces `{x}` and `{y}` in texts of a group.
    pub words: Vec<(&'static str, String)>,
    _network: Network,
}

impl Ground {
    /// A server with these lines in postgresql.conf.
    pub fn new(conf: &str) -> Self {
        let network = Network::enter();
        let cluster = Cluster::with_conf(HBA, conf);
        Self {
            httpd: None,
            pooler: None,
            cluster,
            names_only: false,
            under: Vec::new(),
            words: Vec::new(),
            _network: network,
        }
    }

    pub fn fill(&self, case: &Case, text: &str) -> String {
        let mut text = text
            .replace("{role}", &case.role())
            .replace("{db}", &case.database())
            .replace("{password}", PASSWORD)
            .replace("{port}", &self.cluster.port.to_string())
            .replace("{sock}", &self.cluster.socket_dir.display().to_string())
            .replace("{data}", &self.cluster.data.display().to_string());
        for (name, value) in &self.words {
            text = text.replace(name, value);
        }
        text
    }

    /// Runs the cases one after the other; says at the end which did not hold.
    #[track_caller]
    pub fn run(mut self, cases: Vec<Case>) {
        let only = std::env::var("CASE").ok();
        let mut cases = cases;
        let mut builder =
            Httpd::builder(Mpm::Prefork).mpm_conf(every_child::mpm_conf(Mpm::Prefork)).conf(every_child::ACCESS_LOG);
        if !self.under.is_empty() {
            builder = builder.under(&self.under.iter().map(String::as_str).collect::<Vec<_>>());
        }
        for (number, case) in cases.iter_mut().enumerate() {
            case.number = number;
            if let Some(password) = case.password_file {
                let name = if password == "secret" { "dbtest2.pass" } else { "dbtest.pass" };
                let file = self.cluster.data.join(name);
                sh(&format!("umask 077; printf '%s' '{password}' >{}", file.display()));
            }
            let directives = self.fill(case, &case.directives);
            builder = builder.location(
                &case.location(),
                &format!("DBTestDetail full\nDBTestTimeout connect=1500ms query=1200ms wait=1s\n{directives}"),
            );
        }
        let httpd = builder.start();
        httpd.allow_log("DBT");
        httpd.allow_log("dbtest");
        self.httpd = Some(httpd);
        let mut failures = Vec::new();
        for case in &cases {
            if only.as_ref().is_some_and(|only| !case.ids.contains(&only.as_str())) {
                continue;
            }
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.one(case)));
            if let Err(panic) = outcome {
                let text = panic.downcast_ref::<String>().map_or("?", String::as_str);
                failures.push(format!("{:?}: {text}", case.ids));
            }
            let tidied = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.tidy(case)));
            assert!(tidied.is_ok(), "{:?} left a mess behind; until then:\n{}", case.ids, failures.join("\n"));
        }
        assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n\n"));
    }

    fn one(&self, case: &Case) {
        let (role, database) = (case.role(), case.database());
        self.cluster.psql(&format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'"));
        self.cluster.psql(&format!("CREATE DATABASE {database}"));
        self.cluster.psql_in(
            &database,
            &format!(
                "CREATE TABLE stuff (id serial PRIMARY KEY, stuff varchar(255) NOT NULL, things text NOT NULL); \
                 INSERT INTO stuff (stuff, things) VALUES ('a', 'b'); \
                 GRANT SELECT, INSERT ON stuff TO {role}; GRANT USAGE ON SEQUENCE stuff_id_seq TO {role}"
            ),
        );
        if case.cold {
            // a session that has ended is counted until its process has
            let here = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'");
            crate::support::postgresql::wait("nobody is connected", || self.cluster.psql(&here).trim() == "0");
        } else {
            self.warm(case);
        }
        let mut verdict = if self.names_only { None } else { Some(Verdict::of(case.ids)) };
        for step in &case.make {
            step(self, case);
        }
        let (status, report) = self.check(case);
        effects_hold(&report);
        let warns = matches!(case.cure, Cure::Warning | Cure::WarnsOnly(_));
        let state = if warns { "warn" } else { "fail" };
        let found = (report["verdict"].as_str(), report["id"].as_str());
        assert_eq!(found, (Some(state), Some(case.id)), "{report:#}");
        if !warns {
            assert_eq!((status, report["failed_at"].as_str()), (503, Some(case.step)), "{report:#}");
        }
        assert!(!report.to_string().contains(PASSWORD), "the password is in the report: {report:#}");
        if let Some(word) = case.bait {
            let fixes = report["fixes"].as_array().cloned().unwrap_or_default();
            assert!(!fixes.is_empty() && fixes.iter().all(|fix| fix["sure"] == false), "{report:#}");
            assert!(fixes[0]["where"].as_str().is_some_and(|place| place.contains(word)), "{report:#}");
        }
        if let Some(mut verdict) = verdict.take() {
            verdict.named();
            let fixes = report["fixes"].as_array().cloned().unwrap_or_default();
            verdict.sure(fixes.iter().filter(|fix| fix["sure"] == true).count());
            let cured = self.cure(case, report);
            if cured == "yes" {
                self.prove(case);
                if case.not_proved.is_none() {
                    verdict.proved();
                }
            }
            verdict.cured(&cured);
        }
    }

    /// Each child opens its connection before the fault is made.
    fn warm(&self, case: &Case) {
        every_child::warm(self.httpd.as_ref().expect("a server"), &case.location());
    }

    /// The page is answered by each child, and takes rows where it may.
    fn prove(&self, case: &Case) {
        let httpd = self.httpd.as_ref().expect("a server");
        if case.not_proved.is_some() {
            return;
        }
        // as the configuration is now: a cure may have made it read-only
        let conf = std::fs::read_to_string(httpd.root().join("httpd.conf")).expect("httpd.conf");
        let section = conf.split(&format!("<Location \"{}\">", case.location())).nth(1).unwrap_or_default();
        let section = section.split("</Location>").next().unwrap_or_default();
        match section.contains("DBTestReadOnly On") {
            true => every_child::prove_reading(httpd, &case.location()),
            false => every_child::prove(httpd, &case.location()),
        }
    }

    /// Applies the printed fixes, and says what came of it.
    fn cure(&self, case: &Case, report: Value) -> String {
        let bench = self.bench(case);
        let passes = |report: &Value| report["verdict"].as_str().is_some_and(|verdict| verdict != "fail");
        match case.cure {
            Cure::Not(why) | Cure::WarnsOnly(why) => format!("not-run-here: {why}"),
            Cure::Maybe => {
                for fix in report["fixes"].as_array().cloned().unwrap_or_default() {
                    assert_eq!(fix["sure"].as_bool(), Some(false), "it is sure: {report:#}");
                    // a candidate may be for another cause, and then not even possible
                    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bench.apply(&fix)));
                    let (_, after) = self.check_again(case);
                    if passes(&after) {
                        return "yes".into();
                    }
                }
                panic!("no fix cures it: {report:#}\nat last: {:#}", self.check(case).1);
            }
            Cure::Warning | Cure::Sure => {
                let fix = report["fixes"][0].clone();
                // what takes something away is a choice, however certain its cause
                let wide = matches!(fix["effect"].as_str(), Some("changes" | "removes"));
                let sure = fix["sure"].as_bool() == Some(true) || wide || matches!(case.cure, Cure::Warning);
                assert!(sure, "no sure fix: {report:#}");
                match case.under {
                    Some(command) => sh(&self.fill(case, command)),
                    None => bench.apply(&fix),
                }
                let (_, after) = self.check_again(case);
                let done = if matches!(case.cure, Cure::Warning) { after["verdict"] == "pass" } else { passes(&after) };
                assert!(done, "the fix does not cure it: {after:#}");
                "yes".into()
            }
        }
    }

    pub fn bench<'a>(&'a self, case: &'a Case) -> Bench<'a> {
        // names that last as long as the group: a handful
        let (location, database) = (case.location().leak(), case.database().leak());
        Bench {
            httpd: self.httpd.as_ref(),
            location,
            file: None,
            cluster: Some(&self.cluster),
            database,
            pgbouncer: self.pooler.as_ref(),
            password: PASSWORD,
        }
    }

    pub fn check(&self, case: &Case) -> (u16, Value) {
        self.bench(case).check()
    }

    /// Check once more, after a fix. A pooler that failed to log in tries again after its server_login_retry only.
    fn check_again(&self, case: &Case) -> (u16, Value) {
        let mut answer = self.check(case);
        for _ in 0..6 {
            if self.pooler.is_none() || answer.0 == 200 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(500));
            answer = self.check(case);
        }
        answer
    }

    /// Puts everything back as it was.
    fn tidy(&self, case: &Case) {
        for step in &case.undo {
            step(self, case);
        }
        // a server that a case stopped, or that runs with what a case wrote
        let running = self.cluster.try_psql("postgres", "SELECT 1").is_ok();
        let conf = std::fs::read_to_string(self.cluster.data.join("postgresql.conf")).expect("postgresql.conf");
        let (kept, added) = conf.split_once("include = 'test.conf'\n").expect("the include");
        let changed = !added.trim().is_empty()
            || !std::fs::read_to_string(self.cluster.data.join("test.conf")).is_ok_and(|text| text == self.conf());
        self.cluster.write("postgresql.conf", &format!("{kept}include = 'test.conf'\n"));
        self.cluster.conf(&self.conf());
        self.cluster.hba(HBA);
        self.cluster.ident("");
        match (running, changed) {
            (false, _) => self.cluster.start(),
            (true, true) => self.cluster.restart(),
            (true, false) => self.cluster.reload(),
        }
        let (role, database) = (case.role(), case.database());
        let _ = self.cluster.try_psql("postgres", &format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"));
        let _ = self.cluster.try_psql("postgres", &format!("DROP ROLE IF EXISTS {role}"));
    }

    /// The group's own lines of postgresql.conf.
    fn conf(&self) -> String {
        self.words.iter().find(|(name, _)| *name == "{conf}").map(|(_, value)| value.clone()).unwrap_or_default()
    }
}

/// Nothing that takes something away is sure, and it says what it costs and how it is taken back.
#[track_caller]
pub fn effects_hold(report: &Value) {
    for fix in report["fixes"].as_array().into_iter().flatten() {
        let narrow = matches!(fix["effect"].as_str(), Some("grants" | "corrects"));
        assert!(narrow || fix["sure"] == false, "sure, though it takes something away: {fix:#}");
        let wide = matches!(fix["effect"].as_str(), Some("changes" | "removes"));
        assert_eq!(wide, fix["costs"].is_string() && fix["undo"].is_string(), "{fix:#}");
    }
}
