//! Every directive, in one table: its name, its syntax, its help, and the function that reads it. httpd's command
//! table is made from it, and docs/directives.md is tested against it. A new directive is one more row, one more
//! field in [`Settings`] and one more entry in that document.
//!
//! What is wrong with one directive is said here, since httpd puts file and line before it. What is wrong with
//! several together is said by `resolve` and `checks`.

use std::ffi::CStr;
use std::path::{Path, PathBuf};

use super::arguments::{duration, flag, number, one, size};
use super::detail::{Detail, Parser};
use super::password;
use super::place::Place;
use super::settings::{Origin, Set, Settings};
use crate::database::text::undefined_variable;
use crate::database::{self, Setting, Table};

/// One directive.
#[derive(Clone, Copy)]
pub struct Directive {
    pub name: &'static CStr,
    /// As in the manual's "Syntax".
    #[cfg_attr(not(test), expect(dead_code, reason = "docs/directives.md is held to it by a test"))]
    pub syntax: &'static str,
    /// One line, for `httpd -L`, server-info and the message about a wrong number of arguments.
    pub help: &'static CStr,
    /// Reads the arguments into the settings. `Ok` may hold a warning; `Err` is the message that httpd shows after
    /// "Syntax error on line N of FILE:".
    pub apply: fn(&mut Settings, &Context, &[&str]) -> Outcome,
}

/// Where a directive stands.
pub struct Context<'a> {
    pub origin: Origin,
    /// ServerRoot, where relative paths start.
    pub server_root: &'a Path,
    pub place: Place,
    /// httpd's reading of an expression.
    pub parser: Parser<'a>,
}

/// Nothing, or a warning; or the message of an error.
pub type Outcome = Result<Option<String>, String>;

macro_rules! directive {
    ($name:literal, $arguments:literal, $help:literal, $apply:expr) => {
        Directive {
            name: match CStr::from_bytes_with_nul(concat!($name, "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!("a NUL in a name"),
            },
            syntax: concat!($name, " ", $arguments),
            help: match CStr::from_bytes_with_nul(concat!($help, "\0").as_bytes()) {
                Ok(help) => help,
                Err(_) => panic!("a NUL in a help text"),
            },
            apply: |settings, context, arguments| {
                context.place.check($name)?;
                let directive = Reading { name: $name, help: $help, context, arguments };
                let apply: fn(&mut Settings, &Reading) -> Outcome = $apply;
                apply(settings, &directive)
            },
        }
    };
}

/// The directives, in the order of docs/directives.md.
pub static DIRECTIVES: [Directive; 13] = [
    directive!(
        "DBTestDatabase",
        "url|connection-string",
        "the database: sqlite:PATH, postgresql://USER@HOST/NAME or a libpq connection string",
        database
    ),
    directive!(
        "DBTestPasswordFile",
        "file|exec:command",
        "a file that holds the database password, or exec: and a program that prints it",
        password_file
    ),
    directive!("DBTestTable", "[schema.]table", "the table to show, with or without its schema", table),
    directive!("DBTestCreateTable", "On|Off", "whether the page offers to create a missing table", |settings, read| {
        read.set(&mut settings.create_table, flag(read.name, read.arguments)?)
    }),
    directive!("DBTestReadOnly", "On|Off", "whether the page shows rows only and adds none", |settings, read| {
        read.set(&mut settings.read_only, flag(read.name, read.arguments)?)
    }),
    directive!("DBTestPageSize", "number", "rows on a page, from 1 to 1000", |settings, read| {
        read.set(&mut settings.page_size, number(read.name, read.one()?, 1, 1000)?)
    }),
    directive!("DBTestMaxBody", "size", "the largest form to accept, such as 64K", |settings, read| {
        read.set(&mut settings.max_body, size(read.name, read.one()?, 1, 16 << 20)?)
    }),
    directive!(
        "DBTestDetail",
        "brief|full|\"expr=expression\"",
        "what a visitor is told of the database: brief, full, or full where an expression of httpd's is true",
        detail
    ),
    directive!(
        "DBTestTimeout",
        "[connect=time] [query=time] [wait=time]",
        "how long connecting, a query and waiting for a connection may take, such as connect=3s query=5s wait=1s",
        timeout
    ),
    directive!(
        "DBTestConnections",
        "number",
        "connections of each child process to the database, at least 1",
        |settings, read| read.set(&mut settings.connections, number(read.name, read.one()?, 1, 1000)?)
    ),
    directive!(
        "DBTestOrigin",
        "https://host[:port] ...",
        "under which origins browsers see the page, where a proxy in front changes the name",
        origin
    ),
    directive!(
        "DBTestStateDir",
        "directory",
        "the directory of the module's own SQLite database, made at start",
        state_dir
    ),
    directive!(
        "DBTestOnly",
        "location",
        "the one Location that httpd -t -D DBTEST_CHECK, DBTEST_INIT or DBTEST_RESET is about, such as /dbtest",
        only
    ),
];

/// A directive that is being read.
struct Reading<'a> {
    name: &'static str,
    help: &'static str,
    context: &'a Context<'a>,
    arguments: &'a [&'a str],
}

