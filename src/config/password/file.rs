//! A password in a file.

use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::{Found, LONGEST, Problem, understood};

/// Reads the file, which must be regular, and neither readable by others nor writable by anybody but its owner.
pub(super) fn read(path: &Path) -> Result<Found, Problem> {
    find(path).map_err(Problem::Outside)
}

fn find(path: &Path) -> Result<Found, String> {
    let shown = path.display();
    // Not to wait for the writer of a FIFO.
    let file = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(|error| cannot_open(path, &error))?;
    // Of the open file, so that it is the one that is read.
    let found = file.metadata().map_err(|error| format!("{shown}: {error}"))?;
    if !found.is_file() {
        return Err(format!("{shown} is not a regular file"));
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o027 != 0 {
        return Err(format!("{shown} is open to others than its owner (mode {mode:04o}): chmod 600 {shown}"));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| format!("{shown}: {error}"))?;
    let mut password = understood(&bytes, &format!("{shown}"))?;
    // A group of root's alone is nobody else.
    if mode & 0o040 != 0 && found.gid() != 0 && password.warning.is_none() {
        password.warning = Some(format!(
            "{shown} can be read by its group (mode {mode:04o}), and so perhaps by scripts of this server: only the \
             user who starts httpd needs to: chmod 600 {shown}"
        ));
    }
    Ok(password)
}

fn cannot_open(path: &Path, error: &io::Error) -> String {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("{shown} does not exist: put the password in it, and chmod 600 {shown}"),
        io::ErrorKind::PermissionDenied => {
            // root passes over modes: what refuses it is something else
            if rustix::process::geteuid().is_root() {
                format!(
                    "root may not read {shown}, which its modes do not forbid: a policy does (SELinux: ls -Z {shown} shows \
                     its label, restorecon -v {shown} gives it the one that the policy has for its place; AppArmor: \
                     aa-status) or a network file system (root_squash)"
                )
            } else {
                format!("{shown} cannot be read by the user who starts httpd: it must belong to that user")
            }
        }
        _ => format!("{shown} cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;

    fn file(dir: &Path, content: &[u8], mode: u32) -> PathBuf {
        let path = dir.join("pass");
        let _ = fs::remove_file(&path);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn one_line_end_is_taken_off_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for (content, password, warning) in [
            ("secret", "secret", ""),
            ("secret\n", "secret", ""),
            ("se cret\n", "se cret", ""),
            ("pässwörd\n", "pässwörd", ""),
            ("secret\r\n", "secret", "ends in a carriage return"),
            ("secret \n", "secret ", "white space, which is taken for a part"),
            ("\tsecret", "\tsecret", "white space"),
            ("*:*:*:app:secret\n", "*:*:*:app:secret", "a line of .pgpass"),
        ] {
            let found = find(&file(dir.path(), content.as_bytes(), 0o600)).unwrap();
            assert_eq!(found.password.reveal(), password);
            let said = found.warning.unwrap_or_default();
            assert!(said.contains(warning) && said.is_empty() == warning.is_empty(), "{content:?}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn what_is_no_password_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for (content, mode, expected) in [
            (&b"secret"[..], 0o644, "is open to others than its owner (mode 0644): chmod 600 "),
            (b"secret", 0o620, "(mode 0620)"),
            (b"secret", 0o602, "(mode 0602)"),
            (b"", 0o600, "is empty"),
            (b"\n", 0o600, "is empty"),
            (b"\r\n", 0o600, "is empty"),
            (b"secret\n\n", 0o600, "has several lines"),
            (b"secret\nother", 0o600, "has several lines"),
            (b"secret\0", 0o600, "a control character"),
            (b"secret\r", 0o600, "a control character"),
            (b"\xff", 0o600, "is not UTF-8"),
            (b"\xef\xbb\xbfsecret", 0o600, "a byte order mark"),
            (&[b'x'; 5000], 0o600, "longer than a password"),
        ] {
            let message = find(&file(dir.path(), content, mode)).unwrap_err();
            assert!(message.contains(expected), "{message}");
            assert!(!message.contains("secret"), "{message}");
        }
        assert!(find(&dir.path().join("none")).unwrap_err().contains("does not exist"));
        assert!(find(dir.path()).unwrap_err().contains("is not a regular file"));
    }

    #[test]
    fn a_group_that_may_read_it_is_told_of_unless_it_is_roots() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path(), b"secret", 0o640);
        if rustix::process::geteuid().is_root() {
            assert_eq!(find(&path).unwrap().warning, None);
            std::os::unix::fs::chown(&path, None, Some(65534)).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        }
        let warning = find(&path).unwrap().warning.unwrap();
        assert!(warning.contains("can be read by its group (mode 0640)"), "{warning}");
    }

    #[test]
    fn a_fifo_is_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(find(&path).unwrap_err().contains("is not a regular file"));
    }
}
