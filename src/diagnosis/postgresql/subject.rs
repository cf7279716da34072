//! What is being examined, in the terms that a fix must name: who connects, to what, as whom, from which
//! address. Everything printed for a person to type is made from here, so that it is complete.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::quote;
use crate::database::Table;
use crate::database::postgresql::negotiate::Login;
use crate::database::postgresql::settings::{Host, HostPort, PgSettings, SslMode};
use crate::database::postgresql::socket::Address;
use crate::diagnosis::host::addresses;
use crate::diagnosis::postgresql::evidence::certificates::Certificates;
use crate::diagnosis::postgresql::scene::Scene;
use crate::diagnosis::report::{Fix, FixKind, Then};

/// Where the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The directory of the Unix socket.
    Socket(PathBuf),
    /// The host as written, and the address that was tried (none before it is resolved).
    Tcp { host: String, address: Option<IpAddr> },
}

/// One connection that is being examined.
#[derive(Debug, Clone)]
pub struct Subject {
    /// "/dbtest".
    pub location: String,
    /// The operating system's user of this process: who must be allowed.
    pub os_user: String,
    pub settings: PgSettings,
    /// Which of `settings.hosts` this is about.
    pub host_index: usize,
    pub place: Place,
    pub port: u16,
    pub role: String,
    pub database: String,
    pub table: Table,
    /// Our address as the server sees it.
    pub seen_as: Option<IpAddr>,
    /// Is the connection inside TLS?
    pub encrypted: bool,
    /// Was a password configured, inline or in a file?
    pub has_password: bool,
    /// DBTestPasswordFile, where the password comes from there.
    pub password_file: Option<String>,
    /// Does the server run on this machine?
    pub local: bool,
    /// The files of certificates and keys; empty unless a login failed.
    pub certificates: Certificates,
    /// What a pooler on this machine is to connect to (as pgbouncer.ini has it), where it refused us and just one
    /// PostgreSQL runs here.
    pub behind: Option<String>,
}

impl Subject {
    /// The connection to one of the configured hosts, at `address` once that is known.
    pub fn new(settings: &PgSettings, host_index: usize, address: Option<&Address>) -> Self {
        let host = settings.hosts.get(host_index);
        let port = host.map_or(5432, |host| host.port);
        let role =
            settings.user.clone().or_else(|| Login::of(settings).ok().map(|login| login.user)).unwrap_or_default();
        let place = match (address, host) {
            (Some(Address::Unix(file)), _) => Place::Socket(file.parent().unwrap_or(Path::new("/")).to_owned()),
            (Some(Address::Tcp(to)), host) => {
                Place::Tcp { host: host.map_or_else(|| to.ip().to_string(), host_name), address: Some(to.ip()) }
            }
            (None, Some(host)) => match host.socket_dir() {
                Some(dir) => Place::Socket(dir),
                None => Place::Tcp { host: host_name(host), address: host.hostaddr },
            },
            (None, None) => Place::Tcp { host: "localhost".into(), address: None },
        };
        let (seen_as, local) = match &place {
            Place::Socket(_) => (None, true),
            Place::Tcp { address: Some(ip), .. } => (addresses::our_end(*ip), addresses::is_ours(*ip)),
            Place::Tcp { .. } => (None, false),
        };
        Self {
            location: String::new(),
            os_user: String::new(),
            host_index,
            place,
            port,
            database: settings.dbname.clone().unwrap_or_else(|| role.clone()),
            role,
            table: Table::default(),
            seen_as,
            encrypted: false,
            has_password: settings.password.as_ref().is_some_and(|secret| !secret.reveal().is_empty()),
            password_file: None,
            local,
            settings: settings.clone(),
            certificates: Certificates::default(),
            behind: None,
        }
    }

    /// The same, as it is examined in a climb.
    pub fn of(scene: &Scene, host_index: usize, address: Option<&Address>) -> Self {
        Self {
            location: scene.circumstances.location.clone(),
            os_user: scene.who.user.clone(),
            table: Table::clone(&scene.settings.table),
            password_file: scene.settings.password_file.clone(),
            ..Self::new(scene.target.settings(), host_index, address)
        }
    }

    /// The `DBTestDatabase` line with something changed, complete but for the password.
    pub fn directive(&self, change: impl FnOnce(&mut PgSettings)) -> String {
        let mut settings = self.settings.clone();
        change(&mut settings);
        if !settings.inline_password {
            // it stands in a file of its own, and stays there
            settings.password = None;
        }
        // the role's password and the key's passphrase
        let url =
            settings.masked().replacen(":***@", ":<PASSWORD>@", 1).replace("sslpassword=***", "sslpassword=<PASSWORD>");
        format!("DBTestDatabase {}", quote::argument(&url))
    }

