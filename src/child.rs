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
use crate::database::{Children, Services};
use crate::httpd::{self, Main, Mode, Request, Status, busy_threads_of_this_child};
use crate::shared;
use crate::tally::{self, Entry};

/// All that a child owns. Made after the fork and leaked: prefork ends a child inside a signal handler, where closing
/// a connection could block or take a lock that is held. The kernel closes them.
struct Child {
    services: Services,
    mode: Mode,
    /// By what the merged settings consist of, which the configuration keeps alive: httpd merges anew in each request.
    sections: RwLock<HashMap<Identity, Section>>,
    /// What all children count, by the same.
    entries: HashMap<Identity, Arc<Entry>>,
    /// Every database of this server, for the side-by-side table.
    mounts: Vec<Mount>,
}

/// Settings as one or several sections have them.
#[derive(Clone)]
struct Section {
    settings: Arc<Resolved>,
    entry: Arc<Entry>,
}

/// A Location with our handler.
struct Mount {
    /// "/dbtest", with the virtual host before it where there are several.
    name: String,
    server_number: usize,
    /// Its page as an escaped path; None for a pattern, of which nobody knows what it matches.
    url: Option<String>,
    section: Section,
}

/// Replaced when httpd runs as one process (`httpd -X`) and reads its configuration again.
static CHILD: RwLock<Option<&'static Child>> = RwLock::new(None);

/// Called once in each new child. Opens nothing.
pub fn begin(main: &Main) {
    // already set where httpd runs as one process and begins again
    let _ = crate::database::postgresql::resolve::START.set(crate::httpd::signals::without_signals);
    let mode = main.mode();
    let mut child = Child {
        services: Services::new(mode.threads, Box::new(busy_threads_of_this_child))
            .in_server(mode.children.saturating_mul(mode.threads), Box::new(children)),
        mode,
        sections: RwLock::default(),
        entries: shared::join(),
        mounts: Vec::new(),
    };
    for place in main.places() {
        if place.handler == "dbtest"
            && let Ok(section) = child.resolve(&place.settings)
        {
            child.mounts.push(Mount {
                name: format!("{}{}", place.server, place.location),
                server_number: place.server_number,
                url: (!place.is_pattern).then(|| app::home_of(&place.location)),
                section,
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

/// The section of mod_status; `automatic` is for programs (`?auto`). None before the first child has begun.
pub fn server_status(automatic: bool) -> Option<String> {
    let child = (*CHILD.read().unwrap_or_else(PoisonError::into_inner))?;
    let mut entries: Vec<&Entry> = child.entries.values().map(|entry| &**entry).collect();
    entries.sort_by_key(|entry| entry.location());
    Some(app::server_status(&entries, automatic))
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
            Ok(section) => {
                let told = request.is_told(&section.settings.detail);
                app::answer(&mut asked, &self.endpoint(&section, told))
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

    fn endpoint<'a>(&'a self, section: &'a Section, told: bool) -> Endpoint<'a> {
        let Section { settings, entry } = section;
        // never freed, so no other has its address
        let key = Arc::as_ptr(settings).addr();
        Endpoint { key, settings, services: &self.services, entry, children: self.mode.children, told }
    }

    /// A mount as this visitor may see it among the others: not at all unless its own page would let that visitor in.
    fn listed<'a>(&'a self, request: &Request, mount: &'a Mount) -> Option<Listed<'a>> {
        let told = request.may_visit(mount.server_number, mount.url.as_deref()?, &mount.section.settings.detail)?;
        Some(Listed { location: &mount.name, endpoint: self.endpoint(&mount.section, told) })
    }

    fn resolve(&self, settings: &Settings) -> Result<Section, String> {
        let identity = settings.identity();
        if let Some(section) = self.sections.read().unwrap_or_else(PoisonError::into_inner).get(&identity) {
            return Ok(section.clone());
        }
        let fresh = settings.resolve(&Environment::of_this_build()).map_err(|error| error.to_string())?;
        // of two threads that come here at once, both must go on with the same target: connections are shared by it
        let mut known = self.sections.write().unwrap_or_else(PoisonError::into_inner);
        // a section that the parent did not see (<If>, <Files>) is counted in this child alone
        let entry = || self.entries.get(&identity).map_or_else(tally::private, Arc::clone);
        let section = || Section { entry: entry(), settings: Arc::new(fresh) };
        Ok(known.entry(identity).or_insert_with(section).clone())
    }
}

fn children() -> Children {
    let httpd::Children { alive, idle } = httpd::children_of_the_server();
    Children { alive, idle }
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

    fn note(&self, name: &'static str, value: &str) {
        self.request.note(name, value);
    }

    fn logs(&self, level: Level) -> bool {
        self.request.logs(level)
    }

    fn log(&self, level: Level, line: &str) {
        self.request.log(level, line);
    }
}
