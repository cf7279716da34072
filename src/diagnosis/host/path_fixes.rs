//! The commands that remove an obstacle of a path: as narrow as they can be (never 777, never SELinux off),
//! for this path and this server's user, and taking nothing from anybody else.

use std::path::{Path, PathBuf};

use super::labels;
use super::path::{Need, Obstacle, Seen, Trouble};
use crate::diagnosis::host::process::Who;
use crate::diagnosis::host::shell::{quote, word};
use crate::diagnosis::report::{Fix, FixKind, Then};

/// r, w, x in modes and ACLs.
const READ: u32 = 4;
const WRITE: u32 = 2;
const SEARCH: u32 = 1;

/// One fix that removes all of `obstacles`, in order; `None` when no command can (a path that is wrong).
pub fn cure(obstacles: &[Obstacle], who: &Who) -> Option<Fix> {
    let mut commands: Vec<String> = Vec::new();
    let mut then = Then::None;
    for obstacle in obstacles {
        let (lines, after) = lines(obstacle, bits_at(&obstacle.at, obstacles), who)?;
        for line in lines {
            if !commands.contains(&line) {
                commands.push(line);
            }
        }
        if after != Then::None {
            then = after;
        }
    }
    let mut fix = (!commands.is_empty()).then(|| shell(commands.join("\n"), then))?;
    // which file the profile stands in is a guess where it could not be read
    let guessed =
        |obstacle: &Obstacle| obstacle.trouble == Trouble::Refused && who.profile().is_none_or(|p| !p.is_known());
    fix.sure = !obstacles.iter().any(guessed);
    Some(fix)
}

/// The directory that the fix of an obstacle opens to this server's user, with all that lies in it; `None` where it
/// concerns one file alone, or gives this user no more than its own directory.
pub fn opened_by(obstacle: &Obstacle, who: &Who) -> Option<PathBuf> {
    let is_directory = !obstacle.is_last() || obstacle.need == Need::Directory;
    let own = obstacle.seen.as_ref().is_some_and(|seen| {
        seen.uid == who.uid || who.is_member_too_late(seen.gid) && seen.group_allows(needed(obstacle))
    });
    let directory = || if is_directory { obstacle.at.clone() } else { parent(&obstacle.real).to_owned() };
    match &obstacle.trouble {
        Trouble::NotSearchable | Trouble::NotReadable | Trouble::NotWritable if is_directory && !own => {
            Some(directory())
        }
        Trouble::Immutable | Trouble::AppendOnly if is_directory => Some(directory()),
        Trouble::ReadOnly { only_here: true, .. } if who.unit.is_some() => Some(directory()),
        Trouble::ReadOnly { mount, .. } => Some(mount.clone()),
        Trouble::Selinux(_) => Some(directory()),
        _ => None,
    }
}

/// A shell fix on this machine.
pub fn shell(text: impl Into<String>, then: Then) -> Fix {
    Fix { sure: true, kind: FixKind::Shell, place: this_machine(), text: text.into(), then }
}

/// "in a shell on this machine, web1".
pub fn this_machine() -> String {
    let name = rustix::system::uname();
    format!("in a shell on this machine, {}", name.nodename().to_string_lossy())
}

/// All the rights that the obstacles at one place ask for: given at once, since an entry of a list that grants less
/// would stand before the rights of a group.
fn bits_at(at: &Path, obstacles: &[Obstacle]) -> u32 {
    let here = obstacles.iter().filter(|obstacle| obstacle.at == at);
    here.map(|obstacle| if obstacle.is_last() { needed(obstacle) } else { SEARCH }).fold(0, |all, bits| all | bits)
}

