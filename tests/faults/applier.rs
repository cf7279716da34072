//! Applies a printed fix. It knows only what every reader of the JSON knows: `kind`, `where`, `text`, `then`. It
//! knows nothing of the fault.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::Httpd;
use crate::support::postgresql::{Cluster, PgBouncer};

/// The servers that a fix may concern.
#[derive(Clone, Copy, Default)]
pub struct Bench<'a> {
    pub httpd: Option<&'a Httpd>,
    /// The Location whose directives are changed.
    pub location: &'a str,
    /// The SQLite file.
    pub file: Option<&'a Path>,
    /// The PostgreSQL server, and the database concerned.
    pub cluster: Option<&'a Cluster>,
    pub database: &'a str,
    pub pgbouncer: Option<&'a PgBouncer>,
    /// What stands for `<PASSWORD>`.
    pub password: &'a str,
}

impl Bench<'_> {
    /// The report of `check`, and its HTTP status.
    #[track_caller]
    pub fn check(&self) -> (u16, Value) {
        let reply = self.httpd().get_json(&format!("{}/check", self.location));
        (reply.status, reply.json())
    }

    /// Applies the fix and does what it says comes then.
    #[track_caller]
    pub fn apply(&self, fix: &Value) {
        let word = |key: &str| fix[key].as_str().unwrap_or_else(|| panic!("no {key}: {fix}")).to_owned();
        let (kind, place) = (word("kind"), word("where"));
        let text = word("text").replace("<PASSWORD>", self.password);
        assert!(!text.contains('<') || kind == "sql" || kind == "shell", "something is left to fill in: {text}");
        match kind.as_str() {
            "shell" => run(Command::new("sh").args(["-e", "-c", &text]), ""),
            "sql" => self.sql(&text, &place),
            "pg_hba" => self.first_line("pg_hba.conf", &text),
            "pg_ident" => self.first_line("pg_ident.conf", &text),
            "postgresql.conf" => self.append("postgresql.conf", &text),
            "pgbouncer" => self.pooler(&place, &text),
            "httpd" => self.directive(&text),
            other => panic!("an unknown kind of fix: {other}"),
        }
        self.then(&kind, &place, &word("then"));
    }

    fn then(&self, kind: &str, place: &str, then: &str) {
        let pooler = kind == "pgbouncer" || kind == "shell" && place.contains("PgBouncer");
        let server = matches!(kind, "sql" | "pg_hba" | "pg_ident" | "postgresql.conf")
            || kind == "shell" && place.contains("PostgreSQL");
        match then {
            "none" => {}
            // the pooler reloads with each edit
            "reload" if pooler => {}
            "reload" if server => self.cluster().reload(),
            "restart" if server => self.cluster().restart(),
            "reload" => {
                // an old child may still take a visitor after the new generation has begun
                let old = self.httpd().children();
                self.httpd().graceful();
                self.httpd().wait("the old children end", |httpd| {
                    let now = httpd.children();
                    !now.is_empty() && !old.iter().any(|pid| now.contains(pid))
                });
            }
            "restart" => self.httpd().restart(),
            other => panic!("an unknown then: {other}"),
        }
    }

    /// In the database that `where` names, else in the one concerned.
    fn sql(&self, text: &str, place: &str) {
        let named = place.split("in database ").nth(1).and_then(|rest| rest.split(' ').next());
        match (self.cluster, self.file) {
            (Some(cluster), _) => {
                cluster
                    .try_psql(named.unwrap_or(self.database), text)
                    .unwrap_or_else(|error| panic!("{error}\n{text}"));
            }
            (None, Some(file)) => {
                run(Command::new("runuser").args(["-u", "www-data", "--", "sqlite3", "-bail"]).arg(file), text);
            }
            (None, None) => panic!("no database"),
        }
    }

    fn first_line(&self, file: &str, line: &str) {
        let cluster = self.cluster();
        let before = std::fs::read_to_string(cluster.data.join(file)).expect(file);
        cluster.write(file, &format!("{line}\n{before}"));
    }

    fn append(&self, file: &str, line: &str) {
        let cluster = self.cluster();
        let before = std::fs::read_to_string(cluster.data.join(file)).expect(file);
        cluster.write(file, &format!("{before}\n{line}\n"));
    }

    /// A `"user" "secret"` line for the user list, a setting with its section in `where`, or an hba line.
    fn pooler(&self, place: &str, text: &str) {
        let pooler = self.pgbouncer.expect("a pooler");
        if text.starts_with('"') {
            let name = text.split(' ').next().unwrap_or_default().to_owned();
            pooler.rewrite("users.txt", |list| {
                let others = list.lines().filter(|line| !line.starts_with(&name));
                others.chain([text]).map(|line| format!("{line}\n")).collect()
            });
        } else if let Some((key, _)) = text.split_once('=').filter(|(key, _)| !key.trim().contains(' ')) {
            let section =
                ["[databases]", "[users]"].into_iter().find(|name| place.contains(name)).unwrap_or("[pgbouncer]");
            pooler.rewrite("pgbouncer.ini", |ini| set(&ini, section, key.trim(), text));
        } else {
            pooler.rewrite("hba.conf", |hba| format!("{text}\n{hba}"));
        }
    }

    /// Puts a directive into the Location, in the place of the one of the same name.
    fn directive(&self, text: &str) {
        let name = text.split_whitespace().next().expect("a directive");
        let open = format!("<Location \"{}\">", self.location);
        self.httpd().edit_conf(|conf| {
            let start = conf.find(&open).expect("the Location") + open.len();
            let end = start + conf[start..].find("</Location>").expect("its end");
            let kept: Vec<&str> = conf[start..end]
                .lines()
                .filter(|line| !line.trim().is_empty())
                .filter(|line| !line.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case(name)))
                .collect();
            format!("{}\n{}\n{text}\n{}", &conf[..start], kept.join("\n"), &conf[end..])
        });
    }

    fn httpd(&self) -> &Httpd {
        self.httpd.expect("a server")
    }

    fn cluster(&self) -> &Cluster {
        self.cluster.expect("a cluster")
    }
}

/// A setting in its section, in the place of the one that was there.
fn set(ini: &str, section: &str, key: &str, line: &str) -> String {
    let mut here = false;
    let mut out = Vec::new();
    for old in ini.lines() {
        if old.trim_start().starts_with('[') {
            here = old.trim().eq_ignore_ascii_case(section);
            out.push(old);
            if here {
                out.push(line);
            }
            continue;
        }
        let same = here && old.split_once('=').is_some_and(|(name, _)| name.trim() == key);
        if !same {
            out.push(old);
        }
    }
    out.join("\n") + "\n"
}

/// Runs to a good end, or panics with what it wrote.
#[track_caller]
pub fn run(command: &mut Command, input: &str) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .current_dir("/")
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // a program that ended early tells by its status
    let _ = child.stdin.take().expect("stdin").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("wait");
    assert!(
        output.status.success(),
        "{command:?} {}:\n{input}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
