//! An SQLite file as configured.

use std::path::{Path, PathBuf};

use super::handle::Handle;
use super::statements;
use crate::database::{Connection, Create, Error, Limits, Table, Target};

/// One database file, by its absolute path.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
}

impl File {
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }
}

impl Target for File {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn masked(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    fn has_inline_password(&self) -> bool {
        false
    }

    fn check_offline(&self) -> Vec<String> {
        let path = self.path.display();
        match std::fs::metadata(&self.path) {
            Ok(found) if found.is_dir() => vec![format!("{path} is a directory: add the name of the database file")],
            Ok(found) if !found.is_file() => vec![format!("{path} is not a regular file")],
            Ok(found) if found.len() == 0 => {
                vec![format!("{path} is empty: create the table with httpd -t -D DBTEST_INIT, or name another file")]
            }
            Ok(_) => Vec::new(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => vec![self.missing()],
            Err(error) => vec![format!("{path} cannot be looked at: {error}")],
        }
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn create_statement(&self, table: &Table) -> String {
        statements::create(table)
    }

    fn commits_together(&self) -> bool {
        // a commit waits for the disk; one for many rows costs what one for one row does
        true
    }

    fn connect(&self, table: &Table, limits: &Limits, create: Create) -> Result<Box<dyn Connection>, Error> {
        Ok(Box::new(Handle::open(&self.path, table, limits, create)?))
    }
}

impl File {
    /// Which part of the path is missing, and what to do about it.
    fn missing(&self) -> String {
        let path = self.path.display();
        match self.path.ancestors().skip(1).take_while(|part| !part.exists()).last() {
            Some(part) => format!("{path} does not exist, for the directory {} does not", part.display()),
            None if self.path.is_symlink() => format!("{path} is a symbolic link to a file that does not exist"),
            None => format!("{path} does not exist: create it with httpd -t -D DBTEST_INIT, or name another file"),
        }
    }
}
