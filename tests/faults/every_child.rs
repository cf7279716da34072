//! A cure holds where it matters: in each process of the server, with the connections that it had opened before.
//!
//! Which process answered is read from httpd's own access log (`%{pid}P`).

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Httpd, Mpm, client};

/// How long a child may answer nothing before it is given up: one of an earlier generation is told to end by a graceful
/// restart, closes its listeners at once, and may still be there seconds later on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Rounds of requests before they are sent with pauses.
const AT_ONCE: usize = 20;

/// Requests at a time: more than one, so that the first idle child does not take them all.
const AT_A_TIME: usize = 6;

/// As many children as a cure is proved in.
pub fn mpm_conf(mpm: Mpm) -> &'static str {
    match mpm {
        Mpm::Prefork => "StartServers 4\nMinSpareServers 1\nMaxSpareServers 4\nMaxRequestWorkers 4",
        Mpm::Worker | Mpm::Event => {
            "StartServers 2\nServerLimit 2\nThreadsPerChild 8\nMaxRequestWorkers 16\nMinSpareThreads 1\nMaxSpareThreads 16"
        }
    }
}

/// Lines for the server that [`warm`] and [`prove`] read their answers from.
pub const ACCESS_LOG: &str = "LogFormat \"%{pid}P %>s %m %q\" child\nCustomLog \"${ROOT}/access.log\" child";

/// Lets each child open its connection: whatever it answers.
#[track_caller]
pub fn warm(httpd: &Httpd, location: &str) {
    ask_each(httpd, location, &["GET"], false, |_, _| {});
}

/// GET and POST are answered by each child as they are where all is well.
#[track_caller]
pub fn prove(httpd: &Httpd, location: &str) {
    ask_each(httpd, location, &["GET", "POST"], true, |method, status| {
        let expected = if method == "GET" { 200 } else { 303 };
        assert_eq!(status, expected, "{method} after the cure\n{}", tail(httpd));
    });
}

/// Only GET, where a Location takes no rows.
#[track_caller]
pub fn prove_reading(httpd: &Httpd, location: &str) {
    ask_each(httpd, location, &["GET"], true, |_, status| assert_eq!(status, 200, "after the cure\n{}", tail(httpd)));
}

#[track_caller]
fn ask_each(httpd: &Httpd, location: &str, methods: &[&str], judged: bool, judge: impl Fn(&str, u16)) {
    // that all children are busy for a moment is what is wanted
    httpd.allow_log("AH00161");
    httpd.allow_log("AH00484");
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    for method in methods {
        let mark = format!("?ask{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = format!("{location}/{mark}");
        let begun = Instant::now();
        for round in 0.. {
            let statuses: Vec<u16> = std::thread::scope(|scope| {
                let (port, path) = (httpd.port, path.as_str());
                let ask = move || status(port, method, path);
                let all: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(ask)).collect();
                all.into_iter().map(|one| one.join().expect("an answer")).collect()
            });
            let busy = statuses.contains(&0);
            for status in statuses.into_iter().filter(|status| *status != 0) {
                judge(method, status);
            }
            let answered = answered(httpd, &mark, judged);
            let missing: Vec<u32> = httpd.children().into_iter().filter(|child| !answered.contains(child)).collect();
            if missing.is_empty() {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "the children {missing:?} answered no {method}\n{}", tail(httpd));
            if busy || round > AT_ONCE {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// Sends the form; the status of the answer.
pub fn post(port: u16, form: &str) -> u16 {
    send(port, "POST", "/dbtest/", form)
}

fn status(port: u16, method: &str, path: &str) -> u16 {
    send(port, method, path, if method == "GET" { "" } else { "stuff=each+child&things=takes+a+row" })
}

/// The status of the answer; 0 for "busy", which says that others were at it, and nothing about the page.
fn send(port: u16, method: &str, path: &str, body: &str) -> u16 {
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let request = client::message(method, path, &headers, body.as_bytes());
    let answer = client::exchange(port, &request, Duration::from_secs(30)).expect("an answer");
    let reply = client::parse(&answer, false).expect("a whole answer");
    if reply.status == 503
        && ["The database is busy", "Too many requests wait"].iter().any(|word| reply.text().contains(word))
    {
        return 0;
    }
    reply.status
}

/// What httpd logged last.
fn tail(httpd: &Httpd) -> String {
    let log = httpd.log();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// The children that answered requests with this mark.
fn answered(httpd: &Httpd, mark: &str, judged: bool) -> HashSet<u32> {
    let log = std::fs::read_to_string(httpd.root().join("access.log")).unwrap_or_default();
    log.lines()
        .filter(|line| line.ends_with(mark) && (!judged || !line.contains(" 503 ")))
        .filter_map(|line| line.split(' ').next().and_then(|pid| pid.parse().ok()))
        .collect()
}
