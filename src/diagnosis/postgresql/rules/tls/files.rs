//! The files that the settings name: can they serve, and what lies beside them that could?

use std::fs;
use std::path::{Path, PathBuf};

use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::X509;

use crate::database::postgresql::settings::RootCert;
use crate::diagnosis::host::path::{Need, Obstacle, Trouble, first_obstacle};
use crate::diagnosis::host::process::Who;
use crate::diagnosis::host::shell::word as shell;
use crate::diagnosis::host::{labels, path_fixes};
use crate::diagnosis::postgresql::gather::certificates::{certificates_beside, files_beside, private_key};
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::Fix;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

/// A file that the settings name and that cannot serve.
pub(super) fn files(subject: &Subject, who: &Who) -> Option<Finding> {
    let settings = &subject.settings;
    let root = match &settings.sslrootcert {
        Some(RootCert::File(path)) => Some(path),
        _ => None,
    };
    let named = [
        ("sslrootcert", root),
        ("sslcert", settings.sslcert.as_ref()),
        ("sslkey", settings.sslkey.as_ref()),
        ("sslcrl", settings.sslcrl.as_ref()),
    ];
    for (key, path) in named {
        let Some(path) = path else { continue };
        if let Some(obstacle) = first_obstacle(path, Need::Read, who) {
            let found = finding("DBT0610", format!("The file of {key} cannot be read: {}", obstacle.sentence(who)))
                .not("not the certificate as such: it was not even read");
            return Some(readable(subject, who, key, &obstacle).into_iter().fold(found, Draft::fix));
        }
    }
    root.and_then(|path| no_certificate(subject, path)).or_else(|| key_trouble(subject, who))
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
pub(super) fn no_certificate(subject: &Subject, path: &Path) -> Option<Finding> {
    let good = fs::read(path).ok().and_then(|pem| X509::stack_from_pem(&pem).ok()).is_some_and(|list| !list.is_empty());
    if good {
        return None;
    }
    let found = finding("DBT0611", format!("{} (sslrootcert) holds no certificate in PEM form", path.display()))
        .not("not an unreadable file: it was read, and there is no BEGIN CERTIFICATE in it");
    let beside = certificates_beside(path);
    let single = beside.len() == 1;
    Some(beside.into_iter().fold(found, |found, (other, _)| {
        let text = subject.directive(|settings| settings.sslrootcert = Some(RootCert::File(other)));
        if single {
            found.sure(FixKind::Httpd, subject.httpd_place(), text, Then::Reload)
        } else {
            found.maybe(FixKind::Httpd, subject.httpd_place(), text, Then::Reload)
        }
    }))
}

/// The client's key: readable by others, or not the certificate's.
pub(super) fn key_trouble(subject: &Subject, who: &Who) -> Option<Finding> {
    use std::os::unix::fs::MetadataExt;
    let (cert, key) = (subject.settings.sslcert.as_ref()?, subject.settings.sslkey.as_ref()?);
    let metadata = key.metadata().ok()?;
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    let file = shell(&key.display().to_string());
    if metadata.mode() & forbidden != 0 {
        let text = if metadata.uid() == who.uid {
            format!("chmod 600 {file}")
        } else {
            format!("chown root:{} {file} && chmod 640 {file}", shell(&who.group))
        };
        return Some(
            finding(
                "DBT0612",
                format!(
                    "The key {} (sslkey) may be read by others (mode {:04o}), and so is not used",
                    key.display(),
                    metadata.mode() & 0o7777
                ),
            )
            .sure(FixKind::Shell, "a root shell on this machine", text, Then::None)
            .not("not the server: the handshake did not begin"),
        );
    }
    let certificate = X509::from_pem(&fs::read(cert).ok()?).ok();
    let private = private_key(&fs::read(key).ok()?);
    let matches = match (&certificate, &private) {
        (Some(certificate), Some(private)) => certificate.public_key().is_ok_and(|public| public.public_eq(private)),
        (Some(_), None) if is_encrypted(key) => return passphrase(subject, key),
        // OpenSSL itself will tell
        (Some(_), None) => return None,
        (None, _) => false,
    };
    if matches {
        return None;
    }
    let found = finding(
        "DBT0613",
        format!("The key {} (sslkey) is not that of the certificate {} (sslcert)", key.display(), cert.display()),
    )
    .not("not the server: the handshake did not begin");
    let public = certificate.and_then(|certificate| certificate.public_key().ok())?;
    let other = files_beside(cert)
        .into_iter()
        .find(|path| fs::read(path).ok().and_then(|pem| private_key(&pem)).is_some_and(|key| public.public_eq(&key)));
    Some(match other {
        Some(other) => found.sure(
            FixKind::Httpd,
            subject.httpd_place(),
            subject.directive(|settings| settings.sslkey = Some(other)),
            Then::Reload,
        ),
        None => found,
    })
}

/// A PEM key that a passphrase protects, in the form of PKCS #8 or the older one.
fn is_encrypted(key: &Path) -> bool {
    fs::read_to_string(key).is_ok_and(|text| text.contains("ENCRYPTED"))
}

/// The key is encrypted, and what is configured does not open it.
fn passphrase(subject: &Subject, key: &Path) -> Option<Finding> {
    let configured = subject.settings.sslpassword.as_ref();
    let opens = |word: &str| {
        let pem = fs::read(key).unwrap_or_default();
        PKey::private_key_from_pem_passphrase(&pem, word.as_bytes()).is_ok()
    };
    let what = match configured {
        Some(word) if opens(word.reveal()) => return None,
        Some(_) => "sslpassword does not open it",
        None => "no sslpassword is configured",
    };
    let text = subject.directive(|settings| settings.sslpassword = Some(crate::database::Secret::new("***")));
    let file = shell(&key.display().to_string());
    Some(
        finding("DBT0623", format!("The key {} (sslkey) is encrypted with a passphrase, and {what}", key.display()))
            .maybe(
                FixKind::Httpd,
                format!("{} (sslpassword is the passphrase; whoever may read httpd's configuration sees it)", subject.httpd_place()),
                text,
                Then::Reload,
            )
            .maybe(
                FixKind::Shell,
                "a root shell on this machine (asks for the passphrase, and takes it off the key)",
                format!("umask 077 && openssl pkey -in {file} -out {file}.plain && cat {file}.plain >{file} && rm {file}.plain"),
                Then::None,
            )
            .not("not the server: the handshake did not begin"),
    )
}

/// A certificate made out to our role, with its key, beside the certificates that are configured.
pub fn client_pair_beside(subject: &Subject) -> Option<(PathBuf, PathBuf)> {
    let Some(RootCert::File(root)) = &subject.settings.sslrootcert else { return None };
    let files = files_beside(root);
    let named = |path: &&PathBuf| common_name_of(path).as_deref() == Some(&subject.role);
    let cert = files.iter().find(named)?;
    let public = X509::from_pem(&fs::read(cert).ok()?).ok()?.public_key().ok()?;
    let key = files
        .iter()
        .find(|path| fs::read(path).ok().and_then(|pem| private_key(&pem)).is_some_and(|key| public.public_eq(&key)))?;
    Some((cert.clone(), key.clone()))
}

/// The common name in a certificate file.
pub fn common_name_of(path: &Path) -> Option<String> {
    let certificate = X509::from_pem(&fs::read(path).ok()?).ok()?;
    let entry = certificate.subject_name().entries_by_nid(Nid::COMMONNAME).next()?;
    entry.data().to_string().ok()
}
