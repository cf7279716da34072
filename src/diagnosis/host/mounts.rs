//! What is mounted where in this process' mount namespace (/proc/self/mountinfo, proc(5)): systemd gives
//! httpd a /tmp of its own, read-only views and hidden homes that a shell does not see.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// One line of mountinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The directory of the file system that is mounted: "/" unless it is a bind mount.
    pub root: PathBuf,
    /// Where.
    pub point: PathBuf,
    /// The mount's own options.
    pub read_only: bool,
    /// "ext4", "tmpfs", "nfs4", …
    pub kind: String,
    /// The device or server.
    pub source: String,
    /// The file system as a whole is read-only.
    pub file_system_read_only: bool,
}

/// Reads mountinfo; lines that make no sense are left out.
pub fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<Mount> {
    // 36 35 98:0 /root /point rw,noatime master:1 - ext4 /dev/sda rw,errors=continue
    let (own, rest) = line.split_once(" - ")?;
    let own: Vec<&str> = own.split(' ').collect();
    let rest: Vec<&str> = rest.split(' ').collect();
    let has_ro = |options: &str| options.split(',').any(|option| option == "ro");
    Some(Mount {
        root: unescape(own.get(3)?),
        point: unescape(own.get(4)?),
        read_only: has_ro(own.get(5)?),
        kind: (*rest.first()?).to_owned(),
        source: (*rest.get(1)?).to_owned(),
        file_system_read_only: rest.get(2).is_some_and(|options| has_ro(options)),
    })
}

/// Space, tab, newline and backslash are written as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let octal = bytes.get(at + 1..at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if bytes[at] == b'\\' => {
                out.push(byte);
                at += 4;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    OsString::from_vec(out).into()
}

/// The mount that `path` is on: the longest mount point above it, the last one mounted there.
pub fn of<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    mounts.iter().filter(|mount| path.starts_with(&mount.point)).max_by_key(|mount| mount.point.components().count())
}

/// A file system that /etc/fstab says is mounted somewhere, and is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// "UUID=…", "/dev/sdb1", "filer:/export".
    pub source: String,
    pub point: PathBuf,
    /// At each start of the machine, and not only when somebody asks for it.
    pub automatic: bool,
}

/// The file system that `path` would be on if all that /etc/fstab names were mounted.
pub fn absent(fstab: &str, mounts: &[Mount], path: &Path) -> Option<Absent> {
    let mounted = of(mounts, path).map_or(0, |mount| mount.point.components().count());
    let lines = fstab.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let entries = lines.filter_map(|line| {
        // UUID=1234 /srv/my\040app ext4 defaults,noauto 0 2
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [source, point, _, options, ..] = fields[..] else { return None };
        let automatic = !options.split(',').any(|option| ["noauto", "x-systemd.automount"].contains(&option));
        Some(Absent { source: source.to_owned(), point: unescape(point), automatic })
    });
    let here = entries.filter(|entry| entry.point.is_absolute() && path.starts_with(&entry.point));
    let deepest = here.max_by_key(|entry| entry.point.components().count())?;
    (deepest.point.components().count() > mounted).then_some(deepest)
}

/// Whether a kind of file system gives every file the owner and mode that it was mounted with: chown and chmod have no
/// effect there. FUSE's kinds are as they please (ntfs-3g calls itself "fuse" or "fuseblk").
pub fn keeps_no_modes(kind: &str) -> bool {
    ["vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk", "cifs", "smb3", "hfs"].contains(&kind)
}

/// The private /tmp or /var/tmp that systemd's PrivateTmp= mounted, if it did.
pub fn private_tmp(mounts: &[Mount]) -> Option<&Mount> {
    mounts.iter().find(|mount| is_private_tmp(mount))
}

/// Whether a mount is systemd's private /tmp or /var/tmp.
pub fn is_private_tmp(mount: &Mount) -> bool {
    let temporary = mount.point == Path::new("/tmp") || mount.point == Path::new("/var/tmp");
    temporary && mount.root.to_string_lossy().contains("systemd-private-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 8:1 /tmp/systemd-private-abc-apache2.service-x/tmp /tmp rw,relatime shared:1 - ext4 /dev/sda1 rw
31 22 8:1 /srv/my\\040app /srv/my\\040app ro,relatime - ext4 /dev/sda1 rw
32 22 0:50 / /mnt/nfs rw - nfs4 host:/x ro,vers=4.2
nonsense
";

    #[test]
    fn what_fstab_names_and_is_not_mounted_is_absent() {
        let fstab = "# x\nUUID=1 / ext4 defaults 0 1\n/dev/sdb1 /mnt/my\\040disk ext4 noauto 0 2\n\
                     host:/x /mnt/nfs nfs4 rw 0 0\nfiler:/y /home nfs rw 0 0\nswap none swap sw 0 0\n";
        let mounts = parse(TEXT);
        let absent = |path: &str| absent(fstab, &mounts, Path::new(path));
        let found = absent("/mnt/my disk/a.db").unwrap();
        assert_eq!((found.point.as_path(), found.automatic), (Path::new("/mnt/my disk"), false));
        assert!(absent("/home/web/a.db").unwrap().automatic);
        assert_eq!((absent("/mnt/nfs/a.db"), absent("/srv/a.db"), absent("/mnt/other/a.db")), (None, None, None));
    }

    #[test]
    fn mountinfo_is_read() {
        let mounts = parse(TEXT);
        assert_eq!(mounts.len(), 4);
        let bind = of(&mounts, Path::new("/srv/my app/a.db")).unwrap();
        assert!(bind.read_only && !bind.file_system_read_only);
        assert_eq!(of(&mounts, Path::new("/srv/my apple")).unwrap().point, Path::new("/"));
        assert!(of(&mounts, Path::new("/mnt/nfs/a")).unwrap().file_system_read_only);
        assert!(is_private_tmp(of(&mounts, Path::new("/tmp/a.db")).unwrap()));
        assert!(private_tmp(&parse("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n1 2 0:9 / /tmp rw - tmpfs t rw")).is_none());
    }
}
