//! Certificates for TLS tests: an authority, and what it signs.

use std::fs;
use std::path::{Path, PathBuf};

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::symm::Cipher;
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};
use tempfile::TempDir;

use super::system::{directory, give};

/// An authority with a directory for what it signs.
pub struct Pki {
    dir: TempDir,
    key: PKey<Private>,
    certificate: X509,
}

/// A certificate with its key, as files.
#[derive(Debug, Clone)]
pub struct Certificate {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Pki {
    /// A new authority, unlike every other.
    pub fn new(name: &str) -> Self {
        let dir = directory("pki");
        let key = new_key();
        let subject = common_name(name);
        let mut builder = begin(&subject, &subject, &key, -1, 3650);
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        builder.append_extension(KeyUsage::new().key_cert_sign().crl_sign().build().unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        let pki = Self { dir, key, certificate: builder.build() };
        pki.write("ca.crt", &pki.certificate.to_pem().unwrap(), 0o644);
        pki
    }

    /// The authority's own certificate, for `sslrootcert` and `ssl_ca_file`.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.crt")
    }

    /// Signs a certificate whose common name is `name`, for the DNS names and addresses in `alternatives`.
    pub fn issue(&self, name: &str, alternatives: &[&str]) -> Certificate {
        self.issue_for_days(name, alternatives, -1, 365)
    }

    /// The same, valid from and until so many days from now: (-10, -1) is expired, (1, 10) not yet valid.
    pub fn issue_for_days(&self, name: &str, alternatives: &[&str], from: i64, until: i64) -> Certificate {
        let key = new_key();
        let mut builder = begin(&common_name(name), self.certificate.subject_name(), &key, from, until);
        if !alternatives.is_empty() {
            let mut names = SubjectAlternativeName::new();
            for name in alternatives {
                match name.parse::<std::net::IpAddr>() {
                    Ok(_) => names.ip(name),
                    Err(_) => names.dns(name),
                };
            }
            let extension = names.build(&builder.x509v3_context(Some(&self.certificate), None)).unwrap();
            builder.append_extension(extension).unwrap();
        }
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        let serial = builder_serial();
        let cert = self.write(&format!("{serial}.crt"), &builder.build().to_pem().unwrap(), 0o644);
        let key = self.write(&format!("{serial}.key"), &key.private_key_to_pem_pkcs8().unwrap(), 0o600);
        Certificate { cert, key }
    }

    /// The key of `certificate` once more, under a password.
    pub fn encrypt_key(&self, certificate: &Certificate, password: &str) -> PathBuf {
        let key = PKey::private_key_from_pem(&fs::read(&certificate.key).unwrap()).unwrap();
        let pem = key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_128_cbc(), password.as_bytes()).unwrap();
        self.write(&format!("{}.enc", builder_serial()), &pem, 0o600)
    }

    /// Lines for postgresql.conf that turn TLS on with `certificate`, and ask clients for one of ours.
    pub fn conf(&self, certificate: &Certificate) -> String {
        format!(
            "ssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'\nssl_ca_file = '{}'\n",
            certificate.cert.display(),
            certificate.key.display(),
            self.ca().display()
        )
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Files belong to the server's account, which root may read all the same.
    fn write(&self, name: &str, bytes: &[u8], mode: u32) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        give(&path);
        path
    }
}

fn builder_serial() -> u32 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

fn new_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn common_name(name: &str) -> X509Name {
    let mut builder = X509NameBuilder::new().unwrap();
    builder.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    builder.build()
}

fn begin(
    subject: &X509Name,
    issuer: &openssl::x509::X509NameRef,
    key: &PKey<Private>,
    from: i64,
    until: i64,
) -> X509Builder {
    let mut serial = BigNum::new().unwrap();
    serial.rand(64, MsbOption::MAYBE_ZERO, false).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let day = |days: i64| Asn1Time::from_unix(now + days * 86_400).unwrap();
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&Asn1Integer::from_bn(&serial).unwrap()).unwrap();
    builder.set_subject_name(subject).unwrap();
    builder.set_issuer_name(issuer).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&day(from)).unwrap();
    builder.set_not_after(&day(until)).unwrap();
    builder
}
