//! The life of the server around the page: restarts, deaths, hangs, panics. What must hold is that no request fails
//! that need not, and that nothing is left behind.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::database::open_cluster;
use crate::support::{Database, Httpd, Kind, Mpm};

crate::matrix![
    a_graceful_restart_fails_no_request,
    a_killed_child_is_replaced,
    a_panic_costs_one_request_and_no_child,
    nothing_is_open_before_the_first_request,
];
crate::on_each_mpm![
    the_next_request_after_a_restart_of_the_database_succeeds,
    a_hanging_database_takes_nothing_down_with_it,
    fifty_graceful_restarts_leave_nothing_behind,
];

fn serve(mpm: Mpm, kind: Kind) -> (Httpd, Database) {
    let database = Database::new(kind);
    let httpd = Httpd::builder(mpm).location("/dbtest", &database.directive()).start();
    (httpd, database)
}

fn a_graceful_restart_fails_no_request(mpm: Mpm, kind: Kind) {
    let (httpd, database) = serve(mpm, kind);
    database.fill(40);
    let (stop, served) = (AtomicBool::new(false), AtomicU32::new(0));
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|client| {
                let (httpd, stop, served) = (httpd.port, &stop, &served);
                scope.spawn(move || request_until(httpd, client, stop, served))
            })
            .collect();
        for _ in 0..4 {
            let before = served.load(Ordering::Relaxed);
            httpd.graceful();
            // the new generation has served as well
            httpd.wait("requests go on", |_| served.load(Ordering::Relaxed) > before + 20);
        }
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    });
    assert_eq!(wrong, Vec::<String>::new());
    let posted = served.load(Ordering::Relaxed) / 10;
    assert!(database.rows().len() >= posted as usize, "every row that was answered 303 is there");
}

/// Gets the page, every tenth time posts a row, until told to stop; gives what was not as it should be.
fn request_until(port: u16, client: u32, stop: &AtomicBool, served: &AtomicU32) -> Vec<String> {
    use crate::support::client::{exchange, form, message, parse};
    let mut wrong = Vec::new();
    let body = form(&[("stuff", "under load"), ("things", &client.to_string())]);
    let get = message("GET", "/dbtest/", &[], b"");
    let post = message("POST", "/dbtest/", &[("Content-Type", "application/x-www-form-urlencoded")], body.as_bytes());
    for count in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (bytes, right) = if count % 10 == 0 { (&post, 303) } else { (&get, 200) };
        match exchange(port, bytes, Duration::from_secs(20)) {
            Ok(answer) => match parse(&answer, false) {
                Some(reply) if reply.status == right => {}
                reply => wrong.push(format!("request {count} of client {client}: {reply:?}")),
            },
            Err(error) => wrong.push(format!("request {count} of client {client}: {error}")),
        }
        served.fetch_add(1, Ordering::Relaxed);
    }
    wrong
}

fn a_killed_child_is_replaced(mpm: Mpm, kind: Kind) {
    let (httpd, database) = serve(mpm, kind);
    httpd.post("/dbtest/", &[("stuff", "before"), ("things", "x")]).expect(303);
    let children = httpd.children();
    for child in &children {
        kill(*child, Signal::KILL);
    }
    httpd.wait("new children", |httpd| {
        let now = httpd.children();
        !now.is_empty() && !now.iter().any(|child| children.contains(child))
    });
    httpd.post("/dbtest/", &[("stuff", "after"), ("things", "x")]).expect(303);
    httpd.get("/dbtest/").expect(200).expect_text("before").expect_text("after");
    assert_eq!(database.rows().len(), 2);
}

fn a_panic_costs_one_request_and_no_child(mpm: Mpm, kind: Kind) {
    let (httpd, _database) = serve(mpm, kind);
    httpd.expect_log("asked to panic");
    httpd.get("/dbtest/").expect(200);
    let children = httpd.children();
    for _ in 0..3 {
        httpd.get("/dbtest/?panic").expect(500);
        httpd.get("/dbtest/").expect(200);
    }
    assert!(children.iter().all(|child| httpd.children().contains(child)), "a child died of it");
    let lines = httpd.log().lines().filter(|line| line.contains("asked to panic")).count();
    assert_eq!(lines, 3, "one line each:\n{}", httpd.log());
}

fn nothing_is_open_before_the_first_request(mpm: Mpm, kind: Kind) {
    let (httpd, database) = serve(mpm, kind);
    let is_open = |pid: u32| match kind {
        Kind::Sqlite => open_files(pid).iter().any(|file| file.contains("site.db")),
        // sockets have no names there; the server knows better
        Kind::Postgresql => false,
    };
    let all: Vec<u32> = httpd.children().into_iter().chain([httpd.pid()]).collect();
    assert!(!all.iter().any(|pid| is_open(*pid)));
    assert_eq!(sessions(&database), 0);
    httpd.get("/index.html").expect(200);
    assert_eq!(sessions(&database), 0);
    httpd.get("/dbtest/").expect(200);
    match kind {
        Kind::Sqlite => assert!(httpd.children().iter().any(|pid| is_open(*pid))),
        Kind::Postgresql => assert_eq!(sessions(&database), 1),
    }
    assert!(!is_open(httpd.pid()), "the parent opens none");
    let threads = fs::read_dir(format!("/proc/{}/task", httpd.pid())).expect("/proc").count();
    assert_eq!(threads, 1, "the parent has no thread but its own");
}

