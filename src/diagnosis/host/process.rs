//! The step `who`: in whose name everything after it holds. User, groups, SELinux domain, mounts, limits
//! and capabilities of *this* process, since a shell of the administrator has others.
//!
//! Read from files below a root directory, so that tests can feed evidence (SELinux, say) that the
//! machine does not have.

use std::fs;
use std::path::{Path, PathBuf};

use super::apparmor::Profile;
use super::mounts::{self, Mount};
use super::security::{Mode, Security, is_unconfined, selinux_type};
use crate::diagnosis::report::Step;
use crate::diagnosis::report::builder::Trial;

/// CAP_DAC_OVERRIDE, capabilities(7): file modes do not bind its holder.
const CAP_DAC_OVERRIDE: u64 = 1 << 1;

/// Who this process is to the kernel.
#[derive(Debug, Clone, Default)]
pub struct Who {
    /// Where /proc, /sys and /etc were read.
    pub root: PathBuf,
    /// The effective user.
    pub uid: u32,
    /// Names from /etc/passwd and /etc/group; the number where there is none (chown takes both).
    pub user: String,
    pub group: String,
    /// Every group that counts, the effective one first.
    pub groups: Vec<(u32, String)>,
    /// The SELinux domain, e.g. "system_u:system_r:httpd_t:s0"; `None` where SELinux is off.
    pub domain: Option<String>,
    /// Whether SELinux enforces its policy.
    pub mode: Mode,
    /// The AppArmor profile, e.g. "/usr/sbin/apache2 (enforce)".
    pub apparmor: Option<String>,
    /// Effective capabilities, as bits.
    pub capabilities: u64,
    /// Most open files; `None` for unlimited.
    pub open_files: Option<u64>,
    /// As far as that may be raised.
    pub most_open_files: Option<u64>,
    /// Largest file it may write, in bytes; `None` for unlimited.
    pub file_size: Option<u64>,
    /// A write past that limit ends the process: SIGXFSZ is neither ignored nor handled (httpd ignores it).
    pub file_size_kills: bool,
    /// What is mounted in this process' mount namespace, in order.
    pub mounts: Vec<Mount>,
    /// The httpd process that forked this one, as a word for a shell: its id, or a command that finds it where this is
    /// only a run of `httpd -t`.
    pub parent: String,
    /// The systemd unit that runs httpd, e.g. "apache2.service".
    pub unit: Option<String>,
    /// Names in /etc/passwd and /etc/group.
    pub names: Names,
    /// Names of PG* variables in the environment (libpq's tools obey them, this module does not).
    pub pg_environment: Vec<String>,
}

