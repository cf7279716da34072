//! The part of the catalogue about what a security policy or a unit's sandbox would refuse, whatever the kind of database.

use crate::diagnosis::engine::kind::Entry;
use crate::diagnosis::host::policy::REFUSES;
use crate::diagnosis::host::sandbox::HIDES;

/// This part of the catalogue.
pub static ENTRIES: &[Entry] = &[
    Entry {
        id: REFUSES,
        title: "SELinux would refuse it to the confined server",
        meaning: "The page works here, in permissive mode or from a shell that no policy confines. httpd under an enforcing policy \
              will be refused.",
        recognised: "The running policy itself is asked (/sys/fs/selinux/access) for httpd's domain, the label and the class.",
        fixes: "The label by semanage fcontext and restorecon, or the boolean: before SELinux enforces.",
    },
    Entry {
        id: HIDES,
        title: "The sandbox of httpd's unit would keep it from the server",
        meaning: "This was asked in a shell, which the settings of a systemd unit do not bind. The server that the unit starts \
              will not see or not write the file, or not make the socket.",
        recognised: "The files of the unit that is called like this program (PrivateTmp=, ProtectHome=, ProtectSystem=, \
                 ReadOnlyPaths=, InaccessiblePaths=, RestrictAddressFamilies=), its drop-ins included.",
        fixes: "A drop-in with ReadWritePaths= or RestrictAddressFamilies=, and a restart; what is hidden goes to another place.",
    },
];
