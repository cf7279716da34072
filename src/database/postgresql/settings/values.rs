//! Reading one value: numbers, times, files and words. A value in a message is never a secret one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::types::TlsVersion;
use super::words::TLS_VERSION;
use crate::database::ParseError;
use crate::database::text::{nearest, shown, wrong};

/// Any text; an empty one is as if it were not given, as in libpq.
// Infallible, and a Result all the same: it is one of the functions in the table of keys.
#[expect(clippy::unnecessary_wraps)]
pub fn word(slot: &mut Option<String>, value: &str) -> Result<(), ParseError> {
    *slot = (!value.is_empty()).then(|| value.to_owned());
    Ok(())
}

/// One of the words of a list.
pub fn one_of<T: Copy>(key: &str, value: &str, words: &[(&'static str, T)]) -> Result<T, ParseError> {
    if let Some((_, found)) = words.iter().find(|(word, _)| *word == value) {
        return Ok(*found);
    }
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let hint = match nearest(value, names.iter().copied()) {
        Some(name) => format!("did you mean \"{name}\"? There are {}", names.join(", ")),
        None => format!("write one of {}", names.join(", ")),
    };
    Err(wrong(format!("{key} cannot be \"{}\"", shown(value)), hint))
}

/// A whole number, white space around it allowed as in libpq.
pub fn number(key: &str, value: &str) -> Result<i32, ParseError> {
    let number = value.trim().parse();
    number.map_err(|_| wrong(format!("{key}={} is not a whole number", shown(value)), format!("write {key}=10")))
}

/// 0 or 1.
pub fn boolean(key: &str, value: &str) -> Result<bool, ParseError> {
    match value {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(wrong(format!("{key} cannot be \"{}\"", shown(value)), "write 0 or 1")),
    }
}

/// Whole seconds; zero and less mean the default.
pub fn seconds(key: &str, value: &str) -> Result<Option<Duration>, ParseError> {
    Ok(positive(number(key, value)?).map(Duration::from_secs))
}

/// Whole milliseconds; zero and less mean the default.
pub fn milliseconds(key: &str, value: &str) -> Result<Option<Duration>, ParseError> {
    Ok(positive(number(key, value)?).map(Duration::from_millis))
}

fn positive(number: i32) -> Option<u64> {
    u64::try_from(number).ok().filter(|number| *number > 0)
}

/// The path of a file. An absolute one: httpd's working directory is "/", and "~" would be the child's.
pub fn file(key: &str, value: &str, slot: &mut Option<PathBuf>) -> Result<(), ParseError> {
    let path = Path::new(value);
    if key == "sslkey" && !path.is_absolute() && value.contains(':') {
        let problem = format!("sslkey=\"{}\" names a key in an OpenSSL engine, which is not supported", shown(value));
        return Err(wrong(problem, "write the path of a file"));
    }
    if !value.is_empty() && !path.is_absolute() {
        let problem = format!("{key}=\"{}\" is not an absolute path", shown(value));
        return Err(wrong(problem, format!("write {key}=/PATH/TO/FILE")));
    }
    *slot = (!value.is_empty()).then(|| path.to_owned());
    Ok(())
}

/// A version of TLS; an empty value is as if it were not given.
pub fn tls_version(key: &str, value: &str) -> Result<Option<TlsVersion>, ParseError> {
    match value {
        "" => Ok(None),
        // libpq compares these without regard to case.
        _ => one_of(key, &canonical(value), &TLS_VERSION).map(Some),
    }
}

fn canonical(value: &str) -> String {
    let known = TLS_VERSION.iter().find(|(word, _)| word.eq_ignore_ascii_case(value));
    known.map_or(value, |(word, _)| word).to_owned()
}
