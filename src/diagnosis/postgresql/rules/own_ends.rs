//! The near end of a connection: this machine has no address of that family, or no port left.

use std::net::{IpAddr, SocketAddr};

use crate::database::postgresql::settings::Host;
use crate::diagnosis::postgresql::evidence::surroundings::{Refusal, Surroundings};
use crate::diagnosis::postgresql::subject::{Place, Subject};
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, Fix, FixKind, Then};

/// IPv6 is switched off here: no socket of its kind, or no address of this machine's to connect from.
pub fn is_without_ipv6(address: SocketAddr, refusal: Refusal, around: &Surroundings) -> bool {
    let errnos = [libc::EADDRNOTAVAIL, libc::EAFNOSUPPORT, libc::ENETUNREACH];
    let errno = matches!(refusal, Refusal::Errno(errno) if errnos.contains(&errno));
    address.is_ipv6() && errno && !around.neighbours.has_ipv6(address.ip())
}

pub fn no_ipv6(subject: &Subject, address: SocketAddr, around: &Surroundings) -> Finding {
    let ip = address.ip();
    let found = finding(
        "DBT0416",
        format!("{ip} is an IPv6 address, and this machine has none to come from: IPv6 is off here, or has the loopback only"),
    )
    .not(format!("not PostgreSQL: the kernel has no address to come from towards {ip} (/proc/net/if_inet6)"));
    let loopback = IpAddr::from([127, 0, 0, 1]);
    if !ip.is_loopback() {
        return found.maybe(
            FixKind::Shell,
            "a root shell on this machine (does the server's name have an IPv4 address? then name that)",
            match &subject.place {
                Place::Tcp { host, .. } => {
                    format!("timeout 10 getent ahostsv4 {}", crate::diagnosis::host::shell::word(host))
                }
                Place::Socket(_) => "ip address".into(),
            },
            Then::None,
        );
    }
    let text = subject.directive(|settings| {
        if let Some(host) = settings.hosts.get_mut(subject.host_index) {
            (host.host, host.hostaddr) = (Host::Address(loopback), None);
        }
    });
    let neighbours = &around.neighbours;
    let sure = neighbours.accepts(loopback, subject.port) && neighbours.is_port_trusted(subject.port);
    let place = format!("{}{}", subject.httpd_place(), neighbours.whose_port(subject.port));
    found.fix(Fix { sure, kind: FixKind::Httpd, place, text, then: Then::Reload })
}

pub fn no_port_left(subject: &Subject, address: SocketAddr, around: &Surroundings) -> Finding {
    let used = around.neighbours.connections_to(address);
    let Some((first, last)) = around.neighbours.port_range.filter(|(first, last)| used + 2 > usize::from(last - first))
    else {
        return finding(
            "DBT0419",
            format!("Connecting to {} failed: this machine cannot use an address or port for it (EADDRNOTAVAIL); why is open", subject.server()),
        )
        .maybe(
            FixKind::Shell,
            "a root shell on this machine",
            format!("ip address; timeout 10 ip route get {}; ss -s", address.ip()),
            Then::None,
        );
    };
    finding(
        "DBT0410",
        format!(
            "This machine has no free local port left for connections to {}: {used} are in use or waiting, of {first} to {last}",
            address.ip()
        ),
    )
    .maybe(
        FixKind::Shell,
        "a root shell on this machine (who holds them?)",
        format!("ss -tanp dst {} | awk '{{print $1, $6}}' | sort | uniq -c | sort -rn | head", address.ip()),
        Then::None,
    )
    .maybe(
        FixKind::Shell,
        "a root shell on this machine (widens the range of ports)",
        "printf 'net.ipv4.ip_local_port_range = 15000 60999\nnet.ipv4.tcp_tw_reuse = 1\n' \
         >/etc/sysctl.d/60-mod-dbtest.conf && sysctl -p /etc/sysctl.d/60-mod-dbtest.conf",
        Then::None,
    )
    .not("not a missing address of this machine's: its other connections to there have one (/proc/net/tcp)")
}
