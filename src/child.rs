//! A child of httpd: its connections, the settings it has resolved, and how a request of httpd's becomes one of the
//! application's.
#![forbid(unsafe_code)]
#![cfg(not(test))]

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::app::http::{self, BodyError, Level, Response};
use crate::app::{self, Endpoint, Listed};
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
    /// Every database of this server, for the side-by-side table.
    mounts: Vec<Mount>,
}

/// A Location with our handler.
struct Mount {
    /// "/dbtest", with the virtual host before it where there are several.
    name: String,
    server_number: usize,
    /// Its page as an escaped path; None for a pattern, of which nobody knows what it matches.
    url: Option<String>,
    settings: Arc<Resolved>,
}

/// Replaced when httpd runs as one process (`httpd -X`) and reads its configuration again.
static CHILD: RwLock<Option<&'static Child>> = RwLock::new(None);

/// Called once in each new child. Opens nothing.
pub fn begin(main: &Main) {
    let mode = main.mode();
    let mut child = Child {
        services: Services::new(mode.threads, Box::new(busy_threads_of_this_child)),
        mode,
        resolved: RwLock::default(),
        mounts: Vec::new(),
    };
    for place in main.places() {
        if place.handler == "dbtest"
            && let Ok(settings) = child.resolve(&place.settings)
        {
            child.mounts.push(Mount {
                name: format!("{}{}", place.server, place.location),
                server_number: place.server_number,
                url: (!place.is_pattern).then(|| app::home_of(&place.location)),
                settings,
            });
        }
    }
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
            let listed: Vec<Listed> = self.mounts.iter().filter_map(|mount| self.listed(request, mount)).collect();
            return app::status(&mut asked, &listed);
        }
        let settings = match request.settings() {
            Some(settings) => self.resolve(settings),
            None => self.resolve(&Settings::default()),
        };
        match settings {
            Ok(settings) => {
                let told = request.is_told(&settings.detail);
                app::answer(&mut asked, &self.endpoint(&settings, told))
            }
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

    fn endpoint<'a>(&'a self, settings: &'a Arc<Resolved>, told: bool) -> Endpoint<'a> {
        // never freed, so no other has its address
        let key = Arc::as_ptr(settings).addr();
        Endpoint { key, settings, services: &self.services, children: self.mode.children, told }
    }

    /// A mount as this visitor may see it among the others: not at all unless its own page would let him in.
    fn listed<'a>(&'a self, request: &Request, mount: &'a Mount) -> Option<Listed<'a>> {
        let told = request.may_visit(mount.server_number, mount.url.as_deref()?, &mount.settings.detail)?;
        Some(Listed { location: &mount.name, endpoint: self.endpoint(&mount.settings, told) })
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
    uri: Cow<'a, str>,
    /// How much of the path is the Location's.
    base: usize,
}

impl<'a, 'r> Asked<'a, 'r> {
    fn new(request: &'a Request<'r>) -> Self {
        let uri = request.uri();
        let base = request.location().unwrap_or_else(|| app::base_of(&uri)).len();
        Self { request, uri, base }
    }
}

impl http::Request for Asked<'_, '_> {
    fn method(&self) -> &str {
        self.request.method()
    }

    fn base(&self) -> &str {
        self.uri.get(..self.base).unwrap_or(&self.uri)
    }

    fn path(&self) -> &str {
        self.uri.get(self.base..).unwrap_or_default()
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

    fn log_id(&self) -> Option<&str> {
        self.request.log_id()
    }

    fn logs(&self, level: Level) -> bool {
        self.request.logs(level)
    }

    fn log(&self, level: Level, line: &str) {
        self.request.log(level, line);
    }
}
