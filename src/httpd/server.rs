//! The servers and virtual hosts of this httpd, and the places in them that are ours.

use std::ffi::{CStr, c_char, c_int};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use super::bindings::{self, ap_conf_vector_t, core_dir_config, core_server_config, server_rec};
use super::text::{holds, string};
use super::{log, section, tree};
use crate::app::http::Level;
use crate::config::Settings;

/// The main server, while one of httpd's hooks runs.
pub struct Main<'h> {
    server: *mut server_rec,
    alive: PhantomData<&'h server_rec>,
}

/// What httpd is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// `httpd -t`.
    Test,
    /// The first of the two times that httpd reads its configuration at start.
    FirstPass,
    /// The configuration read now will be served.
    Serving,
}

impl Phase {
    pub(super) fn now() -> Self {
        // SAFETY: plain queries.
        let (main_state, run_mode) = unsafe {
            (bindings::ap_state_query(bindings::AP_SQ_MAIN_STATE), bindings::ap_state_query(bindings::AP_SQ_RUN_MODE))
        };
        if run_mode == bindings::AP_SQ_RM_CONFIG_TEST || run_mode == bindings::AP_SQ_RM_CONFIG_DUMP {
            Phase::Test
        } else if main_state == bindings::AP_SQ_MS_CREATE_PRE_CONFIG {
            Phase::FirstPass
        } else {
            Phase::Serving
        }
    }
}

/// The processes and threads that serve.
#[derive(Debug, Clone, Copy)]
pub struct Mode {
    /// Child processes that serve, at most.
    pub children: u32,
    /// Child processes at most, those that only end counted as well (ServerLimit).
    pub server_limit: u32,
    /// Threads of a child; 1 under prefork.
    pub threads: u32,
}

/// A place where one of our handlers answers.
pub struct Place {
    /// "www.example.org:80", or empty for the main server.
    pub server: String,
    /// Which of this httpd's servers it is, in their order.
    pub server_number: usize,
    /// The path of the `<Location>`, without a slash at its end, or the pattern of a `<LocationMatch>`.
    pub location: String,
    /// Whether `location` is a pattern.
    pub is_pattern: bool,
    /// "dbtest" or "dbtest-status".
    pub handler: String,
    /// All sections around the place, merged.
    pub settings: Settings,
    /// Whether nothing in the configuration restricts who may reach it.
    pub open: bool,
}

/// ServerRoot.
pub(super) fn root() -> &'static Path {
    // SAFETY: set before httpd reads its configuration, for the life of the process.
    let root = unsafe { string(bindings::ap_server_root) };
    Path::new(root.unwrap_or("/"))
}

impl<'h> Main<'h> {
    /// # Safety
    /// httpd handed `server` to a hook, and the result is not used after that hook returns.
    pub(super) unsafe fn new(server: *mut server_rec) -> Self {
        Self { server, alive: PhantomData }
    }

    pub fn phase(&self) -> Phase {
        Phase::now()
    }

    /// Known once the configuration is read.
    pub fn mode(&self) -> Mode {
        let query = |code| {
            let mut value: c_int = 0;
            // SAFETY: value is ours.
            let status = unsafe { bindings::ap_mpm_query(code, &raw mut value) };
            if status == 0 { u32::try_from(value).unwrap_or(1).max(1) } else { 1 }
        };
        Mode {
            children: query(bindings::AP_MPMQ_MAX_DAEMONS),
            server_limit: query(bindings::AP_MPMQ_HARD_LIMIT_DAEMONS),
            threads: query(bindings::AP_MPMQ_MAX_THREADS),
        }
    }

    /// Whether httpd was started with `-D name`.
    pub fn is_defined(&self, name: &CStr) -> bool {
        // SAFETY: the name ends in NUL.
        unsafe { bindings::ap_exists_config_define(name.as_ptr()) != 0 }
    }

    /// The configuration as it was written.
    pub fn written(&self) -> Vec<crate::config::overlooked::Written> {
        tree::written()
    }

