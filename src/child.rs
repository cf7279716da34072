//! A child of httpd: its connections, the settings it has resolved, and how a request of httpd's becomes one of the
//! application's.
#![forbid(unsafe_code)]
#![cfg(not(test))]

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::app::http::{self, BodyError, Level, Response};
use crate::app::{self, Place, PlaceView};
use crate::config::{Environment, Identity, Resolved, Settings, ids};
use crate::database::Services;
use crate::httpd::{Main, Mode, Request, Status, busy_threads_of_this_child};

/// All that a child owns. Made after the fork and leaked: prefork ends a child inside a signal handler, where closing
/// a connection could block or take a lock that is held. The kernel closes them.
struct Child {
    services: Services,
    mode: Mode,
    /// By what the merged settings consist of, which the configuration keeps alive: httpd merges anew in each request.
    resolved: RwLock<HashMap<Identity, Arc<Resolved>>>,
    /// The places of this server, for the side-by-side table.
    places: Vec<(String, Arc<Resolved>)>,
}

/// Replaced when httpd runs as one process (`httpd -X`) and reads its configuration again.
static CHILD: RwLock<Option<&'static Child>> = RwLock::new(None);

/// Called once in each new child. Opens nothing.
pub fn begin(main: &Main) {
    let mode = main.mode();
    let environment = Environment::of_this_build();
    let places = main
        .places()
        .into_iter()
        .filter(|place| place.handler == "dbtest")
        .filter_map(|place| {
            let resolved = place.settings.resolve(&environment).ok()?;
            Some((format!("{}{}", place.server, place.location), Arc::new(resolved)))
        })
        .collect();
    let child = Child {
        services: Services::new(mode.threads, Box::new(busy_threads_of_this_child)),
        mode,
        resolved: RwLock::default(),
        places,
    };
    *CHILD.write().unwrap_or_else(PoisonError::into_inner) = Some(Box::leak(Box::new(child)));
}

/// Answers a request to one of our handlers.
pub fn answer(request: Request) -> Status {
    let child = *CHILD.read().unwrap_or_else(PoisonError::into_inner);
    let response = match child {
        Some(child) => child.answer(&request),
        None => Response { status: 500, ..Response::default() },
    };
    request.send(response)
}

impl Child {
    fn answer(&self, request: &Request) -> Response {
        let mut asked = Asked::new(request);
        if request.handler() == "dbtest-status" {
            let views: Vec<PlaceView> = self
                .places
                .iter()
                .map(|(location, settings)| PlaceView { location, place: self.place(settings) })
                .collect();
            return app::status(&mut asked, &views);
        }
        let settings = match request.settings() {
            Some(settings) => self.resolve(settings),
            None => self.resolve(&Settings::default()),
        };
        match settings {
            Ok(settings) => app::answer(&mut asked, &self.place(&settings)),
            // configtest refuses this; only a section that it does not see (<If>, <Files>) can come here
            Err(message) => {
                request.log(
                    Level::Error,
                    &format!("{} {}: {message}", ids::CONTRADICTION, request.location().unwrap_or("-")),
                );
                Response { status: 500, ..Response::default() }
            }
        }
    }

    fn place<'a>(&'a self, settings: &'a Arc<Resolved>) -> Place<'a> {
        Place { settings, services: &self.services, children: self.mode.children }
    }

    fn resolve(&self, settings: &Settings) -> Result<Arc<Resolved>, String> {
        let identity = settings.identity();
        if let Some(resolved) = self.resolved.read().unwrap_or_else(PoisonError::into_inner).get(&identity) {
            return Ok(Arc::clone(resolved));
        }
        let fresh = settings.resolve(&Environment::of_this_build()).map_err(|error| error.to_string())?;
        // of two threads that come here at once, both must go on with the same target: connections are shared by it
        let mut known = self.resolved.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(known.entry(identity).or_insert_with(|| Arc::new(fresh))))
    }
}

/// A request of httpd's, as the application sees it.
struct Asked<'a, 'r> {
    request: &'a Request<'r>,
    base: &'a str,
    path: &'a str,
}

impl<'a, 'r> Asked<'a, 'r> {
    fn new(request: &'a Request<'r>) -> Self {
        let base = request.location().unwrap_or_else(|| app::base_of(request.uri()));
        Self { request, base, path: request.uri().strip_prefix(base).unwrap_or_default() }
    }
}

impl http::Request for Asked<'_, '_> {
    fn method(&self) -> &str {
        self.request.method()
    }

    fn base(&self) -> &str {
        self.base
    }

    fn path(&self) -> &str {
        self.path
    }

    fn query(&self) -> Option<&str> {
        self.request.query()
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.request.header(name)
    }

    fn body(&mut self, limit: usize) -> Result<Vec<u8>, BodyError> {
        self.request.read_body(limit)
    }

    fn trusted(&self) -> bool {
        let proxied = ["x-forwarded-for", "forwarded", "via"].iter().any(|name| self.request.header(name).is_some());
        self.request.user().is_some() || (self.request.is_from_this_machine() && !proxied)
    }

    fn logs(&self, level: Level) -> bool {
        self.request.logs(level)
    }

    fn log(&self, level: Level, line: &str) {
        self.request.log(level, line);
    }
}
