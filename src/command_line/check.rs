//! `-D DBTEST_CHECK`: the whole ladder, for each Location that was asked for.
#![forbid(unsafe_code)]

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::name;
use crate::configtest::Known;
use crate::diagnosis::monitor::{self, Checked, Form};
use crate::diagnosis::{self, Circumstances, Colour};
use crate::httpd::Main;

/// Checks them and prints what was found; the exit status.
pub fn run(main: &Main, chosen: &[&Known], form: Form) -> i32 {
    let checked: Vec<(String, Checked)> = chosen.iter().map(|known| (name(known), check(main, known))).collect();
    let colour = if wants_colour() { Colour::Ansi } else { Colour::Never };
    print!("{}", monitor::show(&checked, form, colour));
    if form == Form::Text {
        println!("{LIMITS}");
    }
    monitor::status(&checked, form)
}

/// What such a run cannot reproduce, and where to look instead.
const LIMITS: &str = "This ran in a process of its own as the server's User and Group. It cannot reproduce the SELinux domain \
(from a shell that is not confined it asks the policy instead), the private /tmp and the environment that the running server has: for \
those, ask the server itself at the Location's own /check.\n";

/// On a terminal that shows colour, unless NO_COLOR (no-color.org) is set.
fn wants_colour() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    std::io::stdout().is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_some_and(|term| term != "dumb")
}

fn check(main: &Main, known: &Known) -> Checked {
    let resolved = match &known.resolved {
        Ok(resolved) => resolved,
        Err(error) => return Checked::Not(error.to_string()),
    };
    let directory = resolved.target.file().and_then(Path::parent).filter(|_| resolved.is_default_database);
    if let Some(directory) = directory.filter(|directory| !directory.exists()) {
        return Checked::Not(format!(
            "not checked: {} is not there yet. httpd makes it at its start, httpd -t -D DBTEST_INIT makes it now",
            directory.display()
        ));
    }
    let circumstances = Circumstances {
        location: name(known),
        children: main.mode().children,
        on_request: true,
        writes: true,
        root: PathBuf::from("/"),
        within: Duration::from_secs(30),
    };
    Checked::Report(Box::new(diagnosis::examine(&resolved.target, resolved, &circumstances)))
}
