//! What is checked once the whole configuration is read, and made before it is served.
#![forbid(unsafe_code)]
#![cfg(not(test))]

use crate::app::http::Level;
use crate::config::checks::{self, PlaceView, ServerView, Severity};
use crate::config::state_dir;
use crate::config::{Environment, Resolved};
use crate::httpd::{Main, Phase, Place};

/// A place with what its settings come to, or why they come to nothing.
pub struct Known {
    pub place: Place,
    pub resolved: Result<Resolved, crate::config::ConfigError>,
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
    let views: Vec<PlaceView> = places
        .iter()
        .filter(|known| known.place.handler == "dbtest")
        .map(|known| PlaceView {
            server: &known.place.server,
            location: &known.place.location,
            settings: &known.place.settings,
            resolved: known.resolved.as_ref(),
            open_to_everyone: known.place.open,
        })
        .collect();
    let server = ServerView { document_roots: main.document_roots(), threads_per_child: main.mode().threads };
    let mut good = true;
    for finding in checks::check(&views, &server) {
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

/// Makes the module's own state directories, as root, and hands them to the server's user. False if one cannot be.
pub fn make_state_dirs(main: &Main) -> bool {
    let identity = main.identity();
    let environment = Environment::of_this_build();
    let mut made = true;
    for known in places(main) {
        let Ok(resolved) = known.resolved else { continue };
        let directory = known.place.settings.state_dir(&environment);
        if resolved.target.file().and_then(std::path::Path::parent) != Some(directory) {
            continue;
        }
        if let Err(error) = state_dir::make(directory, identity.uid, identity.gid) {
            main.log(Level::Error, &error.to_string());
            made = false;
        }
    }
    made
}