    /// Adds the version that runs to httpd's own: in the log at start, and in `Server` where ServerTokens is Full.
    pub fn announce(&self, version: &str) {
        // SAFETY: in post_config the server and its process stand; the text is copied into their pool.
        unsafe {
            let pool = (*(*self.server).process).pconf;
            bindings::ap_add_version_component(pool, super::pool::string(pool, version));
        }
    }

    /// Every word after `-D`, and of every `Define`.
    pub fn defines(&self) -> Vec<String> {
        // SAFETY: httpd keeps an array of strings that end in NUL, for the life of the process.
        unsafe {
            let Some(array) = bindings::ap_server_config_defines.as_ref() else { return Vec::new() };
            let words: *const *const c_char = array.elts.cast();
            (0..usize::try_from(array.nelts).unwrap_or(0))
                .filter_map(|index| string(*words.add(index)))
                .map(str::to_owned)
                .collect()
        }
    }

    /// One line to the main server's log; at configtest to standard error.
    pub fn log(&self, level: Level, line: &str) {
        log::server(self.server, level, line);
    }

    /// Who the children are.
    pub fn identity(&self) -> super::fork::Identity {
        super::fork::server_identity()
    }

    fn servers(&self) -> impl Iterator<Item = &'h server_rec> {
        let mut next = self.server.cast_const();
        std::iter::from_fn(move || {
            // SAFETY: the list of servers ends in NULL and lives as long as the configuration.
            let server = unsafe { next.as_ref() }?;
            next = server.next;
            Some(server)
        })
    }

    /// Every DocumentRoot.
    pub fn document_roots(&self) -> Vec<PathBuf> {
        // SAFETY: every server has core's configuration, whose strings end in NUL.
        let mut roots: Vec<PathBuf> = self
            .servers()
            .filter_map(|server| unsafe { string((*core_of(server)).ap_document_root) })
            .map(PathBuf::from)
            .collect();
        roots.sort();
        roots.dedup();
        roots
    }

    /// Every place that is ours, in every server. A virtual host repeats the main server's Locations: they are given
    /// once, under the main server.
    pub fn places(&self) -> Vec<Place> {
        let mut places: Vec<Place> = Vec::new();
        for (number, server) in self.servers().enumerate() {
            for place in places_of(server, number) {
                let twin = |other: &&Place| {
                    other.server.is_empty()
                        && other.location == place.location
                        && other.settings.identity() == place.settings.identity()
                };
                if !places.iter().any(|other| twin(&other)) {
                    places.push(place);
                }
            }
        }
        places
    }
}

fn places_of(server: &server_rec, server_number: usize) -> Vec<Place> {
    // SAFETY: httpd has read and merged this server's configuration; everything reached from it lives as long.
    unsafe {
        let base = section::in_vector(server.lookup_defaults).cloned().unwrap_or_default();
        let name = server_name(server);
        let mut places = Vec::new();
        if let Some(handler) = our_handler(server.lookup_defaults) {
            let open = tree::is_open(server, "/");
            places.push(Place {
                server: name.clone(),
                server_number,
                location: String::new(),
                is_pattern: false,
                handler,
                settings: base.clone(),
                open,
            });
        }
        for vector in sections(server) {
            let (Some(handler), Some(path)) = (our_handler(vector), section_name(vector)) else { continue };
            let location = path.trim_end_matches('/').to_owned();
            let settings = sections(server)
                .filter(|other| {
                    std::ptr::eq(*other, vector) || section_path(*other).is_some_and(|outer| holds(outer, path))
                })
                .filter_map(|other| section::in_vector(other))
                .fold(base.clone(), |outer, inner| Settings::merge(&outer, inner));
            let open = tree::is_open(server, path);
            let is_pattern = section_path(vector).is_none();
            let server = name.clone();
            places.push(Place { server, server_number, location, is_pattern, handler, settings, open });
        }
        places
    }
}

/// The path of the innermost Location with a SetHandler that holds the URL: where our handler comes from.
///
/// # Safety
/// `server` is a server of the running configuration, which outlives the result.
pub(super) unsafe fn location_of<'a>(server: *const server_rec, uri: &str) -> Option<&'a str> {
    // SAFETY: the caller's promise.
    unsafe {
        sections(&*server)
            .filter(|vector| sets_handler(*vector))
            .filter_map(|vector| section_path(vector))
            .filter(|path| holds(path, uri))
            .max_by_key(|path| path.len())
            .map(|path| path.trim_end_matches('/'))
    }
}

