//! Which PostgreSQL servers this machine runs, and where they listen: so that "connection refused" becomes
//! "it listens on port 5433". Read from /proc and the usual socket directories; nothing is changed, and
//! only ports that a server announces by its socket, or that are PostgreSQL's by custom, are ever asked.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

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
}

/// What this machine runs, as far as an unprivileged process sees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Neighbours {
    pub sockets: Vec<SocketFile>,
    /// Every address and port in state LISTEN.
    pub listening: Vec<(IpAddr, u16)>,
    /// Debian's clusters, as version, name and port, from /etc/postgresql.
    pub clusters: Vec<(String, String, u16)>,
}

/// Directories where servers put their sockets.
const SOCKET_DIRS: [&str; 3] = ["run/postgresql", "var/run/postgresql", "tmp"];

impl Neighbours {
    /// Looks around. `root` is "/" but for tests; `dir` is the directory that was configured, if any.
    pub fn look(root: &Path, dir: Option<&Path>) -> Self {
        let mut sockets = BTreeSet::new();
        let alive = listening_sockets(&text(&root.join("proc/net/unix")));
        let mut dirs: Vec<PathBuf> = SOCKET_DIRS.iter().map(|dir| root.join(dir)).collect();
        dirs.extend(dir.map(Path::to_owned));
        dirs.extend(alive.iter().map(|(dir, _)| dir.clone()));
        let mut seen = BTreeSet::new();
        for dir in dirs {
            // /var/run is a link to /run: each directory once
            if !seen.insert(fs::canonicalize(&dir).unwrap_or_else(|_| dir.clone())) {
                continue;
            }
            sockets.extend(files_in(&dir).into_iter().map(|(port, file, lock)| {
                let alive = alive.iter().any(|(d, p)| *p == port && same_dir(d, &dir));
                SocketFile { dir: dir.clone(), port, alive, file, lock }
            }));
        }
        // alive, but in a directory that we may not list
        for (dir, port) in &alive {
            if !sockets.iter().any(|socket: &SocketFile| socket.port == *port && same_dir(&socket.dir, dir)) {
                let file = dir.join(format!(".s.PGSQL.{port}")).exists();
                sockets.insert(SocketFile { dir: dir.clone(), port: *port, alive: true, file, lock: false });
            }
        }
        let mut listening = listening_ports(&text(&root.join("proc/net/tcp")));
        listening.extend(listening_ports(&text(&root.join("proc/net/tcp6"))));
        Self { sockets: sockets.into_iter().collect(), listening, clusters: clusters(&root.join("etc/postgresql")) }
    }

    /// Does something on this machine accept connections to `address` and `port`?
    pub fn accepts(&self, address: IpAddr, port: u16) -> bool {
        self.listening.iter().any(|(at, p)| *p == port && (*at == address || at.is_unspecified()))
    }

    /// The addresses on which `port` listens.
    pub fn addresses_of(&self, port: u16) -> Vec<IpAddr> {
        self.listening.iter().filter(|(_, p)| *p == port).map(|(address, _)| *address).collect()
    }

    /// The TCP ports that are likely PostgreSQL's: named by a living socket, or PostgreSQL's by custom.
    pub fn likely_ports(&self) -> BTreeSet<u16> {
        let custom = (5432..=5440).chain([6432, 6543]);
        let named = self.sockets.iter().filter(|socket| socket.alive).map(|socket| socket.port);
        named.chain(custom).filter(|port| self.listening.iter().any(|(_, p)| p == port)).collect()
    }

    /// Sockets that a process listens on and that can be reached by their file.
    pub fn living(&self) -> impl Iterator<Item = &SocketFile> {
        self.sockets.iter().filter(|socket| socket.alive && socket.file)
    }
}

