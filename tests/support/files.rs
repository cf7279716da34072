//! Files for the server's own user.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::module::server_account;

/// A file that the server's own user owns, with this mode.
pub fn write_file(path: &Path, text: &str, mode: u32) -> PathBuf {
    fs::write(path, text).expect("write");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    give(path);
    path.to_owned()
}

/// Hands a file or directory to the server's own user.
pub fn give(path: &Path) {
    if let Some(account) = server_account() {
        chown(path, Some(account.uid), Some(account.gid)).expect("chown as root");
    }
}
