//! Children are columns here; a dead one is a process that has ended.

use std::process::Command;

use super::*;

fn name(location: &str) -> Name {
    Name { location: location.into(), database: format!("sqlite:{location}") }
}

fn tally(children: usize, locations: &[&str]) -> Arc<Tally> {
    let words: Vec<AtomicU64> =
        std::iter::repeat_with(AtomicU64::default).take(Tally::size(children, locations.len())).collect();
    Arc::new(Tally::new(Arc::new(words), children, locations.iter().map(|location| name(location)).collect()))
}

/// A process, and one that was.
fn alive_and_dead() -> (u32, u32) {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    (std::process::id(), child.id())
}

#[test]
fn children_count_together_each_entry_by_itself() {
    let tally = tally(2, &["/a", "/b"]);
    let (first, second) = (tally.join(1), tally.join(std::process::id()));
    let _one = first[1].hold(Held::Working);
    {
        let _two = second[1].hold(Held::Working);
        assert_eq!((first[0].sum(Held::Working), first[1].sum(Held::Working)), (0, 2));
        assert!(first[1].try_hold(Held::Working, 2).is_none());
        assert_eq!(first[1].sum(Held::Working), 2, "who is refused holds nothing");
        assert!(first[1].try_hold(Held::Checking, 1).is_some());
    }
    assert!(second[1].try_hold(Held::Working, 2).is_some());
    second[0].count(Counter::Saved);
    assert_eq!((first[0].get(Counter::Saved), first[1].get(Counter::Saved)), (1, 0));
    assert_eq!(first[1].location(), "/b");
}

#[test]
fn what_a_dead_child_held_is_free() {
    let (alive, dead) = alive_and_dead();
    let tally = tally(2, &["/a"]);
    let (here, gone) = (tally.join(alive), tally.join(dead));
    for _ in 0..3 {
        std::mem::forget(gone[0].hold(Held::Working));
    }
    assert_eq!(here[0].sum(Held::Working), 3);
    assert!(here[0].try_hold(Held::Working, 1).is_some());
    assert_eq!(here[0].sum(Held::Working), 0);
    // and its column is the next child's, as if new
    std::mem::forget(gone[0].hold(Held::Checking));
    let next = tally.join(1);
    assert_eq!(here[0].sum(Held::Checking), 0);
    let _more = next[0].hold(Held::Checking);
    assert_eq!(here[0].sum(Held::Checking), 1);
    // more children than there were to be are not counted, and harm nobody
    let beyond = tally.join(1_000_000_000);
    let _uncounted = beyond[0].hold(Held::Checking);
    assert_eq!(here[0].sum(Held::Checking), 1);
}

#[test]
fn a_changed_configuration_goes_on_with_what_was_counted() {
    let older = tally(2, &["/a", "/b"]);
    let counting = older.join(std::process::id());
    counting[1].count(Counter::Saved);
    counting[1].timed(Timer::Query, std::time::Duration::from_millis(3));
    std::mem::forget(counting[1].hold(Held::Working));
    assert!(older.is_for(2, &[name("/a"), name("/b")]));
    assert!(!older.is_for(2, &[name("/b")]) && !older.is_for(3, &[name("/a"), name("/b")]));
    let newer = tally(4, &["/b", "/c"]);
    newer.carry_over(&older);
    let counted = newer.join(std::process::id());
    assert_eq!((counted[0].get(Counter::Saved), counted[1].get(Counter::Saved)), (1, 0));
    assert_eq!(counted[0].histogram(Timer::Query).sum_us, 3000);
    assert_eq!(counted[0].sum(Held::Working), 0, "the old generation holds what it holds in the old memory");
}

#[test]
fn the_newest_work_is_what_counts() {
    let tally = tally(1, &["/a"]);
    let entry = &tally.join(std::process::id())[0];
    assert_eq!(entry.newest_work(), None);
    entry.begins();
    assert_eq!(entry.newest_work(), None, "nobody is at work");
    let _working = entry.hold(Held::Working);
    assert!(entry.newest_work().is_some_and(|since| since.as_secs() < 5));
}
