//! What the administrator wrote about a PostgreSQL server, read into one struct: URLs (libpq's and
//! SQLAlchemy's) and libpq's `key=value` strings. Pure: touches neither network nor disk.
//!
//! We read the text ourselves because rust-postgres' own parser knows a third of libpq's keys, has no
//! default socket directory, takes a URL that libpq refuses, and echoes parts of passwords in its errors.

mod conninfo;
#[cfg(test)]
mod dice_tests;
mod draft;
mod hosts;
mod keys;
mod masked;
mod pairs;
mod require_auth;
mod secrets;
mod suspicions;
#[cfg(test)]
mod tests;
mod types;
mod url;
mod values;
mod words;

use std::path::PathBuf;
use std::time::Duration;

pub use require_auth::{AuthMethod, RequireAuth};
pub use types::{
    ChannelBinding, DEFAULT_PORT, GssEncMode, Host, HostPort, RootCert, SslMode, SslNegotiation, TargetSessionAttrs,
    TlsVersion,
};

use crate::database::text::{check, wrong};
use crate::database::{ParseError, Secret, Setting};

/// Everything that a connection to PostgreSQL needs. `None` is not set: libpq's default holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgSettings {
    /// At least one.
    pub hosts: Vec<HostPort>,
    /// Without one, the operating system's user of the child.
    pub user: Option<String>,
    /// From the text or from DBTestPasswordFile.
    pub password: Option<Secret>,
    /// Without one, the user's name.
    pub dbname: Option<String>,
    /// libpq's promotion is done: `require` with an `sslrootcert` file is `verify-ca`.
    pub sslmode: SslMode,
    /// Never `None` with `verify-ca` and `verify-full`.
    pub sslrootcert: Option<RootCert>,
    /// Both or neither of `sslcert` and `sslkey`.
    pub sslcert: Option<PathBuf>,
    pub sslkey: Option<PathBuf>,
    /// Of an encrypted `sslkey`.
    pub sslpassword: Option<Secret>,
    pub sslcrl: Option<PathBuf>,
    pub sslcrldir: Option<PathBuf>,
    /// TLS 1.2 unless set, as in libpq.
    pub ssl_min_protocol_version: TlsVersion,
    pub ssl_max_protocol_version: Option<TlsVersion>,
    /// Name the host in the TLS handshake. On unless set to 0.
    pub sslsni: bool,
    pub sslnegotiation: SslNegotiation,
    pub channel_binding: ChannelBinding,
    /// What the server may ask for; nothing unless set.
    pub require_auth: Option<RequireAuth>,
    pub application_name: Option<String>,
    pub fallback_application_name: Option<String>,
    /// Command-line options for the server's process, e.g. `-c search_path=app`.
    pub options: Option<String>,
    /// `UTF8`, or unset; anything else is refused.
    pub client_encoding: Option<String>,
    /// For each host; DBTestTimeout's connect bounds all of them together.
    pub connect_timeout: Option<Duration>,
    pub tcp_user_timeout: Option<Duration>,
    pub keepalives: bool,
    pub keepalives_idle: Option<Duration>,
    pub keepalives_interval: Option<Duration>,
    pub keepalives_count: Option<u32>,
    pub target_session_attrs: TargetSessionAttrs,
    /// `load_balance_hosts=random`: try the hosts in a random order.
    pub load_balance_hosts: bool,
    /// The operating system's user that must own the server's process (Unix sockets only).
    pub requirepeer: Option<String>,
    pub gssencmode: GssEncMode,
    /// The password stands in the text itself, and so in httpd's configuration.
    pub inline_password: bool,
}

impl Default for PgSettings {
    /// What libpq does with an empty string.
    fn default() -> Self {
        Self {
            hosts: vec![HostPort { host: Host::LocalSocket, hostaddr: None, port: DEFAULT_PORT }],
            user: None,
            password: None,
            dbname: None,
            sslmode: SslMode::default(),
            sslrootcert: None,
            sslcert: None,
            sslkey: None,
            sslpassword: None,
            sslcrl: None,
            sslcrldir: None,
            ssl_min_protocol_version: TlsVersion::V1_2,
            ssl_max_protocol_version: None,
            sslsni: true,
            sslnegotiation: SslNegotiation::default(),
            channel_binding: ChannelBinding::default(),
            require_auth: None,
            application_name: None,
            fallback_application_name: None,
            options: None,
            client_encoding: None,
            connect_timeout: None,
            tcp_user_timeout: None,
            keepalives: true,
            keepalives_idle: None,
            keepalives_interval: None,
            keepalives_count: None,
            target_session_attrs: TargetSessionAttrs::default(),
            load_balance_hosts: false,
            requirepeer: None,
            gssencmode: GssEncMode::default(),
            inline_password: false,
        }
    }
}

/// Whether `text` is written as a PostgreSQL URL or as a connection string. A URL of another product is not.
pub fn recognises(text: &str) -> bool {
    let text = text.trim_start();
    match url::scheme(text) {
        Some(scheme) => ["postgres", "pgsql", "postgis", "jdbc:postgres"].iter().any(|ours| starts_with(scheme, ours)),
        None => starts_with(text, "postgres") || starts_with(text, "psql ") || text.contains('='),
    }
}

fn starts_with(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

/// Reads a URL or connection string. The error says what is wrong and what to type, and repeats no password.
pub fn parse(text: &str, setting: &Setting) -> Result<PgSettings, ParseError> {
    check(text)?;
    let is_url = url::scheme(text.trim()).is_some() || (starts_with(text, "postgres") && !text.contains('='));
    if is_url && text.trim() != text {
        return Err(wrong("there is white space around the URL", "take it out"));
    }
    let pairs = if is_url { url::split(text)? } else { conninfo::split(text)? };
    let mut draft = draft::Draft::default();
    for (i, pair) in pairs.iter().enumerate() {
        keys::apply(&mut draft, pair)?;
        if pairs[..i].iter().any(|earlier| earlier.key == pair.key) {
            return Err(wrong(format!("\"{}\" is given twice", pair.key), "leave one of them out"));
        }
    }
    draft.finish(setting.password)
}
