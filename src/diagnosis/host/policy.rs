//! Asks the running SELinux policy what it would say to httpd. Only who may read /sys/fs/selinux can: a shell of root's,
//! which no policy confines, or httpd itself while SELinux is permissive. So both learn what an enforcing policy will refuse.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::labels;
use super::path::Seen;
use super::path_fixes;
use super::process::Who;
use super::security::{Mode, is_unconfined, selinux_type};
use crate::diagnosis::report::{Finding, Fix, Then};

/// The id of what the policy would refuse.
pub const REFUSES: &str = "DBT0210";

/// The policy, and for whom it is asked.
pub struct Policy {
    selinuxfs: PathBuf,
    /// The context of the server that will be confined.
    domain: String,
    permissive: bool,
}

impl Policy {
    /// `None` where nothing is to be foretold: no SELinux, or a process that it confines already.
    pub fn of(who: &Who) -> Option<Self> {
        let context = who.domain.as_deref()?;
        let selinuxfs = who.root.join("sys/fs/selinux");
        let unconfined = selinux_type(context).is_some_and(is_unconfined);
        let permissive = who.mode == Mode::Permissive;
        let domain = match unconfined {
            true => started_by_systemd(&selinuxfs, &who.root)?,
            false if permissive => context.to_owned(),
            false => return None,
        };
        // a machine whose policy leaves httpd unconfined has nothing to refuse
        let confined = selinux_type(&domain).is_some_and(|kind| !is_unconfined(kind));
        confined.then_some(Self { selinuxfs, domain, permissive })
    }

    /// Those of `permissions` that the policy does not grant; `None` where it cannot be asked.
    fn refused<'a>(&self, label: &str, class: &str, permissions: &[&'a str]) -> Option<Vec<&'a str>> {
        let index: u16 = number(&self.selinuxfs.join("class").join(class).join("index"))?;
        let answer = transact(&self.selinuxfs.join("access"), &format!("{} {label} {index}", self.domain))?;
        let allowed = u32::from_str_radix(answer.split_whitespace().next()?, 16).ok()?;
        let bit = |name: &str| {
            let number: u32 = number(&self.selinuxfs.join("class").join(class).join("perms").join(name))?;
            1_u32.checked_shl(number.checked_sub(1)?)
        };
        Some(permissions.iter().copied().filter(|name| bit(name).is_some_and(|bit| allowed & bit == 0)).collect())
    }

    fn refuses(&self, what: &str, label: &str, permissions: &[&str], text: Option<String>) -> Finding {
        let when = match self.permissive {
            true => "SELinux is permissive; enforcing, it would not let",
            false => "this shell is not confined; SELinux does not let the server's",
        };
        let kind = selinux_type(&self.domain).unwrap_or(&self.domain);
        Finding {
            id: REFUSES,
            cause: format!("{when} {kind} use {what}, labelled {label} ({})", permissions.join(", ")),
            fixes: text.map(|text| path_fixes::shell(text, Then::None)).into_iter().collect::<Vec<Fix>>(),
            excluded: Vec::new(),
        }
    }

    /// A database file and its directory, as SQLite uses them.
    pub fn file(&self, path: &Path, who: &Who) -> Option<Finding> {
        let real = fs::canonicalize(path).ok()?;
        let directory = real.parent()?;
        let asked = [
            (real.as_path(), "file", ["getattr", "open", "read", "write", "lock"].as_slice()),
            (directory, "dir", &["search", "write", "add_name", "remove_name"]),
        ];
        for (path, class, permissions) in asked {
            let Some(label) = Seen::look(path, who).ok().and_then(|seen| seen.label) else { continue };
            let refused = self.refused(&label, class, permissions)?;
            if !refused.is_empty() {
                let own = !labels::is_shared(directory) && !labels::is_private(directory);
                let text = own.then(|| labels::tree(labels::DATA, directory));
                return Some(self.refuses(&path.display().to_string(), &label, &refused, text));
            }
        }
        None
    }

    /// A Unix socket.
    pub fn socket(&self, path: &Path, who: &Who) -> Option<Finding> {
        let label = Seen::look(path, who).ok()?.label?;
        let refused = self.refused(&label, "sock_file", &["getattr", "write"])?;
        let text = labels::tree(labels::SOCKET, path.parent()?);
        (!refused.is_empty()).then(|| self.refuses(&path.display().to_string(), &label, &refused, Some(text)))
    }

    /// PostgreSQL's own port; which label another port has is not to be had from the kernel.
    pub fn port(&self, port: u16) -> Option<Finding> {
        let label = "system_u:object_r:postgresql_port_t:s0";
        let refused = self.refused(label, "tcp_socket", &["name_connect"]).filter(|_| port == 5432)?;
        let text = "setsebool -P httpd_can_network_connect_db 1".to_owned();
        (!refused.is_empty()).then(|| self.refuses(&format!("port {port}"), label, &refused, Some(text)))
    }
}

/// The domain that systemd's start of this very program leads to.
fn started_by_systemd(selinuxfs: &Path, root: &Path) -> Option<String> {
    let program = fs::read_link(root.join("proc/self/exe")).ok()?;
    let mut buffer = vec![0; 256];
    let size = rustix::fs::getxattr(&program, "security.selinux", &mut buffer).ok()?;
    let label = String::from_utf8_lossy(&buffer[..size]).trim_end_matches('\0').to_owned();
    let process: u16 = number(&selinuxfs.join("class/process/index"))?;
    transact(&selinuxfs.join("create"), &format!("system_u:system_r:init_t:s0 {label} {process}"))
}

fn number<T: std::str::FromStr>(file: &Path) -> Option<T> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// selinuxfs answers a question on the descriptor that it was written to.
fn transact(file: &Path, question: &str) -> Option<String> {
    let mut file = fs::OpenOptions::new().read(true).write(true).open(file).ok()?;
    file.write_all(question.as_bytes()).ok()?;
    let mut answer = vec![0; 4096];
    let size = file.read(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer[..size]).trim_end_matches('\0').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(context: &str, mode: Mode) -> Who {
        Who { domain: Some(context.into()), mode, ..Who::default() }
    }

    #[test]
    fn a_confined_process_is_told_by_its_errors_not_by_the_policy() {
        assert!(Policy::of(&who("system_u:system_r:httpd_t:s0", Mode::Enforcing)).is_none());
        assert!(Policy::of(&who("system_u:system_r:httpd_t:s0", Mode::Refused)).is_none());
        assert!(Policy::of(&Who::default()).is_none());
        let permissive = Policy::of(&who("system_u:system_r:httpd_t:s0", Mode::Permissive)).unwrap();
        assert_eq!(permissive.domain, "system_u:system_r:httpd_t:s0");
        assert!(Policy::of(&who("system_u:system_r:unconfined_service_t:s0", Mode::Permissive)).is_none());
    }

    #[test]
    fn a_policy_that_cannot_be_asked_foretells_nothing() {
        let who = who("system_u:system_r:httpd_t:s0", Mode::Permissive);
        let policy = Policy { selinuxfs: "/nonexistent".into(), ..Policy::of(&who).unwrap() };
        assert!(policy.port(5432).is_none() && policy.file(Path::new("/etc/passwd"), &who).is_none());
    }
}
