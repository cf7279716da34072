//! The service over a database that does as it is told: answers late, hangs, dies, panics.

mod fake;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use self::fake::{Database, Fake, error};
use super::{NotStored, Refusal, Service, Services};
use crate::database::{Connection, Create, Error, Limits, Shared, Stage, Table, Target};

const LIMITS: Limits =
    Limits { connect: Duration::from_secs(5), query: Duration::from_secs(5), wait: Duration::from_secs(2) };

struct World {
    database: Arc<Database>,
    services: Services,
    service: Arc<Service>,
}

impl World {
    fn new(threads: u32, connections: u32) -> Self {
        let services = Services::new(threads, Box::new(|| 0));
        let (database, service) = another(&services, connections);
        Self { database, services, service }
    }

    fn count(&self) -> Result<usize, Refusal> {
        self.service.page(None, 1000).map(|page| page.rows.len())
    }
}

/// One more database of the same child.
fn another(services: &Services, connections: u32) -> (Arc<Database>, Arc<Service>) {
    let database = Arc::<Database>::default();
    let target: Arc<dyn Target> = Arc::new(Fake(Arc::clone(&database)));
    let service = services.get(&target, &Arc::new(Table::default()), LIMITS, connections, Create::Never);
    (database, service)
}

/// What `threads` requests that begin together come to, with how long each took.
fn together<T: Send>(threads: u32, request: impl Fn(u32) -> T + Sync) -> Vec<(T, Duration)> {
    let barrier = Barrier::new(threads as usize);
    let one = |number| {
        barrier.wait();
        let started = Instant::now();
        (request(number), started.elapsed())
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|number| scope.spawn(move || one(number))).collect::<Vec<_>>();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn the_same_settings_have_the_same_service() {
    let services = Services::new(4, Box::new(|| 0));
    let target: Arc<dyn Target> = Arc::new(Fake(Arc::default()));
    let table = Arc::new(Table::default());
    let get = |table: &Arc<Table>, connections| services.get(&target, table, LIMITS, connections, Create::Never);
    let first = get(&table, 1);
    assert!(Arc::ptr_eq(&first, &get(&table, 1)));
    assert!(!Arc::ptr_eq(&first, &get(&table, 2)));
    assert!(!Arc::ptr_eq(&first, &get(&Arc::new(Table::default()), 1)), "another table, though of the same name");
}

#[test]
fn a_connection_is_opened_when_needed_and_kept() {
    let world = World::new(1, 1);
    assert_eq!(world.database.opened.load(Ordering::SeqCst), 0);
    for _ in 0..5 {
        world.count().unwrap();
    }
    assert_eq!(world.database.opened.load(Ordering::SeqCst), 1);
}

#[test]
fn after_a_restart_the_next_read_and_the_next_unsent_write_succeed() {
    let world = World::new(8, 2);
    world.count().unwrap();
    world.database.restarts.fetch_add(1, Ordering::SeqCst);
    assert_eq!(world.count().unwrap(), 0);
    world.database.restarts.fetch_add(1, Ordering::SeqCst);
    assert_eq!(world.service.insert("a", "not sent").unwrap(), 1);
    assert_eq!(world.database.opened.load(Ordering::SeqCst), 3);
}

#[test]
fn a_write_that_was_sent_is_not_sent_again() {
    let world = World::new(8, 1);
    world.count().unwrap();
    world.database.restarts.fetch_add(1, Ordering::SeqCst);
    let asked = world.database.asked.load(Ordering::SeqCst);
    assert!(matches!(world.service.insert("a", "sent"), Err(NotStored::Unknown(_))));
    assert_eq!(world.database.asked.load(Ordering::SeqCst), asked + 1);
}

#[test]
fn a_read_is_repeated_once_only() {
    let world = World::new(8, 1);
    let runs = AtomicU32::new(0);
    let work = |_: &mut dyn Connection| -> Result<(), Error> {
        runs.fetch_add(1, Ordering::SeqCst);
        world.database.restarts.fetch_add(1, Ordering::SeqCst);
        Err(error(Stage::Read))
    };
    // what fails on a connection that stands is no reason to repeat
    assert!(world.service.with(work).is_err());
    assert!(world.service.with(work).is_err());
    assert_eq!(runs.swap(0, Ordering::SeqCst), 2);
    let dies = |connection: &mut dyn Connection| {
        runs.fetch_add(1, Ordering::SeqCst);
        world.database.restarts.fetch_add(1, Ordering::SeqCst);
        connection.ping()
    };
    assert!(matches!(world.service.with(dies), Err(Refusal::Database(_))));
    assert_eq!(runs.load(Ordering::SeqCst), 2, "on the idle one, and on a fresh one");
}

#[test]
fn a_panic_costs_the_connection_and_nothing_else() {
    let world = World::new(8, 1);
    world.count().unwrap();
    for _ in 0..3 {
        let panics = || world.service.with(|_| -> Result<(), Error> { panic!("as asked") });
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        world.count().unwrap();
    }
    assert_eq!(world.database.opened.load(Ordering::SeqCst), 4);
}

#[test]
fn never_more_connections_than_said() {
    let world = World::new(64, 3);
    world.database.slow.store(5, Ordering::SeqCst);
    let answers = together(24, |_| world.count());
    assert!(answers.iter().all(|(answer, _)| answer.is_ok()));
    assert_eq!(world.database.opened.load(Ordering::SeqCst), 3);
}

#[test]
fn a_healthy_burst_is_served_to_the_last_request() {
    let world = World::new(25, 1);
    world.database.slow.store(10, Ordering::SeqCst);
    let answers = together(25, |number| {
        // every request of its own kind, so that none is shared
        world.service.page(Some(i64::from(number) + 1), 1).map(drop)
    });
    assert!(answers.iter().all(|(answer, _)| answer.is_ok()), "nobody is turned away");
    assert!(answers.iter().any(|(_, took)| *took > Duration::from_millis(200)), "though some wait long");
}

#[test]
fn a_hanging_database_leaves_a_quarter_of_the_child_free() {
    let world = World::new(25, 1);
    let shared = Shared::<u8, usize>::new();
    world.database.hang(true);
    let release = Instant::now() + Duration::from_millis(700);
    let answers = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(release.saturating_duration_since(Instant::now()));
            world.database.hang(false);
        });
        together(24, |number| match number % 3 {
            0 => world.count(),
            1 => shared.answer(&world.service, 1, |connection| connection.page(None, 9).map(|page| page.rows.len())),
            _ => world.service.insert("a", "b").map(|id| id as usize).map_err(|_| Refusal::Panicked),
        })
    });
    let quick = answers.iter().filter(|(_, took)| *took < Duration::from_millis(400)).count();
    assert_eq!(quick, 24 - 19, "{answers:?}");
    for (answer, took) in &answers {
        let turned_away = *took < Duration::from_millis(400);
        assert_eq!(answer.is_err(), turned_away, "{answer:?} {took:?}");
        assert!(!turned_away || *took >= Duration::from_millis(90), "while it may be healthy, all wait");
    }
    // one that arrives while it hangs is turned away at once
    world.database.hang(true);
    thread::scope(|scope| {
        let all: Vec<_> = (0..19).map(|_| scope.spawn(|| world.count())).collect();
        thread::sleep(Duration::from_millis(300));
        let started = Instant::now();
        assert!(matches!(world.count(), Err(Refusal::Busy { .. })));
        assert!(started.elapsed() < Duration::from_millis(50));
        world.database.hang(false);
        assert!(all.into_iter().all(|thread| thread.join().unwrap().is_ok()));
    });
    assert!(world.count().is_ok());
}