impl Who {
    /// Looks at this process, with /proc, /sys and /etc below `root`.
    pub fn look_below(root: &Path) -> Self {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let names = Names::below(root);
        let mut groups = vec![(gid, names.group(gid))];
        for other in rustix::process::getgroups().unwrap_or_default() {
            let other = other.as_raw();
            if other != gid {
                groups.push((other, names.group(other)));
            }
        }
        let status = read(root, "proc/self/status");
        let limits = read(root, "proc/self/limits");
        let own_limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let security = Security::read(root);
        Self {
            root: root.to_owned(),
            uid,
            user: names.user(uid),
            group: names.group(gid),
            groups,
            domain: security.context,
            mode: security.mode,
            apparmor: security.apparmor,
            capabilities: hexadecimal(&status, "CapEff:").unwrap_or(0),
            // a process without a free descriptor cannot open its /proc
            open_files: if limits.is_empty() { own_limit } else { limit(&limits, "Max open files", 0) },
            most_open_files: limit(&limits, "Max open files", 1),
            file_size: limit(&limits, "Max file size", 0),
            file_size_kills: !is_signal_survived(&status, libc::SIGXFSZ),
            mounts: mounts::parse(&read(root, "proc/self/mountinfo")),
            parent: parent(root),
            unit: unit(&read(root, "proc/self/cgroup")),
            names,
            pg_environment: pg_environment(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())),
        }
    }

    /// Whether file modes bind this process.
    pub fn is_bound_by_modes(&self) -> bool {
        self.capabilities & CAP_DAC_OVERRIDE == 0
    }

    pub fn is_in_group(&self, gid: u32) -> bool {
        self.groups.iter().any(|(group, _)| *group == gid)
    }

    /// Whether /etc/group has this user in a group that the process does not have: it was added after the start.
    pub fn is_member_too_late(&self, gid: u32) -> bool {
        !self.is_in_group(gid) && self.names.is_member(gid, &self.user)
    }

    /// The SELinux type of the domain ("httpd_t"), where SELinux may refuse it something.
    pub fn confined_type(&self) -> Option<&str> {
        let kind = self.domain.as_deref().filter(|_| self.mode.may_refuse()).and_then(selinux_type);
        kind.filter(|kind| !is_unconfined(kind))
    }

    /// What is known of SELinux where it is not the cause; `None` where nothing can be said against it.
    pub fn selinux_excluded(&self) -> Option<&'static str> {
        match (&self.domain, self.confined_type()) {
            (None, _) => Some("SELinux: this process has no context"),
            (Some(_), Some(_)) => None,
            (Some(_), None) if self.mode == Mode::Permissive => Some("SELinux: permissive"),
            (Some(_), None) => Some("SELinux: this domain is not confined"),
        }
    }

    /// The AppArmor profile that is enforced on this process.
    pub fn profile(&self) -> Option<Profile> {
        Profile::enforced(self.apparmor.as_deref()?, &self.root)
    }

    /// A SELinux boolean, as it is in force; `None` where there is no such boolean.
    pub fn boolean(&self, name: &str) -> Option<bool> {
        // "1 1": current and pending value
        fs::read_to_string(self.root.join("sys/fs/selinux/booleans").join(name)).ok().map(|text| text.starts_with('1'))
    }

    /// Whether a program is there for the fixes to use, e.g. "setfacl".
    pub fn has_program(&self, name: &str) -> bool {
        ["usr/bin", "bin", "usr/sbin", "sbin"].iter().any(|place| self.root.join(place).join(name).exists())
    }

    /// The words before a command that is to run as this user: runuser(1) takes names only, and a user of a container
    /// may have none.
    pub fn run_as(&self) -> String {
        if self.user.parse::<u32>().is_ok() {
            let gid = self.groups.first().map_or(self.uid, |(gid, _)| *gid);
            return format!("setpriv --reuid {} --regid {gid} --clear-groups --", self.uid);
        }
        format!("runuser -u {} --", crate::diagnosis::host::shell::word(&self.user))
    }

    /// The facts, for a report.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![
            ("user", format!("{} (uid {})", self.user, self.uid)),
            ("groups", list(self.groups.iter().map(|(gid, name)| format!("{name} ({gid})")))),
            ("open_files", self.open_files.map_or("unlimited".into(), |limit| limit.to_string())),
        ];
        if let Some(limit) = self.file_size {
            facts.push(("file_size_limit", format!("{limit} bytes")));
        }
        if let Some(domain) = &self.domain {
            facts.push(("selinux_domain", domain.clone()));
            facts.push(("selinux_mode", self.mode.words().to_owned()));
        }
        if let Some(profile) = &self.apparmor {
            facts.push(("apparmor", profile.clone()));
        }
        if self.uid != 0 && self.capabilities != 0 {
            facts.push(("capabilities", format!("{:#x}", self.capabilities)));
        }
        if let Some(private) = mounts::private_tmp(&self.mounts) {
            facts.push(("private_tmp", private.point.display().to_string()));
        }
        if !self.pg_environment.is_empty() {
            facts.push(("ignored_environment", list(self.pg_environment.iter().cloned())));
        }
        facts
    }

    /// One line: "www-data (uid 33), groups www-data, ssl-cert; SELinux httpd_t, enforcing".
    pub fn sentence(&self) -> String {
        let mut text = format!(
            "user {} (uid {}), groups {}",
            self.user,
            self.uid,
            list(self.groups.iter().map(|(_, name)| name.clone()))
        );
        if let Some(domain) = &self.domain {
            text.push_str(&format!("; SELinux {domain}, {}", self.mode.words()));
        }
        if let Some(profile) = &self.apparmor {
            text.push_str(&format!("; AppArmor {profile}"));
        }
        if mounts::private_tmp(&self.mounts).is_some() {
            text.push_str("; a /tmp of its own (PrivateTmp)");
        }
        if !self.pg_environment.is_empty() {
            let names = list(self.pg_environment.iter().cloned());
            text.push_str(&format!("; {names} in the environment: psql obeys, this module does not"));
        }
        text
    }

    /// The step `who`, whose trial began before this process was looked at.
    pub fn step(&self, mut trial: Trial) -> Step {
        trial.tried(format!("{} id", self.run_as()));
        trial.facts(self.facts());
        trial.pass(self.sentence())
    }
}