/// Sessions of the server on this database, but for our own.
fn sessions(database: &Database) -> u32 {
    match database.kind() {
        Kind::Sqlite => 0,
        Kind::Postgresql => {
            let (cluster, name) = database.cluster();
            let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'");
            cluster.psql(&sql).parse().expect("a number")
        }
    }
}

fn open_files(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned())).collect()
}

fn the_next_request_after_a_restart_of_the_database_succeeds(mpm: Mpm) {
    let database = Database::on(Arc::new(open_cluster()));
    database.run("CREATE TABLE stuff (id serial PRIMARY KEY, stuff varchar(255) NOT NULL, things text NOT NULL)");
    let httpd = Httpd::builder(mpm).location("/dbtest", &database.directive()).start();
    // whether one notices or not is its own affair, as long as the visitor does not
    httpd.allow_log("[dbtest:warn]");
    let (cluster, _) = database.cluster();
    // warm every child: prefork's have a connection each
    for _ in 0..20 {
        httpd.get("/dbtest/").expect(200);
    }
    for round in 0..3 {
        cluster.restart();
        for _ in 0..6 {
            httpd.get("/dbtest/").expect(200);
        }
        cluster.restart();
        httpd.post("/dbtest/", &[("stuff", "after restart"), ("things", &round.to_string())]).expect(303);
    }
    assert_eq!(database.rows().len(), 3);
    cluster.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'site%'");
    httpd.get("/dbtest/").expect(200);
}

fn a_hanging_database_takes_nothing_down_with_it(mpm: Mpm) {
    let database = Database::on(Arc::new(open_cluster()));
    database.run("CREATE TABLE stuff (id serial PRIMARY KEY, stuff varchar(255) NOT NULL, things text NOT NULL)");
    // as many as can be served at once and more
    let sizes = match mpm {
        Mpm::Prefork => "StartServers 4\nMinSpareServers 2\nMaxSpareServers 24\nMaxRequestWorkers 24\n",
        _ => "StartServers 1\nServerLimit 1\nThreadsPerChild 16\nMaxRequestWorkers 16\n",
    };
    let directives = format!("{}\nDBTestTimeout connect=1s query=1s wait=500ms", database.directive());
    let httpd = Httpd::builder(mpm).mpm_conf(sizes).location("/dbtest", &directives).start();
    httpd.allow_log("[dbtest:error]");
    httpd.allow_log("[dbtest:warn]");
    // that it is fully booked
    httpd.allow_log("MaxRequestWorkers");
    httpd.get("/dbtest/").expect(200);
    let (cluster, _) = database.cluster();
    cluster.sigstop();
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..20)
            .map(|_| {
                let httpd = &httpd.port;
                scope.spawn(move || timed_get(*httpd, "/dbtest/"))
            })
            .collect();
        std::thread::sleep(Duration::from_millis(300));
        if mpm.is_threaded() {
            for _ in 0..20 {
                let (status, took) = timed_get(httpd.port, "/index.html");
                assert_eq!(status, 200);
                assert!(took < Duration::from_millis(400), "a static file took {took:?}");
            }
        }
        for client in asking {
            let (status, took) = client.join().expect("a client");
            assert_eq!(status, 503);
            // prefork starts its children one by one, and those who wait for one wait for httpd
            assert!(took < Duration::from_secs(if mpm.is_threaded() { 6 } else { 15 }), "{took:?}");
        }
    });
    let (status, took) = timed_get(httpd.port, "/dbtest/");
    assert_eq!(status, 503);
    assert!(took < Duration::from_secs(4), "{took:?}");
    cluster.sigcont();
    // and it is well again at once
    httpd.wait("the page", |httpd| httpd.try_get("/dbtest/").is_some_and(|reply| reply.status == 200));
}

fn timed_get(port: u16, path: &str) -> (u16, Duration) {
    use crate::support::client::{exchange, message, parse};
    let start = Instant::now();
    let answer = exchange(port, &message("GET", path, &[], b""), Duration::from_secs(20));
    let reply = answer.ok().and_then(|bytes| parse(&bytes, false));
    (reply.map_or(0, |reply| reply.status), start.elapsed())
}

fn fifty_graceful_restarts_leave_nothing_behind(mpm: Mpm) {
    let (httpd, database) = serve(mpm, Kind::Postgresql);
    let round = |count: u32| {
        for _ in 0..count {
            httpd.graceful();
            httpd.get("/dbtest/").expect(200);
        }
    };
    // the first ones fill caches
    round(10);
    let before = Footprint::of(&httpd);
    round(50);
    let after = Footprint::of(&httpd);
    assert_eq!(after.files, before.files, "{before:?} {after:?}");
    assert_eq!(after.mappings, before.mappings, "{before:?} {after:?}");
    assert!(after.kilobytes < before.kilobytes + 512, "{before:?} {after:?}");
    // children of old generations end in their own time, and their sessions with them
    httpd.wait("old sessions end", |httpd| sessions(&database) as usize <= httpd.children().len());
}

/// What the parent holds.
#[derive(Debug)]
struct Footprint {
    files: usize,
    /// Of libraries: an unloaded and reloaded module that stayed would be there twice.
    mappings: usize,
    kilobytes: u64,
}

impl Footprint {
    fn of(httpd: &Httpd) -> Self {
        let proc = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", httpd.pid())).expect("/proc");
        let status = proc("status");
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("RssAnon");
        Self {
            files: open_files(httpd.pid()).len(),
            mappings: proc("maps").lines().filter(|line| line.contains("mod_dbtest")).count(),
            kilobytes: line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number"),
        }
    }
}

fn kill(id: u32, signal: Signal) {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("kill");
}
