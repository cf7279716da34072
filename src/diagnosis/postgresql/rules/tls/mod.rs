//! Reading a TLS handshake that failed: by OpenSSL's verify code, by the certificate it stopped at, by the
//! files that the settings name, and by the alert that the server sent (OpenSSL's own texts, never translated).

mod alerts;
mod files;

use std::path::Path;

use crate::database::postgresql::certificate::Peer;
use crate::database::postgresql::settings::{Host, RootCert, SslMode, SslNegotiation};
use crate::diagnosis::host::process::Who;
use crate::diagnosis::host::shell::word as shell;
use crate::diagnosis::postgresql::subject::{Place, Subject};
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, Fix, FixKind, Then};

/// What came of the handshake.
#[derive(Debug, Clone, Copy)]
pub struct Handshake<'a> {
    /// X509_V_ERR_…, or 0.
    pub verify: i32,
    pub text: &'a str,
    /// The certificate that was not trusted, and its place in the chain.
    pub rejected: Option<&'a (Peer, u32)>,
    /// A root certificate on this machine with which the handshake succeeds.
    pub better_root: Option<&'a Path>,
    /// The missing certificate between the rejected one and sslrootcert, beside the latter.
    pub between: Option<&'a Path>,
}

/// Where the server is that offers no TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// On this machine: nothing leaves it.
    Loopback,
    /// The port is this machine's, and what is behind it is not known: it may be a tunnel or a proxy.
    BehindLoopback,
    Elsewhere,
}

/// The server answered N, and sslmode insists on TLS.
pub fn not_offered(subject: &Subject, at: At, pooler: bool) -> Finding {
    let (server, mode) = (subject.server(), name(subject.settings.sslmode));
    let found = if pooler {
        finding("DBT0619", format!("PgBouncer at {server} offers no TLS, and sslmode={mode} demands it"))
            .not("not PostgreSQL's setting ssl: it is PgBouncer that answers here")
    } else {
        let what = if at == At::BehindLoopback {
            "ssl is off there, or a tunnel or proxy listens there"
        } else {
            "ssl is off there"
        };
        finding("DBT0601", format!("{server} offers no TLS ({what}), and sslmode={mode} demands it"))
    };
    let found = found.not("not a certificate: the server answered the SSLRequest with N, no handshake began");
    let prefer = subject.directive(|settings| {
        (settings.sslmode, settings.sslrootcert) = (SslMode::Prefer, None);
    });
    let switch_on = |found: Finding, sure: bool| {
        if pooler {
            let place = format!(
                "pgbouncer.ini of PgBouncer at {server}, section [pgbouncer] (with client_tls_cert_file and client_tls_key_file)"
            );
            found.maybe(FixKind::Pgbouncer, place, "client_tls_sslmode = allow", Then::Restart)
        } else if sure {
            found.sure(FixKind::Shell, subject.server_shell(), switch_tls_on(subject.port), Then::None)
        } else {
            found.maybe(FixKind::Shell, subject.server_shell(), switch_tls_on(subject.port), Then::None)
        }
    };
    if at == At::Loopback {
        // TLS would add nothing
        return switch_on(found.sure(FixKind::Httpd, subject.httpd_place(), prefer, Then::Reload), false);
    }
    let place = format!("{} (gives encryption up: on a trusted network only)", subject.httpd_place());
    switch_on(found, at == At::Elsewhere).maybe(FixKind::Httpd, place, prefer, Then::Reload)
}

/// Switches TLS on, with a certificate of the server's own if it has none.
fn switch_tls_on(port: u16) -> String {
    crate::diagnosis::postgresql::server_commands::for_server(
        port,
        "c=$(ask ssl_cert_file); k=$(ask ssl_key_file); cd \"$d\"; [ -e \"$c\" ] || { openssl req -new -x509 -days 825 -nodes \
         -subj \"/CN=$(hostname -f)\" -out \"$c\" -keyout \"$k\" && chown \"$o\": \"$c\" \"$k\" && chmod 600 \"$k\"; }; \
         echo 'ssl = on' >>\"$(ask config_file)\" && kill -HUP $p",
    )
}

