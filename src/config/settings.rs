//! The settings of one section, each with the place it was written, and what they come to once merged.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::detail::Detail;
use super::password::Password;
use crate::database::{Limits, Table, Target};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    pub file: String,
    pub line: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A value that was set, and where. Cheap to clone: httpd merges sections in every request.
#[derive(Debug)]
pub struct Set<T>(pub Arc<(Origin, T)>);

impl<T> Clone for Set<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Set<T> {
    pub fn new(origin: Origin, value: T) -> Self {
        Self(Arc::new((origin, value)))
    }

    pub fn origin(&self) -> &Origin {
        &self.0.0
    }

    pub fn value(&self) -> &T {
        &self.0.1
    }

    /// Which allocation it is: equal for a value and its clones, and for nothing else while one of them lives.
    fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

/// The directives of one section; `None` is not set here. Merging is exhaustive: a field that is
/// forgotten does not compile.
#[derive(Debug, Default, Clone)]
pub struct Settings {
    pub database: Option<Set<String>>,
    /// An absolute path, or `exec:` and a command.
    pub password_file: Option<Set<String>>,
    /// What was in it: read by root when the directive is, for the child may not.
    pub password: Option<Set<Password>>,
    pub state_dir: Option<Set<PathBuf>>,
    pub table: Option<Set<Table>>,
    pub page_size: Option<Set<u32>>,
    pub read_only: Option<Set<bool>>,
    pub create_table: Option<Set<bool>>,
    pub detail: Option<Set<Detail>>,
    pub timeout_connect: Option<Set<Duration>>,
    pub timeout_query: Option<Set<Duration>>,
    pub timeout_wait: Option<Set<Duration>>,
    pub connections: Option<Set<u32>>,
    pub max_body: Option<Set<usize>>,
    /// Under which the pages are seen from outside: "https://www.example.org".
    pub origins: Option<Set<Vec<String>>>,
    /// The one Location that `httpd -t -D DBTEST_…` is about.
    pub only: Option<Set<String>>,
}

/// What a [`Settings`] consists of, to recognise it by: merging makes a new one in each request, out of values that
/// the configuration keeps alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity([usize; 16]);

impl Settings {
    /// An outer section's settings under an inner one's: each value of `over`, or that of `base`.
    pub fn merge(base: &Self, over: &Self) -> Self {
        fn inner<T>(base: &Option<Set<T>>, over: &Option<Set<T>>) -> Option<Set<T>> {
            over.as_ref().or(base.as_ref()).cloned()
        }
        let Self {
            database,
            password_file,
            password,
            state_dir,
            table,
            page_size,
            read_only,
            create_table,
            detail,
            timeout_connect,
            timeout_query,
            timeout_wait,
            connections,
            max_body,
            origins,
            only,
        } = over;
        Self {
            database: inner(&base.database, database),
            password_file: inner(&base.password_file, password_file),
            password: inner(&base.password, password),
            state_dir: inner(&base.state_dir, state_dir),
            table: inner(&base.table, table),
            page_size: inner(&base.page_size, page_size),
            read_only: inner(&base.read_only, read_only),
            create_table: inner(&base.create_table, create_table),
            detail: inner(&base.detail, detail),
            timeout_connect: inner(&base.timeout_connect, timeout_connect),
            timeout_query: inner(&base.timeout_query, timeout_query),
            timeout_wait: inner(&base.timeout_wait, timeout_wait),
            connections: inner(&base.connections, connections),
            max_body: inner(&base.max_body, max_body),
            origins: inner(&base.origins, origins),
            only: inner(&base.only, only),
        }
    }

