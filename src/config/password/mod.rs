//! The password of DBTestPasswordFile: out of a file that others cannot read, or from a program, as httpd's own
//! `exec:` directives have it. Read while the configuration is, by root: the child may do neither.

mod file;
mod owners;
mod program;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::database::Secret;

/// A password and what is odd about it.
#[derive(Debug)]
pub struct Found {
    pub password: Secret,
    pub warning: Option<String>,
}

/// Why there is none. Neither holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The directive's own text is wrong, whatever the disk holds.
    Text(String),
    /// The disk, a policy or the program decided, and may decide otherwise at the next start.
    Outside(String),
}

/// What a reading of the directive comes to.
#[derive(Debug)]
pub enum Password {
    Read(Secret),
    /// It cannot be read this time: the one that was read before goes on to be used.
    Kept {
        before: Secret,
        problem: String,
    },
    /// It was never read.
    Missing {
        problem: String,
    },
}

impl Password {
    pub fn secret(&self) -> Option<&Secret> {
        match self {
            Password::Read(secret) | Password::Kept { before: secret, .. } => Some(secret),
            Password::Missing { .. } => None,
        }
    }

    /// Why it is not the one that the file or program has now.
    pub fn problem(&self) -> Option<&str> {
        match self {
            Password::Read(_) => None,
            Password::Kept { problem, .. } | Password::Missing { problem } => Some(problem),
        }
    }
}

/// Where it is.
#[derive(Debug)]
pub enum Source<'a> {
    File(&'a Path),
    /// A command line.
    Program(&'a str),
}

/// The passwords that this process has read, by their sources: at a reload, one that cannot be read again is still
/// known. This library is linked never to be unloaded, so it outlives the configuration; the values are our own.
static READ_BEFORE: Mutex<Option<HashMap<String, Secret>>> = Mutex::new(None);

/// Reads it; a warning, if it is odd. `Err` if the text of the directive is wrong.
pub fn read(source: &Source) -> Result<(Password, Option<String>), String> {
    let (key, found) = match source {
        Source::File(path) => (path.display().to_string(), file::read(path)),
        Source::Program(command) => (format!("exec:{command}"), program::run(command)),
    };
    let mut known = READ_BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    match found {
        Ok(found) => {
            known.insert(key, found.password.clone());
            Ok((Password::Read(found.password), found.warning))
        }
        Err(Problem::Text(message)) => Err(message),
        Err(Problem::Outside(problem)) => match known.get(&key) {
            Some(before) => Ok((Password::Kept { before: before.clone(), problem }, None)),
            None => Ok((Password::Missing { problem }, None)),
        },
    }
}

/// No password is longer, in bytes.
const LONGEST: u64 = 4096;

/// Makes a password of what was read; `source` names it in messages.
fn understood(bytes: &[u8], source: &str) -> Result<Found, String> {
    if bytes.len() as u64 > LONGEST {
        return Err(format!("{source} is longer than a password ({LONGEST} bytes)"));
    }
    let text = str::from_utf8(bytes).map_err(|_| format!("{source} is not UTF-8"))?;
    if text.starts_with('\u{feff}') {
        return Err(format!("{source} begins with a byte order mark: save it as UTF-8 without one"));
    }
    let (line, carriage_return) = match text.strip_suffix('\n') {
        None => (text, false),
        Some(line) => line.strip_suffix('\r').map_or((line, false), |line| (line, true)),
    };
    if line.is_empty() {
        return Err(format!("{source} is empty"));
    }
    if line.contains('\n') {
        return Err(format!("{source} has several lines: it must hold the password and nothing else"));
    }
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return Err(format!("there is a control character in {source}: it must hold the password and nothing else"));
    }
    let warning = if carriage_return {
        Some(format!("{source} ends in a carriage return, which is not taken for a part of the password"))
    } else if line.trim() != line {
        Some(format!("{source} begins or ends with white space, which is taken for a part of the password"))
    } else if line.matches(':').count() == 4 {
        Some(format!("{source} looks like a line of .pgpass: it must hold the password and nothing else"))
    } else {
        None
    };
    Ok(Found { password: Secret::new(line), warning })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_is_kept_when_it_cannot_be_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pass");
        let missing = read(&Source::File(&path)).unwrap().0;
        assert!(missing.secret().is_none() && missing.problem().unwrap().contains("does not exist"), "{missing:?}");
        std::fs::write(&path, "secret\n").unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        assert_eq!(read(&Source::File(&path)).unwrap().0.problem(), None);
        std::fs::remove_file(&path).unwrap();
        let kept = read(&Source::File(&path)).unwrap().0;
        assert_eq!(kept.secret().unwrap().reveal(), "secret");
        assert!(kept.problem().unwrap().contains("does not exist"), "{kept:?}");
    }

    #[test]
    fn a_text_that_no_disk_could_make_right_is_an_error() {
        for (command, expected) in [
            ("", "a program is missing"),
            ("echo x", "echo is not an absolute path"),
            ("/bin/echo 'x", "is not closed"),
        ] {
            let message = read(&Source::Program(command)).unwrap_err();
            assert!(message.contains(expected), "{command}: {message}");
        }
    }
}
