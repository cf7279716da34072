//! What the sandbox of httpd's systemd unit will keep from the server, foretold to a command in a shell: the unit's
//! settings do not bind a shell, and so `httpd -t` sees files there that the server will not.

use std::path::{Path, PathBuf};

use super::unit::{self, Setting};
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

/// The id of what the unit would keep from the server.
pub const HIDES: &str = "DBT0211";

/// The unit that starts this very program, seen from outside of it.
pub struct Sandbox {
    unit: String,
    settings: Vec<Setting>,
}

impl Sandbox {
    /// `None` where nothing is to be foretold: in a unit, where no systemd runs, or where no unit is called like the program.
    pub fn foretold(root: &Path, own_unit: Option<&str>) -> Option<Self> {
        if own_unit.is_some() || !root.join("run/systemd/system").exists() {
            return None;
        }
        let program = std::fs::read_link(root.join("proc/self/exe")).ok()?;
        let unit = format!("{}.service", program.file_name()?.to_str()?);
        let settings = unit::settings(root, &unit);
        (!settings.is_empty()).then_some(Self { unit, settings })
    }

    /// What keeps the file of a database from the server.
    pub fn file(&self, path: &Path) -> Option<Finding> {
        let directory = path.parent()?;
        if let Some(setting) = self.hidden_by(path) {
            let cause = format!(
                "{} is hidden from the server by {}={} in {}, though not from this shell",
                path.display(),
                setting.name,
                setting.value,
                setting.file.display()
            );
            // hidden places are hidden for a reason: the database goes elsewhere
            return Some(finding(HIDES, cause).not("not the modes: systemd gives the unit a view of its own"));
        }
        let setting = self.read_only_by(path)?;
        let cause = format!(
            "{} is read-only for the server by {}={} in {}, though not for this shell",
            path.display(),
            setting.name,
            setting.value,
            setting.file.display()
        );
        let text = unit::drop_in(&self.unit, &format!("ReadWritePaths={}", directory.display()));
        Some(finding(HIDES, cause).sure(FixKind::Shell, "a root shell on this machine", text, Then::Restart))
    }

    /// What keeps it from making a socket of this family.
    pub fn family(&self, family: &str) -> Option<Finding> {
        let setting = unit::refused_family(&self.settings, family)?;
        let cause = format!(
            "The server may not make a socket of the family {family}: RestrictAddressFamilies={} in {}",
            setting.value,
            setting.file.display()
        );
        let text = unit::drop_in(&self.unit, &format!("RestrictAddressFamilies={family}"));
        Some(finding(HIDES, cause).sure(FixKind::Shell, "a root shell on this machine", text, Then::Restart))
    }

    fn hidden_by(&self, path: &Path) -> Option<&Setting> {
        let below = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
        let private = self.last("PrivateTmp").filter(|set| is_yes(&set.value) || set.value == "disconnected");
        let home = self.last("ProtectHome").filter(|set| is_yes(&set.value) || set.value == "tmpfs");
        private
            .filter(|_| below(&["/tmp", "/var/tmp"]))
            .or_else(|| home.filter(|_| below(&["/home", "/root", "/run/user"])))
            .or_else(|| self.listed("InaccessiblePaths", path).or_else(|| self.listed("InaccessibleDirectories", path)))
    }

    fn read_only_by(&self, path: &Path) -> Option<&Setting> {
        let below = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
        if self.listed("ReadWritePaths", path).is_some() {
            return None;
        }
        let home = self.last("ProtectHome").filter(|set| set.value == "read-only");
        let system = self.last("ProtectSystem").filter(|set| match set.value.as_str() {
            "strict" => !below(&["/dev", "/proc", "/sys", "/tmp", "/var/tmp"]) && !self.is_own_directory(path),
            "full" => below(&["/usr", "/boot", "/efi", "/etc"]),
            value => is_yes(value) && below(&["/usr", "/boot", "/efi"]),
        });
        home.filter(|_| below(&["/home", "/root", "/run/user"]))
            .or(system)
            .or_else(|| self.listed("ReadOnlyPaths", path).or_else(|| self.listed("ReadOnlyDirectories", path)))
    }

