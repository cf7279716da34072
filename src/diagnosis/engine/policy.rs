//! The part of the catalogue about what a security policy would refuse, whatever the kind of database.

use crate::diagnosis::engine::kind::Entry;
use crate::diagnosis::host::policy::REFUSES;

/// This part of the catalogue.
pub static ENTRIES: &[Entry] = &[Entry {
    id: REFUSES,
    title: "SELinux would refuse it to the confined server",
    meaning: "The page works here, in permissive mode or from a shell that no policy confines. httpd under an enforcing policy \
              will be refused.",
    recognised: "The running policy itself is asked (/sys/fs/selinux/access) for httpd's domain, the label and the class.",
    fixes: "The label by semanage fcontext and restorecon, or the boolean: before SELinux enforces.",
}];
