//! A password is seen by the database and by nobody else.

use std::sync::Arc;

use crate::support::files::write_file;
use crate::support::httpd::configtest_of;
use crate::support::postgresql::Cluster;
use crate::support::{Database, Httpd, Mpm};

const PASSWORD: &str = "s3cr3t-Xyzzy%41";

/// A database whose role needs the password, by TCP.
fn guarded() -> Database {
    let cluster = Cluster::new("local all helm trust\nhost all all 127.0.0.1/32 scram-sha-256\nlocal all all trust");
    let database = Database::on(Arc::new(cluster));
    database.run("CREATE TABLE stuff (id serial PRIMARY KEY, stuff varchar(255) NOT NULL, things text NOT NULL)");
    let (cluster, name) = database.cluster();
    cluster.psql(&format!("ALTER ROLE {name} PASSWORD '{PASSWORD}'"));
    database
}

/// Everything that anybody may see.
fn everything_visible(httpd: &Httpd) -> String {
    let mut text = httpd.log();
    for path in ["/dbtest/", "/dbtest/check", "/dbtest/health", "/server-info", "/dbtest-status"] {
        for accept in ["text/html", "application/json", "text/plain"] {
            let reply = httpd.request("GET", path, &[("Accept", accept)], b"");
            text.push_str(&String::from_utf8_lossy(&reply.body));
        }
    }
    for define in ["DUMP_DBTEST", "DUMP_CONFIG", "DBTEST_CHECK"] {
        text.push_str(&httpd.command(&["-t", "-D", define]).output);
    }
    text
}

fn assert_hidden(text: &str, secret: &str) {
    if let Some(at) = text.find(secret) {
        let start = (0..=at.saturating_sub(200)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        panic!("the password is shown: {}", &text[start..at + secret.len()]);
    }
}

fn serve(database: &Database, password: &str) -> Httpd {
    let (cluster, name) = database.cluster();
    let httpd = Httpd::builder(Mpm::Event)
        .module("info")
        .log_level("trace8")
        .location(
            "/dbtest",
            &format!(
                "DBTestDatabase \"{}\"\nDBTestPasswordFile \"{password}\"\nDBTestDetail full",
                cluster.tcp_url(name, name)
            ),
        )
        .conf("<Location \"/server-info\">\nSetHandler server-info\nRequire local\n</Location>")
        .conf("<Location \"/dbtest-status\">\nSetHandler dbtest-status\nRequire local\n</Location>")
        .start();
    // this test asks for everything, and trace8 is chatty about it
    httpd.allow_log("[dbtest:");
    httpd
}

#[test]
fn a_password_from_a_file_is_used_and_never_shown() {
    let database = guarded();
    let file = write_file(&database.cluster().0.dir().join("pass"), &format!("{PASSWORD}\n"), 0o600);
    let httpd = serve(&database, &file.display().to_string());
    httpd.post("/dbtest/", &[("stuff", "a"), ("things", "b")]).expect(303);
    assert_hidden(&everything_visible(&httpd), PASSWORD);
}

#[test]
fn a_password_from_a_program_is_used_and_never_shown() {
    let database = guarded();
    // root's own, as everything above it: the cluster's directory is another user's
    let dir = tempfile::tempdir_in("/tmp").expect("a directory");
    let program = dir.path().join("pass.sh");
    std::fs::write(&program, format!("#!/bin/sh\necho '{PASSWORD}'\n")).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let httpd = serve(&database, &format!("exec:{}", program.display()));
    httpd.post("/dbtest/", &[("stuff", "a"), ("things", "b")]).expect(303);
    assert_hidden(&everything_visible(&httpd), PASSWORD);
}

#[test]
fn a_wrong_password_is_not_shown_either() {
    let database = guarded();
    let file = write_file(&database.cluster().0.dir().join("pass"), "wr0ng-Plugh\n", 0o600);
    let httpd = serve(&database, &file.display().to_string());
    httpd.get("/dbtest/").expect(503);
    let text = everything_visible(&httpd);
    assert_hidden(&text, "wr0ng-Plugh");
    assert!(text.contains("28P01"), "what the server said is shown");
}

#[test]
fn an_inline_password_works_is_masked_and_warned_of() {
    let database = guarded();
    let (cluster, name) = database.cluster();
    let encoded = PASSWORD.replace('%', "%25");
    for url in [
        format!("postgresql://{name}:{encoded}@127.0.0.1:{}/{name}", cluster.port),
        format!("host=127.0.0.1 port={} user={name} dbname={name} password={PASSWORD}", cluster.port),
    ] {
        let builder = || Httpd::builder(Mpm::Event).location("/dbtest", &format!("DBTestDatabase \"{url}\""));
        let checked = configtest_of(builder(), &["DUMP_DBTEST"]);
        let output = &checked.outcome().output;
        assert!(checked.outcome().success && output.contains("DBTestPasswordFile"), "{output}");
        assert_hidden(output, PASSWORD);
        let httpd = builder().start();
        httpd.expect_log("DBTestPasswordFile");
        httpd.get("/dbtest/").expect(200).expect_no_text("s3cr3t");
        httpd.get("/dbtest/check").expect(200).expect_no_text("s3cr3t");
        assert_hidden(&httpd.log(), "s3cr3t");
    }
}

#[test]
fn a_password_that_is_not_safe_is_not_used_and_the_page_says_so() {
    let database = guarded();
    let (cluster, name) = database.cluster();
    let open = write_file(&cluster.dir().join("pass"), PASSWORD, 0o644);
    // its owner could run anything as root
    let program = write_file(&cluster.dir().join("pass.sh"), &format!("#!/bin/sh\necho '{PASSWORD}'\n"), 0o755);
    for (source, reason) in
        [(open.display().to_string(), "chmod 600"), (format!("exec:{}", program.display()), "belongs to user")]
    {
        let directives = format!(
            "DBTestDatabase \"{}\"\nDBTestPasswordFile \"{source}\"\nDBTestDetail full",
            cluster.tcp_url(name, name)
        );
        let builder = || Httpd::builder(Mpm::Event).location("/dbtest", &directives);
        let checked = configtest_of(builder(), &[]);
        let output = &checked.outcome().output;
        assert!(checked.outcome().success, "{output}");
        assert!(output.contains("DBT0181") && output.contains(reason) && output.contains("httpd.conf:"), "{output}");
        let httpd = builder().start();
        httpd.expect_log("DBT0181 DBTestPasswordFile: ");
        httpd.allow_log("DBT0181 /dbtest");
        httpd.get("/dbtest/").expect(503).expect_text("DBT0181").expect_text(reason);
        httpd.get("/dbtest/check").expect(503).expect_text("DBT0181").expect_text(reason);
    }
}
