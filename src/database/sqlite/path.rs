//! The path in `sqlite:PATH`, and in SQLAlchemy's `sqlite:///relative` and `sqlite:////absolute`. Pure: whether
//! the file is there is found out later.

use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

use crate::database::text::{bad_escape, check, nearest, shown, wrong};
use crate::database::{ParseError, Setting};

/// Linux's limits for a name and for a path, in bytes (limits.h).
const LONGEST_NAME: usize = 255;
const LONGEST_PATH: usize = 4095;

/// Parameters of SQLite's URIs and of Python's driver, and what to write here.
const PARAMETERS: &[(&str, &str)] = &[
    ("mode", "write DBTestReadOnly On for mode=ro; a file that was named is created by httpd -t -D DBTEST_INIT only"),
    ("immutable", "write DBTestReadOnly On"),
    ("timeout", "write DBTestTimeout query=5s"),
    ("cache", "leave it out; a shared cache gains nothing here"),
    ("nolock", "leave it out; without locks two children would damage the file"),
    ("vfs", "leave it out; the file is opened by the operating system's default"),
    ("psow", "leave it out"),
    ("check_same_thread", "leave it out"),
    ("isolation_level", "leave it out"),
    ("uri", "leave it out"),
];

/// Whether the text is an SQLite URL, rightly written or not.
pub fn recognises(text: &str) -> bool {
    let scheme = text.trim_start().split_once(':').map_or("", |(scheme, _)| scheme);
    scheme.split('+').next().is_some_and(|product| matches!(&*product.to_ascii_lowercase(), "sqlite" | "sqlite3"))
}

/// Reads the text into the path of the file; a relative one starts in the state directory.
pub fn parse(text: &str, setting: &Setting) -> Result<PathBuf, ParseError> {
    check(text)?;
    let written = written_path(text)?;
    let (path, query) = written.split_once('?').map_or((written, None), |(path, query)| (path, Some(query)));
    if path.is_empty() || path == ":memory:" {
        return Err(wrong(
            "a database in memory is lost between two requests, and each child would have its own",
            "write sqlite:PATH with the name of a file",
        ));
    }
    if let Some(query) = query {
        return Err(parameter(query));
    }
    let path = decoded(path)?;
    check_path(&path)?;
    Ok(setting.state_dir.join(path))
}

/// What stands after `sqlite:` or SQLAlchemy's `sqlite:///`.
fn written_path(text: &str) -> Result<&str, ParseError> {
    let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
    if scheme.eq_ignore_ascii_case("sqlite3") {
        return Err(wrong("\"sqlite3:\" is not a scheme known here", "write sqlite:PATH"));
    }
    match rest.strip_prefix("//") {
        None => Ok(rest),
        Some("") => Ok(""),
        Some(rest) => rest.strip_prefix('/').ok_or_else(|| {
            wrong(
                "after \"sqlite://\" a third \"/\" is missing",
                "write sqlite:PATH, sqlite:///RELATIVE/PATH or sqlite:////ABSOLUTE/PATH",
            )
        }),
    }
}

/// No parameter is taken: each has its directive.
fn parameter(query: &str) -> ParseError {
    let key = query.split(['=', '&']).next().unwrap_or_default();
    let known = PARAMETERS.iter().find(|(name, _)| *name == key);
    let close = || nearest(key, PARAMETERS.iter().map(|(name, _)| *name));
    let hint = known.or_else(|| close().and_then(|close| PARAMETERS.iter().find(|(name, _)| *name == close)));
    wrong(
        format!("the parameter \"{}\" of an SQLite URL is not supported", shown(key)),
        hint.map_or("write a \"?\" in a file's name as %3F", |(_, instead)| instead),
    )
}

/// Undoes percent-encoding.
fn decoded(path: &str) -> Result<String, ParseError> {
    if let Some(escape) = bad_escape(path) {
        let problem = format!("\"{}\" in the path is not a \"%\" and two hexadecimal digits", shown(escape));
        return Err(wrong(problem, "write a \"%\" itself as %25"));
    }
    let decoded = percent_decode_str(path).decode_utf8();
    decoded.map(Into::into).map_err(|_| wrong("the percent-encoded path is not UTF-8", "encode it as UTF-8"))
}