fn lines(obstacle: &Obstacle, bits: u32, who: &Who) -> Option<(Vec<String>, Then)> {
    let at = quote(&obstacle.at);
    let seen = obstacle.seen.as_ref();
    let only = |line: String| Some((vec![line], Then::None));
    match &obstacle.trouble {
        Trouble::NotSearchable if !obstacle.is_last() => {
            let mut lines = vec![grant(seen?, bits, who)];
            lines.extend(beyond(obstacle, who));
            Some((lines, Then::None))
        }
        Trouble::NotSearchable | Trouble::NotReadable | Trouble::NotWritable
            if seen.is_some_and(|seen| who.is_member_too_late(seen.gid) && seen.group_allows(needed(obstacle))) =>
        {
            // nothing to change: a process keeps the groups that it was started with
            Some((vec![format!("id -nG {}", word(&who.user))], Then::Restart))
        }
        Trouble::NotSearchable | Trouble::NotReadable | Trouble::NotWritable => only(grant(seen?, bits, who)),
        Trouble::AclMask => only(grant(seen?, bits, who)),
        Trouble::WrongType(_) if obstacle.need == Need::ReadWrite => {
            let aside = format!("{}.set-aside", obstacle.at.display());
            only(format!("mv {at} {}", word(&aside)))
        }
        Trouble::Immutable => Some((and_rights(vec![format!("chattr -i {at}")], obstacle, who), Then::None)),
        Trouble::AppendOnly => Some((and_rights(vec![format!("chattr -a {at}")], obstacle, who), Then::None)),
        Trouble::ReadOnly { mount, only_here: false } => {
            let line = format!("mount -o remount,rw {}", quote(mount));
            Some((and_rights(vec![line], obstacle, who), Then::None))
        }
        Trouble::ReadOnly { mount, only_here: true } => {
            let (lines, then) = sandbox(obstacle, mount, who);
            Some((and_rights(lines, obstacle, who), then))
        }
        Trouble::Selinux(_) => relabel(obstacle, who).map(|lines| (lines, Then::None)),
        Trouble::Refused => allowed_by_profile(obstacle, who).map(|lines| (lines, Then::None)),
        _ => None,
    }
}

/// The kernel names one obstacle; where the modes would be the next, they are cured with it.
fn and_rights(mut lines: Vec<String>, obstacle: &Obstacle, who: &Who) -> Vec<String> {
    let bits = needed(obstacle);
    if let Some(seen) = obstacle.seen.as_ref().filter(|seen| !seen.modes_allow(bits, who)) {
        lines.push(grant(seen, bits, who));
    }
    lines
}

fn needed(obstacle: &Obstacle) -> u32 {
    match obstacle.need {
        Need::Directory => READ | WRITE | SEARCH,
        Need::ReadWrite | Need::Socket => READ | WRITE,
        Need::Read => READ,
    }
}

/// The command that gives this process `bits` on what was seen: by the class of the mode that the kernel
/// looks at for it, so that it works, and nobody loses what they have.
fn grant(seen: &Seen, bits: u32, who: &Who) -> String {
    let path = quote(&seen.path);
    let letters = letters(bits);
    if seen.uid == who.uid {
        return format!("chmod u+{letters} {path}");
    }
    let setfacl = seen.acls_work && who.has_program("setfacl");
    if seen.acl.is_some() && setfacl {
        return acl(seen, bits, who);
    }
    if who.is_in_group(seen.gid) {
        return format!("chmod g+{letters} {path}");
    }
    if bits & WRITE == 0 {
        return if setfacl { acl(seen, bits, who) } else { format!("chmod o+{letters} {path}") };
    }
    // changing the group takes nothing from anybody when the group may do no more than everybody
    let (group, other) = (seen.mode >> 3 & 7, seen.mode & 7);
    if group & !other == 0 || !setfacl {
        // files that others create in the directory shall belong to the group as well
        let inherit = if seen.is_directory() { "s" } else { "" };
        return format!("chgrp {} {path} && chmod g+{letters}{inherit} {path}", word(&who.group));
    }
    acl(seen, bits, who)
}

fn acl(seen: &Seen, bits: u32, who: &Who) -> String {
    let held = seen.acl.as_ref().map_or(0, |acl| acl.of_user(who.uid));
    let rights = triplet(bits | held);
    let user = word(&who.user);
    let inherited = if seen.is_directory() && bits & WRITE != 0 { format!(",d:u:{user}:rwX") } else { String::new() };
    format!("setfacl -m u:{user}:{rights}{inherited} {}", quote(&seen.path))
}