#[test]
fn several_hanging_databases_together_hold_no_more_than_one() {
    let world = World::new(25, 1);
    let (other_database, other) = another(&world.services, 1);
    world.database.hang(true);
    other_database.hang(true);
    let answers = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(700));
            world.database.hang(false);
            other_database.hang(false);
        });
        together(24, |number| [&world.service, &other][number as usize % 2].page(None, 1).map(drop))
    });
    let held = answers.iter().filter(|(_, took)| *took > Duration::from_millis(400)).count();
    assert_eq!(held, 19, "{answers:?}");
}

#[test]
fn a_hanging_database_leaves_a_healthy_one_alone() {
    let world = World::new(8, 1);
    let (_, healthy) = another(&world.services, 1);
    world.database.hang(true);
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..4).map(|_| scope.spawn(|| world.count())).collect();
        thread::sleep(Duration::from_millis(200));
        for _ in 0..100 {
            healthy.page(None, 1).unwrap();
        }
        world.database.hang(false);
        waiting.into_iter().for_each(|thread| drop(thread.join()));
    });
}

#[test]
fn a_database_that_failed_is_left_alone_while_another_holds_all_that_may_be_held() {
    let world = World::new(8, 1);
    let (sick_database, sick) = another(&world.services, 1);
    sick_database.refuses.store(true, Ordering::SeqCst);
    assert!(matches!(sick.page(None, 1), Err(Refusal::Database(_))));
    world.database.hang(true);
    thread::scope(|scope| {
        let held: Vec<_> = (0..6).map(|_| scope.spawn(|| world.count())).collect();
        thread::sleep(Duration::from_millis(200));
        assert!(matches!(sick.page(None, 1), Err(Refusal::Busy { .. })));
        assert_eq!(sick_database.opened.load(Ordering::SeqCst), 1);
        world.database.hang(false);
        held.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap().unwrap(), 0));
    });
    sick_database.refuses.store(false, Ordering::SeqCst);
    sick.page(None, 1).unwrap();
}

