//! What is checked once the whole configuration is read, at configtest and at start: what several directives, or
//! a directive and the rest of the server, come to together. Looks at the disk, not at the network.
//!
//! Only what is wrong in the configuration itself keeps httpd from starting. What the disk or a policy decides is a
//! warning: it may be otherwise in a minute, the page says it with its fix, and a reload must never take the rest of a
//! site down because a database moved.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::ids;
use super::resolve::{ConfigError, Environment};
use super::settings::{Origin, Resolved, Set, Settings};

/// A place that shows a database.
#[derive(Debug)]
pub struct PlaceView<'a> {
    /// "name:port" of the virtual host; empty for the main server.
    pub server: &'a str,
    /// "/dbtest"; empty for the whole server.
    pub location: &'a str,
    pub settings: &'a Settings,
    pub resolved: Result<&'a Resolved, &'a ConfigError>,
    /// No `Require` restricts who may come.
    pub open_to_everyone: bool,
}

impl PlaceView<'_> {
    /// The place in messages.
    pub fn name(&self) -> String {
        match (self.server, self.location) {
            ("", "") => "the main server".into(),
            (server, location) => format!("{server}{location}"),
        }
    }
}

/// What the rest of the server is like.
#[derive(Debug)]
pub struct ServerView {
    pub document_roots: Vec<PathBuf>,
    /// ThreadsPerChild; 1 under prefork.
    pub threads_per_child: u32,
}

/// Whether httpd may start all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    Error,
    Warning,
}

/// Something that the administrator should know.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Finding {
    /// "DBT0191": stable, has its entry in the catalogue.
    pub id: &'static str,
    pub severity: Severity,
    /// Stands alone, holds no secret.
    pub message: String,
    pub origin: Option<Origin>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.message)?;
        match &self.origin {
            Some(origin) => write!(f, " ({origin})"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong or odd, in the order of the places. What several places inherit is said once.
pub fn check(places: &[PlaceView], server: &ServerView) -> Vec<Finding> {
    let mut findings = Vec::new();
    for place in places {
        match place.resolved {
            Ok(resolved) => check_place(place, resolved, server, &mut findings),
            Err(error) => findings.push(Finding {
                id: ids::CONTRADICTION,
                severity: Severity::Error,
                message: error.message.clone(),
                origin: error.origin.clone(),
            }),
        }
    }
    let mut said = HashSet::new();
    findings.retain(|finding| said.insert(finding.clone()));
    findings
}

fn check_place(place: &PlaceView, resolved: &Resolved, server: &ServerView, findings: &mut Vec<Finding>) {
    let mut add = |id, severity, message: String, origin: Option<&Origin>| {
        findings.push(Finding { id, severity, message, origin: origin.cloned() });
    };
    let settings = place.settings;
    let database = origin(&settings.database);

    if let Some((id, severity, message)) = file(resolved, settings, server) {
        add(id, severity, format!("DBTestDatabase: {message}"), database);
    } else {
        let id = if is_yet_to_be_made(resolved) { ids::MISSING } else { ids::OFFLINE };
        for message in resolved.target.check_offline() {
            // The module makes its own database itself, on first use.
            if !resolved.is_default_database || id == ids::OFFLINE {
                add(id, Severity::Warning, format!("DBTestDatabase: {message}"), database);
            }
        }
    }
    if let Some(password) = &settings.password
        && let Some(problem) = password.value().problem()
    {
        let until = match password.value().secret() {
            Some(_) => "the password that was read before stays in use",
            None => "the page goes without a password, and says so if the database asks for one",
        };
        let message = format!("DBTestPasswordFile: {problem}; {until}");
        add(ids::PASSWORD_UNREAD, Severity::Warning, message, Some(password.origin()));
    }
    if resolved.target.has_inline_password() {
        let message = "DBTestDatabase: the password is visible to whoever may read this file, in server-info and in \
                       -D DUMP_CONFIG: put it in a file of mode 600 and write DBTestPasswordFile FILE";
        add(ids::INLINE_PASSWORD, Severity::Warning, message.into(), database);
    }
    for message in resolved.target.suspicions().into_iter().chain(resolved.target.unproved()) {
        add(ids::SUSPICION, Severity::Warning, format!("DBTestDatabase: {message}"), database);
    }
    if place.open_to_everyone {
        let message = format!(
            "{}: everybody may reach this page of a database: write \"Require local\", or who else may, in its \
             <Location>",
            place.name()
        );
        add(ids::OPEN, Severity::Warning, message, None);
    }
    if let Some(connections) = &settings.connections
        && *connections.value() > server.threads_per_child
    {
        let message = format!(
            "DBTestConnections {}: a child has only {} thread(s) (ThreadsPerChild), and uses no more connections than \
             that",
            connections.value(),
            server.threads_per_child
        );
        add(ids::IDLE_CONNECTIONS, Severity::Warning, message, Some(connections.origin()));
    }
    if resolved.create_table && resolved.read_only {
        let message = "DBTestCreateTable On has no effect where DBTestReadOnly is On";
        add(ids::NO_EFFECT, Severity::Warning, message.into(), origin(&settings.create_table));
    }
}

/// A `dbtest-status` that everybody may see.
pub fn open_status(place: &PlaceView) -> Finding {
    let message = format!(
        "{}: everybody may reach this overview of the server's databases: write \"Require local\", or who else may, in \
         its <Location>",
        place.name()
    );
    Finding { id: ids::OPEN, severity: Severity::Warning, message, origin: None }
}

fn origin<T>(value: &Option<Set<T>>) -> Option<&Origin> {
    value.as_ref().map(Set::origin)
}

/// A file that a browser could download, or that has no directory yet.
fn file(resolved: &Resolved, settings: &Settings, server: &ServerView) -> Option<(&'static str, Severity, String)> {
    let file = resolved.target.file()?;
    let shown = file.display();
    let real = real(file);
    if let Some(root) = server.document_roots.iter().find(|root| real.starts_with(self::real(root))) {
        let root = root.display();
        let message =
            format!("{shown} is under the DocumentRoot {root}, where a browser can download it: move it elsewhere");
        return Some((ids::UNDER_DOCUMENT_ROOT, Severity::Error, message));
    }
    let parent = file.parent().filter(|parent| !resolved.is_default_database && !parent.exists())?;
    if parent == settings.state_dir(&Environment::of_this_build()) {
        // The module makes this directory at start.
        let message = format!("{shown} does not exist: create it with httpd -t -D DBTEST_INIT, or name another file");
        return Some((ids::MISSING, Severity::Warning, message));
    }
    let message = format!("{shown} cannot exist, for the directory {} does not", parent.display());
    Some((ids::MISSING, Severity::Warning, message))
}

/// Whether what the target finds offline is only that its file is yet to be made, which `-D DBTEST_INIT` does.
fn is_yet_to_be_made(resolved: &Resolved) -> bool {
    let yet_to_be_made = |file: &Path| match file.metadata() {
        Ok(found) => found.is_file(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound && !file.is_symlink(),
    };
    resolved.target.file().is_some_and(yet_to_be_made)
}

/// The path without symbolic links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    for existing in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (existing.canonicalize(), path.strip_prefix(existing)) {
            return real.join(rest);
        }
    }
    path.to_owned()
}