impl<'a> Reading<'a> {
    /// The only argument, in which httpd must have replaced every `${VARIABLE}`.
    fn one(&self) -> Result<&'a str, String> {
        let argument = one(self.name, self.help, self.arguments)?;
        match undefined_variable(argument) {
            Some(variable) => Err(format!(
                "{}: the variable ${{{variable}}} is not defined: write \"Define {variable} VALUE\" before it, or \
                 export {variable} where httpd is started (Debian: /etc/apache2/envvars) and restart",
                self.name
            )),
            None => Ok(argument),
        }
    }

    /// Stores the value, unless this section has one.
    fn set<T>(&self, slot: &mut Option<Set<T>>, value: T) -> Outcome {
        if let Some(earlier) = slot {
            return Err(format!("{} is already set in this section, at {}", self.name, earlier.origin()));
        }
        *slot = Some(Set::new(self.context.origin.clone(), value));
        Ok(None)
    }

    /// A path, relative to ServerRoot.
    fn path(&self, text: &str) -> Result<PathBuf, String> {
        if text.is_empty() {
            return Err(format!("{} must not be empty", self.name));
        }
        match text.chars().find(|c| c.is_control()) {
            Some(c) => Err(format!("{}: there is a control character (U+{:04X}) in the path", self.name, u32::from(c))),
            None => Ok(self.context.server_root.join(text)),
        }
    }
}

fn database(settings: &mut Settings, read: &Reading) -> Outcome {
    let [text] = read.arguments else {
        let quotes = if read.arguments.is_empty() { "" } else { "; put one with spaces in double quotes" };
        return Err(format!("{} takes one argument, {}{quotes}", read.name, read.help));
    };
    // For its syntax only: where relative paths start is known when the sections are merged.
    let setting = Setting { state_dir: Path::new("/"), password: None };
    database::parse(text, &setting).map_err(|error| format!("{}: {error}", read.name))?;
    read.set(&mut settings.database, (*text).to_owned())
}

fn password_file(settings: &mut Settings, read: &Reading) -> Outcome {
    if read.arguments.len() > 1 {
        return Err(format!("{} takes one argument, {}; put one with spaces in double quotes", read.name, read.help));
    }
    let text = read.one()?;
    let (source, found) = match text.strip_prefix("exec:") {
        Some(command) => (text.to_owned(), password::read(&password::Source::Program(command))),
        None => {
            let path = read.path(text)?;
            (path.display().to_string(), password::read(&password::Source::File(&path)))
        }
    };
    let (password, warning) = found.map_err(|problem| format!("{}: {problem}", read.name))?;
    read.set(&mut settings.password_file, source)?;
    read.set(&mut settings.password, password)?;
    Ok(warning.map(|warning| format!("{}: {warning}", read.name)))
}

fn table(settings: &mut Settings, read: &Reading) -> Outcome {
    let table = Table::parse(read.one()?).map_err(|error| format!("{}: {error}", read.name))?;
    read.set(&mut settings.table, table)
}

fn detail(settings: &mut Settings, read: &Reading) -> Outcome {
    let detail = Detail::parse(read.name, read.one()?, read.context.parser)?;
    read.set(&mut settings.detail, detail)
}

fn timeout(settings: &mut Settings, read: &Reading) -> Outcome {
    if read.arguments.is_empty() {
        return Err(format!("{} requires at least one argument, {}", read.name, read.help));
    }
    for argument in read.arguments {
        let Some((what, time)) = argument.split_once('=') else {
            let argument = argument.escape_debug();
            return Err(format!("{}: \"{argument}\" must be connect=, query= or wait= and a time", read.name));
        };
        let slot = match what.to_ascii_lowercase().as_str() {
            "connect" => &mut settings.timeout_connect,
            "query" => &mut settings.timeout_query,
            "wait" => &mut settings.timeout_wait,
            _ => {
                let what = what.escape_debug();
                return Err(format!("{}: \"{what}\" is not one of connect, query and wait", read.name));
            }
        };
        let time = duration(&format!("{} {what}", read.name), time)?;
        if time.is_zero() && !what.eq_ignore_ascii_case("wait") {
            return Err(format!("{} {what} must be longer than nothing", read.name));
        }
        if let Some(earlier) = slot {
            return Err(format!("{} {what} is already set in this section, at {}", read.name, earlier.origin()));
        }
        *slot = Some(Set::new(read.context.origin.clone(), time));
    }
    Ok(None)
}

fn origin(settings: &mut Settings, read: &Reading) -> Outcome {
    if read.arguments.is_empty() {
        return Err(format!("{} requires at least one argument, {}", read.name, read.help));
    }
    let mut origins = Vec::new();
    for argument in read.arguments {
        let authority = argument.strip_prefix("https://").or_else(|| argument.strip_prefix("http://"));
        let is_one = authority.is_some_and(|authority| {
            !authority.is_empty() && !authority.contains(['/', '?', '#', '@', '*']) && authority.is_ascii()
        });
        if !is_one {
            let argument = argument.escape_debug();
            return Err(format!(
                "{}: \"{argument}\" must be https://HOST or https://HOST:PORT, without a path",
                read.name
            ));
        }
        origins.push(argument.to_ascii_lowercase());
    }
    read.set(&mut settings.origins, origins)
}

fn state_dir(settings: &mut Settings, read: &Reading) -> Outcome {
    let path = read.path(read.one()?)?;
    read.set(&mut settings.state_dir, path)
}

fn only(settings: &mut Settings, read: &Reading) -> Outcome {
    let location = read.one()?;
    if let Place::Location(section) = &read.context.place {
        return Err(format!(
            "{} not allowed in {section} context; it belongs on the command line: -c '{} /dbtest'",
            read.name, read.name
        ));
    }
    if !location.contains('/') {
        return Err(format!(
            "{} must be the path of a Location, such as /dbtest or example.org:80/dbtest, not \"{}\"",
            read.name,
            location.escape_debug()
        ));
    }
    read.set(&mut settings.only, location.to_owned())
}
