//! POSIX' own words: errno's names, modes as ls(1) shows them, the space of a file system.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// Free space where `path` is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Space {
    /// For this user: blocks reserved for root are not counted. Bytes.
    pub free: u64,
    /// Bytes.
    pub total: u64,
    /// Free, but for root alone. Bytes.
    pub reserved: u64,
    pub all_inodes: u64,
    /// Inodes left; `None` where the file system does not count them.
    pub inodes: Option<u64>,
}

/// The free space of the file system that holds `path`.
pub fn space(path: &Path) -> Option<Space> {
    let vfs = rustix::fs::statvfs(path).ok()?;
    Some(Space {
        free: vfs.f_bavail * vfs.f_frsize,
        total: vfs.f_blocks * vfs.f_frsize,
        reserved: vfs.f_bfree.saturating_sub(vfs.f_bavail) * vfs.f_frsize,
        all_inodes: vfs.f_files,
        inodes: (vfs.f_files > 0).then_some(vfs.f_favail),
    })
}

/// "EACCES" and its kin: the names that matter here, else the number.
pub fn errno_name(errno: i32) -> String {
    let name = match errno {
        libc::EPERM => "EPERM",
        libc::ENOENT => "ENOENT",
        libc::EIO => "EIO",
        libc::EACCES => "EACCES",
        libc::ENOTDIR => "ENOTDIR",
        libc::EISDIR => "EISDIR",
        libc::EMFILE => "EMFILE",
        libc::ENFILE => "ENFILE",
        libc::EFBIG => "EFBIG",
        libc::ENOSPC => "ENOSPC",
        libc::EROFS => "EROFS",
        libc::ELOOP => "ELOOP",
        libc::ENAMETOOLONG => "ENAMETOOLONG",
        libc::EDQUOT => "EDQUOT",
        libc::ESTALE => "ESTALE",
        libc::ENODEV => "ENODEV",
        libc::ENOLCK => "ENOLCK",
        libc::ECONNREFUSED => "ECONNREFUSED",
        libc::ECONNRESET => "ECONNRESET",
        libc::EHOSTUNREACH => "EHOSTUNREACH",
        libc::ENETUNREACH => "ENETUNREACH",
        libc::ETIMEDOUT => "ETIMEDOUT",
        libc::EADDRNOTAVAIL => "EADDRNOTAVAIL",
        libc::EAGAIN => "EAGAIN",
        _ => return format!("errno {errno} ({})", io::Error::from_raw_os_error(errno)),
    };
    name.to_owned()
}

/// The permission bits as ls(1) shows them.
pub fn mode_text(mode: u32) -> String {
    let mut text = String::with_capacity(10);
    text.push(match mode & libc::S_IFMT {
        libc::S_IFDIR => 'd',
        libc::S_IFLNK => 'l',
        libc::S_IFSOCK => 's',
        libc::S_IFIFO => 'p',
        libc::S_IFBLK => 'b',
        libc::S_IFCHR => 'c',
        _ => '-',
    });
    for (shift, special, letter) in [(6, libc::S_ISUID, 's'), (3, libc::S_ISGID, 's'), (0, libc::S_ISVTX, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        let _ = text.write_char(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}
