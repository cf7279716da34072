//! What SELinux and AppArmor say about this process, by what a confined process itself may see.
//!
//! Debian's policy does not let httpd_t read /sys/fs/selinux, nor stat it. So the context decides whether there is
//! SELinux, and an `enforce` that cannot be read is not one that says 0.

use std::fs;
use std::io;
use std::path::Path;

/// Whether SELinux enforces its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    Enforcing,
    Permissive,
    /// The policy keeps /sys/fs/selinux/enforce from this process; its modes would not. In permissive mode nothing is
    /// kept from anybody, so it is enforced.
    Refused,
    /// It could not be read for another reason: selinuxfs is not mounted here (in a container, say).
    #[default]
    Unknown,
}

impl Mode {
    /// Whether a refusal that nothing else explains may be SELinux's.
    pub fn may_refuse(self) -> bool {
        self != Self::Permissive
    }

    /// For a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::Enforcing => "enforcing",
            Self::Permissive => "permissive",
            Self::Refused => "enforcing (its own state is not readable from here)",
            Self::Unknown => "not known whether enforcing",
        }
    }
}

/// What the security modules say about this process.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// SELinux's context, "system_u:system_r:httpd_t:s0".
    pub context: Option<String>,
    pub mode: Mode,
    /// AppArmor's profile with its mode, "/usr/sbin/apache2 (enforce)".
    pub apparmor: Option<String>,
}

impl Security {
    /// Looks below `root`.
    pub fn read(root: &Path) -> Self {
        let attribute = |name: &str| {
            let bytes = fs::read(root.join("proc/self/attr").join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).trim_end_matches(['\0', '\n']).to_owned()
        };
        let current = attribute("current");
        let context = is_context(&current).then(|| current.clone());
        // where several modules are active, `current` shows one of them
        let apparmor = [attribute("apparmor/current"), current].into_iter().find(|label| is_profile(label));
        Self { mode: mode(fs::read_to_string(root.join("sys/fs/selinux/enforce"))), context, apparmor }
    }
}

fn mode(enforce: io::Result<String>) -> Mode {
    match enforce {
        Ok(text) if text.trim() == "0" => Mode::Permissive,
        Ok(_) => Mode::Enforcing,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Mode::Refused,
        Err(_) => Mode::Unknown,
    }
}

/// "user:role:type" and, under a policy with levels, ":level", which may hold further colons.
fn is_context(label: &str) -> bool {
    let mut parts = label.splitn(4, ':');
    let word = |part: Option<&str>| {
        part.is_some_and(|part| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
        })
    };
    let named = word(parts.next()) && word(parts.next()) && word(parts.next());
    named && parts.next().is_none_or(|level| !level.is_empty() && !level.contains(' '))
}

/// "name (mode)"; "unconfined" is none.
fn is_profile(label: &str) -> bool {
    label.ends_with(')') && label.rsplit_once(" (").is_some_and(|(name, _)| !name.is_empty())
}

/// The type in a context.
pub fn selinux_type(context: &str) -> Option<&str> {
    context.split(':').nth(2)
}

/// Domains that the policies let do everything.
pub fn is_unconfined(kind: &str) -> bool {
    ["unconfined_t", "unconfined_service_t", "spc_t", "kernel_t", "initrc_t"].contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_told_from_a_profile() {
        for (label, context, profile) in [
            ("system_u:system_r:httpd_t:s0", true, false),
            ("unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023", true, false),
            ("system_u:system_r:httpd_t", true, false),
            ("/usr/sbin/apache2 (enforce)", false, true),
            ("apache2//DEFAULT_URI (complain)", false, true),
            (":ns://web:a:b (enforce)", false, true),
            ("unconfined", false, false),
            ("kernel", false, false),
            ("a:b", false, false),
            ("", false, false),
        ] {
            assert_eq!((is_context(label), is_profile(label)), (context, profile), "{label}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_permissive() {
        let refused = || io::Error::from_raw_os_error(libc::EACCES);
        let absent = || io::Error::from_raw_os_error(libc::ENOENT);
        assert_eq!(mode(Err(refused())), Mode::Refused);
        assert_eq!(mode(Err(absent())), Mode::Unknown);
        assert_eq!((mode(Ok("0".into())), mode(Ok("1".into()))), (Mode::Permissive, Mode::Enforcing));
        assert!(Mode::Refused.may_refuse() && Mode::Unknown.may_refuse() && !Mode::Permissive.may_refuse());
    }
}
