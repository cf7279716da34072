//! The path, the rights, the attributes, the mounts and the limits.

use std::path::Path;

use rusqlite::ffi;

use super::super::catalogue as id;
use super::super::evidence::Evidence;
use super::obstacles::{is_member_too_late, other_causes, plain_sentence};
use super::{Verdict, excluded, maybe, name_file, primary, relocate, sql, storage, verdict};
use crate::database::Stage;
use crate::diagnosis::host::labels;
use crate::diagnosis::host::mounts;
use crate::diagnosis::host::path::{Need, Obstacle, Trouble};
use crate::diagnosis::host::path_fixes;
use crate::diagnosis::host::process::Who;
use crate::diagnosis::host::shell::{quote, word};
use crate::diagnosis::report::{Fix, Then};
use crate::diagnosis::sqlite::gather::files::{Files, is_about_the_path};

/// The file cannot be reached by its path.
pub fn path(evidence: &Evidence) -> Option<Verdict> {
    evidence.failure.as_ref()?;
    let obstacle = evidence.files.file.as_ref()?;
    let who = &evidence.who;
    if matches!(obstacle.trouble, Trouble::Missing | Trouble::Dangling(_))
        && let Some(found) = storage::not_mounted(evidence, obstacle)
    {
        return Some(found);
    }
    let (id, fixes) = match &obstacle.trouble {
        Trouble::Missing => return Some(missing(evidence, obstacle)),
        Trouble::Dangling(_) if is_the_file(obstacle) => (id::BROKEN_LINK, create(evidence)),
        Trouble::Dangling(_) | Trouble::Loop => (id::BROKEN_LINK, near(&evidence.files)),
        Trouble::TooLong => (id::PATH_TOO_LONG, Vec::new()),
        Trouble::NotADirectory(_) => (id::NOT_A_DIRECTORY, not_a_directory(obstacle)),
        Trouble::NotSearchable if is_inaccessible(obstacle, who) => {
            let cause = format!(
                "{} is hidden from httpd: {} is closed in its own view of the file system (systemd's ProtectHome and its kin)",
                evidence.files.path.display(),
                obstacle.at.display()
            );
            let fixes = relocate::moved(evidence);
            return Some(verdict(Stage::Resolve, id::HIDDEN, cause, fixes, other_causes(evidence)));
        }
        Trouble::NotSearchable if evidence.files.keeps_no_modes => return Some(storage::no_modes(evidence, obstacle)),
        Trouble::NotSearchable if !obstacle.is_last() => (id::NOT_SEARCHABLE, cures(evidence)),
        Trouble::WrongType("a directory") => return Some(is_a_directory(evidence, obstacle)),
        // others may wait at a pipe or a socket, and everybody needs /dev/null: it stays where it is
        Trouble::WrongType(_) => (id::NOT_A_FILE, relocate::made(evidence)),
        Trouble::Selinux(_) if !obstacle.is_last() => (id::SELINUX, cures(evidence)),
        _ => return None,
    };
    let stage = if matches!(obstacle.trouble, Trouble::WrongType(_)) { Stage::Reach } else { Stage::Resolve };
    Some(verdict(stage, id, sentence(obstacle, evidence), fixes, other_causes(evidence)))
}

fn is_the_file(obstacle: &Obstacle) -> bool {
    obstacle.is_last()
}

fn missing(evidence: &Evidence, obstacle: &Obstacle) -> Verdict {
    let who = &evidence.who;
    let files = &evidence.files;
    let here = mounts::of(&who.mounts, &obstacle.at);
    if let Some(private) = here.filter(|mount| mounts::is_private_tmp(mount)) {
        let cause = format!(
            "{} is not there for httpd, which has {} of its own (systemd's PrivateTmp): what a shell sees there is another directory",
            files.path.display(),
            private.point.display()
        );
        return verdict(Stage::Resolve, id::PRIVATE_TMP, cause, relocate::moved(evidence), other_causes(evidence));
    }
    let hidden = here.filter(|mount| mount.kind == "tmpfs" && is_hiding_place(&mount.point));
    if let Some(mount) = hidden {
        let cause = format!(
            "{} is not there for httpd: {} is hidden from it by an empty directory of its own (systemd's ProtectHome and its kin)",
            files.path.display(),
            mount.point.display()
        );
        return verdict(Stage::Resolve, id::HIDDEN, cause, relocate::moved(evidence), other_causes(evidence));
    }
    let is_file = is_the_file(obstacle);
    let mut fixes = near(files);
    // a name that is nearly there is a slip of the pen; a new database would not cure it
    let slip = fixes.len() == 1 && !files.home.ready;
    let fresh = match is_file {
        true => create(evidence),
        false if is_for_many(&obstacle.at) => vec![look_at_mounts(), maybe(create_all(evidence))],
        false => vec![create_all(evidence)],
    };
    if slip {
        fixes.extend(fresh.into_iter().map(maybe));
    } else {
        fixes = fresh.into_iter().chain(fixes.into_iter().map(maybe)).collect();
    }
    let id = if is_file { id::MISSING_FILE } else { id::MISSING_DIRECTORY };
    verdict(Stage::Resolve, id, sentence(obstacle, evidence), fixes, other_causes(evidence))
}