    /// The same with another port on the host that was tried.
    pub fn directive_with_port(&self, port: u16) -> String {
        let index = self.host_index;
        self.directive(|settings| {
            if let Some(host) = settings.hosts.get_mut(index) {
                host.port = port;
            }
        })
    }

    /// Puts the right password where this configuration has it: into the file, if there is one, since a password in
    /// both places is refused.
    pub fn password(&self, sure: bool, when: &str) -> Fix {
        let fix = |kind, place: String, text: String| Fix { sure, kind, place, text, then: Then::Reload };
        let place = |place: &str| format!("{place}{when}");
        match self.password_file.as_deref().map(|file| (file, file.strip_prefix("exec:"))) {
            Some((_, Some(program))) => Fix {
                // what the program prints is its own affair
                sure: false,
                ..fix(
                    FixKind::Shell,
                    place(
                        "a root shell on this machine: DBTestPasswordFile runs this program (it must print the role's password)",
                    ),
                    format!("{} | wc -c", program.trim()),
                )
            },
            Some((file, None)) => fix(
                FixKind::Shell,
                place("a root shell on this machine: the password is in this file (DBTestPasswordFile)"),
                format!("umask 077 && printf '%s\\n' '<PASSWORD>' >{}", crate::diagnosis::host::shell::word(file)),
            ),
            None => {
                let text = self.directive(|settings| {
                    settings.password = Some(crate::database::Secret::new("***"));
                    settings.inline_password = true;
                });
                fix(FixKind::Httpd, format!("{}{when}", self.httpd_place()), text)
            }
        }
    }

    /// The same with another sslmode.
    pub fn directive_with_sslmode(&self, mode: SslMode) -> String {
        self.directive(|settings| settings.sslmode = mode)
    }

    /// "127.0.0.1 port 5432" or the socket's path.
    pub fn server(&self) -> String {
        match &self.place {
            Place::Socket(dir) => dir.join(format!(".s.PGSQL.{}", self.port)).display().to_string(),
            Place::Tcp { host, address: Some(address) } if *host != address.to_string() => {
                format!("{host} ({address}) port {}", self.port)
            }
            Place::Tcp { host, .. } => format!("{host} port {}", self.port),
        }
    }

    /// The machine that the server runs on, for "where".
    pub fn machine(&self) -> String {
        match &self.place {
            _ if self.local => "this machine".into(),
            Place::Socket(_) => "this machine".into(),
            Place::Tcp { host, .. } => host.clone(),
        }
    }

    /// Where a fix in SQL is to be typed.
    pub fn psql_place(&self) -> String {
        format!("psql as a superuser in database {} of the PostgreSQL server at {}", self.database, self.server())
    }

    /// Where a line of pg_hba.conf is to be put.
    pub fn hba_place(&self) -> String {
        format!("pg_hba.conf of the PostgreSQL server at {} (SHOW hba_file), as its first line", self.server())
    }

    /// Where a line of pg_ident.conf is to be put.
    pub fn ident_place(&self) -> String {
        format!("pg_ident.conf of the PostgreSQL server at {} (SHOW ident_file), as its first line", self.server())
    }

    /// Where a setting is to be put.
    pub fn conf_place(&self) -> String {
        format!("postgresql.conf of the PostgreSQL server at {} (SHOW config_file), or ALTER SYSTEM", self.server())
    }

    /// Where a directive is to be put.
    pub fn httpd_place(&self) -> String {
        match &*self.location {
            // a failure of the page's own is read without knowing where
            "" => "httpd's configuration, in the place of DBTestDatabase".into(),
            location => format!("httpd's configuration, inside {}", crate::diagnosis::report::text::section(location)),
        }
    }

    /// Which shell, for a fix on the database's machine.
    pub fn server_shell(&self) -> String {
        format!("a root shell on {}, which runs PostgreSQL", self.machine())
    }

    /// The very connection as a URI for psql, all of its parameters included, but without a password.
    pub fn uri(&self) -> String {
        let mut settings = self.settings.clone();
        let mut host = settings.hosts.get(self.host_index).cloned();
        if let (Some(host), Place::Socket(dir)) = (&mut host, &self.place) {
            host.host = Host::SocketDir(dir.clone());
        }
        settings.hosts = host.into_iter().collect();
        settings.user = Some(self.role.clone());
        settings.dbname = Some(self.database.clone());
        // psql asks for them
        (settings.password, settings.sslpassword) = (None, None);
        // there is one host left
        settings.load_balance_hosts = false;
        settings.masked()
    }

