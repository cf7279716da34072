//! The files of certificates and keys that the settings name, and those beside them that could serve instead.

use std::path::PathBuf;

use crate::diagnosis::host::path::Obstacle;

/// What those files hold. The default is what is known where nobody looked: nothing stands in the way.
#[derive(Debug, Clone, Default)]
pub struct Certificates {
    /// The first setting whose file cannot be read, by its name, and why.
    pub unreadable: Option<(&'static str, Obstacle)>,
    /// sslrootcert was read, and holds no certificate.
    pub root_is_empty: bool,
    /// Files beside sslrootcert that hold an authority's certificate.
    pub authorities: Vec<PathBuf>,
    pub key: Option<Key>,
    /// The common name in sslcert.
    pub common_name: Option<String>,
    /// The file beside sslcert with the certificate of the authority that issued it.
    pub issuer: Option<PathBuf>,
    /// A certificate beside sslrootcert that is made out to our role, and its key.
    pub pair_for_role: Option<(PathBuf, PathBuf)>,
}

/// The client's key, sslkey.
#[derive(Debug, Clone)]
pub struct Key {
    pub owner: u32,
    /// The mode's bits, as chmod(1) takes them.
    pub mode: u32,
    pub fit: Fit,
}

impl Key {
    /// libpq and this module use no key that others may read: root's may be read by a group, anybody else's by nobody.
    pub fn is_open(&self) -> bool {
        let forbidden = if self.owner == 0 { 0o037 } else { 0o077 };
        self.mode & forbidden != 0
    }
}

/// Does the key belong to sslcert?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// It does, or what keeps one from telling is OpenSSL's to name.
    Good,
    /// A passphrase protects it that is not the configured one.
    Locked,
    /// It is another certificate's; `instead` is the one beside it that belongs.
    Foreign { instead: Option<PathBuf> },
}
