//! The systemd unit that httpd runs in: what its files say, as far as this process may read them, and the drop-in that
//! changes one of its settings.

use std::fs;
use std::net::IpAddr;
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

/// The words of a setting that is a list, each with its line: an empty line empties the list (systemd.exec(5)).
pub fn values<'a>(settings: &'a [Setting], name: &str) -> Vec<(&'a Setting, &'a str)> {
    let mut found = Vec::new();
    for setting in settings.iter().filter(|setting| setting.name == name) {
        if setting.value.is_empty() {
            found.clear();
        }
        found.extend(setting.value.split_whitespace().map(|word| (setting, word.trim_matches('"'))));
    }
    found
}

/// The line of RestrictAddressFamilies= that leaves out `family`. The first line says whether the list is of those
/// allowed or, with `~`, of those refused; a later line of the other kind takes its words out again.
pub fn refused_family<'a>(settings: &'a [Setting], family: &str) -> Option<&'a Setting> {
    let name = "RestrictAddressFamilies";
    let values = values(settings, name);
    let (first, word) = values.first()?;
    let is_deny_list = word.starts_with('~');
    let mut by = if is_deny_list { None } else { Some(*first) };
    for (setting, word) in &values {
        // `~` stands before the first word of its line, and concerns all of them
        let refuses = setting.value.starts_with('~');
        if word.trim_start_matches('~') == family {
            by = refuses.then_some(*setting);
        }
    }
    by
}

/// The line of IPAddressDeny= that keeps the unit from `ip`, unless IPAddressAllow= lets it (systemd.resource-control(5)).
pub fn denies(settings: &[Setting], ip: IpAddr) -> Option<&Setting> {
    let holds = |name: &str| values(settings, name).into_iter().rfind(|(_, word)| covers(word, ip));
    let (denied, _) = holds("IPAddressDeny")?;
    holds("IPAddressAllow").is_none().then_some(denied)
}

/// Whether "any", "localhost", "link-local", "multicast" or an address with a prefix holds this one.
fn covers(word: &str, ip: IpAddr) -> bool {
    let (address, length) =
        word.split_once('/').map_or((word, None), |(address, length)| (address, length.parse().ok()));
    match (word, ip) {
        ("any", _) => true,
        ("localhost", _) => ip.is_loopback(),
        ("multicast", _) => ip.is_multicast(),
        ("link-local", IpAddr::V4(ip)) => ip.is_link_local(),
        ("link-local", IpAddr::V6(ip)) => ip.is_unicast_link_local(),
        _ => match (address.parse(), ip) {
            (Ok(IpAddr::V4(net)), IpAddr::V4(ip)) => same_prefix(&net.octets(), &ip.octets(), length.unwrap_or(32)),
            (Ok(IpAddr::V6(net)), IpAddr::V6(ip)) => same_prefix(&net.octets(), &ip.octets(), length.unwrap_or(128)),
            _ => false,
        },
    }
}

fn same_prefix(one: &[u8], other: &[u8], bits: usize) -> bool {
    let bit = |bytes: &[u8], at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
    (0..bits.min(one.len() * 8)).all(|at| bit(one, at) == bit(other, at))
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

    fn settings_of(lines: &[&str]) -> Vec<Setting> {
        lines.iter().flat_map(|line| parse(Path::new("/x.conf"), line)).collect()
    }

    #[test]
    fn an_address_is_denied_by_its_prefix_unless_it_is_allowed() {
        let denied = |lines: &[&str], ip: &str| denies(&settings_of(lines), ip.parse().unwrap()).is_some();
        for (lines, ip, expected) in [
            (&["IPAddressDeny=any"][..], "192.0.2.1", true),
            (&["IPAddressDeny=any", "IPAddressAllow=localhost"], "127.0.0.2", false),
            (&["IPAddressDeny=any", "IPAddressAllow=localhost"], "192.0.2.1", true),
            (&["IPAddressDeny=192.0.2.0/25 198.51.100.7"], "192.0.2.127", true),
            (&["IPAddressDeny=192.0.2.0/25 198.51.100.7"], "192.0.2.128", false),
            (&["IPAddressDeny=2001:db8::/32"], "2001:db8:1::1", true),
            (&["IPAddressDeny=2001:db8::/32"], "192.0.2.1", false),
            (&["IPAddressDeny=any", "IPAddressDeny="], "192.0.2.1", false),
            (&["IPAddressDeny=link-local"], "fe80::1", true),
        ] {
            assert_eq!(denied(lines, ip), expected, "{lines:?} {ip}");
        }
    }

    #[test]
    fn a_family_is_refused_by_what_the_list_leaves_out_or_by_what_it_names() {
        for (lines, expected) in [
            (&["RestrictAddressFamilies=AF_UNIX AF_INET6"][..], true),
            (&["RestrictAddressFamilies=AF_UNIX", "RestrictAddressFamilies=AF_INET"], false),
            (&["RestrictAddressFamilies=~AF_PACKET AF_INET"], true),
            (&["RestrictAddressFamilies=~AF_PACKET"], false),
            (&["RestrictAddressFamilies=~AF_INET", "RestrictAddressFamilies=AF_INET"], false),
            (&["RestrictAddressFamilies=AF_INET", "RestrictAddressFamilies=~AF_INET"], true),
            (&["RestrictAddressFamilies=none"], true),
            (&["RestrictAddressFamilies=AF_UNIX", "RestrictAddressFamilies="], false),
        ] {
            assert_eq!(refused_family(&settings_of(lines), "AF_INET").is_some(), expected, "{lines:?}");
        }
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