/// What lies beyond a directory that may not be entered cannot be seen from here: commands that look first.
fn beyond(obstacle: &Obstacle, who: &Who) -> Vec<String> {
    let (user, run_as) = (word(&who.user), who.run_as());
    let setfacl = who.has_program("setfacl");
    let mut lines = Vec::new();
    let mut directories: Vec<&Path> = obstacle
        .real
        .ancestors()
        .skip(1)
        .take_while(|above| above.starts_with(&obstacle.at) && *above != obstacle.at)
        .collect();
    directories.reverse();
    for directory in directories {
        let path = quote(directory);
        let cure = if setfacl { format!("setfacl -m u:{user}:--x {path}") } else { format!("chmod o+x {path}") };
        lines.push(format!("{run_as} test -x {path} || {cure}"));
    }
    let path = quote(&obstacle.real);
    let group = word(&who.group);
    let last = match obstacle.need {
        Need::Read => ("-r", "r", "g+r"),
        Need::ReadWrite | Need::Socket => ("-w", "rw", "g+rw"),
        Need::Directory => ("-w", "rwx", "g+rwxs"),
    };
    let cure = if setfacl {
        format!("setfacl -m u:{user}:{} {path}", last.1)
    } else {
        format!("chgrp {group} {path} && chmod {} {path}", last.2)
    };
    lines.push(format!("test ! -e {path} || {run_as} test {} {path} || {{ {cure}; }}", last.0));
    lines
}

/// A read-only view that only httpd has: systemd's sandbox, or a bind mount in a namespace.
fn sandbox(obstacle: &Obstacle, mount: &Path, who: &Who) -> (Vec<String>, Then) {
    match &who.unit {
        Some(unit) => {
            let directory = if obstacle.need == Need::Directory { &*obstacle.path } else { parent(&obstacle.path) };
            (writable_in_unit(unit, directory), Then::Restart)
        }
        None => {
            // the server's parent process lives in the same namespace as this child
            let parent = &who.parent;
            let line = format!("nsenter --target {parent} --mount -- mount -o remount,bind,rw {}", quote(mount));
            (vec![line], Then::None)
        }
    }
}

