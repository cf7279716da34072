//! The files that the settings name: can they serve, and what lies beside them that could?

use std::path::Path;

use crate::database::postgresql::settings::RootCert;
use crate::diagnosis::host::path::{Obstacle, Trouble};
use crate::diagnosis::host::process::Who;
use crate::diagnosis::host::shell::word as shell;
use crate::diagnosis::host::{labels, path_fixes};
use crate::diagnosis::postgresql::evidence::certificates::{Fit, Key};
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::Fix;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

/// A file that the settings name and that cannot serve.
pub(super) fn files(subject: &Subject, who: &Who) -> Option<Finding> {
    if let Some((key, obstacle)) = &subject.certificates.unreadable {
        let found = finding("DBT0610", format!("The file of {key} cannot be read: {}", obstacle.sentence(who)))
            .not("not the certificate as such: it was not even read");
        return Some(readable(subject, who, key, obstacle).into_iter().fold(found, Draft::fix));
    }
    no_certificate(subject).or_else(|| key_trouble(subject, who))
}

/// What makes a file readable for this process, and opens nothing else.
fn readable(subject: &Subject, who: &Who, key: &str, obstacle: &Obstacle) -> Vec<Fix> {
    let group = shell(&who.group);
    let file = shell(&obstacle.real.display().to_string());
    let handed_over = format!("chown root:{group} {file} && chmod 640 {file}");
    match (&obstacle.trouble, obstacle.is_last()) {
        (Trouble::Selinux(_), true) => {
            let mut lines = vec![labels::file(labels::CERTIFICATE, &obstacle.real)];
            if obstacle.seen.is_none() {
                lines.push(format!("{} test -r {file} || {{ {handed_over}; }}", who.run_as()));
            }
            vec![path_fixes::shell(lines.join("\n"), Then::None)]
        }
        (Trouble::NotReadable | Trouble::AclMask, true) if key == "sslkey" => {
            vec![path_fixes::shell(handed_over, Then::None)]
        }
        // a directory that is closed to httpd holds more than this file
        (Trouble::Selinux(_) | Trouble::NotSearchable, false) => elsewhere(subject, who, key, obstacle),
        _ => path_fixes::cure(std::slice::from_ref(obstacle), who).into_iter().collect(),
    }
}

/// A copy where the policies have certificates and keys, for the server's group alone, and the directive for it.
fn elsewhere(subject: &Subject, who: &Who, key: &str, obstacle: &Obstacle) -> Vec<Fix> {
    let Some(name) = obstacle.path.file_name() else { return Vec::new() };
    let directory = Path::new("/etc/ssl/dbtest");
    let copy = directory.join(name);
    let commands = format!(
        "install -d -m 755 {directory}\ninstall -o root -g {} -m 640 {} {}",
        shell(&who.group),
        shell(&obstacle.real.display().to_string()),
        shell(&copy.display().to_string()),
        directory = directory.display(),
    );
    let directive = Fix {
        sure: true,
        kind: FixKind::Httpd,
        place: format!("{}, once the commands above are done", subject.httpd_place()),
        text: subject.directive(|settings| match key {
            "sslrootcert" => settings.sslrootcert = Some(RootCert::File(copy)),
            "sslcert" => settings.sslcert = Some(copy),
            "sslkey" => settings.sslkey = Some(copy),
            _ => settings.sslcrl = Some(copy),
        }),
        then: Then::Reload,
    };
    vec![path_fixes::shell(commands, Then::None), directive]
}

/// sslrootcert has no certificate in it.
fn no_certificate(subject: &Subject) -> Option<Finding> {
    let Some(RootCert::File(path)) = &subject.settings.sslrootcert else { return None };
    if !subject.certificates.root_is_empty {
        return None;
    }
    let found = finding("DBT0611", format!("{} (sslrootcert) holds no certificate in PEM form", path.display()))
        .not("not an unreadable file: it was read, and there is no BEGIN CERTIFICATE in it");
    let beside = &subject.certificates.authorities;
    let single = beside.len() == 1;
    Some(beside.iter().fold(found, |found, other| {
        let text = subject.directive(|settings| settings.sslrootcert = Some(RootCert::File(other.clone())));
        if single {
            found.sure(FixKind::Httpd, subject.httpd_place(), text, Then::Reload)
        } else {
            found.maybe(FixKind::Httpd, subject.httpd_place(), text, Then::Reload)
        }
    }))
}

/// The client's key: readable by others, or not the certificate's.
fn key_trouble(subject: &Subject, who: &Who) -> Option<Finding> {
    let (path, key) = (subject.settings.sslkey.as_ref()?, subject.certificates.key.as_ref()?);
    if key.is_open() {
        return Some(open_key(path, key, who));
    }
    match &key.fit {
        Fit::Good => None,
        Fit::Locked => Some(passphrase(subject, path)),
        Fit::Foreign { instead } => Some(foreign_key(subject, path, instead.as_deref())),
    }
}

fn open_key(path: &Path, key: &Key, who: &Who) -> Finding {
    let file = shell(&path.display().to_string());
    let text = if key.owner == who.uid {
        format!("chmod 600 {file}")
    } else {
        format!("chown root:{} {file} && chmod 640 {file}", shell(&who.group))
    };
    finding(
        "DBT0612",
        format!(
            "The key {} (sslkey) may be read by others (mode {:04o}), and so is not used",
            path.display(),
            key.mode
        ),
    )
    .sure(FixKind::Shell, "a root shell on this machine", text, Then::None)
    .not("not the server: the handshake did not begin")
}

fn foreign_key(subject: &Subject, path: &Path, instead: Option<&Path>) -> Finding {
    let cert = subject.settings.sslcert.clone().unwrap_or_default();
    let found = finding(
        "DBT0613",
        format!("The key {} (sslkey) is not that of the certificate {} (sslcert)", path.display(), cert.display()),
    )
    .not("not the server: the handshake did not begin");
    let Some(other) = instead else { return found };
    let text = subject.directive(|settings| settings.sslkey = Some(other.to_owned()));
    found.sure(FixKind::Httpd, subject.httpd_place(), text, Then::Reload)
}

/// The key is encrypted, and what is configured does not open it.
fn passphrase(subject: &Subject, key: &Path) -> Finding {
    let what = match subject.settings.sslpassword {
        Some(_) => "sslpassword does not open it",
        None => "no sslpassword is configured",
    };
    let text = subject.directive(|settings| settings.sslpassword = Some(crate::database::Secret::new("***")));
    let file = shell(&key.display().to_string());
    finding("DBT0623", format!("The key {} (sslkey) is encrypted with a passphrase, and {what}", key.display()))
        .maybe(
            FixKind::Httpd,
            format!(
                "{} (sslpassword is the passphrase; whoever may read httpd's configuration sees it)",
                subject.httpd_place()
            ),
            text,
            Then::Reload,
        )
        .maybe(
            FixKind::Shell,
            "a root shell on this machine (asks for the passphrase, and takes it off the key)",
            format!(
                "umask 077 && openssl pkey -in {file} -out {file}.plain && cat {file}.plain >{file} && rm {file}.plain"
            ),
            Then::None,
        )
        .not("not the server: the handshake did not begin")
}
