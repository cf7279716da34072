//! `host`, `hostaddr` and `port`: three lists that belong together, and what can be known to be wrong with a
//! host before anybody asks for its address.

use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

use super::types::{DEFAULT_PORT, Host, HostPort};
use crate::database::ParseError;
use crate::database::text::{shown, wrong};

/// Combines the lists as libpq does: as many addresses as hosts, and as many ports, or one port for all.
///
/// `show`: may a host be repeated in a message? Not where a password is, whose badly escaped rest it could be.
pub fn combine(
    host: Option<&str>,
    hostaddr: Option<&str>,
    port: Option<&str>,
    show: bool,
) -> Result<Vec<HostPort>, ParseError> {
    let names = list(host);
    let addresses = list(hostaddr).into_iter().map(address).collect::<Result<Vec<_>, _>>()?;
    let ports = list(port).into_iter().map(self::port).collect::<Result<Vec<_>, _>>()?;
    let count = names.len().max(addresses.len()).max(1);
    if !names.is_empty() && !addresses.is_empty() && names.len() != addresses.len() {
        return Err(uneven("host", names.len(), "hostaddr", addresses.len()));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(uneven("port", ports.len(), "host", count));
    }
    if names.len() > 1 && names.iter().any(|name| name.is_empty()) {
        return Err(wrong(
            "a host in the list is empty",
            "write the directory of the local socket, or take out the comma",
        ));
    }
    let hosts = (0..count).map(|i| {
        let hostaddr = addresses.get(i).copied().flatten();
        let host = match (names.get(i).filter(|name| !name.is_empty()), hostaddr) {
            (Some(name), _) => self::host(name, show)?,
            (None, Some(address)) => Host::Address(address),
            (None, None) => Host::LocalSocket,
        };
        let port = ports.get(i).or(ports.first()).copied().unwrap_or(DEFAULT_PORT);
        Ok(HostPort { host, hostaddr, port })
    });
    hosts.collect()
}

/// A host in a message.
fn quoted(text: &str, show: bool) -> String {
    if show { format!("the host \"{}\"", shown(text)) } else { "the host".into() }
}

/// The parts of a comma-separated list; none of an empty text.
fn list(text: Option<&str>) -> Vec<&str> {
    text.filter(|text| !text.is_empty()).map_or(Vec::new(), |text| text.split(',').collect())
}

fn uneven(one: &str, ones: usize, other: &str, others: usize) -> ParseError {
    wrong(format!("{one} names {ones}, {other} names {others}"), format!("write one {one} for each {other}"))
}

fn address(text: &str) -> Result<Option<IpAddr>, ParseError> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |_| wrong(format!("hostaddr \"{}\" is not an IP address", shown(text)), "write a name as host=NAME");
    text.parse().map(Some).map_err(wrong)
}

fn port(text: &str) -> Result<u16, ParseError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(DEFAULT_PORT);
    }
    match text.parse::<i64>() {
        Ok(number @ 1..=65535) => Ok(u16::try_from(number).unwrap_or(DEFAULT_PORT)),
        Ok(number) => {
            Err(wrong(format!("port {number} is out of range"), "a port is 1 to 65535, PostgreSQL's is 5432"))
        }
        Err(_) => Err(wrong(format!("port \"{}\" is not a number", shown(text)), "PostgreSQL's is 5432")),
    }
}

/// Reads one host, and refuses what no resolver can find.
fn host(text: &str, show: bool) -> Result<Host, ParseError> {
    if text.contains('@') {
        return Err(at_sign(text));
    }
    if text.starts_with('/') {
        return socket_dir(Path::new(text), show).map(Host::SocketDir);
    }
    if let Ok(address) = text.parse() {
        return Ok(Host::Address(address));
    }
    if text.contains("://") {
        return Err(wrong("the host is a URL", "write only the name of the machine, host=NAME"));
    }
    if text.contains(char::is_whitespace) {
        let problem = format!("there is white space in {}", quoted(text, show));
        return Err(wrong(
            problem,
            if show {
                format!("write \"{}\"", shown(&text.replace(char::is_whitespace, "")))
            } else {
                "take it out".into()
            },
        ));
    }
    if text.starts_with('[') {
        return Err(wrong("an IPv6 address stands in brackets in a URL only", "write host=2001:db8::1 port=5432"));
    }
    if let Some((zoned, _)) = text.split_once('%')
        && zoned.parse::<Ipv6Addr>().is_ok()
    {
        return Ok(Host::Name(text.to_owned()));
    }
    if let Some((name, port)) = text.split_once(':') {
        let hint = if show {
            format!("write host={} port={}", shown(name), shown(port))
        } else {
            "write host=NAME port=NUMBER".into()
        };
        return Err(wrong(format!("{} holds a port", quoted(text, show)), hint));
    }
    if text.contains('/') {
        let problem = format!("there is a \"/\" in {}", quoted(text, show));
        return Err(wrong(problem, "a socket's directory begins with \"/\", the database's name is dbname=NAME"));
    }
    name(text, show)
}

/// A name that a resolver may be asked for.
fn name(text: &str, show: bool) -> Result<Host, ParseError> {
    match text.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '.' | '_')) {
        None => Ok(Host::Name(text.to_owned())),
        Some(c) if c.is_alphabetic() => Err(wrong(
            format!("{} has letters that DNS has not", quoted(text, show)),
            "write its ASCII form, which begins with xn--",
        )),
        Some(c) => Err(wrong(
            format!("there is a \"{}\" in {}", c.escape_debug(), quoted(text, show)),
            "a host is a name of letters, digits, \"-\" and \".\", an IP address, or the directory of a socket",
        )),
    }
}

/// libpq's abstract sockets begin with "@"; else it is what follows a password's own "@", and not repeated.
fn at_sign(text: &str) -> ParseError {
    match text.strip_prefix('@') {
        Some(name) if !name.contains('@') => wrong(
            "a socket in the abstract namespace (host=@…) is not supported",
            "name a directory of the server's unix_socket_directories, host=/var/run/postgresql",
        ),
        _ => wrong(
            "there is an \"@\" in the host",
            "write an \"@\" in a user name or password as %40, or keep the password in a DBTestPasswordFile",
        ),
    }
}

/// The directory of a socket, not the socket.
fn socket_dir(path: &Path, show: bool) -> Result<PathBuf, ParseError> {
    let file = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(".s.PGSQL."));
    match (file, path.parent()) {
        (Some(port), Some(dir)) if show => Err(wrong(
            "the host is the socket itself",
            format!("write its directory and its port: host={} port={}", dir.display(), shown(port)),
        )),
        (Some(_), Some(_)) => {
            Err(wrong("the host is the socket itself", "write its directory and its port: host=/DIR port=NUMBER"))
        }
        _ => Ok(path.to_owned()),
    }
}
