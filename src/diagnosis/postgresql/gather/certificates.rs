//! Certificates and keys on this machine: what stands beside the configured ones.

use std::fs;
use std::path::{Path, PathBuf};

use openssl::pkey::{PKey, Private};
use openssl::x509::X509;

use crate::database::postgresql::certificate::Peer;
use crate::database::postgresql::settings::RootCert;
use crate::diagnosis::postgresql::subject::Subject;

/// A certificate beside `root` that issued the one that was rejected, and was itself issued by one in `root`.
pub fn intermediate(root: &Path, rejected: &Peer) -> Option<PathBuf> {
    let read = |path: &Path| {
        let pem = fs::read(path).ok().filter(|bytes| bytes.len() < 1 << 20)?;
        X509::stack_from_pem(&pem).ok()
    };
    let roots = read(root)?;
    files_beside(root).into_iter().find(|path| {
        let Some(certificate) = read(path).and_then(|list| list.into_iter().next()) else { return false };
        let issued = |root: &X509| root.public_key().is_ok_and(|key| certificate.verify(&key).unwrap_or(false));
        Peer::of(&certificate).subject == rejected.issuer && roots.iter().any(issued)
    })
}

pub fn files_beside(path: &Path) -> Vec<PathBuf> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).take(200).collect();
    files.sort();
    files
}

/// Files beside `path` that hold a certificate of an authority.
pub fn certificates_beside(path: &Path) -> Vec<(PathBuf, Peer)> {
    let authority = |path: &Path| {
        let pem = fs::read(path).ok().filter(|bytes| bytes.len() < 1 << 20)?;
        let certificate = X509::stack_from_pem(&pem).ok()?.into_iter().next()?;
        let about = Peer::of(&certificate);
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
pub fn private_key(pem: &[u8]) -> Option<PKey<Private>> {
    PKey::private_key_from_pem_callback(pem, |_| Ok(0)).ok()
}