    /// Equal for two settings that consist of the very same values, written at the same places.
    pub fn identity(&self) -> Identity {
        fn address<T>(value: &Option<Set<T>>) -> usize {
            value.as_ref().map_or(0, Set::address)
        }
        let Self {
            database,
            password_file,
            password,
            state_dir,
            table,
            page_size,
            read_only,
            create_table,
            detail,
            timeout_connect,
            timeout_query,
            timeout_wait,
            connections,
            max_body,
            origins,
            only,
        } = self;
        Identity([
            address(database),
            address(password_file),
            address(password),
            address(state_dir),
            address(table),
            address(page_size),
            address(read_only),
            address(create_table),
            address(detail),
            address(timeout_connect),
            address(timeout_query),
            address(timeout_wait),
            address(connections),
            address(max_body),
            address(origins),
            address(only),
        ])
    }
}

/// The settings of one place with every default filled in.
#[derive(Debug, Clone)]
pub struct Resolved {
    pub target: Arc<dyn Target>,
    /// Why the target has no password, although DBTestPasswordFile names one.
    pub no_password: Option<String>,
    /// The default SQLite file of the module's own state directory: it and its table are made on first use.
    pub is_default_database: bool,
    /// DBTestPasswordFile as it was written: an absolute path, or `exec:` and a command.
    pub password_file: Option<String>,
    pub table: Arc<Table>,
    pub page_size: u32,
    pub read_only: bool,
    pub create_table: bool,
    pub detail: Detail,
    pub limits: Limits,
    /// Per child.
    pub connections: u32,
    /// Bytes.
    pub max_body: usize,
    /// Other origins than the Host that was asked from which a form may come.
    pub origins: Vec<String>,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Detail, Origin, Password, Set, Settings, Table};
    use crate::database::Secret;

    fn set<T>(line: u32, value: T) -> Option<Set<T>> {
        Some(Set::new(Origin { file: "httpd.conf".into(), line }, value))
    }

    /// Every field set, at `line`.
    fn full(line: u32) -> Settings {
        Settings {
            database: set(line, "sqlite:x".into()),
            password_file: set(line, "/x".into()),
            password: set(line, Password::Read(Secret::new("x"))),
            state_dir: set(line, "/x".into()),
            table: set(line, Table::default()),
            page_size: set(line, 1),
            read_only: set(line, true),
            create_table: set(line, true),
            detail: set(line, Detail::Full),
            timeout_connect: set(line, Duration::ZERO),
            timeout_query: set(line, Duration::ZERO),
            timeout_wait: set(line, Duration::ZERO),
            connections: set(line, 1),
            max_body: set(line, 1),
            origins: set(line, Vec::new()),
            only: set(line, "/x".into()),
        }
    }

    /// The line that each field comes from.
    fn lines(settings: &Settings) -> Vec<Option<u32>> {
        fn line<T>(value: &Option<Set<T>>) -> Option<u32> {
            value.as_ref().map(|value| value.origin().line)
        }
        let s = settings;
        vec![
            line(&s.database),
            line(&s.password_file),
            line(&s.password),
            line(&s.state_dir),
            line(&s.table),
            line(&s.page_size),
            line(&s.read_only),
            line(&s.create_table),
            line(&s.detail),
            line(&s.timeout_connect),
            line(&s.timeout_query),
            line(&s.timeout_wait),
            line(&s.connections),
            line(&s.max_body),
            line(&s.origins),
            line(&s.only),
        ]
    }

    #[test]
    fn every_field_merges_the_inner_one_over_the_outer_one() {
        let (outer, inner, empty) = (full(1), full(2), Settings::default());
        let all = |line| vec![line; 16];
        assert_eq!(lines(&Settings::merge(&outer, &inner)), all(Some(2)));
        assert_eq!(lines(&Settings::merge(&outer, &empty)), all(Some(1)));
        assert_eq!(lines(&Settings::merge(&empty, &inner)), all(Some(2)));
        assert_eq!(lines(&Settings::merge(&empty, &empty)), all(None));
    }

    #[test]
    fn identity_follows_the_values_through_merging() {
        let (outer, inner) = (full(1), Settings { page_size: set(2, 7), ..Settings::default() });
        let once = Settings::merge(&outer, &inner).identity();
        assert_eq!(Settings::merge(&outer, &inner).identity(), once);
        assert_ne!(outer.identity(), once);
        assert_ne!(full(1).identity(), outer.identity());
    }
}
