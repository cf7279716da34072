//! Every ready-made configuration in conf/ is right as it stands but for what a machine must have (a password, a
//! certificate), and serves once it is pointed to real databases.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::files::write_file;
use crate::support::httpd::configtest_of;
use crate::support::module::{ROOT, server_account};
use crate::support::postgresql::{Cluster, PgBouncer, Pki};
use crate::support::{Database, Httpd, Kind, Mpm};

const PASSWORD: &str = "test12345";

/// The name of a file in conf/, its text, and the Locations in it with our handler.
struct Example {
    name: String,
    text: String,
    locations: Vec<String>,
}

fn examples() -> Vec<Example> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(format!("{ROOT}/conf")).expect("conf/").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    files.sort();
    files.iter().map(|path| example(path)).collect()
}

fn example(path: &Path) -> Example {
    let text = fs::read_to_string(path).expect("an example");
    let mut locations = Vec::new();
    for section in text.split("\n<Location \"").skip(1) {
        let (location, directives) = section.split_once("\">").expect("the end of a Location's opening line");
        if directives.split("</Location>").next().is_some_and(|inside| inside.contains("SetHandler dbtest\n")) {
            locations.push(location.to_owned());
        }
    }
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    Example { name, text, locations }
}

#[test]
fn every_example_passes_configtest() {
    let examples = examples();
    assert!(examples.len() >= 8, "conf/ has lost its examples");
    let files = tempfile::tempdir_in("/tmp").expect("a directory");
    let pki = Pki::new("examples");
    let password = write_file(&files.path().join("pass"), PASSWORD, 0o600);
    for Example { name, text, .. } in examples {
        let text = text
            .replace("PasswordFile dbtest.pass", &format!("PasswordFile {}", password.display()))
            .replace("/etc/ssl/certs/dbtest-ca.pem", &pki.ca().display().to_string())
            .replace("/var/lib/dbtest/", &format!("{}/", files.path().display()));
        let checked = configtest_of(Httpd::builder(Mpm::Event).conf(&text), &["DUMP_DBTEST"]);
        let output = &checked.outcome().output;
        assert!(checked.outcome().success, "{name}: {output}");
        for (line, warning) in output.lines().filter(|line| line.contains("dbtest:")).zip(1..) {
            assert!(name == "sqlite.conf" && warning == 1 && line.contains("DBTEST_INIT"), "{name}: {line}");
        }
    }
}

/// A primary and a standby with the examples' role and database, the table in it, and what leads to them.
struct World {
    primary: Arc<Cluster>,
    standby: Cluster,
    pooler: PgBouncer,
    pki: Pki,
    sqlite: Database,
}

impl World {
    fn new() -> Self {
        let pki = Pki::new("examples");
        let certificate = pki.issue("localhost", &["localhost"]);
        // PgBouncer comes by the socket, as the servers' own account
        let hba = "local flasktestdb flasktest peer map=dbtest\n\
                   host flasktestdb flasktest 127.0.0.1/32 scram-sha-256\nhost flasktestdb flasktest ::1/128 scram-sha-256";
        let primary = Cluster::with_conf(hba, &pki.conf(&certificate));
        // httpd and the database servers have accounts of their own when we are root, and ours when we are not
        let map = match server_account() {
            Some(account) => format!("dbtest {} flasktest\ndbtest postgres flasktest\n", account.user),
            None => format!("dbtest {} flasktest\n", std::env::var("USER").expect("USER")),
        };
        primary.ident(&map);
        primary.reload();
        primary.psql(&format!("CREATE ROLE flasktest LOGIN PASSWORD '{PASSWORD}'"));
        primary.psql("CREATE DATABASE flasktestdb OWNER flasktest");
        primary.psql_in(
            "flasktestdb",
            "SET ROLE flasktest; CREATE TABLE stuff \
             (id serial PRIMARY KEY, stuff varchar(255) NOT NULL, things text NOT NULL)",
        );
        let standby = primary.standby(hba, &pki.conf(&certificate));
        let pooler = PgBouncer::new(&primary, &format!("\"flasktest\" \"{PASSWORD}\"\n"), "auth_type = plain");
        Self { primary: Arc::new(primary), standby, pooler, pki, sqlite: Database::new(Kind::Sqlite) }
    }

    /// The example with the names of this world for its own.
    fn fitted(&self, text: &str, password: &Path) -> String {
        let (port, standby) = (self.primary.port, self.standby.port);
        let socket = format!("flasktest@/flasktestdb?host={}&port={port}", self.primary.socket_dir.display());
        text.replace("PasswordFile dbtest.pass", &format!("PasswordFile {}", password.display()))
            .replace("/etc/ssl/certs/dbtest-ca.pem", &self.pki.ca().display().to_string())
            .replace("/var/lib/dbtest/dbtest.sqlite", &self.sqlite.file().display().to_string())
            .replace("flasktest@/flasktestdb", &socket)
            .replace("db1.example.com,db2.example.com:5433", &format!("127.0.0.1:{standby},127.0.0.1:{port}"))
            .replace("@db.example.com/", &format!("@localhost:{port}/"))
            .replace("@localhost:6432/", &format!("@localhost:{}/", self.pooler.port))
            .replace("@localhost:5432/", &format!("@localhost:{port}/"))
            .replace("@localhost/", &format!("@localhost:{port}/"))
    }
}

#[test]
fn every_example_serves() {
    let world = World::new();
    let files = tempfile::tempdir_in("/tmp").expect("a directory");
    let password = write_file(&files.path().join("pass"), &format!("{PASSWORD}\n"), 0o600);
    for Example { name, text, locations } in examples() {
        assert!(!locations.is_empty(), "{name} has no Location");
        let httpd = Httpd::builder(Mpm::Event).conf(&world.fitted(&text, &password)).start();
        for location in locations {
            let page = httpd.get(&format!("{location}/"));
            let said = page.text().to_owned();
            assert_eq!(page.status, 200, "{name}, {location}: {said}\n{}", httpd.log());
            if said.contains("<form") {
                httpd.post(&format!("{location}/"), &[("stuff", &name), ("things", "served")]).expect(303);
                httpd.get(&format!("{location}/")).expect(200).expect_text(&name);
            }
        }
        if text.contains("\n<Location \"/dbtest-status\">") {
            httpd.get("/dbtest-status").expect(200);
        }
        httpd.finish();
    }
}
