//! The settings as a URL to show and to log: complete but for the secrets. Read again, it gives the same settings.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::types::{Host, HostPort, RootCert, TlsVersion};
use super::{PgSettings, words};

/// What need not be encoded in any part of a URL.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same in the query, where a path is easier to read with its slashes.
const QUERY: &AsciiSet = &PLAIN.remove(b'/').remove(b':').remove(b',');

impl PgSettings {
    /// The settings as a URL that may be shown and logged: `***` for the password.
    pub fn masked(&self) -> String {
        let mut url = String::from("postgresql://");
        if let Some(user) = &self.user {
            url.extend(utf8_percent_encode(user, PLAIN));
        }
        if self.password.is_some() {
            url.push_str(":***");
        }
        if self.user.is_some() || self.password.is_some() {
            url.push('@');
        }
        let mut query = Vec::new();
        match &self.hosts[..] {
            // One socket is easier to read in the query.
            [HostPort { host: Host::SocketDir(dir), port, hostaddr: None }] => {
                query.push(("host", dir.display().to_string()));
                if *port != super::DEFAULT_PORT {
                    query.push(("port", port.to_string()));
                }
            }
            hosts => url.push_str(&hosts.iter().map(authority).collect::<Vec<_>>().join(",")),
        }
        url.push('/');
        url.extend(self.dbname.iter().flat_map(|name| utf8_percent_encode(name, PLAIN)));
        query.extend(self.query());
        for (i, (key, value)) in query.iter().enumerate() {
            let separator = if i == 0 { '?' } else { '&' };
            // `***` stays readable: it stands for a secret.
            let secret = value == "***";
            let value = if secret { value.clone() } else { utf8_percent_encode(value, QUERY).to_string() };
            // Writing to a String cannot fail.
            let _ = write!(url, "{separator}{key}={value}");
        }
        url
    }

    /// What is not libpq's default, but for hosts, user, password and database.
    fn query(&self) -> Vec<(&'static str, String)> {
        let default = Self::default();
        let mut query = Vec::new();
        let mut add = |key, value: Option<String>| query.extend(value.map(|value| (key, value)));
        let differs = |differs: bool, text: &str| differs.then(|| text.to_owned());
        let seconds = |time: Option<std::time::Duration>| time.map(|time| time.as_secs().to_string());
        let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());

        add("hostaddr", self.hostaddrs());
        add("sslmode", differs(self.sslmode != default.sslmode, words::written(&words::SSL_MODE, &self.sslmode)));
        add("sslrootcert", self.sslrootcert.as_ref().map(root_cert));
        add("sslcert", path(&self.sslcert));
        add("sslkey", path(&self.sslkey));
        add("sslpassword", self.sslpassword.as_ref().map(|_| "***".into()));
        add("sslcrl", path(&self.sslcrl));
        add("sslcrldir", path(&self.sslcrldir));
        let tls = |version: &TlsVersion| words::written(&words::TLS_VERSION, version).to_owned();
        let least = (self.ssl_min_protocol_version != default.ssl_min_protocol_version)
            .then(|| tls(&self.ssl_min_protocol_version));
        add("ssl_min_protocol_version", least);
        add("ssl_max_protocol_version", self.ssl_max_protocol_version.as_ref().map(tls));
        add("sslsni", differs(!self.sslsni, "0"));
        let direct = words::written(&words::SSL_NEGOTIATION, &self.sslnegotiation);
        add("sslnegotiation", differs(self.sslnegotiation != default.sslnegotiation, direct));
        let binding = words::written(&words::CHANNEL_BINDING, &self.channel_binding);
        add("channel_binding", differs(self.channel_binding != default.channel_binding, binding));
        add("require_auth", self.require_auth.as_ref().map(super::RequireAuth::written));
        add("application_name", self.application_name.clone());
        add("fallback_application_name", self.fallback_application_name.clone());
        add("options", self.options.clone());
        add("client_encoding", self.client_encoding.clone());
        add("connect_timeout", seconds(self.connect_timeout));
        add("tcp_user_timeout", self.tcp_user_timeout.map(|time| time.as_millis().to_string()));
        add("keepalives", differs(!self.keepalives, "0"));
        add("keepalives_idle", seconds(self.keepalives_idle));
        add("keepalives_interval", seconds(self.keepalives_interval));
        add("keepalives_count", self.keepalives_count.map(|count| count.to_string()));
        let attrs = words::written(&words::TARGET_SESSION_ATTRS, &self.target_session_attrs);
        add("target_session_attrs", differs(self.target_session_attrs != default.target_session_attrs, attrs));
        add("load_balance_hosts", differs(self.load_balance_hosts, "random"));
        add("requirepeer", self.requirepeer.clone());
        let gss = words::written(&words::GSS_ENC_MODE, &self.gssencmode);
        add("gssencmode", differs(self.gssencmode != default.gssencmode, gss));
        query
    }

    /// The addresses, in the order of the hosts, unless they are the hosts themselves.
    fn hostaddrs(&self) -> Option<String> {
        let needed = |host: &HostPort| host.hostaddr.is_some_and(|address| host.host != Host::Address(address));
        let text = |host: &HostPort| host.hostaddr.map_or(String::new(), |address| address.to_string());
        self.hosts.iter().any(needed).then(|| self.hosts.iter().map(text).collect::<Vec<_>>().join(","))
    }
}

fn authority(host: &HostPort) -> String {
    let name = match &host.host {
        Host::Name(name) => utf8_percent_encode(name, PLAIN).to_string(),
        Host::Address(address) if address.is_ipv6() => format!("[{address}]"),
        Host::Address(address) => address.to_string(),
        Host::SocketDir(dir) => utf8_percent_encode(&dir.display().to_string(), PLAIN).to_string(),
        Host::LocalSocket => String::new(),
    };
    if host.port == super::DEFAULT_PORT { name } else { format!("{name}:{}", host.port) }
}

fn root_cert(root: &RootCert) -> String {
    match root {
        RootCert::System => "system".into(),
        RootCert::File(path) => path.display().to_string(),
    }
}