    /// The connection as a command, as the user that fails; with a statement if there is one.
    pub fn psql(&self, statement: &str) -> String {
        let mut command = format!(
            "runuser -u {} -- psql {}",
            crate::diagnosis::host::shell::word(&self.os_user),
            crate::diagnosis::host::shell::word(&self.uri())
        );
        if !statement.is_empty() {
            command.push_str(" -c ");
            command.push_str(&crate::diagnosis::host::shell::word(statement));
        }
        command
    }

    /// The line of pg_hba.conf that admits exactly this connection, by `method`.
    pub fn hba_line(&self, method: &str) -> String {
        let (database, role) = (quote::hba(&self.database), quote::hba(&self.role));
        match (&self.place, self.seen_as) {
            (Place::Socket(_), _) => format!("local {database} {role} {method}"),
            (Place::Tcp { .. }, seen) => {
                let kind = if self.encrypted { "hostssl" } else { "host" };
                let address = match seen {
                    Some(IpAddr::V4(address)) => format!("{address}/32"),
                    Some(IpAddr::V6(address)) => format!("{address}/128"),
                    None => "samehost".into(),
                };
                format!("{kind} {database} {role} {address} {method}")
            }
        }
    }
}

fn host_name(host: &HostPort) -> String {
    match &host.host {
        Host::Name(name) => name.clone(),
        Host::Address(address) => address.to_string(),
        Host::SocketDir(_) | Host::LocalSocket => {
            host.hostaddr.map_or_else(|| "localhost".into(), |address| address.to_string())
        }
    }
}

/// An address that stands somewhere in a server's message. Messages are translated, addresses are not:
/// only the server can tell us as whom it sees us behind a translating router.
pub fn address_in(message: &str) -> Option<IpAddr> {
    message
        .split(|c: char| !(c.is_ascii_hexdigit() || c == '.' || c == ':'))
        .filter(|word| word.len() > 2)
        .find_map(|word| word.trim_matches('.').parse().ok())
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The connection of the project's own example, over TCP.
    pub fn over_tcp() -> Subject {
        Subject {
            location: "/dbtest".into(),
            os_user: "www-data".into(),
            settings: PgSettings {
                hosts: vec![HostPort { host: Host::Address([127, 0, 0, 1].into()), hostaddr: None, port: 5432 }],
                ..PgSettings::default()
            },
            host_index: 0,
            place: Place::Tcp { host: "127.0.0.1".into(), address: Some(IpAddr::from([127, 0, 0, 1])) },
            port: 5432,
            role: "flasktest".into(),
            database: "flasktestdb".into(),
            table: Table::default(),
            seen_as: Some(IpAddr::from([127, 0, 0, 1])),
            encrypted: false,
            has_password: true,
            password_file: None,
            local: true,
            certificates: Certificates::default(),
            behind: None,
        }
    }

    /// The same over the Unix socket.
    pub fn over_socket() -> Subject {
        Subject { place: Place::Socket("/run/postgresql".into()), seen_as: None, ..over_tcp() }
    }

    #[test]
    fn a_line_of_pg_hba_admits_exactly_this_connection() {
        assert_eq!(over_socket().hba_line("scram-sha-256"), "local flasktestdb flasktest scram-sha-256");
        assert_eq!(over_tcp().hba_line("scram-sha-256"), "host flasktestdb flasktest 127.0.0.1/32 scram-sha-256");
        let subject = Subject { encrypted: true, seen_as: "::1".parse().ok(), role: "web user".into(), ..over_tcp() };
        assert_eq!(subject.hba_line("md5"), "hostssl flasktestdb \"web user\" ::1/128 md5");
    }

    #[test]
    fn the_command_can_be_pasted() {
        assert_eq!(
            over_tcp().psql("SELECT 1"),
            "runuser -u www-data -- psql postgresql://flasktest@127.0.0.1/flasktestdb -c 'SELECT 1'"
        );
    }

    #[test]
    fn the_address_is_found_in_any_language() {
        let german = "kein pg_hba.conf-Eintrag für Host »172.17.0.1«, Benutzer »flasktest«, Datenbank »d«, keine Verschlüsselung";
        assert_eq!(address_in(german), "172.17.0.1".parse().ok());
        assert_eq!(address_in("no entry for host \"::1\", user \"added\""), "::1".parse().ok());
        assert_eq!(address_in("no pg_hba.conf entry for host \"[local]\", user \"abc\""), None);
    }
}
