//! What else the server serves, beside a database that is not well: a static file is as quick as ever.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::support::client::{exchange, message, parse};
use crate::support::{Database, Httpd, Kind, Mpm};

crate::on_each_mpm![
    static_files_are_quick_beside_a_silent_database,
    slow_readers_of_everything_leave_threads_to_others,
    a_burst_of_refusals_is_few_lines
];

/// As many workers on each MPM.
fn sizes(mpm: Mpm) -> &'static str {
    match mpm {
        Mpm::Prefork => {
            "StartServers 40\nMinSpareServers 10\nMaxSpareServers 40\nServerLimit 40\nMaxRequestWorkers 40\n"
        }
        _ => {
            "StartServers 2\nServerLimit 2\nThreadsPerChild 20\nMaxRequestWorkers 40\nMinSpareThreads 1\nMaxSpareThreads 40\n"
        }
    }
}

/// A server that accepts, and then says nothing: half open, frozen and silent look alike from here.
fn silent_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming().flatten() {
            open.push(stream);
        }
    });
    port
}

/// The status and how long it took; 0 for no whole answer.
fn timed_get(port: u16, path: &str) -> (u16, Duration) {
    let start = Instant::now();
    let answer = exchange(port, &message("GET", path, &[], b""), Duration::from_secs(30));
    let reply = answer.ok().and_then(|bytes| parse(&bytes, false));
    (reply.map_or(0, |reply| reply.status), start.elapsed())
}

/// The time within which nine of ten static files came, and each came. The slowest tell of the machine as much as of us.
fn most_static_files(port: u16, how_many: usize) -> Duration {
    let mut times: Vec<Duration> = (0..how_many)
        .map(|_| {
            let (status, took) = timed_get(port, "/index.html");
            assert_eq!(status, 200);
            std::thread::sleep(Duration::from_millis(5));
            took
        })
        .collect();
    times.sort_unstable();
    times[how_many * 9 / 10]
}

/// Visitors who ask again and again, for as long as `work` takes; with how long the slowest answer took.
fn beside_visitors<T>(port: u16, visitors: usize, work: impl FnOnce() -> T) -> (T, Duration) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..visitors)
            .map(|_| {
                scope.spawn(|| {
                    let mut slowest = Duration::ZERO;
                    while !stop.load(Ordering::Relaxed) {
                        let (status, took) = timed_get(port, "/dbtest/");
                        assert!(status == 200 || status == 503, "{status} after {took:?}");
                        slowest = slowest.max(took);
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    slowest
                })
            })
            .collect();
        // they have filled whatever they can fill
        std::thread::sleep(Duration::from_millis(1500));
        let done = work();
        stop.store(true, Ordering::Relaxed);
        let slowest = all.into_iter().map(|visitor| visitor.join().expect("a visitor")).max();
        (done, slowest.unwrap_or_default())
    })
}

fn static_files_are_quick_beside_a_silent_database(mpm: Mpm) {
    let database = Database::new(Kind::Sqlite);
    let directives = "DBTestTimeout connect=2s query=2s wait=1s";
    let silent = silent_server();
    let httpd = Httpd::builder(mpm)
        .mpm_conf(sizes(mpm))
        .location("/well", &database.directive())
        .location("/dbtest", &format!("DBTestDatabase postgresql://nobody@127.0.0.1:{silent}/none\n{directives}"))
        .start();
    for text in ["[dbtest:error]", "[dbtest:warn]", "MaxRequestWorkers"] {
        httpd.allow_log(text);
    }
    // as many visitors of something quick, so that the machine is as busy
    let quiet = most_static_files(httpd.port, 200);
    let (beside, slowest) = beside_visitors(httpd.port, 60, || most_static_files(httpd.port, 200));
    assert!(beside < quiet * 2 + Duration::from_millis(100), "{quiet:?} quiet, {beside:?} beside the silent one");
    assert!(slowest < Duration::from_secs(12), "nobody waits longer than the limits say: {slowest:?}");
    httpd.get("/well/").expect(200);
}

/// Asks for all rows and reads no more than the status line; the status.
fn begin_export(port: u16) -> (TcpStream, u16) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
    rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 4096).expect("a small buffer");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream.write_all(&message("GET", "/dbtest/?all", &[], b"")).expect("write");
    let mut start = [0; 12];
    stream.read_exact(&mut start).expect("a status line");
    let status = std::str::from_utf8(&start[9..]).ok().and_then(|text| text.parse().ok()).expect("a status");
    (stream, status)
}

fn slow_readers_of_everything_leave_threads_to_others(mpm: Mpm) {
    let database = Database::new(Kind::Sqlite);
    // more than any buffer on the way holds
    database.fill(10_000);
    database.run("UPDATE stuff SET things = hex(zeroblob(1000))");
    let httpd = Httpd::builder(mpm).mpm_conf(sizes(mpm)).location("/dbtest", &database.directive()).start();
    httpd.allow_log("MaxRequestWorkers");
    // whoever goes before the end is no fault of ours
    httpd.allow_log("the export broke off");
    let readers: Vec<_> = (0..60).map(|_| begin_export(httpd.port)).collect();
    let let_in = readers.iter().filter(|(_, status)| *status == 200).count();
    assert!((1..=10).contains(&let_in), "{let_in} of 60");
    assert!(readers.iter().all(|(_, status)| [200, 503].contains(status)));
    httpd.get("/index.html").expect(200);
    httpd.get("/dbtest/").expect(200);
    let refused = httpd.get("/dbtest/?all").expect(503);
    assert_eq!(refused.header("retry-after"), Some("5"));
    drop(readers);
    httpd.wait("room again", |httpd| httpd.try_get("/dbtest/?all").is_some_and(|reply| reply.status == 200));
}

fn a_burst_of_refusals_is_few_lines(mpm: Mpm) {
    let silent = silent_server();
    let directives = "DBTestTimeout connect=2s query=1s wait=0";
    let httpd = Httpd::builder(mpm)
        .mpm_conf(sizes(mpm))
        .location("/dbtest", &format!("DBTestDatabase postgresql://nobody@127.0.0.1:{silent}/none\n{directives}"))
        .start();
    for text in ["[dbtest:error]", "MaxRequestWorkers"] {
        httpd.allow_log(text);
    }
    httpd.expect_log("too many requests wait for the database");
    let (refused, port) = (Arc::new(AtomicU32::new(0)), httpd.port);
    beside_visitors(port, 20, || {
        httpd.wait("refusals", |_| {
            let (status, took) = timed_get(port, "/dbtest/health");
            refused.fetch_add(u32::from(status == 503 && took < Duration::from_secs(1)), Ordering::Relaxed);
            refused.load(Ordering::Relaxed) > 50
        });
    });
    let lines = httpd.log().lines().filter(|line| line.contains("too many requests")).count();
    assert!((1..=2).contains(&lines), "{lines} lines:\n{}", httpd.log());
}
