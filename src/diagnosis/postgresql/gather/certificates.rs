//! Certificates and keys on this machine: the configured ones, and what stands beside them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use openssl::nid::Nid;
use openssl::pkey::{PKey, Private, Public};
use openssl::x509::X509;

use crate::database::postgresql::certificate::Peer;
use crate::database::postgresql::settings::{PgSettings, RootCert};
use crate::diagnosis::host::path::{Need, Obstacle, first_obstacle};
use crate::diagnosis::host::process::Who;
use crate::diagnosis::postgresql::evidence::certificates::{Certificates, Fit, Key};
use crate::diagnosis::postgresql::subject::Subject;

/// No file of certificates is larger: 1 MiB.
const LARGEST: u64 = 1 << 20;

/// What the configured files hold, as this process reads them.
pub fn look(settings: &PgSettings, role: &str, who: &Who) -> Certificates {
    let root = root_file(settings);
    let cert = settings.sslcert.as_deref();
    let unreadable = unreadable(settings, who);
    let root_is_empty = root.is_some_and(|path| chain(path).is_none_or(|list| list.is_empty()));
    Certificates {
        unreadable,
        root_is_empty,
        authorities: root
            .filter(|_| root_is_empty)
            .map(|path| certificates_beside(path).into_iter().map(|(file, _)| file).collect())
            .unwrap_or_default(),
        key: cert.zip(settings.sslkey.as_deref()).and_then(|(cert, key)| key_of(settings, cert, key)),
        common_name: cert.and_then(common_name_of),
        issuer: cert.and_then(issuer_beside),
        pair_for_role: root.and_then(|root| pair_for(root, role)),
    }
}

fn root_file(settings: &PgSettings) -> Option<&Path> {
    match &settings.sslrootcert {
        Some(RootCert::File(path)) => Some(path),
        _ => None,
    }
}

fn unreadable(settings: &PgSettings, who: &Who) -> Option<(&'static str, Obstacle)> {
    let named = [
        ("sslrootcert", root_file(settings)),
        ("sslcert", settings.sslcert.as_deref()),
        ("sslkey", settings.sslkey.as_deref()),
        ("sslcrl", settings.sslcrl.as_deref()),
    ];
    named.into_iter().find_map(|(key, path)| Some((key, first_obstacle(path?, Need::Read, who)?)))
}

fn bytes(path: &Path) -> Option<Vec<u8>> {
    let small = path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() < LARGEST);
    small.then(|| fs::read(path).ok()).flatten()
}

/// Every certificate in a file.
fn chain(path: &Path) -> Option<Vec<X509>> {
    X509::stack_from_pem(&bytes(path)?).ok()
}

/// The first certificate in a file.
fn certificate(path: &Path) -> Option<X509> {
    X509::from_pem(&bytes(path)?).ok()
}

fn common_name_of(path: &Path) -> Option<String> {
    let certificate = certificate(path)?;
    let entry = certificate.subject_name().entries_by_nid(Nid::COMMONNAME).next()?;
    entry.data().to_string().ok()
}

fn issuer_beside(cert: &Path) -> Option<PathBuf> {
    let issuer = certificate(cert).map(|certificate| Peer::of(&certificate).issuer)?;
    certificates_beside(cert).into_iter().find(|(_, about)| about.subject == issuer).map(|(path, _)| path)
}

fn key_of(settings: &PgSettings, cert: &Path, key: &Path) -> Option<Key> {
    let metadata = key.metadata().ok()?;
    let fit = fit(settings, cert, key);
    Some(Key { owner: metadata.uid(), mode: metadata.mode() & 0o7777, fit })
}

fn fit(settings: &PgSettings, cert: &Path, key: &Path) -> Fit {
    let public = certificate(cert).and_then(|certificate| certificate.public_key().ok());
    let (Some(public), Some(pem)) = (public, bytes(key)) else { return Fit::Good };
    match private_key(&pem) {
        Some(private) if public.public_eq(&private) => Fit::Good,
        Some(_) => Fit::Foreign { instead: key_beside(cert, &public) },
        // in the form of PKCS #8 or the older one
        None if String::from_utf8_lossy(&pem).contains("ENCRYPTED") => {
            let opens = |word: &str| PKey::private_key_from_pem_passphrase(&pem, word.as_bytes()).is_ok();
            let opened = settings.sslpassword.as_ref().is_some_and(|word| opens(word.reveal()));
            if opened { Fit::Good } else { Fit::Locked }
        }
        None => Fit::Good,
    }
}

/// The private key of `public`, in a file beside `path`.
fn key_beside(path: &Path, public: &PKey<Public>) -> Option<PathBuf> {
    let belongs = |path: &PathBuf| {
        bytes(path).and_then(|pem| private_key(&pem)).is_some_and(|private| public.public_eq(&private))
    };
    files_beside(path).into_iter().find(belongs)
}

fn pair_for(root: &Path, role: &str) -> Option<(PathBuf, PathBuf)> {
    let files = files_beside(root);
    let cert = files.into_iter().find(|path| common_name_of(path).as_deref() == Some(role))?;
    let public = certificate(&cert)?.public_key().ok()?;
    let key = key_beside(root, &public)?;
    Some((cert, key))
}

/// A certificate beside `root` that issued the one that was rejected, and was itself issued by one in `root`.
pub fn intermediate(root: &Path, rejected: &Peer) -> Option<PathBuf> {
    let roots = chain(root)?;
    files_beside(root).into_iter().find(|path| {
        let Some(certificate) = certificate(path) else { return false };
        let issued = |root: &X509| root.public_key().is_ok_and(|key| certificate.verify(&key).unwrap_or(false));
        Peer::of(&certificate).subject == rejected.issuer && roots.iter().any(issued)
    })
}

fn files_beside(path: &Path) -> Vec<PathBuf> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).take(200).collect();
    files.sort();
    files
}

/// Files beside `path` that hold a certificate of an authority.
fn certificates_beside(path: &Path) -> Vec<(PathBuf, Peer)> {
    let authority = |path: &Path| {
        let about = certificate(path).map(|certificate| Peer::of(&certificate))?;
        (about.subject == about.issuer).then_some(about)
    };
    files_beside(path).into_iter().filter_map(|path| authority(&path).map(|about| (path, about))).collect()
}

/// Root certificates on this machine that may have issued the one that was rejected, for a probe to try.
pub fn candidate_roots(subject: &Subject, rejected: &Peer) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = Vec::new();
    let settings = &subject.settings;
    if let Some(RootCert::File(path)) = &settings.sslrootcert {
        places.push(path.clone());
    }
    places.extend(settings.sslcert.clone());
    let mut found: Vec<PathBuf> = places
        .iter()
        .flat_map(|path| certificates_beside(path))
        .filter(|(_, about)| about.subject == rejected.issuer)
        .map(|(path, _)| path)
        .collect();
    let known = [
        "/etc/postgresql-common/root.crt",
        "/etc/ssl/certs/ssl-cert-snakeoil.pem",
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
    ];
    found.extend(known.iter().map(PathBuf::from).filter(|path| path.is_file()));
    found.dedup();
    found.retain(|path| !matches!(&settings.sslrootcert, Some(RootCert::File(root)) if root == path));
    found.truncate(6);
    found
}

/// A key without a passphrase. With a callback, since OpenSSL would ask the terminal for one.
fn private_key(pem: &[u8]) -> Option<PKey<Private>> {
    PKey::private_key_from_pem_callback(pem, |_| Ok(0)).ok()
}
