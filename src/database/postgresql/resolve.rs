//! From what the administrator wrote to addresses one can connect to.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::database::{Cause, Error, Stage};

use super::settings::{Host, HostPort};
use super::socket::Address;

/// The addresses behind a name, in the resolver's order.
///
/// Asks getaddrinfo(3), which knows no deadline: it gives up by /etc/resolv.conf's own (5 s × 2 for each name server
/// unless `options timeout:` says otherwise). Bounding it would take a thread that lives on in the child.
pub fn resolve(host: &str) -> Result<Vec<IpAddr>, Error> {
    let hints = dns_lookup::AddrInfoHints { socktype: dns_lookup::SockType::Stream.into(), ..Default::default() };
    let doing = || format!("looking up the host name {host}");
    let found = dns_lookup::getaddrinfo(Some(host), None, Some(hints)).map_err(|error| {
        let code = error.error_num();
        let text = io::Error::from(error).to_string();
        Error { stage: Stage::Resolve, doing: doing(), cause: Cause::Resolver { code, name: eai_name(code), text } }
    })?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for entry in found {
        let address =
            entry.map_err(|error| Error { stage: Stage::Resolve, doing: doing(), cause: Cause::Io(error) })?;
        if !addresses.contains(&address.sockaddr.ip()) {
            addresses.push(address.sockaddr.ip());
        }
    }
    Ok(addresses)
}

/// Everywhere that one configured host may be reached, in the order to try.
pub fn addresses(host: &HostPort) -> Result<Vec<Address>, Error> {
    let tcp = |ip| Address::Tcp(SocketAddr::new(ip, host.port));
    if let Some(ip) = host.hostaddr {
        return Ok(vec![tcp(ip)]);
    }
    if let Some(file) = host.socket_file() {
        return Ok(vec![Address::Unix(file)]);
    }
    match &host.host {
        Host::Address(ip) => Ok(vec![tcp(*ip)]),
        Host::Name(name) => Ok(resolve(name)?.into_iter().map(tcp).collect()),
        // both have a socket file
        Host::SocketDir(_) | Host::LocalSocket => Ok(Vec::new()),
    }
}

/// The symbol behind getaddrinfo's number, as in netdb.h.
fn eai_name(code: i32) -> &'static str {
    match code {
        libc::EAI_AGAIN => "EAI_AGAIN",
        libc::EAI_BADFLAGS => "EAI_BADFLAGS",
        libc::EAI_FAIL => "EAI_FAIL",
        libc::EAI_FAMILY => "EAI_FAMILY",
        libc::EAI_MEMORY => "EAI_MEMORY",
        libc::EAI_NONAME => "EAI_NONAME",
        libc::EAI_NODATA => "EAI_NODATA",
        libc::EAI_SERVICE => "EAI_SERVICE",
        libc::EAI_SOCKTYPE => "EAI_SOCKTYPE",
        libc::EAI_SYSTEM => "EAI_SYSTEM",
        libc::EAI_OVERFLOW => "EAI_OVERFLOW",
        // glibc's, without a constant in the crate libc: the name exists but has no address of our kind
        -9 => "EAI_ADDRFAMILY",
        _ => "EAI_?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_does_not_exist_is_told_by_its_code() {
        // .invalid never exists (RFC 6761); without any name server the answer is EAI_AGAIN
        let error = resolve("db.invalid").unwrap_err();
        assert_eq!(error.stage, Stage::Resolve);
        let Cause::Resolver { name, text, .. } = &error.cause else { panic!("{error:?}") };
        assert!(["EAI_NONAME", "EAI_AGAIN", "EAI_NODATA"].contains(name), "{name}");
        assert!(!text.is_empty());
    }

    #[test]
    fn the_machine_itself_has_an_address() {
        assert!(resolve("localhost").unwrap().iter().all(IpAddr::is_loopback));
    }
}
