//! The numbers for monitors, read by others' tools: Prometheus' own linter and its client library for Python.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Database, Httpd, Kind, Mpm};

crate::on_each_mpm![all_children_are_counted_together_and_a_reload_forgets_nothing];

/// The value of a sample whose line begins so.
fn value(text: &str, sample: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(sample)?.trim().parse().ok())
}

/// Runs a program on a text; its output, if it is content.
fn judged_by(program: &str, arguments: &[&str], text: &str) {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        // apxs/test installs them on Debian, which has packages of them
        Err(_) if !Path::new("/etc/debian_version").exists() => return,
        Err(error) => panic!("{program}: {error}"),
    };
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("write");
    let output = child.wait_with_output().expect("wait");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && said.is_empty(), "{program} says: {said}\nof:\n{text}");
}

fn all_children_are_counted_together_and_a_reload_forgets_nothing(mpm: Mpm) {
    let database = Database::new(Kind::Sqlite);
    let httpd = Httpd::builder(mpm).location("/dbtest", &database.directive()).start();
    let metrics = || httpd.get("/dbtest/metrics").expect(200).text().to_owned();
    let before = metrics();
    assert_eq!(value(&before, "dbtest_up{location=\"/dbtest\"}"), None, "nobody has asked yet:\n{before}");
    for round in 0..12 {
        httpd.get("/dbtest/").expect(200);
        httpd.post("/dbtest/", &[("stuff", "counted"), ("things", &round.to_string())]).expect(303);
    }
    httpd.get("/dbtest/check").expect(200);
    let text = metrics();
    assert_eq!(value(&text, "dbtest_up{location=\"/dbtest\"}"), Some(1.0), "{text}");
    let saved = "dbtest_requests_total{location=\"/dbtest\",outcome=\"saved\"}";
    assert_eq!(value(&text, saved), Some(12.0), "{text}");
    assert_eq!(value(&text, "dbtest_check_step{location=\"/dbtest\",step=\"read\"}"), Some(1.0), "{text}");
    assert!(value(&text, "dbtest_query_duration_seconds_count{location=\"/dbtest\"}") >= Some(24.0), "{text}");
    assert!(!text.contains("site.db") && !text.contains("sqlite"), "no more than counts:\n{text}");
    httpd.graceful();
    httpd.post("/dbtest/", &[("stuff", "counted"), ("things", "after")]).expect(303);
    assert_eq!(value(&metrics(), saved), Some(13.0));
    let reply = httpd.get("/dbtest/metrics").expect(200);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(reply.header("content-type"), Some(kind));
    let parse = "import sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
                 assert len(list(parse(sys.stdin.read()))) > 10";
    judged_by("/usr/bin/python3", &["-c", parse], &metrics());
    let older = httpd.request("GET", "/dbtest/metrics", &[("Accept", "text/plain; version=0.0.4")], b"").expect(200);
    judged_by("promtool", &["check", "metrics"], older.text());
}

#[test]
fn a_pattern_is_one_entry_whatever_its_visitors_ask_for() {
    let conf = "<LocationMatch \"^/any/[^/]+\">\nSetHandler dbtest\nRequire local\nDBTestDatabase sqlite:/nonexistent/x.db\n</LocationMatch>";
    let httpd = Httpd::builder(Mpm::Event).conf(conf).start();
    httpd.expect_log("DBT");
    for number in 0..1000 {
        httpd.get(&format!("/any/{number}/health")).expect(503);
    }
    let text = httpd.get("/any/7/metrics").expect(200).text().to_owned();
    let failed = "dbtest_requests_total{location=\"^/any/[^/]+\",outcome=\"failed\"}";
    assert_eq!(value(&text, failed), Some(1000.0), "{text}");
    let lines = httpd.log().lines().filter(|line| line.contains("[dbtest:error]")).count();
    assert!(lines <= httpd.children().len(), "a line of each child at most:\n{}", httpd.log());
}

#[test]
fn mod_status_and_the_access_log_have_it_too() {
    let database = Database::new(Kind::Sqlite);
    let httpd = Httpd::builder(Mpm::Event)
        .module("status")
        .module("log_config")
        .conf("LogFormat \"%U %>s id=%{dbtest_id}n step=%{dbtest_step}n query=%{dbtest_query_us}n wait=%{dbtest_wait_us}n\" ours")
        .conf("CustomLog \"${ROOT}/access.log\" ours")
        .conf("<Location \"/server-status\">\nSetHandler server-status\nRequire local\n</Location>")
        .location("/dbtest", &database.directive())
        .location("/broken", "DBTestDatabase sqlite:/nonexistent/x.db")
        .start();
    httpd.expect_log("DBT0350");
    httpd.allow_log("DBT0192");
    let page = httpd.get("/dbtest/").expect(200);
    let timing = page.header("server-timing").expect("times, for this machine");
    assert!(timing.starts_with("query;dur=") && timing.contains(", wait;dur="), "{timing}");
    assert_eq!(httpd.get("/dbtest/style.css").expect(200).header("server-timing"), None);
    httpd.post("/dbtest/", &[("stuff", "a"), ("things", "b")]).expect(303);
    httpd.get("/broken/").expect(503);
    httpd.get("/server-status").expect(200).expect_text("<h2>mod_dbtest</h2>").expect_text("<td>/dbtest</td>");
    let automatic = httpd.get("/server-status?auto").expect(200);
    let automatic = automatic.expect_text("DBTest0Location: /broken\nDBTest0Up: 0\n");
    automatic.expect_text("DBTest1Location: /dbtest\nDBTest1Up: 1\n").expect_text("DBTest1Saved: 1\n");
    httpd.get("/index.html").expect(200);
    let log = || std::fs::read_to_string(httpd.root().join("access.log")).unwrap_or_default();
    let logged = |path: &str| log().lines().any(|line| line.starts_with(path));
    httpd.wait("the access log", |_| ["/dbtest/ 200", "/broken/ 503", "/index.html"].iter().all(|path| logged(path)));
    let line = |path: &str| log().lines().find(|line| line.starts_with(path)).map(str::to_owned).expect("a line");
    assert!(line("/dbtest/ 200").contains(" id=- step=- query=") && !line("/dbtest/ 200").contains("query=-"));
    assert!(line("/broken/ 503").contains(" id=DBT0350 step="), "{}", log());
    assert!(line("/index.html").ends_with(" id=- step=- query=- wait=-"), "{}", log());
}