/// The handshake failed.
pub fn read(subject: &Subject, shake: &Handshake, who: &Who) -> Finding {
    files::files(subject, who).unwrap_or_else(|| match shake.verify {
        0 => alerts::alert(subject, shake),
        2 | 18..=21 | 27 => unknown_authority(subject, shake),
        9 => not_yet(subject, shake),
        10 => expired(subject, shake),
        62 | 64 => other_name(subject, shake),
        3 | 11 | 12 => revocation_list(subject, shake),
        23 => revoked(subject, shake),
        _ => finding(
            "DBT0609",
            format!(
                "The certificate of {} is not accepted: {} (verify code {})",
                subject.server(),
                shake.text,
                shake.verify
            ),
        )
        .maybe(FixKind::Shell, "any shell (shows the certificate)", show(subject), Then::None),
    })
}

/// sslmode's word.
pub fn name(mode: SslMode) -> &'static str {
    match mode {
        SslMode::Disable => "disable",
        SslMode::Allow => "allow",
        SslMode::Prefer => "prefer",
        SslMode::Require => "require",
        SslMode::VerifyCa => "verify-ca",
        SslMode::VerifyFull => "verify-full",
    }
}

/// The command that shows the server's certificates.
pub fn show(subject: &Subject) -> String {
    let Place::Tcp { host, address } = &subject.place else { return String::new() };
    let to = address.map_or_else(|| host.clone(), |address| address.to_string());
    let to = if to.contains(':') { format!("[{to}]") } else { to };
    let name =
        if host.parse::<std::net::IpAddr>().is_ok() { String::new() } else { format!(" -servername {}", shell(host)) };
    let ca = match &subject.settings.sslrootcert {
        Some(RootCert::File(path)) => format!(" -CAfile {}", shell(&path.display().to_string())),
        _ => String::new(),
    };
    let begins = match subject.settings.sslnegotiation {
        SslNegotiation::Direct => "-alpn postgresql",
        SslNegotiation::Postgres => "-starttls postgres",
    };
    format!(
        "openssl s_client {begins} -connect {}{name}{ca} -showcerts </dev/null",
        shell(&format!("{to}:{}", subject.port))
    )
}

fn about(shake: &Handshake) -> String {
    shake
        .rejected
        .map(|(peer, depth)| {
            let which = if *depth == 0 { "its certificate" } else { "an authority in its chain" };
            format!(
                " ({which}: {}, issued by {}, valid {} to {})",
                peer.subject, peer.issuer, peer.not_before, peer.not_after
            )
        })
        .unwrap_or_default()
}

fn unknown_authority(subject: &Subject, shake: &Handshake) -> Finding {
    let found = finding(
        "DBT0602",
        format!(
            "The certificate of {} was issued by an authority that is not {}{}",
            subject.server(),
            // whether an intermediate is missing, only the certificate itself tells
            if shake.rejected.is_some() {
                "trusted here"
            } else {
                "found here, in sslrootcert or beside the certificate"
            },
            about(shake)
        ),
    )
    .not("not an expired certificate and not another name: OpenSSL's code says that the issuer is unknown");
    if let (None, Some((peer, 0)), true) = (shake.better_root, shake.rejected, shake.verify >= 20)
        && peer.subject != peer.issuer
    {
        return incomplete(subject, shake, peer);
    }
    let found = match shake.better_root {
        Some(root) => {
            let text = subject.directive(|settings| settings.sslrootcert = Some(RootCert::File(root.to_owned())));
            found.sure(FixKind::Httpd, subject.httpd_place(), text, Then::Reload)
        }
        None => found,
    };
    let Some(RootCert::File(root)) = &subject.settings.sslrootcert else { return found };
    let file = shell(&root.display().to_string());
    found.maybe(
        FixKind::Shell,
        "a root shell on this machine (adds the last certificate that the server shows: compare its fingerprint with the server's administrator first)",
        format!("{} 2>/dev/null | awk '/BEGIN CERT/{{c=\"\"}} {{c=c $0 \"\\n\"}} /END CERT/{{l=c}} END{{printf \"%s\", l}}' >>{file}", show(subject)),
        Then::None,
    )
}

