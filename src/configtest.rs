//! What is checked once the whole configuration is read, and made before it is served.
#![forbid(unsafe_code)]
#![cfg(not(test))]

use std::collections::HashSet;

use crate::app::http::Level;
use crate::config::checks::{self, PlaceView, ServerView, Severity};
use crate::config::{Environment, Resolved, ids};
use crate::config::{only, overlooked, state_dir};
use crate::httpd::{Main, Phase, Place};

/// A place with what its settings come to, or why they come to nothing.
pub struct Known {
    pub place: Place,
    pub resolved: Result<Resolved, crate::config::ConfigError>,
}

impl Known {
    /// As the checks and DUMP_DBTEST see it.
    pub fn view(&self) -> PlaceView<'_> {
        PlaceView {
            server: &self.place.server,
            location: &self.place.location,
            settings: &self.place.settings,
            resolved: self.resolved.as_ref(),
            open_to_everyone: self.place.open,
        }
    }
}

/// Every place of this server.
pub fn places(main: &Main) -> Vec<Known> {
    let environment = Environment::of_this_build();
    let known = |place: Place| Known { resolved: place.settings.resolve(&environment), place };
    main.places().into_iter().map(known).collect()
}

/// Logs all that is wrong; false if something must be mended before httpd may serve.
pub fn check(main: &Main) -> bool {
    let places = places(main);
    let views: Vec<PlaceView> =
        places.iter().filter(|known| known.place.handler == "dbtest").map(Known::view).collect();
    if main.phase() != Phase::FirstPass {
        for (word, meant) in only::misspelt(&main.defines()) {
            let message = format!(
                "{} -D {word}: there is no such word of this module: did you mean {meant}?",
                ids::MISSPELT_DEFINE
            );
            main.log(Level::Warning, &message);
        }
    }
    let server = ServerView { document_roots: main.document_roots(), threads_per_child: main.mode().threads };
    let mut good = true;
    let mut findings = checks::check(&views, &server);
    let open_status = places.iter().filter(|known| known.place.handler != "dbtest" && known.place.open);
    findings.extend(open_status.map(|known| checks::open_status(&known.view())));
    findings.extend(overlooked::look(&main.written()));
    for finding in findings {
        let level = match finding.severity {
            Severity::Error => Level::Error,
            Severity::Warning => Level::Warning,
        };
        good &= level != Level::Error;
        // httpd reads its configuration twice at start: a warning once is enough
        if level == Level::Error || main.phase() != Phase::FirstPass {
            main.log(level, &finding.to_string());
        }
    }
    good
}

/// Makes the module's own state directories, as root, for the server's user. One that cannot be made or used is told;
/// a page that needs it says so too, with its fix.
pub fn make_state_dirs<'k>(main: &Main, places: impl IntoIterator<Item = &'k Known>) {
    let identity = main.identity();
    let environment = Environment::of_this_build();
    let mut done = HashSet::new();
    for known in places {
        let Ok(resolved) = &known.resolved else { continue };
        let directory = known.place.settings.state_dir(&environment);
        let is_in_it = resolved.target.file().and_then(std::path::Path::parent) == Some(directory);
        if !is_in_it || !done.insert(directory) {
            continue;
        }
        if let Err(error) = state_dir::make(directory, identity.uid, identity.gid) {
            main.log(Level::Warning, &format!("{} {error}", ids::STATE_DIR));
        }
    }
}
