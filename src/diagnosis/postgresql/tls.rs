//! Reading a TLS handshake that failed: by OpenSSL's verify code, by the certificate it stopped at, by the
//! files that the settings name, and by the alert that the server sent (OpenSSL's own texts, never translated).

use std::fs;
use std::path::{Path, PathBuf};

use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::X509;

use super::draft::{Draft, finding};
use super::quote::shell;
use super::subject::{Place, Subject};
use crate::database::postgresql::certificate::Peer;
use crate::database::postgresql::settings::{Host, RootCert, SslMode, TlsVersion};
use crate::diagnosis::cure::cure;
use crate::diagnosis::path::{Need, first_obstacle};
use crate::diagnosis::{Finding, FixKind, Then, Who};

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
}

/// The server answered N, and sslmode insists on TLS.
pub fn not_offered(subject: &Subject, loopback: bool, pooler: bool) -> Finding {
    let (server, mode) = (subject.server(), name(subject.settings.sslmode));
    let found = if pooler {
        finding("DBT0619", format!("PgBouncer at {server} offers no TLS, and sslmode={mode} demands it"))
            .not("not PostgreSQL's setting ssl: it is PgBouncer that answers here")
    } else {
        finding("DBT0601", format!("{server} offers no TLS (ssl is off there), and sslmode={mode} demands it"))
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
    if loopback {
        // nothing leaves this machine: TLS would add nothing
        return switch_on(found.sure(FixKind::Httpd, subject.httpd_place(), prefer, Then::Reload), false);
    }
    let place = format!("{} (gives encryption up: on a trusted network only)", subject.httpd_place());
    switch_on(found, true).maybe(FixKind::Httpd, place, prefer, Then::Reload)
}

/// Switches TLS on, with a certificate of the server's own if it has none.
fn switch_tls_on(port: u16) -> String {
    super::control::for_server(
        port,
        "c=$(ask ssl_cert_file); k=$(ask ssl_key_file); cd \"$d\"; [ -e \"$c\" ] || { openssl req -new -x509 -days 825 -nodes \
         -subj \"/CN=$(hostname -f)\" -out \"$c\" -keyout \"$k\" && chown \"$o\": \"$c\" \"$k\" && chmod 600 \"$k\"; }; \
         echo 'ssl = on' >>\"$(ask config_file)\" && kill -HUP $p",
    )
}

/// The handshake failed.
pub fn read(subject: &Subject, shake: &Handshake, who: &Who) -> Finding {
    files(subject, who).unwrap_or_else(|| match shake.verify {
        0 => alert(subject, shake),
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
        .maybe(FixKind::Shell, "any shell (shows the certificate)", show(subject), Then::None)
        .not("not pg_hba.conf and not the password: TLS comes first"),
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
    format!(
        "openssl s_client -starttls postgres -connect {}{name}{ca} -showcerts </dev/null",
        shell(&format!("{to}:{}", subject.port))
    )
}

/// A file that the settings name and that cannot serve.
fn files(subject: &Subject, who: &Who) -> Option<Finding> {
    let settings = &subject.settings;
    let root = match &settings.sslrootcert {
        Some(RootCert::File(path)) => Some(path),
        _ => None,
    };
    let named = [
        ("sslrootcert", root),
        ("sslcert", settings.sslcert.as_ref()),
        ("sslkey", settings.sslkey.as_ref()),
        ("sslcrl", settings.sslcrl.as_ref()),
    ];
    for (key, path) in named {
        let Some(path) = path else { continue };
        if let Some(obstacle) = first_obstacle(path, Need::Read, who) {
            let mut found = finding("DBT0610", format!("The file of {key} cannot be read: {}", obstacle.sentence(who)))
                .not("not the certificate as such: it was not even read");
            if key == "sslkey" {
                let group = shell(&who.group);
                let file = shell(&path.display().to_string());
                found = found.sure(
                    FixKind::Shell,
                    "a root shell on this machine",
                    format!("chown root:{group} {file} && chmod 640 {file}"),
                    Then::None,
                );
            } else if let Some(fix) = cure(&[obstacle], who) {
                found.fixes.push(fix);
            }
            return Some(found);
        }
    }
    root.and_then(|path| no_certificate(subject, path)).or_else(|| key_trouble(subject, who))
}

/// sslrootcert has no certificate in it.
fn no_certificate(subject: &Subject, path: &Path) -> Option<Finding> {
    let good = fs::read(path).ok().and_then(|pem| X509::stack_from_pem(&pem).ok()).is_some_and(|list| !list.is_empty());
    if good {
        return None;
    }
    let found = finding("DBT0611", format!("{} (sslrootcert) holds no certificate in PEM form", path.display()))
        .not("not an unreadable file: it was read, and there is no BEGIN CERTIFICATE in it");
    let beside = certificates_beside(path);
    let single = beside.len() == 1;
    Some(beside.into_iter().fold(found, |found, (other, _)| {
        let text = subject.directive(|settings| settings.sslrootcert = Some(RootCert::File(other)));
        if single {
            found.sure(FixKind::Httpd, subject.httpd_place(), text, Then::Reload)
        } else {
            found.maybe(FixKind::Httpd, subject.httpd_place(), text, Then::Reload)
        }
    }))
}

/// The client's key: readable by others, or not the certificate's.
fn key_trouble(subject: &Subject, who: &Who) -> Option<Finding> {
    use std::os::unix::fs::MetadataExt;
    let (cert, key) = (subject.settings.sslcert.as_ref()?, subject.settings.sslkey.as_ref()?);
    let metadata = key.metadata().ok()?;
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    let file = shell(&key.display().to_string());
    if metadata.mode() & forbidden != 0 {
        let text = if metadata.uid() == who.uid {
            format!("chmod 600 {file}")
        } else {
            format!("chown root:{} {file} && chmod 640 {file}", shell(&who.group))
        };
        return Some(
            finding(
                "DBT0612",
                format!(
                    "The key {} (sslkey) may be read by others (mode {:04o}), and so is not used",
                    key.display(),
                    metadata.mode() & 0o7777
                ),
            )
            .sure(FixKind::Shell, "a root shell on this machine", text, Then::None)
            .not("not the server: the handshake did not begin"),
        );
    }
    let certificate = X509::from_pem(&fs::read(cert).ok()?).ok();
    let private = PKey::private_key_from_pem(&fs::read(key).ok()?).ok();
    let matches = match (&certificate, &private) {
        (Some(certificate), Some(private)) => certificate.public_key().is_ok_and(|public| public.public_eq(private)),
        // an encrypted key: OpenSSL itself will tell
        (Some(_), None) => return None,
        (None, _) => false,
    };
    if matches {
        return None;
    }
    let found = finding(
        "DBT0613",
        format!("The key {} (sslkey) is not that of the certificate {} (sslcert)", key.display(), cert.display()),
    )
    .not("not the server: the handshake did not begin");
    let public = certificate.and_then(|certificate| certificate.public_key().ok())?;
    let other = files_beside(cert).into_iter().find(|path| {
        fs::read(path)
            .ok()
            .and_then(|pem| PKey::private_key_from_pem(&pem).ok())
            .is_some_and(|key| public.public_eq(&key))
    });
    Some(match other {
        Some(other) => found.sure(
            FixKind::Httpd,
            subject.httpd_place(),
            subject.directive(|settings| settings.sslkey = Some(other)),
            Then::Reload,
        ),
        None => found,
    })
}

fn files_beside(path: &Path) -> Vec<PathBuf> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).take(200).collect();
    files.sort();
    files
}

/// Files beside `path` that hold a certificate of an authority.
fn certificates_beside(path: &Path) -> Vec<(PathBuf, Peer)> {
    let authority = |path: &Path| {
        let pem = fs::read(path).ok().filter(|bytes| bytes.len() < 1 << 20)?;
        let certificate = X509::stack_from_pem(&pem).ok()?.into_iter().next()?;
        let about = Peer::of(&certificate);
        (about.subject == about.issuer).then_some(about)
    };
    files_beside(path).into_iter().filter_map(|path| authority(&path).map(|about| (path, about))).collect()
}

/// Root certificates on this machine that may have issued the one that was rejected, for a probe to try.
pub fn candidate_roots(subject: &Subject, rejected: &Peer) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = Vec::new();
    let settings = &subject.settings;
    if let Some(RootCert::File(path)) = &settings.sslrootcert {
        places.push(path.clone());
    }
    places.extend(settings.sslcert.clone());
    let mut found: Vec<PathBuf> = places
        .iter()
        .flat_map(|path| certificates_beside(path))
        .filter(|(_, about)| about.subject == rejected.issuer)
        .map(|(path, _)| path)
        .collect();
    let known = [
        "/etc/postgresql-common/root.crt",
        "/etc/ssl/certs/ssl-cert-snakeoil.pem",
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
    ];
    found.extend(known.iter().map(PathBuf::from).filter(|path| path.is_file()));
    found.dedup();
    found.retain(|path| !matches!(&settings.sslrootcert, Some(RootCert::File(root)) if root == path));
    found.truncate(6);
    found
}

