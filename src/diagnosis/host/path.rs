//! Walks a path as this very process: component by component, through symbolic links, to the first thing
//! that stops it, and says what lets it pass. SQLite and libpq give one message for a dozen causes;
//! the kernel, asked about each component, tells them apart.
//!
//! Nothing is opened: `stat`, `access`, `statx`, `getxattr` only. (Closing a descriptor of an SQLite file
//! would drop the POSIX locks that this process holds on it.)

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;

use super::acl::Acl;
use super::mounts;
pub use super::posix::{Space, errno_name, mode_text, space};
use crate::diagnosis::host::process::Who;

/// Symbolic links in one walk before the kernel gives up (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// What the process must be able to do with the last component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Read a regular file.
    Read,
    /// Read and write a regular file.
    ReadWrite,
    /// Create and remove files in a directory.
    Directory,
    /// Connect to a Unix socket (which takes the right to write).
    Socket,
}

/// What stops the walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing there.
    Missing,
    /// A symbolic link that leads to nothing: its target.
    Dangling(PathBuf),
    /// Symbolic links in a circle.
    Loop,
    /// Longer than the system allows.
    TooLong,
    /// A component that is to be a directory is not: what it is.
    NotADirectory(&'static str),
    /// The last component is something else: what it is.
    WrongType(&'static str),
    /// A directory may not be entered (x).
    NotSearchable,
    NotReadable,
    NotWritable,
    /// An ACL would allow it, but its mask takes it away.
    AclMask,
    /// chattr +i.
    Immutable,
    /// chattr +a.
    AppendOnly,
    /// Mounted read-only: where, and whether only this mount (a sandbox) and not the whole file system.
    ReadOnly {
        mount: PathBuf,
        only_here: bool,
    },
    /// SELinux refuses what the modes allow: the label, unless that is kept from this process as well.
    Selinux(Option<String>),
    /// AppArmor (or another security module, or the file server) refuses what the modes allow.
    Refused,
    /// The system gave another error.
    Other,
}

/// The first thing that stops this process on its way.
#[derive(Debug, Clone)]
pub struct Obstacle {
    /// The component concerned.
    pub at: PathBuf,
    /// What was asked for.
    pub path: PathBuf,
    /// The same as far as it is known, with the symbolic links on the way to the obstacle resolved.
    pub real: PathBuf,
    pub need: Need,
    pub trouble: Trouble,
    /// What the kernel said.
    pub errno: Option<i32>,
    /// What is known of the component.
    pub seen: Option<Seen>,
}

/// What can be known of one component without opening it.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub path: PathBuf,
    /// st_mode: type and permission bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub owner: String,
    pub group: String,
    pub size: u64,
    pub inode: u64,
    pub device: u64,
    /// Names of the file (hard links).
    pub links: u64,
    /// Attributes of chattr(1).
    pub immutable: bool,
    pub append_only: bool,
    /// The SELinux label.
    pub label: Option<String>,
    pub acl: Option<Acl>,
    /// Whether the file system has ACLs.
    pub acls_work: bool,
    /// errno of access(2) for reading, writing, searching; `None` for allowed.
    pub read: Option<i32>,
    pub write: Option<i32>,
    pub search: Option<i32>,
}

impl Seen {
    /// Looks at `path` itself, following no link.
    pub fn look(path: &Path, who: &Who) -> io::Result<Self> {
        let stat = rustix::fs::lstat(path)?;
        let access = |access| rustix::fs::accessat(CWD, path, access, AtFlags::EACCESS).err().map(Errno::raw_os_error);
        let link = stat.st_mode & libc::S_IFMT == libc::S_IFLNK;
        let flags = attributes(path);
        let acl = if link { Err(Errno::NODATA) } else { xattr(path, "system.posix_acl_access") };
        Ok(Self {
            path: path.to_owned(),
            mode: stat.st_mode,
            uid: stat.st_uid,
            gid: stat.st_gid,
            owner: who.names.user(stat.st_uid),
            group: who.names.group(stat.st_gid),
            size: u64::try_from(stat.st_size).unwrap_or(0),
            inode: stat.st_ino,
            device: stat.st_dev,
            links: path.symlink_metadata().map_or(1, |found| found.nlink()),
            immutable: flags & libc::STATX_ATTR_IMMUTABLE as u64 != 0,
            append_only: flags & libc::STATX_ATTR_APPEND as u64 != 0,
            label: xattr(path, "security.selinux").ok().map(|bytes| text(&bytes)),
            acls_work: !matches!(acl, Err(Errno::OPNOTSUPP)),
            acl: acl.ok().and_then(|bytes| Acl::parse(&bytes)),
            read: access(Access::READ_OK),
            write: access(Access::WRITE_OK),
            search: access(Access::EXEC_OK),
        })
    }

