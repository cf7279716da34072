//! What the file system says of a database: its path, its directory, the files that SQLite keeps beside it,
//! the space, and who holds locks. Looked at from outside; nothing is opened.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::home::{Home, Shared};
use super::locks::{self, Holder};
use crate::diagnosis::host::mounts::{self, Mount};
use crate::diagnosis::host::path::{Need, Obstacle, Seen, Space, Trouble, first_obstacle, space};
use crate::diagnosis::host::process::Who;

/// The files that SQLite keeps beside a database (sqlite.org/tempfiles.html).
const BESIDE: [&str; 3] = ["-journal", "-wal", "-shm"];

/// sticky(7): in such a directory only the owner of a file, or of the directory, may remove it.
const STICKY: u32 = libc::S_ISVTX;

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// As configured.
    pub path: PathBuf,
    /// With every symbolic link resolved: SQLite puts its other files beside this one.
    pub real: PathBuf,
    /// Why the database file cannot be used, if so.
    pub file: Option<Obstacle>,
    /// Why no file can be made in its directory, if so.
    pub directory: Option<Obstacle>,
    /// Why a file beside it cannot be used, if so.
    pub beside: Vec<Obstacle>,
    /// A file beside it that belongs to somebody else in a sticky directory.
    pub sticky: Option<Seen>,
    /// The database file.
    pub seen: Option<Seen>,
    /// Those beside it that exist.
    pub neighbours: Vec<Seen>,
    pub space: Option<Space>,
    /// Kind of file system, and where it is mounted: ("nfs4", "/srv").
    pub mount: Option<(String, PathBuf)>,
    /// Who holds locks on these files.
    pub holders: Vec<Holder>,
    /// What it would lie on by /etc/fstab, and is not mounted.
    pub absent: Option<mounts::Absent>,
    /// Names beside it that look like what was meant.
    pub similar: Vec<PathBuf>,
    /// Databases in it, by their names, where it is a directory.
    pub inside: Vec<PathBuf>,
    /// Only the file is mounted (`docker -v FILE:FILE`), not its directory: what it is on its own file system.
    pub mounted_alone: Option<PathBuf>,
    /// chown and chmod have no effect here: every file looks as the mount says.
    pub keeps_no_modes: bool,
    /// /proc/locks shows the locks of all processes: this is not a container's view.
    pub sees_all_locks: bool,
    /// A directory that would have to be opened for this database, and holds more than it.
    pub shared: Option<Shared>,
    /// A directory for this database alone.
    pub home: Home,
}

impl Files {
    /// Looks at the database at `path`. With `read_only`, only reading must be possible.
    pub fn look(path: &Path, read_only: bool, who: &Who) -> Self {
        let need = if read_only { Need::Read } else { Need::ReadWrite };
        let file = first_obstacle(path, need, who);
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| match &file {
            // what lies behind a closed directory cannot be resolved, but it goes on from there
            Some(found) if matches!(found.trouble, Trouble::NotSearchable | Trouble::Missing | Trouble::Selinux(_)) => {
                found.real.clone()
            }
            Some(Obstacle { at, trouble: Trouble::Dangling(target), .. })
                if file.as_ref().is_some_and(Obstacle::is_last) =>
            {
                at.parent().unwrap_or(Path::new("/")).join(target)
            }
            _ => path.to_owned(),
        });
        let parent = real.parent().unwrap_or(Path::new("/"));
        let seen = Seen::look(&real, who).ok().filter(|seen| !seen.is_link());
        let directory_seen = Seen::look(parent, who).ok();
        let neighbours: Vec<Seen> = BESIDE.iter().filter_map(|end| Seen::look(&beside(&real, end), who).ok()).collect();
        let inodes: Vec<(u64, u64)> = seen.iter().chain(&neighbours).map(|seen| (seen.device, seen.inode)).collect();
        let directory = first_obstacle(parent, Need::Directory, who);
        let mount = mounts::of(&who.mounts, parent);
        let shared = file.iter().chain(&directory).find_map(|obstacle| super::home::shared_by(obstacle, &real, who));
        Self {
            home: if file.is_some() || directory.is_some() { Home::look(path, who) } else { Home::default() },
            file,
            directory,
            shared,
            beside: neighbours.iter().filter_map(|seen| first_obstacle(&seen.path, Need::ReadWrite, who)).collect(),
            sticky: directory_seen.as_ref().and_then(|directory| sticky(directory, &neighbours, who)),
            space: space(parent),
            mount: mount.map(|mount| (mount.kind.clone(), mount.point.clone())),
            holders: locks::holders(&who.root, &inodes),
            sees_all_locks: locks::all_are_seen(&who.root),
            mounted_alone: who.mounts.iter().find(|mount| mount.point == real).map(|mount| mount.root.clone()),
            keeps_no_modes: keeps_no_modes(seen.as_ref(), directory_seen.as_ref(), mount),
            inside: if seen.as_ref().is_some_and(Seen::is_directory) { databases_in(path) } else { Vec::new() },
            absent: seen.is_none().then(|| not_mounted(&real, who)).flatten(),
            similar: if seen.is_none() { similar(path) } else { Vec::new() },
            path: path.to_owned(),
            real,
            seen,
            neighbours,
        }
    }

    /// The directory of the file.
    pub fn directory(&self) -> &Path {
        self.real.parent().unwrap_or(Path::new("/"))
    }

    /// Whether a file with this ending lies beside the database.
    pub fn has(&self, end: &str) -> Option<&Seen> {
        let path = beside(&self.real, end);
        self.neighbours.iter().find(|seen| seen.path == path)
    }

    /// Everything that stops this process from writing, in the order of the ladder.
    pub fn obstacles(&self) -> Vec<Obstacle> {
        self.file.iter().chain(&self.directory).chain(&self.beside).cloned().collect()
    }

    /// A file system on another machine, or one of which it is known that locks or shared memory fail.
    pub fn network(&self) -> Option<&str> {
        let kind = self.mount.as_ref()?.0.as_str();
        let remote = ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "afs", "virtiofs"];
        (remote.contains(&kind) || kind.starts_with("fuse")).then_some(kind)
    }

    /// The facts, for a report.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        if let Some(seen) = &self.seen {
            facts.push(("file", seen.line()));
            facts.push(("size", format!("{} bytes", seen.size)));
        }
        if !self.neighbours.is_empty() {
            let lines: Vec<String> = self.neighbours.iter().map(Seen::line).collect();
            facts.push(("beside", lines.join("; ")));
        }
        if let Some((kind, point)) = &self.mount {
            facts.push(("file_system", format!("{kind} at {}", point.display())));
        }
        if let Some(space) = self.space {
            facts.push(("free", format!("{} of {} bytes", space.free, space.total)));
            if let Some(inodes) = space.inodes {
                facts.push(("free_inodes", inodes.to_string()));
            }
        }
        facts
    }
}

