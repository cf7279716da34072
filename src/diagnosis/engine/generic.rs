//! A kind of database that brings no diagnosis of its own is examined through what every connection can
//! do: connect, read a page. It names the step and what came back, verbatim.

use crate::config::Resolved;
use crate::database::{Create, Error, Stage, Target};
use crate::diagnosis::engine::kind::{Circumstances, Diagnosis, Entry};
use crate::diagnosis::engine::policy;
use crate::diagnosis::host::process::Who;
use crate::diagnosis::report::builder::{Climb, Trial};
use crate::diagnosis::report::{Finding, Report};

/// The diagnosis of a kind that has none.
pub static DIAGNOSIS: Diagnosis =
    Diagnosis { kind: "", ladder: climb, quick, entries: &[ENTRIES, super::configuration::ENTRIES, policy::ENTRIES] };

fn climb(target: &dyn Target, settings: &Resolved, circumstances: &Circumstances) -> Report {
    let mut climb = Climb::begin(target.masked(), circumstances.within);
    climb.add(Trial::begin(Stage::Config).pass(target.masked()));
    let trial = Trial::begin(Stage::Who);
    climb.add(Who::look_below(&circumstances.root).step(trial));
    let trial = Trial::begin(Stage::Session);
    let mut connection = match target.connect(&settings.table, &settings.limits, Create::Never) {
        Ok(connection) => connection,
        Err(error) => return climb.fail(Trial::begin(error.stage).fail(error.to_string()), finding(&error)),
    };
    climb.add(trial.pass("connected"));
    let trial = Trial::begin(Stage::Read);
    match connection.page(None, 1) {
        Ok(_) => climb.add(trial.pass("a page was read")),
        Err(error) => return climb.fail(trial.fail(error.to_string()), finding(&error)),
    }
    climb.add(Trial::begin(Stage::Write).skip("this kind of database has no write that leaves nothing behind"));
    climb.finish()
}

fn quick(error: &Error, _: &dyn Target, _: &Resolved) -> Finding {
    finding(error)
}

/// The finding of an error of which nothing is known but its stage.
pub fn finding(error: &Error) -> Finding {
    Finding { id: id(error.stage), cause: error.to_string(), fixes: Vec::new(), excluded: Vec::new() }
}

/// The id of "this step failed, and nothing more is known".
pub fn id(stage: Stage) -> &'static str {
    let index = Stage::ALL.iter().position(|each| *each == stage).unwrap_or(0);
    ENTRIES[index].id
}

macro_rules! entry {
    ($id:literal, $step:literal) => {
        Entry {
            id: $id,
            title: concat!("The step ", $step, " failed"),
            meaning: "The step failed in a way that has no finding of its own. What came back stands in the report, verbatim.",
            recognised: concat!("An error at the step ", $step, " that fits no other entry."),
            fixes: "Read what came back; the steps before it are proved, so the cause is in this one.",
        }
    };
}

/// In the order of [`Stage::ALL`].
static ENTRIES: &[Entry] = &[
    entry!("DBT0199", "config"),
    entry!("DBT0299", "who"),
    entry!("DBT0399", "resolve"),
    entry!("DBT0499", "reach"),
    entry!("DBT0599", "speaks"),
    entry!("DBT0699", "tls"),
    entry!("DBT0799", "admitted"),
    entry!("DBT0899", "authenticated"),
    entry!("DBT0999", "session"),
    entry!("DBT1099", "schema"),
    entry!("DBT1199", "privileges"),
    entry!("DBT1299", "read"),
    entry!("DBT1399", "write"),
    entry!("DBT1499", "durable"),
];
