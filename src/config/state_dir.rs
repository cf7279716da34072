//! The module's own directory, made at start as root and handed to the server's User and Group, as mod_md does with its
//! store. Only the default database lives there; what an administrator names is his own to prepare.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

/// Nobody but the server's user and group has business there.
const MODE: u32 = 0o750;

/// Why the state directory could not be made.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    #[error("DBTestStateDir: cannot make {}: {error}. Make it yourself: install -d -m 750 -o {uid} -g {gid} {}", path.display(), path.display())]
    Make { path: PathBuf, uid: u32, gid: u32, error: io::Error },
    #[error("DBTestStateDir: {} is not a directory. Move it away, or name another with DBTestStateDir", path.display())]
    NotADirectory { path: PathBuf },
}

/// Makes the directory unless it is there, and hands it to the server's user if it is root's. One that belongs to
/// somebody else is left as it is: the diagnosis tells whether the server may use it.
pub fn make(path: &Path, uid: u32, gid: u32) -> Result<(), StateDirError> {
    let failed = |error| StateDirError::Make { path: path.to_owned(), uid, gid, error };
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_dir() => Err(StateDirError::NotADirectory { path: path.to_owned() }),
        Ok(found) => {
            if found.uid() == 0 && uid != 0 && rustix::process::geteuid().is_root() {
                lchown(path, Some(uid), Some(gid)).map_err(failed)?;
            }
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path, uid, gid).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

fn create(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    DirBuilder::new().mode(MODE).create(path)?;
    // the umask may have taken bits away
    fs::set_permissions(path, Permissions::from_mode(MODE))?;
    if rustix::process::geteuid().is_root() {
        lchown(path, Some(uid), Some(gid))?;
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
}
