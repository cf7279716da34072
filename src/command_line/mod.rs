//! `httpd -t` with what `-D` asks for: DUMP_DBTEST, DBTEST_CHECK, DBTEST_INIT, DBTEST_RESET. `-c 'DBTestOnly PLACE'`
//! restricts it to one Location.
#![forbid(unsafe_code)]
#![cfg(not(test))]

mod check;
mod table;

use crate::app::http::Level;
use crate::config::checks::PlaceView;
use crate::config::{dump, only};
use crate::configtest::{self, Known};
use crate::diagnosis::monitor::Form;
use crate::httpd::{Main, fork};

/// Does what was asked for, in this order; the exit status.
pub fn run(main: &Main) -> i32 {
    let places = configtest::places(main);
    if main.is_defined(c"DUMP_DBTEST") {
        dump(&places);
    }
    let form = form(main);
    let checks = main.is_defined(c"DBTEST_CHECK") || form != Form::Text;
    let creates = main.is_defined(c"DBTEST_INIT") || main.is_defined(c"DBTEST_RESET");
    if !checks && !creates {
        // a word that was hardly meant so has asked for something that is not done
        return i32::from(only::misspelt(&main.defines()).next().is_some());
    }
    let chosen = match chosen(&places) {
        Ok(chosen) => chosen,
        Err(message) => {
            main.log(Level::Error, &message);
            return form.nothing_known(&message);
        }
    };
    if creates {
        let status = table::run(main, &chosen, &places);
        if status != 0 {
            return status;
        }
    }
    if checks { as_server_user(main, || check::run(main, &chosen, form)) } else { 0 }
}

fn form(main: &Main) -> Form {
    if main.is_defined(c"DBTEST_NAGIOS") {
        Form::Nagios
    } else if main.is_defined(c"DBTEST_JSON") {
        Form::Json
    } else {
        Form::Text
    }
}

/// The pages that were asked for, or why there is nothing to do.
fn chosen(places: &[Known]) -> Result<Vec<&Known>, String> {
    let pages: Vec<&Known> = places.iter().filter(|known| known.place.handler == "dbtest").collect();
    let only = pages.iter().find_map(|known| known.place.settings.only.as_ref()).map(|only| only.value().as_str());
    let names: Vec<(&str, &str)> =
        pages.iter().map(|known| (known.place.server.as_str(), known.place.location.as_str())).collect();
    Ok(only::choose(&names, only)?.into_iter().map(|index| pages[index]).collect())
}

/// Runs `work` in one process that has become the server's user, so that what is created belongs to it, and what is
/// proved is proved for it.
fn as_server_user(main: &Main, work: impl FnOnce() -> i32) -> i32 {
    fork::as_server_user(work).unwrap_or_else(|error| {
        main.log(Level::Error, &format!("cannot start a process as the server's user: {error}"));
        1
    })
}

fn dump(places: &[Known]) {
    let views: Vec<PlaceView> = places.iter().map(Known::view).collect();
    print!("{}", dump::text(&views));
}

/// The place in messages.
fn name(known: &Known) -> String {
    known.view().name()
}
