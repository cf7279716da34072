//! What stands behind a look-up of a host name on this machine: the resolver's files as this very process may read
//! them, and what the name servers say when they are asked directly.

use std::net::IpAddr;

use crate::diagnosis::report::Fix;

/// What is known about names here.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// In /etc/hosts.
    pub known: Vec<String>,
    /// A file of the resolver's that is there and that this process may not read.
    pub unreadable: Option<Unreadable>,
    /// What keeps a name that DNS knows from being asked for there, in the words of /etc/nsswitch.conf.
    pub stops_before_dns: Option<String>,
    /// The name servers of /etc/resolv.conf, and what each said.
    pub servers: Vec<(IpAddr, Answer)>,
    /// Somebody looked.
    pub looked: bool,
}

#[derive(Debug, Clone)]
pub struct Unreadable {
    /// Which file, and why not.
    pub sentence: String,
    pub fix: Option<Fix>,
}

/// A name server's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Addresses(Vec<IpAddr>),
    NoSuchName,
    /// The name exists, without an address.
    NoAddress,
    /// Another code of RFC 1035: 2 is SERVFAIL, 5 REFUSED.
    Code(u8),
    /// Nothing listens there.
    Refused,
    Silent,
}

impl Names {
    /// The addresses that DNS has, whoever knows them.
    pub fn in_dns(&self) -> Option<&[IpAddr]> {
        self.servers.iter().find_map(|(_, answer)| match answer {
            Answer::Addresses(addresses) => Some(addresses.as_slice()),
            _ => None,
        })
    }

    /// The answers, for a sentence and a report.
    pub fn answers(&self) -> String {
        let each = self.servers.iter().map(|(server, answer)| format!("{server} {}", answer.words()));
        each.collect::<Vec<_>>().join(", ")
    }
}

impl Answer {
    fn words(&self) -> String {
        match self {
            Self::Addresses(addresses) => {
                let list: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
                format!("says {}", list.join(", "))
            }
            Self::NoSuchName => "says that there is no such name".into(),
            Self::NoAddress => "knows the name, without an address".into(),
            Self::Code(2) => "answers SERVFAIL: it could not find out".into(),
            Self::Code(5) => "answers REFUSED: it does not serve this machine".into(),
            Self::Code(code) => format!("answers with code {code}"),
            Self::Refused => "is not a name server: nothing listens on its port 53".into(),
            Self::Silent => "does not answer".into(),
        }
    }
}
