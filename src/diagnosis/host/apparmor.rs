//! The AppArmor profile that confines this process: which file it is written in, and the commands that add a rule to it.
//! What a profile refuses is EACCES without a word; modes, labels and routes have no part in it.

use std::fs;
use std::path::{Path, PathBuf};

use super::shell::quote;

/// Where profiles are written, below the root.
const PLACE: &str = "etc/apparmor.d";

/// A profile that is enforced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    pub name: String,
    /// The file that has it; by its usual name where none could be read.
    pub file: PathBuf,
    /// Its first line, where it was read: "profile /usr/sbin/apache2 {".
    header: Option<String>,
    /// The file of local additions that it includes.
    local: Option<PathBuf>,
}

impl Profile {
    /// The profile in a label such as "/usr/sbin/apache2 (enforce)" or "apache2//DEFAULT_URI (enforce)".
    pub fn enforced(label: &str, root: &Path) -> Option<Self> {
        let name = label.strip_suffix(" (enforce)")?;
        // a hat stands in the file of its profile
        let name = name.split_once("//").map_or(name, |(profile, _)| profile);
        let entries = fs::read_dir(root.join(PLACE)).into_iter().flatten().flatten();
        let read = |entry: fs::DirEntry| Some((entry.path(), fs::read_to_string(entry.path()).ok()?));
        let found = entries.filter_map(read).find_map(|(file, text)| Some((header(&text, name)?, file, text)));
        let usual = name.trim_start_matches('/').replace('/', ".");
        Some(match found {
            Some((header, file, text)) => {
                let local = local(&text).map(|local| Path::new("/").join(PLACE).join(local));
                let shown = Path::new("/").join(file.strip_prefix(root).unwrap_or(&file));
                Self { name: name.to_owned(), file: shown, header: Some(header), local }
            }
            None => {
                Self { name: name.to_owned(), file: Path::new("/").join(PLACE).join(usual), header: None, local: None }
            }
        })
    }

    /// Its file was read: what is printed for it adds the rule for certain.
    pub fn is_known(&self) -> bool {
        self.header.is_some()
    }

    /// Commands that add a rule to it, which holds for processes that run already.
    pub fn allow(&self, rule: &str) -> String {
        let load = format!("apparmor_parser -r {}", quote(&self.file));
        let usual =
            || self.file.parent().map(|place| place.join("local").join(self.file.file_name().unwrap_or_default()));
        let add = match (&self.local, &self.header) {
            // between the profile's first line and the brace that closes it
            (None, Some(header)) => {
                let script = format!("\\%^{}%,/^}}/s%^}}%  {rule}\\n}}%", escaped(header));
                format!("sed -i {} {}", quote(Path::new(&script)), quote(&self.file))
            }
            (local, _) => {
                let local = local.clone().or_else(usual).unwrap_or_default();
                format!("printf '%s\\n' {} >> {}", quote(Path::new(rule)), quote(&local))
            }
        };
        format!("{add}\n{load}")
    }
}

/// The line that begins the profile.
fn header(text: &str, name: &str) -> Option<String> {
    let begins = |line: &&str| {
        let words = line.strip_prefix("profile ").unwrap_or(line);
        let first = words.split_whitespace().next().unwrap_or_default();
        line.ends_with('{') && first.trim_matches('"') == name
    };
    text.lines().map(str::trim_end).find(begins).map(str::to_owned)
}

/// What `include if exists <local/…>` names.
fn local(text: &str) -> Option<&str> {
    text.lines().find_map(|line| {
        let line = line.trim();
        let rest = line.strip_prefix('#').unwrap_or(line).strip_prefix("include")?;
        let named = rest.split_once('<')?.1.split_once('>')?.0;
        named.starts_with("local/").then_some(named)
    })
}

/// For an address of sed's that `%` delimits.
fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| ".*[]^$\\%".contains(c).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(text: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join(PLACE);
        fs::create_dir_all(place.join("local")).unwrap();
        fs::write(place.join("other"), "profile /usr/sbin/apache {\n}\n").unwrap();
        fs::write(place.join("httpd"), text).unwrap();
        root
    }

    #[test]
    fn a_rule_goes_into_the_local_file_that_the_profile_includes() {
        for include in ["include if exists <local/web>", "#include <local/web>"] {
            let root = root(&format!("abi <abi/3.0>,\n/usr/sbin/apache2 {{\n  {include}\n}}\n"));
            let profile = Profile::enforced("/usr/sbin/apache2//HAT (enforce)", root.path()).unwrap();
            assert!(profile.is_known());
            assert_eq!(
                profile.allow("\"/srv/a/{,**}\" rwk,"),
                "printf '%s\\n' '\"/srv/a/{,**}\" rwk,' >> /etc/apparmor.d/local/web\napparmor_parser -r /etc/apparmor.d/httpd"
            );
        }
    }

    #[test]
    fn without_such_a_file_the_rule_goes_before_the_brace_that_closes_the_profile() {
        let text = "profile first {\n}\nprofile web /usr/sbin/{apache2,httpd} flags=(complain) {\n  /a r,\n  ^hat {\n  }\n}\nprofile last {\n}\n";
        let root = root(text);
        let profile = Profile::enforced("web (enforce)", root.path()).unwrap();
        let commands = profile.allow("network inet stream,");
        let here =
            commands.lines().next().unwrap().replace("/etc/apparmor.d", &format!("{}/{PLACE}", root.path().display()));
        assert!(std::process::Command::new("sh").args(["-ec", &here]).status().unwrap().success(), "{here}");
        let written = fs::read_to_string(root.path().join(PLACE).join("httpd")).unwrap();
        assert_eq!(written, text.replace("  }\n}\nprofile last", "  }\n  network inet stream,\n}\nprofile last"));
    }

    #[test]
    fn a_profile_that_cannot_be_read_is_named_by_its_usual_file() {
        let root = tempfile::tempdir().unwrap();
        let profile = Profile::enforced("/usr/sbin/apache2 (enforce)", root.path()).unwrap();
        assert!(!profile.is_known());
        assert!(profile.allow("network inet,").contains(">> /etc/apparmor.d/local/usr.sbin.apache2\n"), "{profile:?}");
        for label in ["/usr/sbin/apache2 (complain)", "unconfined", "system_u:system_r:httpd_t:s0"] {
            assert_eq!(Profile::enforced(label, root.path()), None);
        }
    }
}