/// The vectors of a server's Location sections, in httpd's own order of merging.
unsafe fn sections<'a>(server: &server_rec) -> impl Iterator<Item = *const ap_conf_vector_t> + use<'a> {
    // SAFETY: the caller's promise that the server is of the running configuration: core's array holds that many
    // pointers to vectors.
    let all: &'a [*const ap_conf_vector_t] = unsafe {
        match (*core_of(server)).sec_url.as_ref() {
            Some(array) if array.nelts > 0 => {
                std::slice::from_raw_parts(array.elts.cast(), usize::try_from(array.nelts).unwrap_or(0))
            }
            _ => &[],
        }
    };
    all.iter().copied()
}

unsafe fn core_of(server: &server_rec) -> *const core_server_config {
    // SAFETY: core is always loaded and every server has its configuration.
    unsafe { bindings::ap_get_core_module_config(server.module_config).cast() }
}

unsafe fn core_dir<'a>(vector: *const ap_conf_vector_t) -> Option<&'a core_dir_config> {
    if vector.is_null() {
        return None;
    }
    // SAFETY: a per-directory vector holds core's record or NULL.
    unsafe { bindings::ap_get_core_module_config(vector).cast::<core_dir_config>().as_ref() }
}

/// What a Location section is written for: a path, or a pattern.
unsafe fn section_name<'a>(vector: *const ap_conf_vector_t) -> Option<&'a str> {
    // SAFETY: as in core_dir; the name ends in NUL.
    unsafe { string(core_dir(vector)?.d) }
}

/// The literal path of a Location section; None for a pattern.
unsafe fn section_path<'a>(vector: *const ap_conf_vector_t) -> Option<&'a str> {
    // SAFETY: as in core_dir; the path ends in NUL.
    unsafe {
        let core = core_dir(vector)?;
        if !core.r.is_null() || core.d_is_fnmatch() != 0 {
            return None;
        }
        string(core.d)
    }
}

/// Whether the section has a SetHandler of its own. httpd keeps its argument as an expression (core.c,
/// `set_sethandler`), older ones as a name.
unsafe fn sets_handler(vector: *const ap_conf_vector_t) -> bool {
    // SAFETY: as in core_dir.
    unsafe { core_dir(vector) }.is_some_and(|core| !core.handler.is_null() || !core.expr_handler.is_null())
}

/// File and line of the SetHandler that holds in a merged configuration.
///
/// # Safety
/// `vector` is NULL or a request's per-directory vector.
pub(super) unsafe fn set_handler_of(vector: *const ap_conf_vector_t) -> Option<(String, i64)> {
    // SAFETY: the caller's promise; an expression knows the directive that it was read from.
    unsafe {
        let expression = core_dir(vector)?.expr_handler.as_ref()?;
        Some((string(expression.filename)?.to_owned(), expression.line_number.into()))
    }
}

/// The name in the section's SetHandler, if it is one of ours.
unsafe fn our_handler(vector: *const ap_conf_vector_t) -> Option<String> {
    // SAFETY: as in core_dir; the name ends in NUL, and an expression knows the directive that it was read from.
    let handler = unsafe {
        let core = core_dir(vector)?;
        match core.expr_handler.as_ref() {
            Some(expression) => tree::argument_at(string(expression.filename)?, expression.line_number.into())?,
            None => string(core.handler)?.to_owned(),
        }
    };
    crate::DbTest::HANDLERS.contains(&handler.as_bytes()).then_some(handler)
}

/// "name:port" of a virtual host; empty for the main server.
unsafe fn server_name(server: &server_rec) -> String {
    if server.is_virtual == 0 {
        return String::new();
    }
    // SAFETY: the name ends in NUL.
    let name = unsafe { string(server.server_hostname) }.unwrap_or("?");
    // SAFETY: a virtual host has at least one address.
    let port = unsafe { server.addrs.as_ref() }.map_or(server.port, |address| address.host_port);
    format!("{name}:{port}")
}
