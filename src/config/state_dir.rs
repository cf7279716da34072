//! The module's own directory, made at start as root and handed to the server's User and Group, as mod_md does with its
//! store. Only the default database lives there; what an administrator names is theirs to prepare. A directory that is
//! there already is somebody else's, whoever it belongs to: nothing about it is changed.

use std::fs::{self, DirBuilder, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// Nobody but the server's user and group has business there.
const MODE: u32 = 0o750;

/// Why the state directory is not one that the server can use, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    #[error("DBTestStateDir: cannot make {}: {error}. Make it yourself: install -d -m 750 -o {uid} -g {gid} {}", path.display(), path.display())]
    Make { path: PathBuf, uid: u32, gid: u32, error: io::Error },
    #[error("DBTestStateDir: {} is not a directory. Move it away, or name another with DBTestStateDir", path.display())]
    NotADirectory { path: PathBuf },
    #[error(
        "DBTestStateDir: {} was there already (owner {owner}, mode {mode:04o}), and its modes do not let the server's \
         user ({uid}) write in it. What this module did not make, it does not change: {}",
        path.display(), advice(path, *uid, *gid, *ours)
    )]
    NotUsable { path: PathBuf, owner: u32, mode: u32, uid: u32, gid: u32, ours: bool },
}

/// A directory of other things is not to be given away.
fn advice(path: &Path, uid: u32, gid: u32, ours: bool) -> String {
    let path = path.display();
    if ours {
        format!("chown -R {uid}:{gid} {path}, or remove it, and httpd makes it at start")
    } else {
        format!("write DBTestStateDir {path}/dbtest, which httpd makes at start")
    }
}

/// Makes the directory unless it is there, and hands what it made to the server's user.
pub fn make(path: &Path, uid: u32, gid: u32) -> Result<(), StateDirError> {
    let failed = |error| StateDirError::Make { path: path.to_owned(), uid, gid, error };
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_dir() => Err(StateDirError::NotADirectory { path: path.to_owned() }),
        Ok(found) if lets_in(&found, uid, gid) || has_acl(path) => Ok(()),
        Ok(found) => Err(StateDirError::NotUsable {
            path: path.to_owned(),
            owner: found.uid(),
            mode: found.mode() & 0o7777,
            uid,
            gid,
            ours: holds_nothing_else(path),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path, uid, gid).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

/// Whether the modes let this user make and remove files there.
fn lets_in(found: &Metadata, uid: u32, gid: u32) -> bool {
    let shift = match () {
        () if uid == 0 => return true,
        () if found.uid() == uid => 6,
        () if found.gid() == gid => 3,
        () => 0,
    };
    (found.mode() >> shift) & 0o3 == 0o3
}

/// An access control list may let in whom the modes do not; whether it does, the diagnosis reads.
fn has_acl(path: &Path) -> bool {
    rustix::fs::getxattr(path, "system.posix_acl_access", &mut [0_u8; 0]).is_ok_and(|length| length > 0)
}

/// Whether there is nothing but the module's own files.
fn holds_nothing_else(path: &Path) -> bool {
    let Ok(mut entries) = fs::read_dir(path) else { return false };
    entries.all(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("dbtest.sqlite")))
}

fn create(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    DirBuilder::new().mode(MODE).create(path)?;
    // of what was opened, so that nobody can put something else in its place in between
    let made = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW).open(path)?;
    // the umask may have taken bits away
    made.set_permissions(Permissions::from_mode(MODE))?;
    if rustix::process::geteuid().is_root() {
        fchown(&made, Some(uid), Some(gid))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_handed_over() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("lib/httpd/dbtest");
        let (uid, gid) = if rustix::process::geteuid().is_root() {
            (65534, 65534)
        } else {
            (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw())
        };
        for _ in 0..2 {
            make(&state, uid, gid).unwrap();
            let made = fs::metadata(&state).unwrap();
            assert_eq!((made.uid(), made.gid(), made.mode() & 0o7777), (uid, gid, MODE));
        }
    }

    #[test]
    fn a_file_or_a_link_in_its_place_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("dbtest");
        std::os::unix::fs::symlink("/etc", &link).unwrap();
        assert!(matches!(make(&link, 65534, 65534), Err(StateDirError::NotADirectory { .. })));
        assert_ne!(fs::metadata("/etc").unwrap().uid(), 65534);
    }

    #[test]
    fn what_was_there_already_is_left_as_it_is_and_told() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        for (name, mode, files, expected) in [
            ("lib", 0o755, &["other"][..], "write DBTestStateDir "),
            ("empty", 0o700, &[], "chown -R 65534:65534 "),
            ("old", 0o750, &["dbtest.sqlite", "dbtest.sqlite-wal"], "chown -R 65534:65534 "),
        ] {
            let state = dir.path().join(name);
            fs::create_dir(&state).unwrap();
            for file in files {
                fs::write(state.join(file), "").unwrap();
            }
            fs::set_permissions(&state, Permissions::from_mode(mode)).unwrap();
            let message = make(&state, 65534, 65534).unwrap_err().to_string();
            assert!(message.contains("was there already (owner 0") && message.contains(expected), "{message}");
            let left = fs::metadata(&state).unwrap();
            assert_eq!((left.uid(), left.gid(), left.mode() & 0o7777), (0, 0, mode));
        }
        // somebody has prepared it
        let open = dir.path().join("group");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o770)).unwrap();
        std::os::unix::fs::chown(&open, None, Some(65534)).unwrap();
        make(&open, 65534, 65534).unwrap();
        assert_eq!(fs::metadata(&open).unwrap().uid(), 0);
    }
}