/// Names of users and groups, from /etc/passwd and /etc/group.
#[derive(Debug, Clone, Default)]
pub struct Names {
    passwd: String,
    group: String,
}

impl Names {
    pub fn below(root: &Path) -> Self {
        Self { passwd: read(root, "etc/passwd"), group: read(root, "etc/group") }
    }

    /// The name, or the number where there is none.
    pub fn user(&self, uid: u32) -> String {
        name(&self.passwd, uid).unwrap_or_else(|| uid.to_string())
    }

    /// The number of a user, if /etc/passwd has it.
    pub fn uid(&self, user: &str) -> Option<u32> {
        let mut lines = self.passwd.lines().map(|line| line.split(':'));
        lines.find_map(|mut fields| (fields.next()? == user).then(|| fields.nth(1)?.parse().ok())?)
    }

    /// Whether /etc/group lists the user in the group.
    pub fn is_member(&self, gid: u32, user: &str) -> bool {
        self.group.lines().any(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            matches!(fields[..], [_, _, number, members] if number.parse() == Ok(gid) && members.split(',').any(|name| name == user))
        })
    }

    pub fn group(&self, gid: u32) -> String {
        name(&self.group, gid).unwrap_or_else(|| gid.to_string())
    }
}

/// An absent or unreadable file is no evidence: empty.
fn read(root: &Path, path: &str) -> String {
    fs::read(root.join(path)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// The name of an id in the text of /etc/passwd or /etc/group.
fn name(table: &str, id: u32) -> Option<String> {
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(id)).then(|| name.to_owned())
    })
}

/// The soft (0) or hard (1) limit in the row of /proc/self/limits that begins with `row`; `None` for unlimited.
fn limit(limits: &str, row: &str, which: usize) -> Option<u64> {
    let line = limits.lines().find(|line| line.starts_with(row))?;
    line[row.len()..].split_whitespace().nth(which)?.parse().ok()
}

/// See [`Who::parent`].
fn parent(root: &Path) -> String {
    let pid = rustix::process::getppid().map_or(1, |pid| pid.as_raw_nonzero().get());
    let place = format!("proc/{pid}");
    let only_checks = read(root, &format!("{place}/cmdline")).split('\0').any(|argument| argument == "-t");
    match only_checks {
        true => format!(
            "$(pgrep -o -x {})",
            crate::diagnosis::host::shell::word(read(root, &format!("{place}/comm")).trim())
        ),
        false => pid.to_string(),
    }
}

