//! A directory of its own for a database: what SQLite needs of a directory (to create and remove files in it) is more
//! than a server's user should have where anything else lies.

use std::path::{Path, PathBuf};

use crate::diagnosis::host::path::{Need, Obstacle, Trouble, first_obstacle};
use crate::diagnosis::host::path_fixes;
use crate::diagnosis::host::process::Who;

/// Entries of a directory that are looked at.
const LOOKED_AT: usize = 1000;

/// A directory that holds more than the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shared {
    pub directory: PathBuf,
    /// A few of the other names in it; none if they cannot be listed.
    pub others: Vec<String>,
}

impl Shared {
    /// "/etc, which holds passwd, hosts and more".
    pub fn sentence(&self) -> String {
        let directory = self.directory.display();
        match self.others.as_slice() {
            [] => format!("what else {directory} holds cannot be seen from here"),
            [one] => format!("{directory} holds {one} as well"),
            more => format!("{directory} holds {} and more", more.join(", ")),
        }
    }
}

/// The directory that the fix of this obstacle would open, if it holds anything but the database at `real` and the
/// files that bear its name. What cannot be listed may hold anything.
pub fn shared_by(obstacle: &Obstacle, real: &Path, who: &Who) -> Option<Shared> {
    let directory = path_fixes::opened_by(obstacle, who)?;
    let own = real.strip_prefix(&directory).ok()?.components().next()?;
    let own = own.as_os_str().to_string_lossy().into_owned();
    let Ok(entries) = std::fs::read_dir(&directory) else { return Some(Shared { directory, others: Vec::new() }) };
    let mut others: Vec<String> = entries
        .take(LOOKED_AT)
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with(&own) && name != "lost+found")
        .collect();
    // names that say something come first
    others.sort_by_key(|name| (name.starts_with('.'), name.clone()));
    others.truncate(3);
    (!others.is_empty()).then_some(Shared { directory, others })
}

/// Where the database would have a directory of its own.
#[derive(Debug, Clone, Default)]
pub struct Home {
    pub file: PathBuf,
    /// It has been put there already, and can be used.
    pub ready: bool,
    /// Mounted read-only in this process' view (ProtectSystem=strict).
    pub read_only: bool,
}

impl Home {
    /// A directory below /var/lib that is named after the whole path, so that no other database has the same.
    pub fn look(path: &Path, who: &Who) -> Self {
        let place = Path::new("/var/lib");
        let Some(name) = path.file_name() else { return Self::default() };
        let whole: String = path.with_extension("").to_string_lossy().chars().map(plain).collect();
        let read_only = rustix::fs::access(place, rustix::fs::Access::WRITE_OK) == Err(rustix::io::Errno::ROFS);
        for number in 1..10 {
            let more = if number == 1 { String::new() } else { format!("-{number}") };
            let file = place.join(format!("dbtest{whole}{more}")).join(name);
            match first_obstacle(&file, Need::ReadWrite, who).map(|obstacle| obstacle.trouble) {
                None => return Self { file, ready: true, read_only },
                Some(Trouble::Missing) => return Self { file, ready: false, read_only },
                // what is in the way there is not looked into
                Some(_) => {}
            }
        }
        Self::default()
    }

    pub fn directory(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }
}

fn plain(c: char) -> char {
    if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }
}