/// A directory that somebody else makes, or that a disk or a share is mounted at.
fn is_for_many(directory: &Path) -> bool {
    let media = ["/media", "/mnt", "/run/media"].iter().any(|place| directory.starts_with(place));
    media || labels::is_shared(directory)
}

fn look_at_mounts() -> Fix {
    let mut fix = path_fixes::shell("findmnt --real; lsblk -f", Then::None);
    fix.place.push_str(
        ": what is mounted, and what might be; where the database lies on a disk or share that is not, mount that",
    );
    maybe(fix)
}

/// systemd puts a directory of its own, closed to everybody, over what InaccessiblePaths= and ProtectHome= name.
fn is_inaccessible(obstacle: &Obstacle, who: &Who) -> bool {
    let mount = mounts::of(&who.mounts, &obstacle.at);
    mount.is_some_and(|mount| {
        mount.point == obstacle.at && mount.root.to_string_lossy().contains("systemd/inaccessible")
    })
}

/// Directories that systemd hides: ProtectHome=.
fn is_hiding_place(point: &Path) -> bool {
    ["/home", "/root", "/run/user"].iter().any(|place| point.starts_with(place))
}

/// A new database in the directory that is there, or in one of its own where that would have to be opened for it.
fn create(evidence: &Evidence) -> Vec<Fix> {
    let files = &evidence.files;
    let cannot_be_opened = files.keeps_no_modes && files.directory.is_some();
    if files.home.ready || cannot_be_opened {
        return relocate::made(evidence);
    }
    let opened =
        files.directory.as_ref().and_then(|obstacle| path_fixes::cure(std::slice::from_ref(obstacle), &evidence.who));
    let here = opened.map(|fix| path_fixes::shell(format!("{}\n{}", fix.text, create_command(evidence)), fix.then));
    match (&files.shared, here) {
        (None, None) => vec![sql(evidence, format!("{};", evidence.create))],
        (None, Some(fix)) => vec![fix],
        (Some(shared), here) => {
            let mut fixes = relocate::made(evidence);
            fixes.extend(here.map(|fix| relocate::at_a_cost(fix, shared)));
            fixes
        }
    }
}

/// The directory, and a new database in it.
fn create_all(evidence: &Evidence) -> Fix {
    let directory = path_fixes::make_directory(evidence.files.directory(), &evidence.who);
    path_fixes::shell(format!("{directory}\n{}", create_command(evidence)), Then::None)
}

fn create_command(evidence: &Evidence) -> String {
    let statement = word(&format!("{};", evidence.create));
    format!("{} sqlite3 {} {statement}", evidence.who.run_as(), quote(&evidence.files.path))
}

/// Files whose names are nearly what was asked for.
fn near(files: &Files) -> Vec<Fix> {
    files.similar.iter().take(3).map(|path| name_file(path)).collect()
}

/// The path up to the file that stands where a directory was expected.
fn not_a_directory(obstacle: &Obstacle) -> Vec<Fix> {
    vec![name_file(&obstacle.at)]
}

/// A directory that was named instead of a file: the databases in it, or one that may be made there.
fn in_the_directory(evidence: &Evidence) -> Vec<Fix> {
    let files = &evidence.files;
    match files.inside.as_slice() {
        [only] => vec![name_file(only)],
        [] => match &files.mounted_alone {
            Some(root) => storage::mount_the_directory(files, root),
            None => vec![maybe(name_file(&files.path.join("dbtest.db")))],
        },
        several => several.iter().take(3).map(|path| maybe(name_file(path))).collect(),
    }
}

fn is_a_directory(evidence: &Evidence, obstacle: &Obstacle) -> Verdict {
    let files = &evidence.files;
    let mut cause = sentence(obstacle, evidence);
    if files.mounted_alone.is_some() && files.inside.is_empty() {
        cause.push_str(
            "; it is mounted here by itself, and holds no database: a container's engine makes a directory where the \
             file that it is to mount is missing on its host",
        );
    }
    verdict(Stage::Reach, id::IS_A_DIRECTORY, cause, in_the_directory(evidence), other_causes(evidence))
}

/// File systems that cannot be written by their nature.
const NEVER_WRITTEN: [&str; 4] = ["squashfs", "iso9660", "erofs", "cramfs"];

