//! The words that libpq's connection parameters may be set to, as types.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Where libpq looks for the local socket when no host is named: the packages of Debian and Red Hat, then a
/// server built from source. The first that exists at the time of connecting is taken.
pub const DEFAULT_SOCKET_DIRS: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];

/// PostgreSQL's port when none is named.
pub const DEFAULT_PORT: u16 = 5432;

/// One server to try, in the order in which they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// What was written: also the name that a certificate is compared with.
    pub host: Host,
    /// `hostaddr`: connect to this address, without asking for the name.
    pub hostaddr: Option<IpAddr>,
    pub port: u16,
}

/// How a server was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// To be resolved.
    Name(String),
    Address(IpAddr),
    /// The directory that holds `.s.PGSQL.PORT`.
    SocketDir(PathBuf),
    /// No host at all: the first of [`DEFAULT_SOCKET_DIRS`] that exists, found when connecting since parsing
    /// touches no disk.
    LocalSocket,
}

impl HostPort {
    /// The directory of the socket, if this is one. Looks at the disk when no host was named.
    pub fn socket_dir(&self) -> Option<PathBuf> {
        match &self.host {
            Host::SocketDir(dir) => Some(dir.clone()),
            Host::LocalSocket if self.hostaddr.is_none() => Some(default_socket_dir()),
            _ => None,
        }
    }

    /// The socket itself, `DIR/.s.PGSQL.PORT`, if this is one. Looks at the disk when no host was named.
    pub fn socket_file(&self) -> Option<PathBuf> {
        Some(self.socket_dir()?.join(format!(".s.PGSQL.{}", self.port)))
    }
}

/// The first of [`DEFAULT_SOCKET_DIRS`] that exists, else the first. One that this process may not look at exists.
pub fn default_socket_dir() -> PathBuf {
    let dirs = DEFAULT_SOCKET_DIRS.map(Path::new);
    let exists = |dir: &&Path| match dir.metadata() {
        Ok(found) => found.is_dir(),
        Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
    };
    dirs.into_iter().find(exists).unwrap_or(dirs[0]).to_owned()
}

/// `sslmode`, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum SslMode {
    Disable,
    /// Without TLS first; with it if the server refuses that.
    Allow,
    /// With TLS if the server has it.
    #[default]
    Prefer,
    /// TLS with any certificate.
    Require,
    /// TLS with a certificate of a trusted authority.
    VerifyCa,
    /// The same, made out to the host we asked for.
    VerifyFull,
}

/// `sslrootcert`: the authorities that are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootCert {
    File(PathBuf),
    /// `system`: those of the operating system's OpenSSL.
    System,
}

/// `sslnegotiation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SslNegotiation {
    /// Ask in PostgreSQL's protocol first.
    #[default]
    Postgres,
    /// A TLS handshake at once (PostgreSQL 17).
    Direct,
}

/// `channel_binding`: is the SCRAM login to be tied to the TLS connection?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ChannelBinding {
    Disable,
    #[default]
    Prefer,
    Require,
}

/// `target_session_attrs`: which of several servers will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TargetSessionAttrs {
    #[default]
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

/// `ssl_min_protocol_version` and `ssl_max_protocol_version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    V1_0,
    V1_1,
    V1_2,
    V1_3,
}

/// `gssencmode`. We have no Kerberos: `require` is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum GssEncMode {
    Disable,
    #[default]
    Prefer,
}
