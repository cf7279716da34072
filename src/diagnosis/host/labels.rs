//! Which SELinux label a file needs for httpd to use it, and the commands that give it: by the policy's own list of
//! paths, so that the label survives a relabel.
//!
//! Types that both Debian's and Fedora's policy give httpd_t without any boolean: httpd_var_lib_t for data (of
//! httpd_sys_rw_content_t Debian's policy says so only with httpd_builtin_scripting on), cert_t for certificates and
//! keys, httpd_config_t for what is only read, postgresql_var_run_t for PostgreSQL's sockets.

use std::path::{Component, Path, PathBuf};

use crate::diagnosis::host::shell::quote;

/// Data that httpd writes.
pub const DATA: &str = "httpd_var_lib_t";
/// Certificates and keys.
pub const CERTIFICATE: &str = "cert_t";
/// A directory of PostgreSQL's sockets.
pub const SOCKET: &str = "postgresql_var_run_t";

/// The label for a directory and all below it.
pub fn tree(kind: &str, directory: &Path) -> String {
    let directory = &resolved(directory);
    if has_it_by_policy(kind, directory) {
        return format!("restorecon -Rv {}", quote(directory));
    }
    format!("{}\nrestorecon -Rv {}", rule(kind, &format!("{}(/.*)?", escaped(directory))), quote(directory))
}

/// The label for one file, and nothing beside it.
pub fn file(kind: &str, path: &Path) -> String {
    let path = &resolved(path);
    if has_it_by_policy(kind, path) {
        return format!("restorecon -v {}", quote(path));
    }
    format!("{}\nrestorecon -v {}", rule(kind, &escaped(path)), quote(path))
}

/// A path that the local list has already is changed, any other is added.
fn rule(kind: &str, pattern: &str) -> String {
    let pattern = quote(Path::new(pattern));
    format!("semanage fcontext -a -t {kind} {pattern} || semanage fcontext -m -t {kind} {pattern}")
}

/// semanage refuses a path below one that the policy holds to be the same as another.
fn resolved(path: &Path) -> PathBuf {
    let equal = [("/var/run", "/run"), ("/var/lock", "/run/lock"), ("/lib", "/usr/lib"), ("/bin", "/usr/bin")];
    let other = |(from, to): &(&str, &str)| path.strip_prefix(from).ok().map(|rest| Path::new(to).join(rest));
    equal.iter().find_map(other).unwrap_or_else(|| path.to_owned())
}

/// Paths of which every reference policy says so itself: what is there was moved there with another label.
fn has_it_by_policy(kind: &str, path: &Path) -> bool {
    let own = match kind {
        SOCKET => ["/run/postgresql"].as_slice(),
        CERTIFICATE => &["/etc/ssl", "/etc/pki", "/etc/httpd/alias"],
        _ => &[],
    };
    own.iter().any(|above| path.starts_with(above))
}

/// A directory that others use as well: a label for all of it would take it from them.
pub fn is_shared(directory: &Path) -> bool {
    let names: Vec<_> = directory
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    match names[..] {
        [] | [_] | ["home", _] | ["var" | "usr", _] => true,
        // made for many: each has its own directory in it
        ["var", "lib" | "www" | "cache" | "spool", name] => {
            ["html", "apache2", "httpd", "postgresql", "misc"].contains(&name)
        }
        ["srv", name] => ["www", "http", "ftp"].contains(&name),
        ["root" | "etc" | "run" | "tmp" | "boot" | "dev" | "proc" | "sys", ..] | ["usr", ..] => true,
        _ => false,
    }
}

/// A directory on whose way a domain like httpd's is stopped whatever the file's own label: homes, /root, /tmp.
pub fn is_private(path: &Path) -> bool {
    ["/home", "/root", "/tmp", "/var/tmp", "/run/user"].iter().any(|above| path.starts_with(above))
}

fn escaped(path: &Path) -> String {
    let mut out = String::new();
    for c in path.to_string_lossy().chars() {
        if ".^$*+?()[]{}|\\".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policys_own_paths_are_only_restored() {
        assert_eq!(tree(SOCKET, Path::new("/var/run/postgresql")), "restorecon -Rv /run/postgresql");
        assert_eq!(file(CERTIFICATE, Path::new("/etc/ssl/certs/a.pem")), "restorecon -v /etc/ssl/certs/a.pem");
        assert_eq!(
            tree(SOCKET, Path::new("/srv/pg")),
            "semanage fcontext -a -t postgresql_var_run_t '/srv/pg(/.*)?' || semanage fcontext -m -t postgresql_var_run_t \
             '/srv/pg(/.*)?'\nrestorecon -Rv /srv/pg"
        );
        assert!(file(DATA, Path::new("/srv/a.db")).contains("httpd_var_lib_t '/srv/a\\.db'"));
    }

    #[test]
    fn what_others_use_is_not_relabelled() {
        for shared in [
            "/",
            "/srv",
            "/home/dev",
            "/root",
            "/root/x",
            "/etc/app",
            "/var",
            "/var/lib",
            "/tmp/x",
            "/var/www/html",
            "/srv/www",
            "/var/local",
            "/opt",
        ] {
            assert!(is_shared(Path::new(shared)), "{shared}");
        }
        for own in ["/srv/app", "/home/dev/app", "/var/lib/app", "/opt/site/data", "/var/www/app"] {
            assert!(!is_shared(Path::new(own)), "{own}");
        }
    }
}