/// A limit of this process.
pub fn limits(evidence: &Evidence) -> Option<Verdict> {
    let reported = evidence.errno().is_some_and(|errno| [libc::EMFILE, libc::ENFILE].contains(&errno));
    // SQLite does not hand out its errno: a file that everything lets open, and hardly a descriptor left
    let exhausted = primary(evidence) == Some(ffi::SQLITE_CANTOPEN)
        && evidence.files.obstacles().is_empty()
        && evidence.who.open_files.is_some_and(|limit| evidence.open_files + FEW >= limit);
    if !reported && !exhausted {
        return None;
    }
    let limit = evidence.who.open_files.map_or_else(|| "its limit".to_owned(), |limit| format!("its limit of {limit}"));
    let cause = format!("this process has as many files open as {limit} allows, and cannot open the database");
    let more = evidence.who.most_open_files.filter(|most| Some(*most) > evidence.who.open_files);
    let value = more.map_or_else(|| "65536".to_owned(), |most| most.to_string());
    let fix = super::limits::limit_fix(&evidence.who, "LimitNOFILE", "nofile", &value);
    // as far as the unit's own limit goes; past it, the number is a guess
    let fix = if more.is_some() { fix } else { maybe(fix) };
    Some(verdict(Stage::Reach, id::TOO_MANY_FILES, cause, vec![fix], excluded(evidence)))
}

/// A database takes so many descriptors: the file, its journal or log and shared memory, the directory.
const FEW: u64 = 6;

/// The path is there and may not be used, or may not be written.
pub fn rights(evidence: &Evidence) -> Option<Verdict> {
    let failure = evidence.failure.as_ref()?;
    let primary = primary(evidence)?;
    let about_rights =
        [ffi::SQLITE_CANTOPEN, ffi::SQLITE_READONLY, ffi::SQLITE_IOERR, ffi::SQLITE_PERM, ffi::SQLITE_AUTH]
            .contains(&primary);
    // with these the rights come first as well: what cures them must be able to write
    let needs_rights = [ffi::SQLITE_ERROR, ffi::SQLITE_NOTADB, ffi::SQLITE_CORRUPT].contains(&primary);
    if !about_rights && (!needs_rights || evidence.read_only) {
        return None;
    }
    if let Some(found) = hot_journal(evidence) {
        return Some(found);
    }
    let who = &evidence.who;
    let files = &evidence.files;
    let first = files.file.as_ref().or(files.directory.as_ref()).or(files.beside.first());
    if let Some(obstacle) = first {
        let id = id_of(obstacle, files, who);
        let cause = sentence(obstacle, evidence);
        if let Some((kind, _)) = files.mount.as_ref().filter(|(kind, _)| NEVER_WRITTEN.contains(&kind.as_str())) {
            let cause = format!("{cause}; {kind} can only be read");
            return Some(verdict(
                Stage::Reach,
                id::READ_ONLY_MOUNT,
                cause,
                relocate::copied(evidence),
                other_causes(evidence),
            ));
        }
        let modes = [Trouble::NotReadable, Trouble::NotWritable, Trouble::NotSearchable];
        if files.keeps_no_modes && modes.contains(&obstacle.trouble) {
            return Some(storage::no_modes(evidence, obstacle));
        }
        if let Some(root) = files.mounted_alone.as_ref().filter(|_| obstacle.need == Need::Directory) {
            let fixes = storage::mount_the_directory(files, root);
            let cause = format!("{cause}; only the file is mounted here, and its directory is the container's own");
            return Some(verdict(Stage::Reach, id::ONLY_THE_FILE, cause, fixes, other_causes(evidence)));
        }
        return Some(verdict(Stage::Reach, id, cause, cures(evidence), other_causes(evidence)));
    }
    if !about_rights {
        return None;
    }
    if let Some(found) = only_opening(evidence) {
        return Some(found);
    }
    if let Some(seen) = &files.sticky {
        let cause = format!(
            "{} belongs to {}, in a directory whose sticky bit keeps {} from removing it",
            seen.path.display(),
            seen.owner,
            who.user
        );
        let mut fix = path_fixes::shell(format!("chown {}: {}", word(&who.user), quote(&seen.path)), Then::None);
        // root loses nothing by it
        fix.sure = seen.uid == 0;
        return Some(verdict(Stage::Reach, id::STICKY, cause, vec![fix], excluded(evidence)));
    }
    let no_inode = files.space.is_some_and(|space| space.inodes == Some(0));
    if no_inode && primary == ffi::SQLITE_CANTOPEN {
        let cause = format!("the file system of {} has no inode left for one more file", files.directory().display());
        let fixes = super::write::more_inodes(evidence);
        return Some(verdict(failure.stage.max(Stage::Reach), id::NO_INODES, cause, fixes, excluded(evidence)));
    }
    None
}

