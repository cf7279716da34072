//! Which PostgreSQL servers this machine runs, and where they listen: so that "connection refused" becomes
//! "it listens on port 5433".

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// A socket file of PostgreSQL, `.s.PGSQL.PORT`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SocketFile {
    pub dir: PathBuf,
    pub port: u16,
    /// Some process listens on it (according to /proc/net/unix).
    pub alive: bool,
    /// The file is there (a socket that was deleted lives on without one).
    pub file: bool,
    /// Its `.lock` file is there.
    pub lock: bool,
    /// Who made the file, and so runs the server; `None` where it cannot be seen.
    pub owner: Option<u32>,
}

/// A TCP port in state LISTEN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    pub address: IpAddr,
    pub port: u16,
    /// Whose process it is.
    pub owner: u32,
}

/// What this machine runs, as far as an unprivileged process sees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Neighbours {
    pub sockets: Vec<SocketFile>,
    /// Every address and port in state LISTEN.
    pub listening: Vec<Listener>,
    /// Debian's clusters, as version, name and port, from /etc/postgresql.
    pub clusters: Vec<(String, String, u16)>,
    /// Users as whom the machine's own servers run: root, postgres, and the owner of the configured socket directory.
    pub trusted: BTreeSet<u32>,
    pub names: BTreeMap<u32, String>,
    /// A program `postgres` is where packages put it; `None` where nobody looked.
    pub installed: Option<bool>,
    /// This process lives in a container.
    pub container: bool,
    /// The local ports for connections; `None` where it cannot be read.
    pub port_range: Option<(u16, u16)>,
    /// The far end of every connection, as often as there is one; those that only wait to be free are among them.
    pub connections: Vec<SocketAddr>,
    /// Connections that nobody has accepted yet, for each listening port where there are some.
    pub queues: BTreeMap<u16, usize>,
    /// This machine's IPv6 addresses.
    pub ipv6: Vec<Ipv6Addr>,
}

impl Neighbours {
    /// Has this machine an address to come from towards `address`?
    pub fn has_ipv6(&self, address: IpAddr) -> bool {
        self.ipv6.iter().any(|ours| address.is_loopback() || !ours.is_loopback())
    }

    /// How many connections wait to be accepted on a port.
    pub fn waiting(&self, port: u16) -> usize {
        self.queues.get(&port).copied().unwrap_or(0)
    }

    /// How many connections there are to an address and port.
    pub fn connections_to(&self, to: SocketAddr) -> usize {
        self.connections.iter().filter(|far| **far == to).count()
    }

    /// Is it plausible that a server of this user's is the one that was meant? Anybody can listen on a free port or in
    /// /tmp, and would be sent the password.
    pub fn is_trusted(&self, owner: Option<u32>) -> bool {
        owner.is_some_and(|owner| self.trusted.contains(&owner))
    }

    /// Whether all that listens on `port` is run by whom that may be expected of.
    pub fn is_port_trusted(&self, port: u16) -> bool {
        let mut owners = self.listening.iter().filter(|listener| listener.port == port).map(|listener| listener.owner);
        owners.all(|owner| self.is_trusted(Some(owner)))
    }

    /// " (run by user carol, uid 1001)": stands beside what is not trusted.
    pub fn whose(&self, owner: Option<u32>) -> String {
        match owner {
            Some(owner) => {
                let name = self.names.get(&owner).cloned().unwrap_or_else(|| owner.to_string());
                format!(" (it is run by user {name}, uid {owner}: whose server is that?)")
            }
            None => " (by whom it is run cannot be seen)".into(),
        }
    }

    /// The same for a port; empty if it is trusted.
    pub fn whose_port(&self, port: u16) -> String {
        let stranger =
            self.listening.iter().find(|listener| listener.port == port && !self.is_trusted(Some(listener.owner)));
        stranger.map(|listener| self.whose(Some(listener.owner))).unwrap_or_default()
    }

    /// Does something on this machine accept connections to `address` and `port`?
    pub fn accepts(&self, address: IpAddr, port: u16) -> bool {
        self.listening.iter().any(|listener| {
            // a socket on :: takes IPv4 as well, unless told otherwise; one on 0.0.0.0 takes no IPv6
            let any = match (listener.address, address) {
                (IpAddr::V4(at), IpAddr::V4(_)) => at.is_unspecified(),
                (IpAddr::V6(at), _) => at.is_unspecified(),
                (IpAddr::V4(_), IpAddr::V6(_)) => false,
            };
            listener.port == port && (listener.address == address || any)
        })
    }

    /// The addresses on which `port` listens.
    pub fn addresses_of(&self, port: u16) -> Vec<IpAddr> {
        self.listening.iter().filter(|listener| listener.port == port).map(|listener| listener.address).collect()
    }

    /// The TCP ports that are likely PostgreSQL's: named by a living socket, or PostgreSQL's by custom.
    pub fn likely_ports(&self) -> BTreeSet<u16> {
        let custom = (5432..=5440).chain([6432, 6543]);
        let named = self.sockets.iter().filter(|socket| socket.alive).map(|socket| socket.port);
        named.chain(custom).filter(|port| self.listening.iter().any(|listener| listener.port == *port)).collect()
    }

    /// What a pooler on this machine is to connect to, as pgbouncer.ini has it: the PostgreSQL that runs here, if there
    /// is one only that may be trusted. `pooler`: the pooler's own port, whose socket has PostgreSQL's name as well.
    pub fn only_server(&self, pooler: u16) -> Option<String> {
        let mut servers = self.living().filter(|socket| socket.port != pooler && self.is_trusted(socket.owner));
        let (Some(server), None) = (servers.next(), servers.next()) else { return None };
        Some(match self.accepts([127, 0, 0, 1].into(), server.port) {
            true => format!("host=127.0.0.1 port={}", server.port),
            false => format!("host={} port={}", server.dir.display(), server.port),
        })
    }

    /// Sockets that a process listens on and that can be reached by their file.
    pub fn living(&self) -> impl Iterator<Item = &SocketFile> {
        self.sockets.iter().filter(|socket| socket.alive && socket.file)
    }
}
