//! A database that lies where its directory cannot be opened to the server's user gets a directory of its own: a fix
//! opens no more than the page needs.
//!
//! The copy is SQLite's own (`.backup`): it is whole whatever other programs do meanwhile. The old file keeps its rows
//! under another name, and a link leads from the old name to the new file, so that nobody loses the database; a program
//! that has the old file open finds out (SQLite sees that another inode bears the name) instead of writing beside the others.

use std::path::Path;

use super::super::evidence::Evidence;
use super::{encoded, maybe, name_file};
use crate::diagnosis::host::labels;
use crate::diagnosis::host::path::Trouble;
use crate::diagnosis::host::path_fixes;
use crate::diagnosis::host::shell::{quote, word};
use crate::diagnosis::report::effect::LINKED;
use crate::diagnosis::report::{Fix, Then};
use crate::diagnosis::sqlite::gather::files::{beside, is_about_the_path};
use crate::diagnosis::sqlite::gather::home::Shared;

/// Out of a directory that holds more than the database.
pub fn away(evidence: &Evidence) -> Vec<Fix> {
    let files = &evidence.files;
    if files.home.file.as_os_str().is_empty() {
        return Vec::new();
    }
    if files.home.ready {
        return vec![name_file(&files.home.file)];
    }
    let leaves_a_link = can_rename(evidence);
    let old = match leaves_a_link {
        true => Some(linked(&files.real, &files.home.file)),
        // nobody shall go on writing to the old one and think that it is the database
        false if files.keeps_no_modes => {
            Some(format!("mv -n {} {}", quote(&files.real), quote(&beside(&files.real, ".moved"))))
        }
        false => None,
    };
    let mut fix = path_fixes::shell(with_copy(evidence, old), then(evidence));
    // a program that has it open now would go on with the old file
    fix.sure = files.holders.iter().all(|holder| holder.ours)
        && evidence.who.has_program("sqlite3")
        && leaves_a_link
        && (!files.home.read_only || evidence.who.unit.is_some());
    let mut name = name_file(&files.home.file);
    name.sure = fix.sure && !(leaves_a_link && can_be_found_by_the_old_name(evidence));
    name.place = "inside this Location, once the commands above are done".into();
    vec![fix, name]
}

/// What opens the directory all the same, with what it costs.
pub fn at_a_cost(fix: Fix, shared: &Shared) -> Fix {
    let mut fix = maybe(fix);
    fix.place =
        format!("{}; this opens {} to the server's user: {}", fix.place, shared.directory.display(), shared.sentence());
    fix
}

/// A new database in a directory of its own, that the configured name leads to where a link can be put there.
pub fn made(evidence: &Evidence) -> Vec<Fix> {
    let files = &evidence.files;
    let home = &files.home.file;
    if home.as_os_str().is_empty() {
        return Vec::new();
    }
    let mut name = name_file(home);
    if files.home.ready {
        return vec![name];
    }
    let statement = word(&format!("{};", evidence.create));
    let mut lines = directory(evidence);
    lines.push(format!("{} sqlite3 {} {statement}", evidence.who.run_as(), quote(home)));
    name.place = "inside this Location, once the commands above are done".into();
    if files.seen.is_none() && can_rename(evidence) {
        lines.push(link(&files.real, home));
        name.sure = false;
        name.place.push_str(": then the link is of no use");
    }
    vec![path_fixes::shell(lines.join("\n"), then(evidence)), name]
}

/// The database to where httpd sees it, and the directive for it: both are to be done.
pub fn moved(evidence: &Evidence) -> Vec<Fix> {
    let files = &evidence.files;
    let old = linked(&files.real, &files.home.file);
    in_another_place(evidence, with_copy(evidence, Some(old)))
}

/// A copy of the database where it can be written, and the directive for it: both are to be done.
pub fn copied(evidence: &Evidence) -> Vec<Fix> {
    let home = &evidence.files.home.file;
    let mut lines = directory(evidence);
    lines.push(format!("cp {} {}", quote(&evidence.files.real), quote(home)));
    lines.push(owned(evidence));
    in_another_place(evidence, lines.join("\n"))
}