/// A certificate made out to our role, with its key, beside the certificates that are configured.
pub fn client_pair_beside(subject: &Subject) -> Option<(PathBuf, PathBuf)> {
    let Some(RootCert::File(root)) = &subject.settings.sslrootcert else { return None };
    let files = files_beside(root);
    let named = |path: &&PathBuf| common_name_of(path).as_deref() == Some(&subject.role);
    let cert = files.iter().find(named)?;
    let public = X509::from_pem(&fs::read(cert).ok()?).ok()?.public_key().ok()?;
    let key = files.iter().find(|path| {
        fs::read(path)
            .ok()
            .and_then(|pem| PKey::private_key_from_pem(&pem).ok())
            .is_some_and(|key| public.public_eq(&key))
    })?;
    Some((cert.clone(), key.clone()))
}

/// The common name in a certificate file.
pub fn common_name_of(path: &Path) -> Option<String> {
    let certificate = X509::from_pem(&fs::read(path).ok()?).ok()?;
    let entry = certificate.subject_name().entries_by_nid(Nid::COMMONNAME).next()?;
    entry.data().to_string().ok()
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
            "The certificate of {} was issued by an authority that is not trusted here{}",
            subject.server(),
            about(shake)
        ),
    )
    .not("not an expired certificate and not another name: OpenSSL's code says that the issuer is unknown")
    .not("not pg_hba.conf and not the password: TLS comes first");
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
        super::control::for_server(
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
        found = if index == 0 {
            found.sure(FixKind::Httpd, subject.httpd_place(), text, Then::Reload)
        } else {
            found.maybe(FixKind::Httpd, subject.httpd_place(), text, Then::Reload)
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

/// No verdict on a certificate of the server: the two did not come to terms, or the server dislikes ours.
fn alert(subject: &Subject, shake: &Handshake) -> Finding {
    let text = shake.text;
    let has = |part: &str| text.contains(part);
    let server = subject.server();
    let ours = subject.settings.sslcert.is_some();
    if ours
        && (has("alert unknown ca")
            || has("alert bad certificate")
            || has("alert certificate unknown")
            || has("alert decrypt error")
            || has("alert unsupported certificate"))
    {
        return finding("DBT0614", format!("{server} does not accept our client certificate: its ssl_ca_file does not hold the authority that issued it ({text})"))
            .maybe(
                FixKind::Shell,
                subject.server_shell(),
                super::control::for_server(subject.port, &add_client_authority(subject)),
                Then::None,
            )
            .maybe(
                FixKind::Httpd,
                format!("{} (without a client certificate, if pg_hba.conf does not demand one)", subject.httpd_place()),
                subject.directive(|settings| (settings.sslcert, settings.sslkey) = (None, None)),
                Then::Reload,
            )
            .not("not the server's certificate: the alert came from the server, about ours");
    }
    if has("alert certificate expired") || has("alert certificate revoked") {
        return finding(
            "DBT0615",
            format!("{server} says that our client certificate has expired or was revoked ({text})"),
        )
        .maybe(
            FixKind::Httpd,
            format!("{} (without a client certificate, if pg_hba.conf does not demand one)", subject.httpd_place()),
            subject.directive(|settings| (settings.sslcert, settings.sslkey) = (None, None)),
            Then::Reload,
        )
        .not("not the server's certificate: the alert came from the server, about ours");
    }
    if has("alert certificate required") || (has("handshake failure") && !ours) {
        return finding("DBT0616", format!("{server} demands a client certificate during the handshake ({text})"))
            .not("not pg_hba.conf: it was not looked at yet");
    }
    if has("protocol version")
        || has("unsupported protocol")
        || has("no protocols available")
        || has("version too low")
        || has("wrong ssl version")
    {
        let text_of_fix = subject.directive(|settings| {
            (settings.ssl_min_protocol_version, settings.ssl_max_protocol_version) = (TlsVersion::V1_2, None);
        });
        return finding("DBT0617", format!("{server} and this module have no TLS version in common ({text})"))
            .sure(FixKind::Httpd, subject.httpd_place(), text_of_fix, Then::Reload)
            .maybe(FixKind::PostgresqlConf, subject.conf_place(), "ssl_min_protocol_version = 'TLSv1.2'", Then::Reload)
            .not("not a certificate: the two did not get that far");
    }
    if has("no shared cipher") || has("no cipher") || has("handshake failure") {
        return finding("DBT0618", format!("{server} and this module have no cipher in common ({text})"))
            .maybe(
                FixKind::PostgresqlConf,
                subject.conf_place(),
                "ssl_ciphers = 'HIGH:MEDIUM:+3DES:!aNULL'",
                Then::Reload,
            )
            .not("not a certificate: the two did not get that far");
    }
    if has("wrong version number") {
        return finding("DBT0506", format!("{server} says that it does TLS, and then speaks something else ({text})"))
            .maybe(FixKind::Httpd, subject.httpd_place(), subject.directive_with_port(5432), Then::Reload);
    }
    finding("DBT0606", format!("The TLS handshake with {server} failed: {text}"))
        .maybe(FixKind::Shell, "any shell (shows the handshake)", show(subject), Then::None)
        .maybe(
            FixKind::Shell,
            format!("{} (the log has the server's side)", subject.server_shell()),
            "tail -n 50 $(ls -t /var/log/postgresql/*.log /var/lib/pgsql/data/log/* 2>/dev/null | head -n 1)",
            Then::None,
        )
        .not("not pg_hba.conf and not the password: TLS comes first")
}

/// Adds the authority of our certificate to those that the server trusts for clients.
fn add_client_authority(subject: &Subject) -> String {
    let cert = subject.settings.sslcert.clone().unwrap_or_default();
    let issuer =
        fs::read(&cert).ok().and_then(|pem| X509::from_pem(&pem).ok()).map(|certificate| Peer::of(&certificate).issuer);
    let authority = certificates_beside(&cert).into_iter().find(|(_, about)| Some(&about.subject) == issuer.as_ref());
    let file = authority.map_or(cert, |(path, _)| path);
    format!("f=$(ask ssl_ca_file) && cd \"$d\" && cat {} >>\"$f\" && kill -HUP $p", shell(&file.display().to_string()))
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
    use super::super::subject::tests::over_tcp;
    use super::*;

    fn id(verify: i32, text: &str) -> &'static str {
        let shake = Handshake { verify, text, rejected: None, better_root: None };
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
        let shake = Handshake { verify: 62, text: "", rejected: Some(&rejected), better_root: None };
        let mut subject = over_tcp();
        subject.settings.hosts[0].host = Host::Address([127, 0, 0, 1].into());
        let found = read(&subject, &shake, &Who::default());
        assert!(found.fixes[0].text.contains("db.example"), "{}", found.fixes[0].text);
    }
}