/// The search ended at the server's own certificate: its issuer was neither sent nor is it in sslrootcert.
fn incomplete(subject: &Subject, shake: &Handshake, peer: &Peer) -> Finding {
    let mut found = finding(
        "DBT0622",
        format!(
            "The certificate of {} was issued by {}, whose own certificate the server does not send",
            subject.server(),
            peer.issuer
        ),
    );
    let (Some(file), Some(RootCert::File(root))) = (shake.between, &subject.settings.sslrootcert) else {
        found.cause.push_str(&format!(
            ", and sslrootcert does not hold: either the server's chain is incomplete, or sslrootcert holds another authority{}",
            about(shake)
        ));
        return found.maybe(
            FixKind::Shell,
            format!(
                "{} (put the intermediate's certificate, which whoever signed the server's has, behind it in the file that this shows)",
                subject.server_shell()
            ),
            crate::diagnosis::postgresql::server_commands::for_server(subject.port, "ask ssl_cert_file; c=$(ask ssl_cert_file); cd \"$d\"; grep -c 'BEGIN CERT' \"$c\""),
            Then::None,
        );
    };
    let name = shell(&file.display().to_string());
    found.cause.push_str(&format!("; {} holds it, and it leads to sslrootcert", file.display()));
    found
        .fix(Fix {
            sure: subject.local,
            kind: FixKind::Shell,
            place: format!("{} (behind the server's own certificate)", subject.server_shell()),
            text: crate::diagnosis::postgresql::server_commands::for_server(
                subject.port,
                &format!("c=$(ask ssl_cert_file); cd \"$d\"; {{ echo; cat {name}; }} >>\"$c\" && kill -HUP $p"),
            ),
            then: Then::None,
        })
        .maybe(
            FixKind::Shell,
            "a root shell on this machine (second best: beside the authority that is trusted here)",
            format!("cat {name} >>{}", shell(&root.display().to_string())),
            Then::None,
        )
        .not(format!("not another authority: what issued {} was itself issued by one in sslrootcert", peer.issuer))
}

fn not_yet(subject: &Subject, shake: &Handshake) -> Finding {
    finding(
        "DBT0604",
        format!(
            "The certificate of {} is not valid yet: one of the two clocks is wrong{}",
            subject.server(),
            about(shake)
        ),
    )
    .maybe(
        FixKind::Shell,
        "a root shell on this machine, then on the server's",
        "timedatectl set-ntp true && sleep 5 && date -u",
        Then::None,
    )
    .maybe(FixKind::Shell, "any shell (shows the certificate)", show(subject), Then::None)
    .not("not an unknown authority and not another name: OpenSSL's code says notBefore")
}

fn expired(subject: &Subject, shake: &Handshake) -> Finding {
    let own = shake.rejected.is_none_or(|(_, depth)| *depth == 0);
    let found = finding("DBT0603", format!("The certificate of {} has expired{}", subject.server(), about(shake)))
        .not("not an unknown authority and not another name: OpenSSL's code says notAfter");
    let self_signed = shake.rejected.is_some_and(|(peer, _)| peer.subject == peer.issuer);
    let found = if self_signed && own {
        found.maybe(
            FixKind::Shell,
            format!("{} (Debian's own certificate)", subject.server_shell()),
            "make-ssl-cert generate-default-snakeoil --force-overwrite && systemctl reload postgresql",
            Then::Reload,
        )
    } else {
        found
    };
    found.maybe(
        FixKind::Shell,
        format!("{} (makes the request for a new certificate with the same key and names; have it signed, put it in place, reload)", subject.server_shell()),
        crate::diagnosis::postgresql::server_commands::for_server(
            subject.port,
            "c=$(ask ssl_cert_file); k=$(ask ssl_key_file); \
             cd \"$d\"; openssl x509 -x509toreq -in \"$c\" -signkey \"$k\" -out /root/server.csr",
        ),
        Then::None,
    )
}