fn in_another_place(evidence: &Evidence, commands: String) -> Vec<Fix> {
    let home = &evidence.files.home;
    if home.file.as_os_str().is_empty() {
        return Vec::new();
    }
    let mut name = name_file(&home.file);
    if home.ready {
        return vec![name];
    }
    name.place = "inside this Location, once the commands above are done".into();
    let mut fix = path_fixes::shell(commands, then(evidence));
    fix.sure = evidence.who.has_program("sqlite3");
    name.sure = fix.sure;
    vec![fix, name]
}

/// A copy in a directory of its own, and then what becomes of the old file; one line does nothing unless the one before
/// it went well.
fn with_copy(evidence: &Evidence, old: Option<String>) -> String {
    let files = &evidence.files;
    let mut lines = directory(evidence);
    // `mode=rw` makes no empty database out of a name that is not there
    let source = word(&format!("file:{}?mode=rw", encoded(&files.real)));
    let to = files.home.file.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
    let copy = format!("sqlite3 {source} {}", word(&format!(".backup \"{to}\"")));
    let all = [copy, owned(evidence)].into_iter().chain(old);
    lines.push(all.collect::<Vec<_>>().join(" && "));
    lines.join("\n")
}

/// The directory of its own, for its owner and the server's group, known to SELinux and to the unit.
fn directory(evidence: &Evidence) -> Vec<String> {
    let directory = evidence.files.home.directory();
    let mut lines = vec![format!(
        "install -d -o {} -g {} -m 2770 {}",
        word(&owner(evidence)),
        word(&evidence.who.group),
        quote(directory)
    )];
    if evidence.who.domain.is_some() {
        lines.push(labels::tree(labels::DATA, directory));
    }
    if evidence.files.home.read_only
        && let Some(unit) = &evidence.who.unit
    {
        lines.extend(path_fixes::writable_in_unit(unit, directory));
    }
    lines
}

/// Who owns the file keeps it.
fn owner(evidence: &Evidence) -> String {
    match evidence.files.seen.as_ref().filter(|seen| seen.uid != 0) {
        Some(seen) => seen.owner.clone(),
        None => evidence.who.user.clone(),
    }
}

fn owned(evidence: &Evidence) -> String {
    let (file, group) = (quote(&evidence.files.home.file), word(&evidence.who.group));
    if evidence.files.seen.is_some() {
        return format!("chown {}:{group} {file} && chmod 660 {file}", word(&owner(evidence)));
    }
    // whose it is cannot be seen from here, and shall not be changed
    let (old, directory) = (quote(&evidence.files.real), quote(evidence.files.home.directory()));
    format!(
        "chown --reference={old} {directory} {file} && chgrp {group} {directory} {file} && chmod 2770 {directory} && chmod 660 {file}"
    )
}

fn linked(old: &Path, new: &Path) -> String {
    format!("mv -n {} {} && {}", quote(old), quote(&beside(old, LINKED)), link(old, new))
}

fn link(old: &Path, new: &Path) -> String {
    format!("ln -s {} {}", quote(new), quote(old))
}

/// Whether the old name leads there once it is a link: every directory on its way may be entered.
fn can_be_found_by_the_old_name(evidence: &Evidence) -> bool {
    evidence.files.file.as_ref().is_none_or(|found| !is_about_the_path(&found.trouble) && found.is_last())
}

/// Whether root can rename the old file where it lies.
fn can_rename(evidence: &Evidence) -> bool {
    let files = &evidence.files;
    !files.keeps_no_modes
        && files.file.iter().chain(&files.directory).all(|found| {
            !matches!(
                found.trouble,
                Trouble::Immutable | Trouble::AppendOnly | Trouble::ReadOnly { only_here: false, .. }
            )
        })
}

fn then(evidence: &Evidence) -> Then {
    if evidence.files.home.read_only { Then::Restart } else { Then::None }
}
