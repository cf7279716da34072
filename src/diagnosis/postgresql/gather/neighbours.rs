//! Looks for [`Neighbours`]. Read from /proc and the usual socket directories; nothing is changed, and
//! only ports that a server announces by its socket, or that are PostgreSQL's by custom, are ever asked.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::diagnosis::host::process::Names;
use crate::diagnosis::postgresql::evidence::neighbours::{Listener, Neighbours, SocketFile};

/// Directories where servers put their sockets.
const SOCKET_DIRS: [&str; 3] = ["run/postgresql", "var/run/postgresql", "tmp"];

/// Looks around. `root` is "/" but for tests; `dir` is the directory that was configured, if any.
pub fn look(root: &Path, dir: Option<&Path>) -> Neighbours {
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
            SocketFile { dir: dir.clone(), port, alive, file, lock, owner: owner_in(&dir, port) }
        }));
    }
    // alive, but in a directory that we may not list
    for (dir, port) in &alive {
        if !sockets.iter().any(|socket: &SocketFile| socket.port == *port && same_dir(&socket.dir, dir)) {
            let file = dir.join(format!(".s.PGSQL.{port}")).exists();
            let owner = owner_in(dir, *port);
            sockets.insert(SocketFile { dir: dir.clone(), port: *port, alive: true, file, lock: false, owner });
        }
    }
    let tables = ["tcp", "tcp6"].map(|name| text(&root.join("proc/net").join(name)));
    let listening: Vec<Listener> = tables.iter().flat_map(|table| listening_ports(table)).collect();
    let names = Names::below(root);
    let mut trusted: BTreeSet<u32> = [0].into_iter().chain(names.uid("postgres")).collect();
    trusted.extend(dir.and_then(|dir| fs::metadata(dir).ok()).map(|seen| seen.uid()));
    let owners = sockets.iter().filter_map(|socket| socket.owner);
    let owners: BTreeSet<u32> = owners.chain(listening.iter().map(|listener| listener.owner)).collect();
    Neighbours {
        names: owners.into_iter().map(|uid| (uid, names.user(uid))).collect(),
        sockets: sockets.into_iter().collect(),
        listening,
        clusters: clusters(&root.join("etc/postgresql")),
        trusted,
        installed: is_installed(root),
        container: is_container(root),
        port_range: port_range(&text(&root.join("proc/sys/net/ipv4/ip_local_port_range"))),
        connections: tables.iter().flat_map(|table| far_ends(table)).collect(),
        queues: tables.iter().flat_map(|table| queues(table)).collect(),
        ipv6: ipv6_addresses(&text(&root.join("proc/net/if_inet6"))),
    }
}

fn text(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// Who made the socket file.
fn owner_in(dir: &Path, port: u16) -> Option<u32> {
    fs::symlink_metadata(dir.join(format!(".s.PGSQL.{port}"))).ok().map(|seen| seen.uid())
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
fn listening_ports(table: &str) -> Vec<Listener> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (address, port) = fields.next()?.split_once(':')?;
            let state = fields.nth(1)?;
            // tx_queue:rx_queue, tr:tm->when, retrnsmt, uid
            let owner = fields.nth(3).and_then(|uid| uid.parse().ok()).unwrap_or(u32::MAX);
            let port = u16::from_str_radix(port, 16).ok()?;
            (state == "0A").then_some(Listener { address: kernel_address(address)?, port, owner })
        })
        .collect()
}

/// Ports in state LISTEN whose receive queue, which then counts connections, is not empty.
fn queues(table: &str) -> Vec<(u16, usize)> {
    let lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        .filter_map(|fields| {
            let port = u16::from_str_radix(fields.get(1)?.split_once(':')?.1, 16).ok()?;
            let waiting = usize::from_str_radix(fields.get(4)?.split_once(':')?.1, 16).ok()?;
            (*fields.get(3)? == "0A" && waiting > 0).then_some((port, waiting))
        })
        .collect()
}

/// The far ends of connections in the text of /proc/net/tcp or tcp6.
fn far_ends(table: &str) -> Vec<SocketAddr> {
    let lines = table.lines().skip(1);
    lines
        .filter_map(|line| {
            let (address, port) = line.split_whitespace().nth(2)?.split_once(':')?;
            let port = u16::from_str_radix(port, 16).ok().filter(|port| *port != 0)?;
            Some(SocketAddr::new(kernel_address(address)?, port))
        })
        .collect()
}

fn port_range(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The first field of each line of /proc/net/if_inet6 is an address, as 32 hexadecimal digits.
fn ipv6_addresses(table: &str) -> Vec<Ipv6Addr> {
    let fields = table.lines().filter_map(|line| line.split_whitespace().next());
    fields.filter_map(|hex| u128::from_str_radix(hex, 16).ok()).map(Ipv6Addr::from).collect()
}

/// A program `postgres` where the packages of Debian, Red Hat and PostgreSQL itself put it, or a running one.
/// `None` where a security module keeps the programs from this process: what cannot be seen is not absent.
fn is_installed(root: &Path) -> Option<bool> {
    let versions = |dir: &str| fs::read_dir(root.join(dir)).into_iter().flatten().flatten().map(|entry| entry.path());
    let fixed = ["usr/bin", "usr/local/bin", "usr/local/pgsql/bin"].map(|dir| root.join(dir).join("postgres"));
    let programs =
        versions("usr/lib/postgresql").chain(versions("usr")).map(|dir| dir.join("bin/postgres")).chain(fixed);
    let seen: Vec<_> = programs.map(|program| program.try_exists()).collect();
    match seen.iter().any(|exists| matches!(exists, Ok(true))) {
        true => Some(true),
        false if seen.iter().any(|exists| exists.as_ref().is_err_and(is_refused)) => None,
        false => Some(false),
    }
}

/// Not that a part of the path is no directory, which says that nothing is there.
fn is_refused(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::PermissionDenied
}

/// The marks that Docker, Podman, systemd-nspawn and Kubernetes leave in a container.
fn is_container(root: &Path) -> bool {
    [".dockerenv", "run/.containerenv", "run/systemd/container"].iter().any(|mark| root.join(mark).exists())
        || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
        || std::env::var_os("container").is_some()
}

/// The gateway of the default route in the text of /proc/net/route.
pub fn gateway(root: &Path) -> Option<IpAddr> {
    let table = text(&root.join("proc/net/route"));
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        (fields.next()? == "00000000").then(|| kernel_address(fields.next()?))?
    })
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
        let listener = |address: &str, owner| Listener { address: address.parse().unwrap(), port: 5432, owner };
        assert_eq!(listening_ports(table), [listener("127.0.0.1", 104)]);
        let table = "h\n 0: 00000000000000000000000001000000:1538 0:0000 0A 0 0 0 7\n";
        assert_eq!(listening_ports(table), [listener("::1", 7)]);
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
        let found = look(root.path(), None);
        let owner = Some(fs::metadata(&run).unwrap().uid());
        assert_eq!(found.sockets, [SocketFile { dir: run, port: 5433, alive: true, file: true, lock: true, owner }]);
        assert_eq!(found.clusters, [("15".into(), "main".into(), 5433)]);
        assert_eq!(found.living().count(), 1);
    }
}