#[test]
fn while_threads_are_idle_a_slow_statement_turns_nobody_away() {
    let world = World::new(8, 1);
    world.database.slow.store(300, Ordering::SeqCst);
    // three quarters of the child, each with a question of its own: the last waits for the others' statements
    let answers = together(5, |number| world.service.page(Some(i64::from(number) + 1), 1).map(drop));
    assert!(answers.iter().all(|(answer, _)| answer.is_ok()), "{answers:?}");
    assert!(answers.iter().any(|(_, took)| *took > Duration::from_secs(1)));
}

#[test]
fn nobody_waits_longer_than_the_limit() {
    let world = World::new(64, 1);
    world.database.hang(true);
    thread::scope(|scope| {
        scope.spawn(|| world.count());
        thread::sleep(Duration::from_millis(20));
        let started = Instant::now();
        assert!(matches!(world.count(), Err(Refusal::Busy { .. })));
        let waited = started.elapsed();
        assert!(waited >= LIMITS.wait && waited < LIMITS.wait + Duration::from_millis(300), "{waited:?}");
        world.database.hang(false);
    });
}

#[test]
fn a_read_sees_every_row_acknowledged_before_it_and_most_are_shared() {
    // two connections: with one, nothing could be written while a read is in flight
    let world = World::new(64, 2);
    let shared = Shared::<u8, usize>::new();
    let asked = AtomicU32::new(0);
    world.database.slow.store(1, Ordering::SeqCst);
    together(24, |number| {
        for turn in 0..50 {
            if number < 4 {
                world.service.insert("a", "b").unwrap();
                thread::yield_now();
                continue;
            }
            // at any time, not all at once
            thread::sleep(Duration::from_micros(u64::from(number * turn % 7) * 300));
            let before = world.database.rows.load(Ordering::SeqCst);
            let seen = shared.answer(&world.service, (turn % 2) as u8, |connection| {
                asked.fetch_add(1, Ordering::SeqCst);
                connection.page(None, u32::MAX).map(|page| page.rows.len())
            });
            assert!(seen.unwrap() as u64 >= before, "a row that was there before the question is missing");
        }
    });
    assert!(asked.load(Ordering::SeqCst) < 20 * 50 / 2, "{asked:?}: answers are shared");
}

#[test]
fn an_error_reaches_all_who_share_it() {
    let world = World::new(64, 1);
    let shared = Shared::<u8, usize>::new();
    world.database.slow.store(30, Ordering::SeqCst);
    let runs = AtomicU32::new(0);
    let answers = together(8, |_| {
        shared.answer(&world.service, 1, |connection| {
            runs.fetch_add(1, Ordering::SeqCst);
            connection.ping().and(Err(error(Stage::Schema)))
        })
    });
    for (answer, _) in answers {
        assert!(matches!(answer, Err(Refusal::Database(error)) if error.stage == Stage::Schema));
    }
    assert!(runs.load(Ordering::SeqCst) < 8);
}