/// Refuses a path that no database file can have.
fn check_path(path: &str) -> Result<(), ParseError> {
    if let Some(c) = path.chars().find(|c| c.is_control()) {
        let problem = format!("the path holds a control character, %{:02X}", u32::from(c));
        return Err(wrong(problem, "leave it out"));
    }
    if path.trim() != path {
        return Err(wrong("the path begins or ends with white space", format!("write sqlite:{}", shown(path.trim()))));
    }
    if path.starts_with('~') {
        return Err(wrong("\"~\" is not a home directory here", "write the whole path, sqlite:/PATH/TO/FILE"));
    }
    if path.ends_with('/') || Path::new(path).file_name().is_none() || path.ends_with("/.") {
        let problem = format!("\"{}\" is a directory", shown(path));
        return Err(wrong(problem, "add the name of the database file"));
    }
    if let Some(end) = ["-wal", "-shm", "-journal"].iter().find(|end| path.ends_with(**end)) {
        let database = path.strip_suffix(end).unwrap_or(path);
        let problem = format!("\"{}\" is a file that SQLite keeps beside its database", shown(path));
        return Err(wrong(problem, format!("write sqlite:{}", shown(database))));
    }
    // SQLite's own files have names that are longer by "-journal".
    let longest = path.split('/').map(str::len).max().unwrap_or(0) + "-journal".len();
    if longest > LONGEST_NAME || path.len() + "-journal".len() > LONGEST_PATH {
        let hint = format!("a name has at most {} bytes here", LONGEST_NAME - "-journal".len());
        return Err(wrong("the path is too long", hint));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Setting, parse, recognises};

    fn read(text: &str) -> Result<String, String> {
        let setting = Setting { state_dir: Path::new("/state"), password: None };
        parse(text, &setting).map(|path| path.display().to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn relative_paths_start_in_the_state_directory() {
        for (text, expected) in [
            ("sqlite:app.db", "/state/app.db"),
            ("sqlite:sub/app.db", "/state/sub/app.db"),
            ("sqlite:/srv/app.db", "/srv/app.db"),
            ("sqlite:///app.db", "/state/app.db"),
            ("sqlite:////srv/app.db", "/srv/app.db"),
            ("sqlite+pysqlite:////srv/app.db", "/srv/app.db"),
            ("SQLite:app.db", "/state/app.db"),
            ("sqlite:/srv/my%20app%3F.db", "/srv/my app?.db"),
            ("sqlite:/srv/my app.db", "/srv/my app.db"),
            ("sqlite:/srv/jürgen.db", "/srv/jürgen.db"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn mistakes_are_told_with_what_to_write() {
        let long = format!("sqlite:/{}", "x".repeat(250));
        for (text, expected) in [
            ("sqlite:", "a database in memory is lost"),
            ("sqlite://", "a database in memory is lost"),
            ("sqlite::memory:", "a database in memory is lost"),
            ("sqlite:///:memory:", "a database in memory is lost"),
            ("sqlite://app.db", "a third \"/\" is missing: write sqlite:PATH"),
            ("sqlite3:app.db", "\"sqlite3:\" is not a scheme"),
            (
                "sqlite:app.db?mode=ro",
                "the parameter \"mode\" of an SQLite URL is not supported: write DBTestReadOnly On",
            ),
            ("sqlite:app.db?timout=3", "write DBTestTimeout"),
            ("sqlite:what?.db", "write a \"?\" in a file's name as %3F"),
            ("sqlite:50%.db", "write a \"%\" itself as %25"),
            ("sqlite:a%00.db", "a control character, %00"),
            ("sqlite:a%ff.db", "not UTF-8"),
            ("sqlite:a.db\r", "Windows line ends"),
            ("sqlite:a.db ", "ends with white space: write sqlite:a.db"),
            ("sqlite: a.db", "begins or ends with white space"),
            ("sqlite:~/a.db", "not a home directory"),
            ("sqlite:/srv/", "\"/srv/\" is a directory"),
            ("sqlite:/srv/..", "is a directory"),
            ("sqlite:/srv/.", "is a directory"),
            ("sqlite:/", "is a directory"),
            ("sqlite:/srv/a.db-wal", "keeps beside its database: write sqlite:/srv/a.db"),
            ("sqlite:${DIR}/a.db", "the variable ${DIR} is not defined"),
            (&long, "the path is too long"),
        ] {
            let message = read(text).expect_err(text);
            assert!(message.contains(expected), "{text}\n  says     {message}\n  expected {expected}");
        }
    }

    #[test]
    fn sqlite_urls_are_recognised_even_when_they_are_wrong() {
        for (text, ours) in [
            ("sqlite:x", true),
            ("sqlite3:x", true),
            ("sqlite+pysqlite:///x", true),
            ("postgresql://h/sqlite:x", false),
            ("sqlite", false),
        ] {
            assert_eq!(recognises(text), ours, "{text}");
        }
    }
}
