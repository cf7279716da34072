//! Small answers come, large ones are lost: somewhere on the way packets of full size are dropped, and so is the word
//! that they were too large (a tunnel, a firewall that drops ICMP). The login works, a page of rows hangs.

use crate::diagnosis::host::shell::word as shell;
use crate::diagnosis::postgresql::evidence::LARGE;
use crate::diagnosis::postgresql::subject::{Place, Subject};
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

/// The finding for a connection over which this much does not come, while a few bytes do.
pub fn lost(subject: &Subject) -> Finding {
    let host = match &subject.place {
        Place::Tcp { host, address } => address.map_or_else(|| host.clone(), |address| address.to_string()),
        Place::Socket(_) => "localhost".into(),
    };
    let host = shell(&host);
    finding(
        "DBT1230",
        format!("Large answers of {} are lost on the way, small ones come: suspect the MTU of a tunnel between", subject.server()),
    )
    .maybe(
        FixKind::Shell,
        "a root shell on this machine, and the same on the server's (which size still passes? 1472 is a full packet)",
        format!("for s in 1472 1400 1300 1200 1000; do ping -c 1 -W 1 -M do -s $s {host} >/dev/null && echo $s passes || echo $s is lost; done"),
        Then::None,
    )
    .maybe(
        FixKind::Shell,
        "a root shell on the router or machine where the tunnel begins (makes both ends use smaller packets)",
        "iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu",
        Then::None,
    )
    .maybe(
        FixKind::Shell,
        "a root shell on this machine (for this server alone: asks it for smaller packets)",
        format!("ip route replace $(ip route get {host} | sed -n '1s/ uid .*//p' | sed 's/ src [^ ]*//') advmss 1160"),
        Then::None,
    )
    .not(format!("not a lock and not a slow server: it answers SELECT 1 at once, and {LARGE} bytes of its own making never come"))
}
