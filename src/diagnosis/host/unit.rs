//! The systemd unit that httpd runs in: what its files say, as far as this process may read them, and the drop-in that
//! changes one of its settings.

use std::fs;
use std::path::{Path, PathBuf};

/// One line of a unit's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub file: PathBuf,
    pub name: String,
    pub value: String,
}

/// Where systemd looks for units, first what the administrator wrote (systemd.unit(5)).
const PLACES: [&str; 4] =
    ["etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system"];

/// The settings in the files of `unit`, with those of its drop-ins; below `root`.
pub fn settings(root: &Path, unit: &str) -> Vec<Setting> {
    let mut files = Vec::new();
    // one file of this name counts, and every drop-in
    files.extend(PLACES.iter().map(|place| root.join(place).join(unit)).find(|file| file.exists()));
    for place in PLACES {
        let entries = fs::read_dir(root.join(place).join(format!("{unit}.d")));
        let mut more: Vec<PathBuf> = entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        more.sort();
        files.extend(more.into_iter().filter(|file| file.extension().is_some_and(|end| end == "conf")));
    }
    files.iter().flat_map(|file| parse(file, &fs::read_to_string(file).unwrap_or_default())).collect()
}

fn parse(file: &Path, text: &str) -> Vec<Setting> {
    let line = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let name = name.trim();
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric());
        is_name.then(|| Setting { file: file.to_owned(), name: name.to_owned(), value: value.trim().to_owned() })
    };
    text.lines().filter_map(line).collect()
}

/// The last line that sets one of `names` to something.
pub fn find<'a>(settings: &'a [Setting], names: &[&str]) -> Option<&'a Setting> {
    settings.iter().rev().find(|setting| names.contains(&setting.name.as_str()) && !setting.value.is_empty())
}

/// Commands that write `lines` into a drop-in; httpd is to be restarted then.
pub fn drop_in(unit: &str, lines: &str) -> String {
    let place = format!("/etc/systemd/system/{unit}.d");
    format!("mkdir -p {place}\nprintf '[Service]\\n{lines}\\n' >> {place}/dbtest.conf\nsystemctl daemon-reload")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drop_ins_come_after_the_unit_and_comments_are_no_settings() {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("usr/lib/systemd/system/apache2.service", "[Service]\nPrivateTmp=true\nIPAddressDeny=\n"),
            ("etc/systemd/system/apache2.service.d/a.conf", "[Service]\n# IPAddressDeny=none\nIPAddressDeny = any\n"),
            ("etc/systemd/system/apache2.service.d/b.bak", "[Service]\nIPAddressDeny=backup\n"),
            ("etc/systemd/system/other.service.d/a.conf", "[Service]\nPrivateTmp=false\n"),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let settings = settings(root.path(), "apache2.service");
        assert_eq!(find(&settings, &["IPAddressDeny"]).unwrap().value, "any");
        assert_eq!(find(&settings, &["PrivateTmp"]).unwrap().value, "true");
        assert_eq!(find(&settings, &["ProtectHome"]), None);
    }

    #[test]
    fn a_drop_in_is_added_to() {
        assert_eq!(
            drop_in("apache2.service", "LimitNOFILE=65536"),
            "mkdir -p /etc/systemd/system/apache2.service.d\n\
             printf '[Service]\\nLimitNOFILE=65536\\n' >> /etc/systemd/system/apache2.service.d/dbtest.conf\n\
             systemctl daemon-reload"
        );
    }
}