    /// The kind of file, in words.
    pub fn kind(&self) -> &'static str {
        match self.mode & libc::S_IFMT {
            libc::S_IFREG => "a file",
            libc::S_IFDIR => "a directory",
            libc::S_IFLNK => "a symbolic link",
            libc::S_IFSOCK => "a socket",
            libc::S_IFIFO => "a named pipe",
            libc::S_IFBLK | libc::S_IFCHR => "a device",
            _ => "something unknown",
        }
    }

    pub fn is_link(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFLNK
    }

    pub fn is_directory(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFDIR
    }

    pub fn is_regular(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFREG
    }

    /// Whether modes and ACL would allow `bits` (r 4, w 2, x 1): what is refused all the same, a
    /// security module refuses.
    pub fn modes_allow(&self, bits: u32, who: &Who) -> bool {
        if !who.is_bound_by_modes() {
            return true;
        }
        if self.uid == who.uid {
            return self.mode >> 6 & bits == bits;
        }
        if let Some(acl) = &self.acl {
            return acl.allows(bits, self.gid, who);
        }
        let class = if who.is_in_group(self.gid) { self.mode >> 3 } else { self.mode };
        class & bits == bits
    }

    /// Whether the group of the file may do `bits`.
    pub fn group_allows(&self, bits: u32) -> bool {
        self.mode >> 3 & bits == bits
    }

    /// "drwxr-x--- root:adm /var/log".
    pub fn line(&self) -> String {
        let plus = if self.acl.is_some() { "+" } else { "" };
        format!("{}{plus} {}:{} {}", mode_text(self.mode), self.owner, self.group, self.path.display())
    }
}

/// The first obstacle on the way to `path`, or `None` when this process can do what it needs.
pub fn first_obstacle(path: &Path, need: Need, who: &Who) -> Option<Obstacle> {
    let obstacle = |at: &Path, rest: &VecDeque<OsString>, trouble, errno, seen| {
        let real = rest.iter().fold(at.to_owned(), |real, component| real.join(component));
        Some(Obstacle { at: at.to_owned(), path: path.to_owned(), real, need, trouble, errno, seen })
    };
    let mut queue: VecDeque<OsString> = components(path);
    let mut here = PathBuf::from("/");
    // the links that are being followed, outermost first: each with its target, and how many components come after it
    let mut following: Vec<(PathBuf, PathBuf, usize)> = Vec::new();
    let mut links = 0;
    while let Some(component) = queue.pop_front() {
        if component == ".." {
            here.pop();
            following.retain(|(.., after)| queue.len() > *after);
            continue;
        }
        let next = here.join(&component);
        let seen = match Seen::look(&next, who) {
            Ok(seen) => seen,
            Err(error) => {
                let errno = error.raw_os_error();
                let (at, trouble) = match (errno, following.pop()) {
                    (Some(libc::ENOENT), Some((link, target, after))) => {
                        queue.drain(..queue.len().saturating_sub(after));
                        (link, Trouble::Dangling(target))
                    }
                    (Some(libc::ENOENT), None) => (next, Trouble::Missing),
                    (Some(libc::ENAMETOOLONG), _) => (next, Trouble::TooLong),
                    // the directory may be searched, and lstat(2) asks for nothing more of the modes
                    (Some(libc::EACCES), _) if who.confined_type().is_some() => (next, Trouble::Selinux(None)),
                    (Some(libc::EACCES), _) => (next, Trouble::Refused),
                    _ => (next, Trouble::Other),
                };
                return obstacle(&at, &queue, trouble, errno, None);
            }
        };
        if seen.mode & libc::S_IFMT == libc::S_IFLNK {
            links += 1;
            if links > MOST_LINKS {
                return obstacle(&next, &queue, Trouble::Loop, Some(libc::ELOOP), Some(seen));
            }
            let Ok(target) = std::fs::read_link(&next) else {
                return obstacle(&next, &queue, Trouble::Other, None, Some(seen));
            };
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            let after = queue.len();
            for component in components(&target).into_iter().rev() {
                queue.push_front(component);
            }
            following.push((next, target, after));
            continue;
        }
        if let Some(trouble) = if queue.is_empty() { last(&seen, need, who) } else { between(&seen, who) } {
            let errno = errno_of(&seen, &trouble, need, queue.is_empty());
            return obstacle(&next, &queue, trouble, errno, Some(seen));
        }
        here = next;
        // all of the target is there: what is missing further on is not the link's fault
        following.retain(|(.., after)| queue.len() > *after);
    }
    None
}

