//! No verdict on the server's certificate: the two did not come to terms, or the server dislikes ours. The texts are OpenSSL's, never translated.

use super::{Handshake, show};
use crate::database::postgresql::settings::TlsVersion;
use crate::diagnosis::host::shell::word as shell;
use crate::diagnosis::postgresql::server_commands;
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, Fix, FixKind, Then};

/// No verdict on a certificate of the server: the two did not come to terms, or the server dislikes ours.
pub(super) fn alert(subject: &Subject, shake: &Handshake) -> Finding {
    let text = shake.text;
    let has = |part: &str| text.contains(part);
    let server = subject.server();
    let ours = subject.settings.sslcert.is_some();
    if ours && has("alert unsupported certificate") {
        return finding("DBT0614", format!("{server} does not accept our client certificate for what it is used for: its extendedKeyUsage has no clientAuth, or its kind of key is not supported there ({text})"))
            .maybe(
                FixKind::Shell,
                "a root shell on this machine (shows what the certificate is for; a new one needs clientAuth)",
                format!(
                    "openssl x509 -noout -purpose -ext extendedKeyUsage,keyUsage -in {}",
                    shell(&subject.settings.sslcert.clone().unwrap_or_default().display().to_string())
                ),
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
    if ours
        && (has("alert unknown ca")
            || has("alert bad certificate")
            || has("alert certificate unknown")
            || has("alert decrypt error"))
    {
        return finding("DBT0614", format!("{server} does not accept our client certificate: its ssl_ca_file does not hold the authority that issued it ({text})"))
            .maybe(
                FixKind::Shell,
                subject.server_shell(),
                server_commands::for_server(subject.port, &add_client_authority(subject)),
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
    if has("alert certificate required") {
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
        // only a version that is kept out here is let in here
        let ours = subject.settings.ssl_max_protocol_version.is_some() && has("alert protocol version");
        let place = subject.httpd_place();
        return finding("DBT0617", format!("{server} and this module have no TLS version in common ({text})"))
            .fix(Fix { sure: ours, kind: FixKind::Httpd, place, text: text_of_fix, then: Then::Reload })
            .maybe(FixKind::PostgresqlConf, subject.conf_place(), "ssl_min_protocol_version = 'TLSv1.2'", Then::Reload)
            .not("not a certificate: the two did not get that far");
    }
    if has("no shared cipher") || has("no cipher") || has("handshake failure") {
        let demands =
            if ours { "" } else { ", or the server (PgBouncer with verify-ca, say) demands a client certificate" };
        return finding("DBT0618", format!("{server} and this module have no cipher in common{demands} ({text})"))
            .maybe(
                FixKind::PostgresqlConf,
                subject.conf_place(),
                "ssl_ciphers = 'HIGH:MEDIUM:+3DES:!aNULL'",
                Then::Reload,
            );
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
            crate::diagnosis::postgresql::server_commands::LOG,
            Then::None,
        )
}

/// Adds the authority of our certificate to those that the server trusts for clients.
pub(super) fn add_client_authority(subject: &Subject) -> String {
    let file = subject.certificates.issuer.clone().or_else(|| subject.settings.sslcert.clone()).unwrap_or_default();
    format!("f=$(ask ssl_ca_file) && cd \"$d\" && cat {} >>\"$f\" && kill -HUP $p", shell(&file.display().to_string()))
}
