//! What stands in the way of a path, in words, and what does not.

use crate::diagnosis::host::mounts;
use crate::diagnosis::host::path::{Need, Obstacle, Trouble};
use crate::diagnosis::host::process::Who;
use crate::diagnosis::sqlite::evidence::Evidence;

/// The obstacle in one sentence.
pub fn plain_sentence(obstacle: &Obstacle, evidence: &Evidence) -> String {
    let sentence = obstacle.sentence(&evidence.who);
    if is_member_too_late(obstacle, &evidence.who) {
        let group = obstacle.seen.as_ref().map_or("", |seen| seen.group.as_str());
        return format!("{sentence}; the user is in the group {group}, but was not yet when httpd was started");
    }
    if obstacle.need == Need::Directory && matches!(obstacle.trouble, Trouble::NotWritable) {
        return format!("{sentence}, where SQLite keeps its journal");
    }
    sentence
}

/// The look-alikes of a path's trouble, and how they are excluded.
pub fn other_causes(evidence: &Evidence) -> Vec<String> {
    let files = &evidence.files;
    let mut list = Vec::new();
    let troubles: Vec<&Trouble> = files.file.iter().chain(&files.directory).map(|found| &found.trouble).collect();
    let has = |wanted: fn(&Trouble) -> bool| troubles.iter().any(|trouble| wanted(trouble));
    if !has(|trouble| matches!(trouble, Trouble::Selinux(_))) {
        list.extend(evidence.who.selinux_excluded().map(String::from));
    }
    let first = files.file.iter().chain(&files.directory).next();
    let mount = first.and_then(|obstacle| mounts::of(&evidence.who.mounts, &obstacle.at));
    if let Some(mount) = mount.filter(|mount| !mount.read_only && !mount.file_system_read_only) {
        list.push(format!("a read-only file system: {} is mounted read-write", mount.point.display()));
    }
    if first.is_some_and(|obstacle| obstacle.errno == Some(libc::EACCES)) {
        list.push("attributes (chattr): the kernel says EACCES, and EPERM where an attribute forbids it".into());
    }
    if let Some(space) = files.space.filter(|space| space.free > 0) {
        list.push(format!("a full disk: {} free", super::size(space.free)));
    }
    list
}

/// Was the user put into the file's group after httpd had been started?
pub fn is_member_too_late(obstacle: &Obstacle, who: &Who) -> bool {
    let bits = if obstacle.need == Need::Read { 4 } else { 6 };
    obstacle.seen.as_ref().is_some_and(|seen| who.is_member_too_late(seen.gid) && seen.group_allows(bits))
}