/// What stops this process at a directory on the way.
fn between(seen: &Seen, who: &Who) -> Option<Trouble> {
    if !seen.is_directory() {
        return Some(Trouble::NotADirectory(seen.kind()));
    }
    seen.search.map(|errno| denied(seen, 1, errno, who))
}

/// What stops this process at the last component.
fn last(seen: &Seen, need: Need, who: &Who) -> Option<Trouble> {
    let (fits, read, write, search) = match need {
        Need::Read => (seen.is_regular(), true, false, false),
        Need::ReadWrite => (seen.is_regular(), true, true, false),
        Need::Directory => (seen.is_directory(), true, true, true),
        Need::Socket => (seen.mode & libc::S_IFMT == libc::S_IFSOCK, false, true, false),
    };
    if !fits {
        return Some(Trouble::WrongType(seen.kind()));
    }
    for (wanted, errno, bit) in [(search, seen.search, 1), (read, seen.read, 4), (write, seen.write, 2)] {
        // SQLite does not list the directory: only what it does is asked for
        let asked = wanted && !(need == Need::Directory && bit == 4);
        if let (true, Some(errno)) = (asked, errno) {
            return Some(denied(seen, bit, errno, who));
        }
    }
    // access(2) says yes to an append-only file, open(O_RDWR) then says EPERM
    (write && seen.append_only).then_some(Trouble::AppendOnly)
}

/// Why access(2) said no.
fn denied(seen: &Seen, bit: u32, errno: i32, who: &Who) -> Trouble {
    match errno {
        libc::EROFS => read_only(seen, who),
        libc::EPERM if seen.immutable => Trouble::Immutable,
        libc::EACCES if !seen.modes_allow(bit, who) => {
            let masked =
                seen.uid != who.uid && seen.acl.as_ref().is_some_and(|acl| acl.only_mask_denies(bit, seen.gid, who));
            match bit {
                _ if masked => Trouble::AclMask,
                1 => Trouble::NotSearchable,
                4 => Trouble::NotReadable,
                _ => Trouble::NotWritable,
            }
        }
        libc::EACCES | libc::EPERM => match (who.confined_type(), &seen.label) {
            (Some(_), label) => Trouble::Selinux(label.clone()),
            (None, _) => Trouble::Refused,
        },
        _ => Trouble::Other,
    }
}

fn read_only(seen: &Seen, who: &Who) -> Trouble {
    let mount = mounts::of(&who.mounts, &seen.path);
    Trouble::ReadOnly {
        mount: mount.map_or_else(|| "/".into(), |mount| mount.point.clone()),
        only_here: mount.is_some_and(|mount| mount.read_only && !mount.file_system_read_only),
    }
}

/// What the kernel would say to the process; what access(2) says of a thing of the wrong kind is beside the point.
fn errno_of(seen: &Seen, trouble: &Trouble, need: Need, is_last: bool) -> Option<i32> {
    match (is_last, need) {
        _ if matches!(trouble, Trouble::NotADirectory(_)) => Some(libc::ENOTDIR),
        _ if matches!(trouble, Trouble::WrongType(_)) => {
            (seen.is_directory() && need != Need::Socket).then_some(libc::EISDIR)
        }
        (false, _) => seen.search,
        (true, Need::Directory) => seen.search.or(seen.write),
        (true, _) => seen.read.filter(|_| need != Need::Socket).or(seen.write),
    }
}

impl Obstacle {
    /// It is the last component itself, whatever links led there.
    pub fn is_last(&self) -> bool {
        self.at == self.path || self.at == self.real
    }