#[test]
fn a_database_that_refuses_is_asked_again_by_each_who_did_not_wait() {
    let world = World::new(8, 1);
    world.database.refuses.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(matches!(world.count(), Err(Refusal::Database(error)) if error.stage == Stage::Reach));
    }
    world.database.refuses.store(false, Ordering::SeqCst);
    world.count().unwrap();
}

#[test]
fn health_asks_once_a_second_however_many_want_to_know() {
    let world = World::new(25, 1);
    world.database.slow.store(20, Ordering::SeqCst);
    let answers = together(20, |_| world.service.ping());
    assert!(answers.iter().all(|(answer, _)| answer.is_ok()));
    assert_eq!(world.database.asked.load(Ordering::SeqCst), 1);
    thread::sleep(super::PING_EVERY);
    world.database.restarts.fetch_add(1, Ordering::SeqCst);
    world.database.refuses.store(true, Ordering::SeqCst);
    assert!(world.service.ping().is_err());
    assert!(world.service.ping().is_err());
    assert_eq!(world.database.opened.load(Ordering::SeqCst), 2, "the failure, too, is told again without asking");
}

#[test]
fn an_export_hands_over_every_row_and_stops_when_told() {
    let world = World::new(8, 1);
    world.database.rows.store(u64::from(super::EXPORT_ROWS) * 3 + 1, Ordering::SeqCst);
    let mut seen = Vec::new();
    world
        .service
        .export(&mut |row| {
            // the connection is free while the client is slow
            world.count().unwrap();
            seen.push(row.id);
            true
        })
        .unwrap();
    assert_eq!(seen, (1..=i64::from(super::EXPORT_ROWS) * 3 + 1).rev().collect::<Vec<_>>());
    let mut few = 0;
    world
        .service
        .export(&mut |_| {
            few += 1;
            few < 5
        })
        .unwrap();
    assert_eq!(few, 5);
}

#[test]
fn rows_that_wait_are_stored_together_each_with_its_own_answer() {
    let world = World::new(64, 1);
    world.database.groups.store(true, Ordering::SeqCst);
    world.database.slow.store(20, Ordering::SeqCst);
    let answers = together(24, |number| world.service.insert("a", if number % 3 == 0 { "bad" } else { "good" }));
    let mut ids: Vec<i64> = Vec::new();
    for (number, (answer, _)) in answers.into_iter().enumerate() {
        match answer {
            Ok(id) => ids.push(id),
            Err(NotStored::NotSaved(_)) => assert_eq!(number % 3, 0),
            Err(other) => panic!("{other}"),
        }
    }
    ids.sort_unstable();
    assert_eq!(ids, (1..=16).collect::<Vec<_>>());
    assert!(world.database.asked.load(Ordering::SeqCst) <= 4, "{:?} commits", world.database.asked);
}

#[test]
fn rows_that_hang_together_are_as_few() {
    let world = World::new(25, 1);
    world.database.groups.store(true, Ordering::SeqCst);
    world.database.slow.store(20, Ordering::SeqCst);
    let answers = thread::scope(|scope| {
        // the first commit ends in time, the next one, of several rows, hangs
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(5));
            scope.spawn(|| world.database.hang_after(1));
            thread::sleep(Duration::from_millis(700));
            world.database.hang(false);
        });
        together(24, |_| world.service.insert("a", "b"))
    });
    let held = answers.iter().filter(|(_, took)| *took > Duration::from_millis(400)).count();
    assert_eq!(held, 19, "{answers:?}");
    let saved = answers.iter().filter(|(answer, _)| answer.is_ok()).count() as u64;
    assert_eq!(world.database.rows.load(Ordering::SeqCst), saved);
}

#[test]
fn an_error_of_the_whole_reaches_each_row() {
    let world = World::new(64, 1);
    world.database.groups.store(true, Ordering::SeqCst);
    world.count().unwrap();
    world.database.slow.store(20, Ordering::SeqCst);
    world.database.refuses.store(true, Ordering::SeqCst);
    world.database.restarts.fetch_add(1, Ordering::SeqCst);
    let answers = together(12, |_| world.service.insert("a", "b"));
    assert!(answers.iter().all(|(answer, _)| matches!(answer, Err(NotStored::NotSaved(_)))), "{answers:?}");
}
