//! `httpd -t -D DUMP_DBTEST`, `-D DBTEST_CHECK`, `-D DBTEST_INIT` and `-D DBTEST_RESET`.
#![forbid(unsafe_code)]
#![cfg(not(test))]

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use crate::app::http::Level;
use crate::config::checks::PlaceView;
use crate::config::dump;
use crate::configtest::{self, Known};
use crate::database::{Create, Error};
use crate::diagnosis::{self, Circumstances, Colour, Verdict};
use crate::httpd::{Main, fork};

/// Does what was asked for, in this order; the exit status.
pub fn run(main: &Main) -> i32 {
    if main.is_defined(c"DUMP_DBTEST") {
        dump(main);
    }
    if main.is_defined(c"DBTEST_RESET") {
        return each_database(main, reset);
    }
    if main.is_defined(c"DBTEST_INIT") {
        let status = each_database(main, init);
        if status != 0 {
            return status;
        }
    }
    if main.is_defined(c"DBTEST_CHECK") {
        let status = each_database(main, check);
        println!("{LIMITS}");
        return status;
    }
    0
}

fn dump(main: &Main) {
    let places = configtest::places(main);
    let views: Vec<PlaceView> = places
        .iter()
        .map(|known| PlaceView {
            server: &known.place.server,
            location: &known.place.location,
            settings: &known.place.settings,
            resolved: known.resolved.as_ref(),
            open_to_everyone: known.place.open,
        })
        .collect();
    print!("{}", dump::text(&views));
}

/// Runs `work` for every configured database in one process that has become the server's user, so that what is
/// created belongs to it, and what is proved is proved for it.
fn each_database(main: &Main, work: fn(&Main, &Known) -> bool) -> i32 {
    // the state directory is made as root, as at start
    if !configtest::make_state_dirs(main) {
        return 1;
    }
    let places = configtest::places(main);
    let all = || {
        let mut good = true;
        for known in places.iter().filter(|known| known.place.handler == "dbtest") {
            good &= work(main, known);
        }
        i32::from(!good)
    };
    match fork::as_server_user(all) {
        Ok(status) => status,
        Err(error) => {
            main.log(Level::Error, &format!("cannot start a process as the server's user: {error}"));
            1
        }
    }
}

/// What such a run cannot reproduce, and where to look instead.
const LIMITS: &str = "This ran in a process of its own as the server's User and Group. It cannot reproduce the SELinux domain, \
the private /tmp and the environment that the running server has: for those, ask the server itself at <Location>/check.\n";

fn name(known: &Known) -> String {
    format!("{}{}", known.place.server, known.place.location)
}

fn init(main: &Main, known: &Known) -> bool {
    create(main, known, "created", |connection| connection.create_table())
}

fn reset(main: &Main, known: &Known) -> bool {
    create(main, known, "dropped and created", |connection| connection.reset_table())
}

fn create(
    main: &Main,
    known: &Known,
    done: &str,
    work: fn(&mut dyn crate::database::Connection) -> Result<(), Error>,
) -> bool {
    let Ok(resolved) = &known.resolved else { return false };
    let outcome = resolved
        .target
        .connect(&resolved.table, &resolved.limits, Create::File)
        .and_then(|mut connection| work(&mut *connection));
    let place = name(known);
    match outcome {
        Ok(()) => {
            println!("{place}: table {} {done} in {}", resolved.table, resolved.target.masked());
            true
        }
        Err(error) => {
            let finding = diagnosis::quick(&error, &resolved.target, resolved);
            main.log(Level::Error, &format!("{}; {error}", diagnosis::log_line(&finding, error.stage, &place)));
            false
        }
    }
}

fn check(main: &Main, known: &Known) -> bool {
    let Ok(resolved) = &known.resolved else { return false };
    let circumstances = Circumstances {
        location: name(known),
        children: main.mode().children,
        on_request: true,
        writes: true,
        root: PathBuf::from("/"),
        within: Duration::from_secs(30),
    };
    let report = diagnosis::examine(&resolved.target, resolved, &circumstances);
    let colour = if std::io::stdout().is_terminal() { Colour::Ansi } else { Colour::Never };
    println!("{}\n{}", circumstances.location, diagnosis::text(&report, colour));
    report.verdict() != Verdict::Fail
}