/// What lets the service write to a directory.
pub fn writable_in_unit(unit: &str, directory: &Path) -> Vec<String> {
    let place = format!("/etc/systemd/system/{unit}.d");
    vec![
        format!("mkdir -p {place}"),
        format!("printf '[Service]\\nReadWritePaths=%s\\n' {} >> {place}/dbtest.conf", quote(directory)),
        "systemctl daemon-reload".to_owned(),
    ]
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// The label that httpd may use, put down in the policy and on the files; `None` where no label of its own helps.
fn relabel(obstacle: &Obstacle, who: &Who) -> Option<Vec<String>> {
    let mount = super::mounts::of(&who.mounts, &obstacle.at);
    let boolean = match mount.map_or("", |mount| mount.kind.as_str()) {
        "nfs" | "nfs4" => Some("httpd_use_nfs"),
        "cifs" | "smb3" => Some("httpd_use_cifs"),
        kind if kind.starts_with("fuse") => Some("httpd_use_fusefs"),
        _ => None,
    };
    if let Some(boolean) = boolean.filter(|name| who.boolean(name) != Some(true)) {
        return Some(vec![format!("setsebool -P {boolean} on")]);
    }
    let directory = match obstacle.need {
        Need::Directory => &*obstacle.real,
        _ => parent(&obstacle.real),
    };
    let mut lines = match obstacle.need {
        Need::Socket => vec![labels::tree(labels::SOCKET, directory)],
        _ if labels::is_private(directory) || labels::is_shared(directory) => return None,
        _ => vec![labels::tree(labels::DATA, directory)],
    };
    // what SELinux hides has modes as well
    if obstacle.seen.is_none() || obstacle.at != obstacle.path {
        lines.extend(beyond(obstacle, who));
    }
    Some(lines)
}

/// The rule of an AppArmor profile that lets httpd use what stands at `path`; `k` is for SQLite's locks, and the directory itself is opened
/// to make what was written durable.
pub fn profile_rule(path: &Path, need: Need) -> String {
    let directory = path.parent().unwrap_or(path).display();
    match need {
        Need::Socket => format!("\"{}\" rw,", path.display()),
        Need::Read => format!("\"{}\" r,", path.display()),
        Need::Directory => format!("\"{}/{{,**}}\" rwk,", path.display()),
        Need::ReadWrite => format!("\"{directory}/{{,**}}\" rwk,"),
    }
}

/// The rule that the profile lacks.
fn allowed_by_profile(obstacle: &Obstacle, who: &Who) -> Option<Vec<String>> {
    let profile = who.profile()?;
    let commands = profile.allow(&profile_rule(&obstacle.path, obstacle.need));
    Some(commands.lines().map(str::to_owned).collect())
}

fn letters(bits: u32) -> String {
    triplet(bits).replace('-', "")
}

fn triplet(bits: u32) -> String {
    let bit = |bit, letter| if bits & bit != 0 { letter } else { '-' };
    [bit(READ, 'r'), bit(WRITE, 'w'), bit(SEARCH, 'x')].iter().collect()
}

/// The directory that is missing on the way to an obstacle, made for this server's user.
pub fn make_directory(directory: &Path, who: &Who) -> String {
    let (user, group) = (word(&who.user), word(&who.group));
    let mut missing: Vec<PathBuf> =
        directory.ancestors().skip(1).take_while(|above| !above.exists()).map(Path::to_owned).collect();
    missing.reverse();
    let mut lines: Vec<String> = missing.iter().map(|above| format!("install -d -m 755 {}", quote(above))).collect();
    lines.push(format!("install -d -o {user} -g {group} -m 2770 {}", quote(directory)));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(setfacl: bool) -> (tempfile::TempDir, Who) {
        let root = tempfile::tempdir().unwrap();
        if setfacl {
            std::fs::create_dir_all(root.path().join("usr/bin")).unwrap();
            std::fs::write(root.path().join("usr/bin/setfacl"), "").unwrap();
        }
        let who = Who {
            root: root.path().into(),
            uid: 33,
            user: "www-data".into(),
            group: "www-data".into(),
            groups: vec![(33, "www-data".into()), (100, "site".into())],
            ..Who::default()
        };
        (root, who)
    }

    fn seen(path: &str, mode: u32, uid: u32, gid: u32) -> Seen {
        Seen { path: path.into(), mode, uid, gid, acls_work: true, ..Seen::default() }
    }

    #[test]
    fn rights_are_given_by_the_class_that_the_kernel_looks_at() {
        let file = 0o100_000;
        let directory = 0o040_000;
        for (setfacl, seen, bits, expected) in [
            (true, seen("/a", file | 0o400, 33, 0), 6, "chmod u+rw /a"),
            (true, seen("/a", file | 0o640, 0, 100), 6, "chmod g+rw /a"),
            (true, seen("/a", file | 0o644, 0, 0), 6, "chgrp www-data /a && chmod g+rw /a"),
            // the group may do more than everybody: it must not lose the file
            (true, seen("/a", file | 0o660, 0, 7), 6, "setfacl -m u:www-data:rw- /a"),
            (false, seen("/a", file | 0o660, 0, 7), 6, "chgrp www-data /a && chmod g+rw /a"),
            (true, seen("/d", directory | 0o755, 0, 0), 7, "chgrp www-data /d && chmod g+rwxs /d"),
            (true, seen("/home/dev", directory | 0o700, 1000, 1000), 1, "setfacl -m u:www-data:--x /home/dev"),
            (false, seen("/home/dev", directory | 0o700, 1000, 1000), 1, "chmod o+x /home/dev"),
            (true, seen("/my site", file | 0o400, 33, 0), 6, "chmod u+rw '/my site'"),
        ] {
            let (_root, who) = who(setfacl);
            assert_eq!(grant(&seen, bits, &who), expected);
        }
    }

    #[test]
    fn a_wrong_path_has_no_command() {
        let (_root, who) = who(true);
        let obstacle = Obstacle {
            at: "/a".into(),
            path: "/a".into(),
            real: "/a".into(),
            need: Need::ReadWrite,
            trouble: Trouble::Missing,
            errno: Some(libc::ENOENT),
            seen: None,
        };
        assert!(cure(&[obstacle], &who).is_none());
    }
}
