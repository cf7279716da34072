//! A ledger of every row that was posted, kept while everything around dies: what was acknowledged is in the table once,
//! what was said not to be saved is not, and of nothing else is more said than "unknown". A short slice of it runs with
//! the suite; `apxs/soak MINUTES` runs it for long and prints the table.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::support::client::{exchange, message, parse};
use crate::support::database::open_cluster;
use crate::support::{Database, Httpd, Kind, Mpm};

crate::on_each_mpm![no_row_is_lost_doubled_or_misreported_whatever_dies];

/// What a client was told of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Saved,
    NotSaved,
    Unknown,
    /// No answer: the child that had the request was killed.
    Nothing,
}

/// Everything that was posted.
#[derive(Default)]
struct Ledger {
    rows: Mutex<Vec<(String, Told)>>,
    next: AtomicU64,
    pages: AtomicU64,
    static_files: AtomicU64,
}

struct World {
    httpd: Httpd,
    database: Database,
}

/// What is done to the server and its database, and what it is called.
type Fault = (&'static str, fn(&World));

const FAULTS: [Fault; 7] = [
    ("a child of httpd is killed", kill_a_child),
    ("graceful restart", |world| world.httpd.graceful()),
    ("all sessions are ended", end_sessions),
    ("a backend is killed", kill_a_backend),
    ("the database is restarted", |world| world.database.cluster().0.restart()),
    ("the database is frozen for a second", freeze),
    ("the postmaster is killed", kill_the_postmaster),
];

fn no_row_is_lost_doubled_or_misreported_whatever_dies(mpm: Mpm) {
    let minutes: f64 = std::env::var("SOAK_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(0.2);
    let until = Instant::now() + Duration::from_secs_f64(minutes * 60.0 / 3.0);
    let world = start(mpm);
    let ledger = Ledger::default();
    let stop = AtomicBool::new(false);
    let mut made = [0_u32; FAULTS.len()];
    let port = world.httpd.port;
    let memory = std::thread::scope(|scope| {
        // also when a fault cannot be made: the scope waits for the clients
        let _stops = Stops(&stop);
        for _ in 0..6 {
            scope.spawn(|| ask_until(port, &ledger, &stop));
        }
        let (mut next, mut before) = (0, None);
        // each at least once
        while Instant::now() < until || next < FAULTS.len() {
            std::thread::sleep(Duration::from_millis(300));
            let number = next % FAULTS.len();
            FAULTS[number].1(&world);
            made[number] += 1;
            next += 1;
            // caches and the allocator's arenas are filled by the first round
            if next == FAULTS.len() {
                before = Some(resident(&world.httpd));
            }
            world
                .httpd
                .wait("it serves again", |httpd| httpd.try_get("/dbtest/").is_some_and(|reply| reply.status == 200));
        }
        (before.unwrap_or_default(), resident(&world.httpd))
    });
    judge(&world, &ledger, &made, memory);
}

/// Tells the clients to stop when it goes.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn start(mpm: Mpm) -> World {
    let database = Database::on(Arc::new(open_cluster()));
    database.run("CREATE TABLE stuff (id serial PRIMARY KEY, stuff varchar(255) NOT NULL, things text NOT NULL)");
    assert_eq!(database.kind(), Kind::Postgresql);
    let directives = format!("{}\nDBTestTimeout connect=2s query=2s wait=2s", database.directive());
    let httpd = Httpd::builder(mpm).location("/dbtest", &directives).start();
    // what the log should say is other tests' business
    for text in ["[dbtest:", "exit signal Killed", "MaxRequestWorkers", "[mpm_"] {
        httpd.allow_log(text);
    }
    World { httpd, database }
}

/// A client: posts a row, looks at the page, fetches a static file, and again.
fn ask_until(port: u16, ledger: &Ledger, stop: &AtomicBool) {
    let ask =
        |bytes: &[u8]| exchange(port, bytes, Duration::from_secs(20)).ok().and_then(|answer| parse(&answer, false));
    while !stop.load(Ordering::Relaxed) {
        let name = format!("row {}", ledger.next.fetch_add(1, Ordering::Relaxed));
        let body = serde_json::json!({ "stuff": name, "things": "soaked" }).to_string();
        let headers = [("Content-Type", "application/json"), ("Accept", "application/json")];
        let told = match ask(&message("POST", "/dbtest/", &headers, body.as_bytes())) {
            Some(reply) if reply.status == 201 => Told::Saved,
            Some(reply) if reply.status == 503 => match reply.json()["error"]["saved"].as_str() {
                Some("no") => Told::NotSaved,
                Some("unknown") => Told::Unknown,
                other => panic!("{other:?}: {}", reply.text()),
            },
            Some(reply) => panic!("{}: {}", reply.status, reply.text()),
            None => Told::Nothing,
        };
        ledger.rows.lock().unwrap().push((name, told));
        if let Some(reply) = ask(&message("GET", "/dbtest/", &[], b"")) {
            assert!([200, 503].contains(&reply.status), "{}: {}", reply.status, reply.text());
            ledger.pages.fetch_add(u64::from(reply.status == 200), Ordering::Relaxed);
        }
        if let Some(reply) = ask(&message("GET", "/index.html", &[], b"")) {
            assert_eq!(reply.status, 200, "{}", reply.text());
            ledger.static_files.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Compares the ledger with the table, and prints both.
fn judge(world: &World, ledger: &Ledger, made: &[u32], memory: (u64, u64)) {
    let mut times = std::collections::HashMap::<String, u32>::new();
    for (_, stuff, _) in world.database.rows() {
        *times.entry(stuff).or_default() += 1;
    }
    let rows = ledger.rows.lock().unwrap();
    let there = |name: &String| times.get(name).copied().unwrap_or(0);
    let count = |told: Told| rows.iter().filter(|(_, what)| *what == told).count();
    let in_table = |told: Told| rows.iter().filter(|(name, what)| *what == told && there(name) > 0).count();
    let missing: Vec<&String> =
        rows.iter().filter(|(name, told)| *told == Told::Saved && there(name) == 0).map(|(name, _)| name).collect();
    let lied: Vec<&String> =
        rows.iter().filter(|(name, told)| *told == Told::NotSaved && there(name) > 0).map(|(name, _)| name).collect();
    let doubled: Vec<&String> = rows.iter().map(|(name, _)| name).filter(|name| there(name) > 1).collect();
    println!("{}", world.httpd.mpm.name());
    for ((name, _), made) in FAULTS.iter().zip(made) {
        println!("  {made:>6}  {name}");
    }
    println!("  {:>6}  rows acknowledged, of which missing: {}", count(Told::Saved), missing.len());
    println!("  {:>6}  rows said not to be saved, of which in the table: {}", count(Told::NotSaved), lied.len());
    for (told, words) in
        [(Told::Unknown, "said to be unknown"), (Told::Nothing, "without an answer (a child was killed)")]
    {
        println!("  {:>6}  rows {words}, of which in the table: {}", count(told), in_table(told));
    }
    println!("  {:>6}  rows in the table more than once", doubled.len());
    println!(
        "  {:>6}  pages and {} static files",
        ledger.pages.load(Ordering::Relaxed),
        ledger.static_files.load(Ordering::Relaxed)
    );
    println!("  {:>6}  kB of memory in the largest child at the end, {} after the first round", memory.1, memory.0);
    assert!(missing.is_empty() && lied.is_empty() && doubled.is_empty(), "{missing:?} {lied:?} {doubled:?}");
    assert!(count(Told::Saved) > 20, "it did serve");
    // a child that has met much trouble at once has used more of its threads' memory than one that has not
    assert!(memory.1 < 128 * 1024, "memory is bounded: {memory:?}");
}

/// The private memory of the largest child, in kB.
fn resident(httpd: &Httpd) -> u64 {
    let of = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line =
            status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.split_whitespace().next()?.parse().ok());
        line.unwrap_or(0)
    };
    httpd.children().into_iter().map(of).max().unwrap_or(0)
}

fn process(id: u32) -> Pid {
    i32::try_from(id).ok().and_then(Pid::from_raw).expect("a process id")
}

fn kill_a_child(world: &World) {
    if let Some(child) = world.httpd.children().last() {
        // it may have ended meanwhile
        let _ = kill_process(process(*child), Signal::KILL);
    }
}

fn end_sessions(world: &World) {
    let (cluster, name) = world.database.cluster();
    cluster.psql(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"));
}

fn kill_a_backend(world: &World) {
    let (cluster, name) = world.database.cluster();
    let pid = cluster.psql(&format!("SELECT pid FROM pg_stat_activity WHERE datname = '{name}' LIMIT 1"));
    if let Ok(pid) = pid.trim().parse() {
        let _ = kill_process(process(pid), Signal::KILL);
    }
    // all others end with it, and the server recovers
    world.httpd.wait("recovery", |_| cluster.try_psql("postgres", "SELECT 1").is_ok());
}

fn freeze(world: &World) {
    let (cluster, _) = world.database.cluster();
    cluster.sigstop();
    std::thread::sleep(Duration::from_secs(1));
    cluster.sigcont();
}

fn kill_the_postmaster(world: &World) {
    let (cluster, _) = world.database.cluster();
    let postmaster = process(cluster.pid());
    let _ = kill_process(postmaster, Signal::KILL);
    world.httpd.wait("the postmaster is gone", |_| test_kill_process(postmaster).is_err());
    // its backends notice in their own time, and hold the memory until then
    let started = (0..20).any(|_| {
        std::thread::sleep(Duration::from_millis(500));
        catch_unwind(AssertUnwindSafe(|| cluster.start())).is_ok()
    });
    assert!(started, "the database starts again");
}