    /// The obstacle as one sentence: "www-data may not enter /home/dev (drwx------ dev:dev)".
    pub fn sentence(&self, who: &Who) -> String {
        let (user, at) = (&who.user, self.at.display());
        let seen = self.seen.as_ref().map(|seen| format!(" ({})", seen.brief())).unwrap_or_default();
        match &self.trouble {
            Trouble::Missing if self.is_last() => format!("{at} does not exist"),
            Trouble::Missing => format!("{at} does not exist, and so {} does not", self.path.display()),
            Trouble::Dangling(target) => {
                format!("the symbolic link {at} leads to {}, which does not exist", target.display())
            }
            Trouble::Loop => format!("the symbolic links at {at} lead round in a circle"),
            Trouble::TooLong => "the path is longer than the system allows".to_owned(),
            Trouble::NotADirectory(kind) => {
                format!("{at} is {kind}, not a directory, and so {} cannot exist", self.path.display())
            }
            Trouble::WrongType(kind) => format!("{at} is {kind}, not {}", self.need.wanted()),
            Trouble::NotSearchable => format!("{user} may not enter {at}{seen}"),
            Trouble::NotReadable => format!("{user} may not read {at}{seen}"),
            Trouble::NotWritable if self.need == Need::Directory => {
                format!("{user} may not create files in {at}{seen}")
            }
            Trouble::NotWritable if self.need == Need::Socket => format!("{user} may not connect to {at}{seen}"),
            Trouble::NotWritable => format!("{user} may read but not write {at}{seen}"),
            Trouble::AclMask => format!("the mask of {at}'s ACL takes away what it grants {user}{seen}"),
            Trouble::Immutable => format!("{at} has the attribute immutable (chattr +i)"),
            Trouble::AppendOnly => format!("{at} has the attribute append-only (chattr +a)"),
            Trouble::ReadOnly { mount, only_here: true } => format!(
                "{at} is read-only for httpd: {} is mounted so in its own view of the file system",
                mount.display()
            ),
            Trouble::ReadOnly { mount, only_here: false } => {
                format!("the file system at {} is mounted read-only, and with it {at}", mount.display())
            }
            Trouble::Selinux(label) => {
                let domain = who.confined_type().unwrap_or("httpd");
                match label {
                    Some(label) => {
                        format!(
                            "SELinux does not let {domain} use {at}, labelled {label}, though its modes would{seen}"
                        )
                    }
                    None => format!("SELinux does not let {domain} even look at {at}, nor at its label"),
                }
            }
            Trouble::Refused => match &who.apparmor {
                Some(profile) => format!("AppArmor's profile {profile} refuses {at}, though its modes would not{seen}"),
                None => format!("{at} is refused to {user}, though its modes would not{seen}"),
            },
            Trouble::Other => {
                let error = self.errno.map(io::Error::from_raw_os_error);
                format!("{at}: {}", error.map_or("cannot be looked at".into(), |error| error.to_string()))
            }
        }
    }

    /// The facts, for a step's evidence.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![("obstacle", self.at.display().to_string())];
        if let Some(errno) = self.errno {
            facts.push(("errno", errno_name(errno)));
        }
        if let Some(seen) = &self.seen {
            facts.push(("found", seen.line()));
            if let Some(label) = &seen.label {
                facts.push(("selinux_label", label.clone()));
            }
            if let Some(acl) = &seen.acl {
                facts.push(("acl", acl.to_string()));
            }
        }
        facts
    }
}

impl Seen {
    /// "drwxr-x--- root:adm".
    pub fn brief(&self) -> String {
        let plus = if self.acl.is_some() { "+" } else { "" };
        format!("{}{plus} {}:{}", mode_text(self.mode), self.owner, self.group)
    }
}

impl Need {
    fn wanted(self) -> &'static str {
        match self {
            Need::Directory => "a directory",
            Need::Socket => "a socket",
            Need::Read | Need::ReadWrite => "a file",
        }
    }
}

fn components(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

/// The attributes that statx(2) knows; none where it does not.
fn attributes(path: &Path) -> u64 {
    use rustix::fs::{StatxFlags, statx};
    statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS)
        .map(|statx| statx.stx_attributes.bits())
        .unwrap_or(0)
}

fn xattr(path: &Path, name: &str) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; 1024];
    let size = rustix::fs::lgetxattr(path, name, &mut buffer)?;
    buffer.truncate(size);
    Ok(buffer)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}