/// The service in the text of /proc/self/cgroup: "0::/system.slice/apache2.service".
fn unit(cgroup: &str) -> Option<String> {
    let name = |line: &str| line.rsplit('/').find(|part| part.ends_with(".service")).map(str::to_owned);
    // a shell's or a container's service is not httpd's: its settings are not the ones that bind us
    let ours = |name: &String| name.contains("apache") || name.contains("httpd");
    cgroup.lines().find_map(name).filter(ours)
}

/// A bit mask in the text of /proc/self/status.
fn hexadecimal(status: &str, row: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(row))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Whether a signal is ignored or has a handler.
fn is_signal_survived(status: &str, signal: i32) -> bool {
    let bit = 1 << (signal - 1);
    ["SigIgn:", "SigCgt:"].iter().any(|row| hexadecimal(status, row).is_some_and(|mask| mask & bit != 0))
}

/// The variables that libpq obeys (PostgreSQL manual, "Environment Variables").
fn pg_environment(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut found: Vec<String> = names
        .filter(|name| name.len() > 2 && name.starts_with("PG") && name[2..].chars().all(|c| c.is_ascii_uppercase()))
        .collect();
    found.sort();
    found
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root with the files that a confined httpd on RHEL would read.
    fn rhel() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("proc/self/attr/current", "system_u:system_r:httpd_t:s0\0"),
            ("sys/fs/selinux/enforce", "1"),
            ("sys/fs/selinux/booleans/httpd_can_network_connect_db", "0 0"),
            ("sys/fs/selinux/booleans/httpd_unified", "1 1"),
            ("proc/self/limits", "Max open files            1024                 524288               files     \n"),
            ("proc/self/status", "Name:\thttpd\nCapEff:\t0000000000000002\n"),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn selinux_is_read_from_the_root() {
        let root = rhel();
        let who = Who::look_below(root.path());
        assert_eq!(who.domain.as_deref(), Some("system_u:system_r:httpd_t:s0"));
        assert_eq!(who.confined_type(), Some("httpd_t"));
        assert_eq!(who.boolean("httpd_can_network_connect_db"), Some(false));
        assert_eq!(who.boolean("httpd_unified"), Some(true));
        assert_eq!(who.boolean("nothing"), None);
        assert_eq!(who.open_files, Some(1024));
        assert!(!who.is_bound_by_modes());
    }

    #[test]
    fn without_selinux_there_is_no_domain() {
        let root = tempfile::tempdir().unwrap();
        let who = Who::look_below(root.path());
        assert_eq!((who.domain.as_deref(), who.confined_type(), who.apparmor.as_deref()), (None, None, None));
        assert_eq!(who.user, who.uid.to_string());
    }

    #[test]
    fn a_user_without_a_name_is_named_by_number() {
        let named = Who { uid: 33, user: "www-data".into(), ..Who::default() };
        assert_eq!(named.run_as(), "runuser -u www-data --");
        let numbered = Who { uid: 54321, user: "54321".into(), groups: vec![(100, "users".into())], ..Who::default() };
        assert_eq!(numbered.run_as(), "setpriv --reuid 54321 --regid 100 --clear-groups --");
    }

    #[test]
    fn this_process_has_a_name() {
        assert_eq!(name("root:x:0:0::/:/bin/sh\nwww-data:x:33:33::/:/x\n", 33).as_deref(), Some("www-data"));
        assert_eq!(name("root:x:0:0\n", 1), None);
    }

    #[test]
    fn the_unit_is_the_innermost_service() {
        assert_eq!(unit("0::/system.slice/apache2.service\n").as_deref(), Some("apache2.service"));
        assert_eq!(unit("0::/user.slice/user@0.service/app.slice/x.scope\n"), None);
        assert_eq!(unit("0::/\n"), None);
    }

    #[test]
    fn leaked_variables_of_libpq_are_seen() {
        let names = ["PGPORT", "PATH", "PG", "PGPOOL_x", "PGSSLMODE"].map(String::from);
        assert_eq!(pg_environment(names.into_iter()), ["PGPORT", "PGSSLMODE"]);
    }
}
