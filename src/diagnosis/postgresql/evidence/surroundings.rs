//! What is known on this machine beside the connection itself, and how an address answered.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::diagnosis::host::unit::Setting;
use crate::diagnosis::postgresql::evidence::neighbours::Neighbours;

/// How one address answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// errno of connect(2) or socket(2).
    Errno(i32),
    /// No answer within this time.
    TimedOut(Duration),
}

/// What else is known on this machine.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    pub neighbours: Neighbours,
    /// Those of `neighbours.likely_ports()` that answered as PostgreSQL does.
    pub postgres_ports: BTreeSet<u16>,
    /// The type of this process' domain, where SELinux may refuse it something.
    pub confined: Option<String>,
    /// The systemd unit of httpd, and what its files say.
    pub unit: Option<String>,
    pub unit_settings: Vec<Setting>,
    /// Whether the boolean httpd_can_network_connect_db is on, where that can be read.
    pub database_boolean: Option<bool>,
    /// A UDP socket, which SELinux's rule about ports does not bind, connects where TCP gave EACCES: no route forbids it.
    pub route_allows: Option<bool>,
    /// The next machine on the way out, which for a container is its host.
    pub gateway: Option<IpAddr>,
    /// It answers on the configured port as PostgreSQL does.
    pub gateway_speaks: bool,
}