fn other_name(subject: &Subject, shake: &Handshake) -> Finding {
    let mut names: Vec<String> = shake.rejected.map(|(peer, _)| peer.names.clone()).unwrap_or_default();
    if names.is_empty()
        && let Some((peer, _)) = shake.rejected
    {
        names.extend(peer.subject.split(", ").filter_map(|part| part.strip_prefix("CN=")).map(str::to_owned));
    }
    let mut found = finding(
        "DBT0605",
        format!(
            "The certificate of {} is made out to {}, not to the host that is configured",
            subject.server(),
            names.join(", ")
        ),
    )
    .not("not an unknown authority and not expired: OpenSSL's code says that the name differs");
    let Place::Tcp { address: Some(address), .. } = &subject.place else { return found };
    let plain: Vec<&String> = names.iter().filter(|name| !name.contains('*')).collect();
    for (index, name) in plain.iter().enumerate() {
        let text = subject.directive(|settings| {
            if let Some(host) = settings.hosts.get_mut(subject.host_index) {
                host.host = name.parse().map_or_else(|_| Host::Name((*name).clone()), Host::Address);
                host.hostaddr = Some(*address);
            }
        });
        // whoever sits in between may show a certificate of another name: only this machine is known to be itself
        found = if index == 0 && subject.local {
            found.sure(FixKind::Httpd, subject.httpd_place(), text, Then::Reload)
        } else {
            let place = format!("{} (if {name} is the server that is meant)", subject.httpd_place());
            found.maybe(FixKind::Httpd, place, text, Then::Reload)
        };
    }
    found
}

fn revocation_list(subject: &Subject, shake: &Handshake) -> Finding {
    let text = subject.directive(|settings| (settings.sslcrl, settings.sslcrldir) = (None, None));
    finding(
        "DBT0607",
        format!(
            "The revocation list for the certificate of {} is missing or out of date: {}",
            subject.server(),
            shake.text
        ),
    )
    .maybe(FixKind::Httpd, format!("{} (does without revocation lists)", subject.httpd_place()), text, Then::Reload)
    .not("not a revoked certificate: it is the list that is the matter")
}

fn revoked(subject: &Subject, shake: &Handshake) -> Finding {
    finding("DBT0608", format!("The certificate of {} was revoked by its authority{}", subject.server(), about(shake)))
        .maybe(
            FixKind::Shell,
            "any shell (shows the certificate; the server needs a new one)",
            show(subject),
            Then::None,
        )
        .not("not an expired certificate: the revocation list names it")
}

/// prefer went on in the clear although the server offered TLS.
pub fn fell_back(subject: &Subject, why: &str) -> Finding {
    let text = subject.directive(|settings| {
        settings.sslmode = SslMode::Require;
        settings.sslrootcert = None;
    });
    finding("DBT0620", format!("The connection to {} is not encrypted although the server offers TLS: the handshake failed ({why}), and sslmode=prefer goes on without", subject.server()))
        .maybe(FixKind::Httpd, subject.httpd_place(), text, Then::Reload)
        .not("not a server without TLS: it answered the SSLRequest with S")
}

