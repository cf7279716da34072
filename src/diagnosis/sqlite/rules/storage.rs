//! Where the file lies: file systems without modes or in memory, a file that is mounted alone, a file of two names.

use std::path::Path;

use super::super::catalogue as id;
use super::super::evidence::Evidence;
use super::obstacles::{other_causes, plain_sentence};
use super::{Verdict, maybe, name_file, relocate, verdict};
use crate::database::Stage;
use crate::diagnosis::host::mounts;
use crate::diagnosis::host::path::Obstacle;
use crate::diagnosis::host::path_fixes;
use crate::diagnosis::host::shell::{quote, word};
use crate::diagnosis::report::{Finding, Fix, Then};
use crate::diagnosis::sqlite::gather::files::Files;

/// A file system on which chmod has no effect.
pub fn no_modes(evidence: &Evidence, obstacle: &Obstacle) -> Verdict {
    let files = &evidence.files;
    let (kind, point) =
        files.mount.as_ref().map_or(("?", files.directory()), |(kind, point)| (kind.as_str(), point.as_path()));
    let cause = format!(
        "{}; {kind} at {} shows every file with the owner and mode that it was mounted with: chown and chmod have no effect there",
        plain_sentence(obstacle, evidence),
        point.display()
    );
    let mut fixes = relocate::away(evidence);
    fixes.extend(mounted_for_us(evidence, point));
    let stage = if obstacle.is_last() { Stage::Reach } else { Stage::Resolve };
    verdict(stage, id::NO_MODES, cause, fixes, other_causes(evidence))
}

/// The disk or share that holds it is not there: a new database in its place would be a second one.
pub fn not_mounted(evidence: &Evidence, obstacle: &Obstacle) -> Option<Verdict> {
    let absent = evidence.files.absent.as_ref()?;
    let point = quote(&absent.point);
    let cause = format!(
        "{}; /etc/fstab says that {} is mounted at {}, and it is not",
        plain_sentence(obstacle, evidence),
        absent.source,
        absent.point.display()
    );
    // the place itself may be what is missing
    let lacks_point = absent.point.starts_with(&obstacle.at);
    let make = if lacks_point { format!("mkdir -p {point}\n") } else { String::new() };
    let mut fix = path_fixes::shell(format!("{make}mount {point}"), Then::None);
    fix.sure = absent.automatic;
    Some(verdict(Stage::Resolve, id::NOT_MOUNTED, cause, vec![fix], other_causes(evidence)))
}

/// The file system mounted anew for this server's user: that concerns all that lies on it.
fn mounted_for_us(evidence: &Evidence, point: &Path) -> Option<Fix> {
    let who = &evidence.who;
    let mount = mounts::of(&who.mounts, point)?;
    let gid = who.groups.first().map_or(who.uid, |(gid, _)| *gid);
    let modes =
        if ["cifs", "smb3"].contains(&mount.kind.as_str()) { "file_mode=0660,dir_mode=0770" } else { "umask=007" };
    let (point, source) = (quote(point), word(&mount.source));
    let mut fix = path_fixes::shell(
        format!("umount {point} && mount -o uid={},gid={gid},{modes} {source} {point}", who.uid),
        Then::None,
    );
    fix.place
        .push_str("; all that lies there then belongs to the server's user; the same options belong into /etc/fstab");
    Some(maybe(fix))
}

/// The directory in place of the file: what a container is started with.
pub fn mount_the_directory(files: &Files, root: &Path) -> Vec<Fix> {
    let Some(name) = files.path.file_name() else { return Vec::new() };
    let directory = Path::new("/srv/dbtest");
    let mut option =
        path_fixes::shell(format!("--volume {}:{}", quote(parent_of(root)), quote(directory)), Then::Restart);
    option.place =
        "among the options that the container is started with, in place of the one that mounts the file".into();
    let mut named = name_file(&directory.join(name));
    named.place = "inside this Location, once the directory is mounted".into();
    vec![maybe(option), maybe(named)]
}

fn parent_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// A container with the database alone works until it ends.
pub fn only_the_file(evidence: &Evidence) -> Option<Finding> {
    let files = &evidence.files;
    let root = files.mounted_alone.as_ref()?;
    let cause = format!(
        "{} is mounted as a single file: its journal or write-ahead log lies in a directory that no other program sees, and that ends with the container",
        files.path.display()
    );
    Some(Finding { id: id::ONLY_THE_FILE, cause, fixes: mount_the_directory(files, root), excluded: Vec::new() })
}

/// Two names, two logs.
pub fn two_names(evidence: &Evidence) -> Option<Finding> {
    let files = &evidence.files;
    let seen = files.seen.as_ref().filter(|seen| seen.links > 1)?;
    let cause = format!(
        "{} has {} names (hard links): a program that opens it by another one has a journal or write-ahead log of its own, and each damages what the other writes",
        files.path.display(),
        seen.links
    );
    let point = files.mount.as_ref().map_or(Path::new("/"), |(_, point)| point.as_path());
    let find = format!("find {} -xdev -inum {} -type f 2>/dev/null", quote(point), seen.inode);
    let fixes = vec![maybe(path_fixes::shell(find, Then::None))];
    Some(Finding { id: id::TWO_NAMES, cause, fixes, excluded: Vec::new() })
}

/// A file system that is empty after the next start.
pub fn in_memory(evidence: &Evidence) -> Option<Finding> {
    let files = &evidence.files;
    let (kind, point) = files.mount.as_ref().filter(|(kind, _)| ["tmpfs", "ramfs"].contains(&kind.as_str()))?;
    let cause = format!(
        "{} lies in memory ({kind} at {}): its rows are gone when the machine is started again",
        files.path.display(),
        point.display()
    );
    Some(Finding { id: id::IN_MEMORY, cause, fixes: Vec::new(), excluded: Vec::new() })
}
