//! `-D DBTEST_INIT` and `-D DBTEST_RESET`: the table that a page needs. A reset loses what is in it, so it wants the
//! one place by its name, and a second word for a table that has rows.
#![forbid(unsafe_code)]

use super::{as_server_user, name};
use crate::app::http::Level;
use crate::config::Resolved;
use crate::configtest::{self, Known};
use crate::database::{Connection, Create, Error};
use crate::diagnosis;
use crate::httpd::Main;

/// Makes, or makes anew, the tables of these places; the exit status.
pub fn run(main: &Main, chosen: &[&Known], all: &[Known]) -> i32 {
    let databases = distinct(chosen);
    if let Some(message) = contradiction(chosen) {
        main.log(Level::Error, &message);
        return 1;
    }
    let resets = main.is_defined(c"DBTEST_RESET");
    if resets && let Err(message) = may_reset(&databases, all) {
        main.log(Level::Error, &message);
        return 1;
    }
    // made as root, as at start
    configtest::make_state_dirs(main, chosen.iter().copied());
    let sure = main.is_defined(c"DBTEST_YES");
    as_server_user(main, || {
        let mut good = true;
        for (known, resolved) in &databases {
            good &= if resets { reset(main, known, resolved, sure) } else { init(main, known, resolved) };
        }
        i32::from(!good)
    })
}

type Database<'k> = (&'k Known, &'k Resolved);

/// One for each database and table, that of a Location which may write if there is one.
fn distinct<'k>(chosen: &[&'k Known]) -> Vec<Database<'k>> {
    let mut found: Vec<Database> = Vec::new();
    for known in chosen {
        let Ok(resolved) = &known.resolved else { continue };
        match found.iter_mut().find(|(_, other)| are_one(other, resolved)) {
            Some(twin) if twin.1.read_only && !resolved.read_only => *twin = (known, resolved),
            Some(_) => {}
            None => found.push((known, resolved)),
        }
    }
    found
}

fn are_one(one: &Resolved, other: &Resolved) -> bool {
    one.target.masked() == other.target.masked() && one.table == other.table
}

fn contradiction(chosen: &[&Known]) -> Option<String> {
    let error = chosen.iter().find_map(|known| known.resolved.as_ref().err())?;
    Some(error.to_string())
}

/// Why nothing is reset, before anything is looked at.
fn may_reset(databases: &[Database], all: &[Known]) -> Result<(), String> {
    let [(known, resolved)] = databases else {
        let names: Vec<String> = databases.iter().map(|(known, _)| name(known)).collect();
        return Err(format!(
            "DBTEST_RESET would empty {} databases ({}): name the one that is meant, with -c 'DBTestOnly {}'; nothing \
             was changed",
            databases.len(),
            names.join(", "),
            names.first().map_or("/dbtest", String::as_str)
        ));
    };
    let same = |other: &&Known| other.resolved.as_ref().is_ok_and(|other| other.read_only && are_one(other, resolved));
    match all.iter().filter(|other| other.place.handler == "dbtest").find(same) {
        None => Ok(()),
        Some(other) => Err(format!(
            "DBTEST_RESET: the database of {} is that of {}, where DBTestReadOnly is On: it is not reset, nothing was \
             changed",
            name(known),
            name(other)
        )),
    }
}

fn init(main: &Main, known: &Known, resolved: &Resolved) -> bool {
    if resolved.read_only {
        println!("{}: DBTestReadOnly is On: nothing is created there", name(known));
        return true;
    }
    let table = format!("table {} in {}", resolved.table, resolved.target.masked());
    if rows(resolved, 1).is_ok() {
        println!("{}: {table} is there already", name(known));
        return true;
    }
    let made = connect(resolved).and_then(|mut connection| connection.create_table());
    told(main, known, resolved, made, &format!("{table} created"))
}

fn reset(main: &Main, known: &Known, resolved: &Resolved, sure: bool) -> bool {
    let table = format!("table {} in {}", resolved.table, resolved.target.masked());
    let there = rows(resolved, COUNTED_AT_MOST).unwrap_or_default();
    let count = if there == COUNTED_AT_MOST { format!("{there} rows or more") } else { format!("{there} row(s)") };
    if there > 0 && !sure {
        let message = format!(
            "{}: {table} has {count}, which would be lost: add -D DBTEST_YES if they may go; nothing was changed",
            name(known)
        );
        main.log(Level::Error, &message);
        return false;
    }
    let made = connect(resolved).and_then(|mut connection| connection.reset_table());
    told(main, known, resolved, made, &format!("{table} dropped, with {count}, and created"))
}

/// Beyond it "or more" is enough to think twice.
const COUNTED_AT_MOST: usize = 1_000_000;

/// How many rows the table has, counted up to a limit; an error if it is not there or cannot be read.
fn rows(resolved: &Resolved, at_most: usize) -> Result<usize, Error> {
    let mut connection = resolved.target.connect(&resolved.table, &resolved.limits, Create::Never)?;
    let (mut counted, mut before) = (0, None);
    loop {
        let page = connection.page(before, u32::try_from(at_most).unwrap_or(u32::MAX).min(1000))?;
        counted += page.rows.len();
        before = page.rows.last().map(|row| row.id);
        if !page.more || before.is_none() || counted >= at_most {
            return Ok(counted.min(at_most));
        }
    }
}

fn connect(resolved: &Resolved) -> Result<Box<dyn Connection>, Error> {
    resolved.target.connect(&resolved.table, &resolved.limits, Create::File)
}

fn told(main: &Main, known: &Known, resolved: &Resolved, outcome: Result<(), Error>, done: &str) -> bool {
    let place = name(known);
    match outcome {
        Ok(()) => {
            println!("{place}: {done}");
            true
        }
        Err(error) => {
            let finding = diagnosis::quick(&error, &resolved.target, resolved);
            main.log(Level::Error, &format!("{}; {error}", diagnosis::log_line(&finding, error.stage, &place)));
            false
        }
    }
}