/// SELinux may allow all that access(2) asks for, and refuse open(2), or a lock; AppArmor is not asked by access(2) at all.
fn only_opening(evidence: &Evidence) -> Option<Verdict> {
    let (who, files) = (&evidence.who, &evidence.files);
    if evidence.errno() != Some(libc::EACCES) || files.sticky.is_some() {
        return None;
    }
    let real = &files.real;
    let but = "the system says EACCES where modes, lists and mounts allow it";
    let (id, trouble, cause) = match (who.confined_type(), &who.apparmor) {
        (Some(domain), _) => {
            let label = files.seen.as_ref().and_then(|seen| seen.label.clone());
            let shown = label.as_deref().unwrap_or("so that it cannot be seen");
            let cause = format!("SELinux does not let {domain} open {}, labelled {shown}: {but}", real.display());
            (id::SELINUX, Trouble::Selinux(label), cause)
        }
        (None, Some(profile)) if who.profile().is_some() => {
            let cause = format!("AppArmor's profile {profile} does not let httpd open {}: {but}", real.display());
            (id::REFUSED, Trouble::Refused, cause)
        }
        _ => return None,
    };
    let obstacle = Obstacle {
        at: real.clone(),
        path: real.clone(),
        real: real.clone(),
        need: Need::ReadWrite,
        trouble,
        errno: evidence.errno(),
        seen: files.seen.clone(),
    };
    let fix = path_fixes::cure(&[obstacle], who);
    let fixes = fix.map_or_else(|| relocate::moved(evidence), |fix| vec![fix]);
    Some(verdict(Stage::Reach, id, cause, fixes, Vec::new()))
}

/// A journal that must be rolled back by somebody who may.
fn hot_journal(evidence: &Evidence) -> Option<Verdict> {
    let code = evidence.code()?;
    let journal = evidence.files.has("-journal")?;
    let hot =
        code == ffi::SQLITE_READONLY_ROLLBACK || (code == ffi::SQLITE_IOERR_DELETE && evidence.inserted.is_none());
    if !hot || evidence.files.sticky.is_some() && evidence.files.obstacles().is_empty() {
        return None;
    }
    let cause = format!(
        "an interrupted transaction must be rolled back from {} first, and {} may not: {}",
        journal.path.display(),
        evidence.who.user,
        evidence.files.obstacles().first().map_or_else(String::new, |first| first.sentence(&evidence.who))
    );
    Some(verdict(Stage::Reach, id::HOT_JOURNAL, cause, cures(evidence), other_causes(evidence)))
}

fn id_of(obstacle: &Obstacle, files: &Files, who: &Who) -> &'static str {
    let beside = files.neighbours.iter().any(|seen| seen.path == obstacle.path);
    match &obstacle.trouble {
        Trouble::Immutable | Trouble::AppendOnly => id::ATTRIBUTE,
        Trouble::AclMask => id::ACL_MASK,
        Trouble::ReadOnly { only_here: true, .. } => id::READ_ONLY_VIEW,
        Trouble::ReadOnly { only_here: false, .. } => id::READ_ONLY_MOUNT,
        Trouble::Selinux(_) => id::SELINUX,
        Trouble::Refused => id::REFUSED,
        Trouble::NotReadable | Trouble::NotWritable | Trouble::WrongType(_) if beside => id::SIDE_FILE,
        Trouble::NotReadable | Trouble::NotWritable if is_member_too_late(obstacle, who) => id::GROUP_TOO_LATE,
        Trouble::NotReadable => id::NOT_READABLE,
        Trouble::NotWritable | Trouble::NotSearchable if obstacle.need == Need::Directory => id::DIRECTORY_NOT_WRITABLE,
        Trouble::NotWritable => id::NOT_WRITABLE,
        trouble if is_about_the_path(trouble) => id::NOT_SEARCHABLE,
        _ => id::CANNOT_OPEN,
    }
}

fn sentence(obstacle: &Obstacle, evidence: &Evidence) -> String {
    let mut sentence = plain_sentence(obstacle, evidence);
    if let Some(shared) = &evidence.files.shared {
        sentence.push_str("; ");
        sentence.push_str(&shared.sentence());
    }
    sentence
}

/// One fix for all that is in the way, so that it works once it is applied.
fn cures(evidence: &Evidence) -> Vec<Fix> {
    let obstacles = evidence.files.obstacles();
    let labelled = obstacles.iter().any(|obstacle| matches!(obstacle.trouble, Trouble::Selinux(_)));
    let here = path_fixes::cure(&obstacles, &evidence.who);
    match &evidence.files.shared {
        // where no label of its own helps: in a home, say
        None if here.is_none() && labelled => relocate::moved(evidence),
        None => here.into_iter().collect(),
        Some(shared) => {
            let mut fixes = relocate::away(evidence);
            fixes.extend(here.map(|fix| relocate::at_a_cost(fix, shared)));
            fixes
        }
    }
}
