//! What is legal but hardly meant: configtest warns of it.

use super::types::{Host, HostPort};
use super::{AuthMethod, ChannelBinding, PgSettings, SslMode};

/// Words that stand in templates and tutorials, once `<`, `>`, brackets, `_` and `-` are taken off.
const USERS: &[&str] = &["user", "username", "youruser", "yourusername", "dbuser", "myuser", "scott"];
const PASSWORDS: &[&str] = &[
    "password",
    "passwd",
    "pass",
    "secret",
    "changeme",
    "changeit",
    "yourpassword",
    "mypassword",
    "dbpassword",
    "userpassword",
    "tiger",
    "mysecretpassword",
    "hackme",
    "***",
    "xxx",
    "xxxx",
    "xxxxx",
    "xxxxxx",
];
const DATABASES: &[&str] = &["dbname", "databasename", "yourdatabase", "yourdb", "yourdbname", "mydatabase"];
const HOSTS: &[&str] = &["host", "hostname", "yourhost", "yourserver", "dbhost", "server"];

impl PgSettings {
    /// The first host that is given the password, or what it is proved by, without having proved who it is: another
    /// machine, by TCP, where neither TLS verifies the server (sslmode verify-ca or verify-full) nor SCRAM is bound to the
    /// connection (channel_binding=require) nor require_auth insists on SCRAM, by which a server that does not know the
    /// password learns nothing of it.
    pub fn password_for_anybody(&self) -> Option<&HostPort> {
        let proved = self.sslmode >= SslMode::VerifyCa
            || self.channel_binding == ChannelBinding::Require
            || self
                .require_auth
                .as_ref()
                .is_some_and(|required| !required.allows(AuthMethod::Password) && !required.allows(AuthMethod::Md5));
        let password = self.password.as_ref().is_some_and(|password| !password.reveal().is_empty());
        self.hosts.iter().find(|host| password && !proved && is_remote(host))
    }

    /// The sentence for configtest about [`PgSettings::password_for_anybody`].
    pub fn unproved(&self) -> Option<String> {
        let host = match &self.password_for_anybody()?.host {
            Host::Name(name) => name.clone(),
            Host::Address(address) => address.to_string(),
            Host::SocketDir(_) | Host::LocalSocket => "another machine".into(),
        };
        Some(format!(
            "the password goes to {host} without proof that this is the server that is meant: write sslmode=verify-full \
             with sslrootcert, or require_auth=scram-sha-256"
        ))
    }

    /// Messages that stand alone, about what is legal but hardly meant. None repeats the password.
    pub fn suspicions(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut template = |what: &str, value: Option<&str>| {
            let value = value.map_or(String::new(), |value| format!(" \"{value}\""));
            found.push(format!("the {what}{value} looks like a template's placeholder: was it to be filled in?"));
        };
        if let Some(user) = self.user.as_deref().filter(|user| is_placeholder(user, USERS)) {
            template("user name", Some(user));
        }
        if self.password.as_ref().is_some_and(|password| is_placeholder(password.reveal(), PASSWORDS)) {
            template("password", None);
        }
        if let Some(name) = self.dbname.as_deref().filter(|name| is_placeholder(name, DATABASES)) {
            template("database name", Some(name));
        }
        for host in &self.hosts {
            match &host.host {
                Host::Name(name) if is_placeholder(name, HOSTS) => template("host", Some(name)),
                _ => {}
            }
        }
        if self.password.as_ref().is_some_and(|password| password.reveal().trim() != password.reveal()) {
            found.push("the password begins or ends with white space: is that meant?".into());
        }
        let only_sockets = self.hosts.iter().all(|host| matches!(host.host, Host::SocketDir(_) | Host::LocalSocket));
        if only_sockets && self.sslmode >= SslMode::Require {
            found.push("sslmode has no effect on a local socket, which is not encrypted and need not be".into());
        }
        if self.requirepeer.is_some()
            && self.hosts.iter().all(|host| matches!(host.host, Host::Name(_) | Host::Address(_)))
        {
            found.push("requirepeer has no effect over TCP: only a local socket says who is at its other end".into());
        }
        found
    }
}

/// Another machine. A name is one unless it says that it is this one: it is not looked up here.
fn is_remote(host: &HostPort) -> bool {
    let named = match &host.host {
        Host::Name(name) => !name.eq_ignore_ascii_case("localhost"),
        Host::Address(address) => !address.is_loopback(),
        Host::SocketDir(_) | Host::LocalSocket => false,
    };
    host.hostaddr.map_or(named, |address| !address.is_loopback())
}

fn is_placeholder(value: &str, words: &[&str]) -> bool {
    let bracketed = [("<", ">"), ("[", "]"), ("{", "}"), ("{{", "}}")]
        .iter()
        .any(|(open, close)| value.len() > 2 && value.starts_with(open) && value.ends_with(close));
    let letters: String = value.to_lowercase().chars().filter(|c| !matches!(c, '_' | '-' | ' ')).collect();
    bracketed || words.contains(&&*letters)
}
