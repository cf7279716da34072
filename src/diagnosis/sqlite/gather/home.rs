//! A directory of its own for a database: what SQLite needs of a directory (to create and remove files in it) is more
//! than a server's user should have where anything else lies.

use std::path::{Path, PathBuf};

use crate::diagnosis::host::labels;
use crate::diagnosis::host::path::{Need, Obstacle, Trouble, first_obstacle};
use crate::diagnosis::host::path_fixes;
use crate::diagnosis::host::process::Who;

/// Entries of a directory that are looked at.
const LOOKED_AT: usize = 1000;

/// A directory of which nothing shows that it is the database's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    pub directory: PathBuf,
    pub holds: Holds,
}

/// What such a directory holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// It cannot be listed.
    Unseen,
    /// Nothing: it may be anybody's.
    Nothing,
    /// Nothing but the database by now, in a place that is made for many.
    Place,
    /// A few of the other names in it.
    Others(Vec<String>),
}

impl Shared {
    /// "/etc, which holds passwd, hosts and more".
    pub fn sentence(&self) -> String {
        let directory = self.directory.display();
        match &self.holds {
            Holds::Unseen => format!("what else {directory} holds cannot be seen from here"),
            Holds::Nothing => {
                format!("{directory} is empty, and nothing shows that it is meant for this database alone")
            }
            Holds::Place => format!("{directory} is a place for many, not for this database alone"),
            Holds::Others(names) => match names.as_slice() {
                [one] => format!("{directory} holds {one} as well"),
                more => format!("{directory} holds {} and more", more.join(", ")),
            },
        }
    }
}

/// The directory that the fix of this obstacle would open, unless it holds the database at `real` and nothing but the
/// files that bear its name: only that shows that it is the database's own. What cannot be listed may hold anything,
/// and what is empty may be kept for anybody.
pub fn shared_by(obstacle: &Obstacle, real: &Path, who: &Who) -> Option<Shared> {
    let directory = path_fixes::opened_by(obstacle, who)?;
    let own = real.strip_prefix(&directory).ok()?.components().next()?;
    let own = own.as_os_str().to_string_lossy().into_owned();
    let holds = match std::fs::read_dir(&directory) {
        Err(_) => Some(Holds::Unseen),
        Ok(entries) => {
            let names = entries.take(LOOKED_AT).flatten();
            held(names.map(|entry| entry.file_name().to_string_lossy().into_owned()), &own, &directory)
        }
    };
    holds.map(|holds| Shared { directory, holds })
}

/// What a directory with these names holds beside what is called `own`; `None` if that is all.
fn held(names: impl Iterator<Item = String>, own: &str, directory: &Path) -> Option<Holds> {
    let (ours, mut others): (Vec<String>, Vec<String>) =
        names.filter(|name| name != "lost+found").partition(|name| name.starts_with(own));
    if !others.is_empty() {
        // names that say something come first
        others.sort_by_key(|name| (name.starts_with('.'), name.clone()));
        others.truncate(3);
        return Some(Holds::Others(others));
    }
    if ours.is_empty() {
        return Some(Holds::Nothing);
    }
    labels::is_shared(directory).then_some(Holds::Place)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_the_databases_own_if_it_holds_that_and_nothing_else() {
        let held = |names: &[&str], directory: &str| {
            held(names.iter().map(|name| (*name).to_owned()), "a.db", Path::new(directory))
        };
        assert_eq!(held(&["a.db", "a.db-wal", "lost+found"], "/srv/app"), None);
        assert_eq!(held(&["a.db", ".x", "b"], "/srv/app"), Some(Holds::Others(vec!["b".into(), ".x".into()])));
        assert_eq!(held(&["lost+found"], "/srv/app"), Some(Holds::Nothing));
        assert_eq!(held(&["a.db"], "/srv"), Some(Holds::Place));
    }
}
