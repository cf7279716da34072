//! Whether nobody but root, or the user who starts httpd, could put another program in the place of one that is to be
//! run as that user. Its own mode is not enough: whoever may write to a directory above it may replace it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// As many symbolic links as Linux follows.
const LINKS_AT_MOST: u32 = 40;

/// The reason why the program at this absolute path is not to be run, with what to do about it.
pub(super) fn check(program: &Path) -> Result<(), String> {
    let mut left = names(program);
    let mut at = PathBuf::from("/");
    let mut links = 0;
    judge(&at, &look(&at)?)?;
    while let Some(name) = left.pop_front() {
        if name == ".." {
            at.pop();
            continue;
        }
        let entry = at.join(&name);
        let found = look(&entry)?;
        judge(&entry, &found)?;
        if !found.is_symlink() {
            at = entry;
            continue;
        }
        links += 1;
        if links > LINKS_AT_MOST {
            return Err(format!("{}: too many symbolic links", program.display()));
        }
        let target = fs::read_link(&entry).map_err(|error| format!("{}: {error}", entry.display()))?;
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        for name in names(&target).into_iter().rev() {
            left.push_front(name);
        }
    }
    Ok(())
}

fn names(path: &Path) -> VecDeque<OsString> {
    let name = |part: Component| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(name).collect()
}

fn look(path: &Path) -> Result<Metadata, String> {
    fs::symlink_metadata(path).map_err(|error| format!("{} cannot be run: {error}", path.display()))
}

/// One file, directory or link on the way.
fn judge(path: &Path, found: &Metadata) -> Result<(), String> {
    let shown = path.display();
    let (owner, us) = (found.uid(), rustix::process::geteuid().as_raw());
    if owner != 0 && owner != us {
        let user = if us == 0 { "root".to_owned() } else { format!("user {us}") };
        return Err(format!(
            "{shown} belongs to user {owner}, who could so run anything as {user}: chown {us} {shown}, or move the \
             program to a directory of root's such as /usr/local/sbin"
        ));
    }
    if found.is_symlink() {
        // its mode means nothing
        return Ok(());
    }
    // a group of root's alone is nobody else
    let others = if found.gid() == 0 { 0o002 } else { 0o022 };
    // in a sticky directory, such as /tmp, only its owner may replace what is there
    let sticky = found.is_dir() && found.mode() & 0o1000 != 0;
    if found.mode() & others != 0 && !sticky {
        return Err(format!("{shown} may be written to by others than its owner: chmod go-w {shown}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};

    use super::*;

    const NOBODY: u32 = 65534;

    /// A program in a directory of its own.
    fn program() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let sub = dir.path().join("sbin");
        fs::create_dir(&sub).unwrap();
        fs::set_permissions(&sub, Permissions::from_mode(0o755)).unwrap();
        let path = sub.join("program");
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        (dir, path)
    }

    #[test]
    fn what_only_we_may_change_is_trusted_also_in_a_sticky_directory() {
        let (dir, path) = program();
        assert_eq!(check(&path), Ok(()));
        assert_eq!(check(Path::new("/bin/echo")), Ok(()));
        fs::set_permissions(dir.path(), Permissions::from_mode(0o1777)).unwrap();
        assert_eq!(check(&path), Ok(()));
        let link = dir.path().join("link");
        symlink("sbin/../sbin/program", &link).unwrap();
        assert_eq!(check(&link), Ok(()));
    }

    #[test]
    fn a_mode_that_lets_others_write_is_refused_at_every_height() {
        for mode in [0o777, 0o757] {
            let (dir, path) = program();
            for part in [path.as_path(), path.parent().unwrap(), dir.path()] {
                let before = fs::metadata(part).unwrap().permissions();
                fs::set_permissions(part, Permissions::from_mode(mode)).unwrap();
                let message = check(&path).unwrap_err();
                assert!(message.contains(&format!("{} may be written to", part.display())), "{message}");
                fs::set_permissions(part, before).unwrap();
            }
        }
    }

    #[test]
    fn an_owner_who_is_neither_root_nor_we_is_refused_at_every_height_and_behind_links() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let (dir, path) = program();
        for part in [path.as_path(), path.parent().unwrap(), dir.path()] {
            chown(part, Some(NOBODY), None).unwrap();
            let message = check(&path).unwrap_err();
            assert!(message.contains(&format!("{} belongs to user {NOBODY}", part.display())), "{message}");
            chown(part, Some(0), None).unwrap();
        }
        // the link is somebody's, or what it leads to is
        let ours = tempfile::tempdir().unwrap();
        let link = ours.path().join("link");
        symlink(&path, &link).unwrap();
        lchown(&link, Some(NOBODY), None).unwrap();
        assert!(check(&link).unwrap_err().contains("link belongs to"));
        lchown(&link, Some(0), None).unwrap();
        chown(path.parent().unwrap(), Some(NOBODY), None).unwrap();
        assert!(check(&link).unwrap_err().contains("sbin belongs to"));
    }

    #[test]
    fn links_in_a_circle_and_what_is_not_there_end_in_a_message() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        symlink(&a, &b).unwrap();
        symlink(&b, &a).unwrap();
        assert!(check(&a).unwrap_err().contains("too many symbolic links"));
        assert!(check(&dir.path().join("none")).unwrap_err().contains("cannot be run: No such file"));
    }
}