    /// StateDirectory= and its kin stay writable.
    fn is_own_directory(&self, path: &Path) -> bool {
        let kinds = [
            ("StateDirectory", "/var/lib"),
            ("CacheDirectory", "/var/cache"),
            ("LogsDirectory", "/var/log"),
            ("RuntimeDirectory", "/run"),
        ];
        kinds.iter().any(|(name, above)| {
            let names = unit::values(&self.settings, name);
            names.iter().any(|(_, name)| path.starts_with(Path::new(above).join(name)))
        })
    }

    /// The last line counts, an empty one as well.
    fn last(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().rev().find(|setting| setting.name == name).filter(|setting| !setting.value.is_empty())
    }

    /// The setting whose list holds a place above `path`.
    fn listed(&self, name: &str, path: &Path) -> Option<&Setting> {
        let values = unit::values(&self.settings, name);
        let holds = |place: &str| path.starts_with(PathBuf::from(place.trim_start_matches(['-', '+'])));
        values.into_iter().find(|(_, place)| holds(place)).map(|(setting, _)| setting)
    }
}

fn is_yes(value: &str) -> bool {
    ["yes", "true", "on", "1"].contains(&value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox(lines: &[&str]) -> Sandbox {
        let set = |line: &&str| {
            let (name, value) = line.split_once('=').unwrap();
            Setting { file: "/a.service".into(), name: name.into(), value: value.into() }
        };
        Sandbox { unit: "apache2.service".into(), settings: lines.iter().map(set).collect() }
    }

    #[test]
    fn what_a_setting_hides_or_makes_read_only_is_told() {
        for (lines, path, expected) in [
            (&["PrivateTmp=true"][..], "/tmp/site/a.db", "hidden from the server by PrivateTmp=true"),
            (&["PrivateTmp=true"], "/var/tmp/a.db", "hidden"),
            (&["ProtectHome=tmpfs"], "/home/dev/a.db", "hidden"),
            (&["ProtectHome=read-only"], "/home/dev/a.db", "read-only"),
            (&["InaccessiblePaths=/etc/x -/srv/hidden"], "/srv/hidden/a.db", "InaccessiblePaths"),
            (&["ReadOnlyPaths=/srv"], "/srv/app/a.db", "read-only"),
            (&["ProtectSystem=strict"], "/var/lib/app/a.db", "ProtectSystem=strict"),
            (&["ProtectSystem=full"], "/etc/app/a.db", "ProtectSystem=full"),
        ] {
            let found = sandbox(lines).file(Path::new(path)).unwrap_or_else(|| panic!("{lines:?} {path}"));
            assert!(found.cause.contains(expected), "{}", found.cause);
        }
    }

    #[test]
    fn what_it_leaves_alone_is_not() {
        for (lines, path) in [
            (&["PrivateTmp=true", "PrivateTmp=no"][..], "/tmp/a.db"),
            (&["PrivateTmp=true"], "/srv/a.db"),
            (&["ProtectHome=no"], "/home/dev/a.db"),
            (&["InaccessiblePaths=/srv", "InaccessiblePaths="], "/srv/a.db"),
            (&["ProtectSystem=strict", "ReadWritePaths=/var/lib/app"], "/var/lib/app/a.db"),
            (&["ProtectSystem=strict", "StateDirectory=app"], "/var/lib/app/a.db"),
            (&["ProtectSystem=true"], "/etc/app/a.db"),
        ] {
            assert!(sandbox(lines).file(Path::new(path)).is_none(), "{lines:?} {path}");
        }
    }

    #[test]
    fn a_family_that_a_list_leaves_out_is_told() {
        let found = sandbox(&["RestrictAddressFamilies=AF_UNIX"]).family("AF_INET").unwrap();
        assert!(found.fixes[0].sure && found.fixes[0].text.contains("RestrictAddressFamilies=AF_INET"), "{found:?}");
        assert!(sandbox(&["RestrictAddressFamilies=AF_UNIX AF_INET"]).family("AF_INET").is_none());
    }

    #[test]
    fn nothing_is_foretold_without_systemd_or_within_the_unit() {
        let root = tempfile::tempdir().unwrap();
        assert!(Sandbox::foretold(root.path(), None).is_none());
        std::fs::create_dir_all(root.path().join("run/systemd/system")).unwrap();
        assert!(Sandbox::foretold(root.path(), Some("apache2.service")).is_none());
    }
}