fn not_mounted(path: &Path, who: &Who) -> Option<mounts::Absent> {
    let fstab = std::fs::read_to_string(who.root.join("etc/fstab")).ok()?;
    mounts::absent(&fstab, &who.mounts, path)
}

/// The name of a file beside a database.
pub fn beside(database: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(end);
    name.into()
}

/// Of FUSE's file systems, one that was mounted with an owner and a mask shows file and directory alike, the file with
/// the right to be executed.
fn keeps_no_modes(file: Option<&Seen>, directory: Option<&Seen>, mount: Option<&Mount>) -> bool {
    let Some(mount) = mount else { return false };
    let alike = || {
        file.zip(directory).is_some_and(|(file, directory)| {
            (file.uid, file.gid, file.mode & 0o777) == (directory.uid, directory.gid, directory.mode & 0o777)
        })
    };
    mounts::keeps_no_modes(&mount.kind) || mount.kind.starts_with("fuse") && alike()
}

fn sticky(directory: &Seen, neighbours: &[Seen], who: &Who) -> Option<Seen> {
    let bound = directory.mode & STICKY != 0 && directory.uid != who.uid && who.is_bound_by_modes();
    neighbours.iter().find(|seen| bound && seen.uid != who.uid).cloned()
}

/// SQLite databases in the same directory (by their names alone) that differ from what was asked for by a
/// letter or two, or only by the case or the ending.
fn similar(path: &Path) -> Vec<PathBuf> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return Vec::new() };
    let name = name.to_string_lossy().to_lowercase();
    let stem = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let Ok(entries) = std::fs::read_dir(directory) else { return in_a_similar_directory(path) };
    // a directory of a million files is not read to its end for a hint
    let mut found: Vec<PathBuf> = entries
        .take(1000)
        .flatten()
        .filter(|entry| {
            let other = entry.file_name().to_string_lossy().to_lowercase();
            let beside = BESIDE.iter().any(|end| other.ends_with(end));
            let close =
                crate::database::text::nearest(&name, [other.as_str()]).is_some() || stem(&other) == stem(&name);
            close && !beside && !is_a_copy(&name, &other) && entry.file_type().is_ok_and(|kind| kind.is_file())
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// The databases in a directory that was named instead of a file.
fn databases_in(directory: &Path) -> Vec<PathBuf> {
    const ENDINGS: [&str; 4] = ["db", "sqlite", "sqlite3", "db3"];
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let is_one = |path: &PathBuf| path.extension().is_some_and(|end| ENDINGS.iter().any(|known| end == *known));
    let paths = entries.take(1000).flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = paths.filter(|path| is_one(path) && path.is_file()).collect();
    found.sort();
    found
}

/// The same file below a directory whose name is nearly that of the first one that is missing.
fn in_a_similar_directory(path: &Path) -> Vec<PathBuf> {
    let Some(missing) = path.ancestors().skip(1).take_while(|above| above.symlink_metadata().is_err()).last() else {
        return Vec::new();
    };
    let (Some(above), Some(name), Ok(rest)) = (missing.parent(), missing.file_name(), path.strip_prefix(missing))
    else {
        return Vec::new();
    };
    let name = name.to_string_lossy();
    let Ok(entries) = std::fs::read_dir(above) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .take(1000)
        .flatten()
        .filter(|entry| crate::database::text::nearest(&name, [&*entry.file_name().to_string_lossy()]).is_some())
        .map(|entry| entry.path().join(rest))
        .filter(|file| file.is_file())
        .collect();
    found.sort();
    found
}

/// "site.db.bak", "site.db-copy", "site.db~": what somebody put aside is not what was meant.
fn is_a_copy(name: &str, other: &str) -> bool {
    other.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', '-', '~']))
}

/// Whether the trouble is about the path itself, rather than about rights.
pub fn is_about_the_path(trouble: &Trouble) -> bool {
    matches!(
        trouble,
        Trouble::Missing
            | Trouble::Dangling(_)
            | Trouble::Loop
            | Trouble::TooLong
            | Trouble::NotADirectory(_)
            | Trouble::NotSearchable
    )
}