fn text(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn same_dir(a: &Path, b: &Path) -> bool {
    a == b || matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

/// Ports with a socket or lock file in a directory: (port, socket file, lock file).
fn files_in(dir: &Path) -> Vec<(u16, bool, bool)> {
    let mut ports = BTreeSet::new();
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    for name in entries.filter_map(|entry| entry.file_name().into_string().ok()) {
        let number = name.strip_prefix(".s.PGSQL.").map(|rest| rest.strip_suffix(".lock").unwrap_or(rest));
        ports.extend(number.and_then(|number| number.parse::<u16>().ok()));
    }
    ports
        .into_iter()
        .map(|port| {
            let socket = dir.join(format!(".s.PGSQL.{port}"));
            let lock = dir.join(format!(".s.PGSQL.{port}.lock"));
            (port, fs::symlink_metadata(socket).is_ok(), fs::symlink_metadata(lock).is_ok())
        })
        .collect()
}

/// Sockets of PostgreSQL in state LISTEN in the text of /proc/net/unix (flag 00010000, __SO_ACCEPTCON).
fn listening_sockets(table: &str) -> Vec<(PathBuf, u16)> {
    table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let listens = fields.nth(3)? == "00010000";
            let path = Path::new(fields.nth(3)?);
            let port = path.file_name()?.to_str()?.strip_prefix(".s.PGSQL.")?.parse().ok()?;
            listens.then(|| (path.parent().unwrap_or(Path::new("/")).to_owned(), port))
        })
        .collect()
}

/// Addresses and ports in state LISTEN (0A) in the text of /proc/net/tcp or tcp6.
fn listening_ports(table: &str) -> Vec<(IpAddr, u16)> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (address, port) = fields.next()?.split_once(':')?;
            let state = fields.nth(1)?;
            let port = u16::from_str_radix(port, 16).ok()?;
            (state == "0A").then_some((kernel_address(address)?, port))
        })
        .collect()
}

/// An address as the kernel prints it: 32-bit words in this machine's byte order.
fn kernel_address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut bytes = [0; 16];
            for (index, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(index * 8)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

/// Debian's clusters: /etc/postgresql/VERSION/NAME/postgresql.conf and the port in it.
fn clusters(etc: &Path) -> Vec<(String, String, u16)> {
    let names = |dir: &Path| -> Vec<String> {
        fs::read_dir(dir)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    };
    let mut found = Vec::new();
    for version in names(etc) {
        for name in names(&etc.join(&version)) {
            let conf = text(&etc.join(&version).join(&name).join("postgresql.conf"));
            let port = conf.lines().rev().find_map(|line| {
                let value = line.trim().strip_prefix("port")?.trim_start().trim_start_matches('=').trim_start();
                value.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
            });
            found.push((version.clone(), name, port.unwrap_or(5432)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_of_tcp_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   104        0 1 1 0\n   \
                     1: 0100007F:1539 0100007F:9999 01 00000000:00000000 00:00000000 00000000   104        0 1 1 0\n";
        assert_eq!(listening_ports(table), [(IpAddr::from([127, 0, 0, 1]), 5432)]);
        let table = "h\n 0: 00000000000000000000000001000000:1538 0:0000 0A 0 0 0\n";
        assert_eq!(listening_ports(table), [("::1".parse().unwrap(), 5432)]);
    }

    #[test]
    fn the_kernels_table_of_unix_sockets_is_read() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
                     0000000000000000: 00000002 00000000 00010000 0001 01 12345 /run/postgresql/.s.PGSQL.5433\n\
                     0000000000000000: 00000003 00000000 00000000 0001 03 12346 /run/postgresql/.s.PGSQL.5434\n\
                     0000000000000000: 00000002 00000000 00010000 0001 01 12347 /run/other\n";
        assert_eq!(listening_sockets(table), [(PathBuf::from("/run/postgresql"), 5433)]);
    }

    #[test]
    fn a_machine_is_read_from_its_files() {
        let root = tempfile::tempdir().unwrap();
        let run = root.path().join("run/postgresql");
        fs::create_dir_all(&run).unwrap();
        fs::create_dir_all(root.path().join("proc/net")).unwrap();
        fs::write(run.join(".s.PGSQL.5433"), "").unwrap();
        fs::write(run.join(".s.PGSQL.5433.lock"), "").unwrap();
        let unix = format!("0: 2 0 00010000 0001 01 1 {}/.s.PGSQL.5433\n", run.display());
        fs::write(root.path().join("proc/net/unix"), unix).unwrap();
        let etc = root.path().join("etc/postgresql/15/main");
        fs::create_dir_all(&etc).unwrap();
        fs::write(etc.join("postgresql.conf"), "#port = 1\nport = 5433\t# (change requires restart)\n").unwrap();
        let found = Neighbours::look(root.path(), None);
        assert_eq!(found.sockets, [SocketFile { dir: run, port: 5433, alive: true, file: true, lock: true }]);
        assert_eq!(found.clusters, [("15".into(), "main".into(), 5433)]);
        assert_eq!(found.living().count(), 1);
    }
}