/// The server's certificate ends soon.
pub fn ends_soon(subject: &Subject, certificate: &Peer) -> Option<Finding> {
    // a certificate that is renewed by machine is renewed a month before; one that is not needs this warning
    (0..14).contains(&certificate.days_left).then(|| {
        finding(
            "DBT0621",
            format!(
                "The certificate of {} ends in {} days, on {}",
                subject.server(),
                certificate.days_left,
                certificate.not_after
            ),
        )
        .maybe(FixKind::Shell, "any shell (shows the certificate; have it renewed)", show(subject), Then::None)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::postgresql::settings::TlsVersion;
    use crate::diagnosis::postgresql::subject::tests::over_tcp;

    fn id(verify: i32, text: &str) -> &'static str {
        let shake = Handshake { verify, text, rejected: None, better_root: None, between: None };
        read(&over_tcp(), &shake, &Who::default()).id
    }

    #[test]
    fn each_verify_code_has_its_finding() {
        assert_eq!(id(19, ""), "DBT0602");
        assert_eq!(id(20, ""), "DBT0602");
        assert_eq!(id(10, ""), "DBT0603");
        assert_eq!(id(9, ""), "DBT0604");
        assert_eq!(id(62, ""), "DBT0605");
        assert_eq!(id(64, ""), "DBT0605");
        assert_eq!(id(23, ""), "DBT0608");
        assert_eq!(id(99, ""), "DBT0609");
    }

    #[test]
    fn the_servers_alerts_are_read() {
        assert_eq!(id(0, "tlsv1 alert protocol version"), "DBT0617");
        assert_eq!(id(0, "tlsv13 alert certificate required"), "DBT0616");
        assert_eq!(id(0, "something else"), "DBT0606");
        assert_eq!(id(0, "sslv3 alert handshake failure"), "DBT0618", "it names no client certificate");
    }

    #[test]
    fn an_older_server_is_not_cured_by_what_is_configured_here() {
        let sure = |subject: &Subject| {
            let shake = Handshake {
                verify: 0,
                text: "alert protocol version",
                rejected: None,
                better_root: None,
                between: None,
            };
            read(subject, &shake, &Who::default()).fixes[0].sure
        };
        let mut subject = over_tcp();
        assert!(!sure(&subject), "nothing here keeps a version out");
        subject.settings.ssl_max_protocol_version = Some(TlsVersion::V1_2);
        assert!(sure(&subject));
    }

    #[test]
    fn a_certificate_for_another_purpose_is_not_of_an_unknown_authority() {
        let mut subject = over_tcp();
        subject.settings.sslcert = Some("/dev/null".into());
        let finding = |text| {
            let shake = Handshake { verify: 0, text, rejected: None, better_root: None, between: None };
            alerts::alert(&subject, &shake)
        };
        let found = finding("sslv3 alert unsupported certificate");
        assert!(found.cause.contains("clientAuth") && found.id == "DBT0614", "{}", found.cause);
        assert!(found.fixes.iter().all(|fix| !fix.text.contains("ssl_ca_file")), "{:?}", found.fixes);
        assert!(finding("tlsv1 alert unknown ca").cause.contains("ssl_ca_file"));
    }

    #[test]
    fn another_name_is_cured_by_asking_for_that_name_at_this_address() {
        let peer = Peer {
            subject: "CN=db".into(),
            issuer: "CN=ca".into(),
            names: vec!["db.example".into()],
            not_before: String::new(),
            not_after: String::new(),
            days_left: 1,
        };
        let rejected = (peer, 0);
        let shake = Handshake { verify: 62, text: "", rejected: Some(&rejected), better_root: None, between: None };
        let mut subject = over_tcp();
        subject.settings.hosts[0].host = Host::Address([127, 0, 0, 1].into());
        let found = read(&subject, &shake, &Who::default());
        assert!(found.fixes[0].text.contains("db.example"), "{}", found.fixes[0].text);
        assert!(found.fixes[0].sure);
        subject.local = false;
        assert!(!read(&subject, &shake, &Who::default()).fixes[0].sure, "it may be anybody's certificate");
    }
}
