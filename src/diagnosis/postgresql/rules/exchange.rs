//! Reading a login that this module itself ended, since the two had no way of logging in in common, or that it went
//! through without knowing to whom it gave its password.

use crate::database::LoginRefusal;
use crate::database::postgresql::settings::{ChannelBinding, RootCert, SslMode, SslNegotiation};
use crate::database::postgresql::startup::AuthRequest;
use crate::diagnosis::postgresql::quote::ident;
use crate::diagnosis::postgresql::subject::{Place, Subject};
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

const BOUND: &str = "SCRAM-SHA-256-PLUS";

/// Does the server offer SCRAM tied to the TLS connection?
fn offers_binding(request: &AuthRequest) -> bool {
    matches!(request, AuthRequest::Sasl(names) if names.iter().any(|name| name == BOUND))
}

/// The finding, where what the server asked for tells why it could not go on.
pub fn ended(subject: &Subject, request: &AuthRequest, text: &str) -> Option<Finding> {
    if let AuthRequest::Sasl(names) = request
        && !names.iter().any(|name| name.starts_with("SCRAM-SHA-256"))
    {
        return Some(other_mechanism(subject, names));
    }
    if subject.settings.channel_binding == ChannelBinding::Require && !offers_binding(request) {
        return Some(no_binding(subject, request));
    }
    text.contains("iteration count").then(|| too_many_iterations(subject))
}

/// The finding for a login that this module gave up.
pub fn given_up(subject: &Subject, refusal: &LoginRefusal) -> Finding {
    match refusal {
        LoginRefusal::Mechanisms(names) => other_mechanism(subject, names),
        LoginRefusal::NoChannelBinding { mechanisms, .. } if !mechanisms.is_empty() => {
            no_binding(subject, &AuthRequest::Sasl(mechanisms.clone()))
        }
        LoginRefusal::NoChannelBinding { asked: "password", .. } => no_binding(subject, &AuthRequest::Cleartext),
        LoginRefusal::NoChannelBinding { asked: "md5", .. } => no_binding(subject, &AuthRequest::Md5),
        LoginRefusal::Iterations { .. } => too_many_iterations(subject),
        // what there is to do depends on who is at fault, which nobody knows
        LoginRefusal::NoChannelBinding { .. } | LoginRefusal::Method { .. } | LoginRefusal::Unproven { .. } => {
            finding("DBT0807", format!("The login of role {} was not completed: {refusal}", subject.role))
        }
    }
}

/// SASL, but not SCRAM: OAUTHBEARER, say, of pg_hba.conf's method oauth (PostgreSQL 18).
fn other_mechanism(subject: &Subject, names: &[String]) -> Finding {
    finding(
        "DBT0805",
        format!(
            "{} logs this role in by {} only, which this module does not speak",
            subject.server(),
            names.join(", ")
        ),
    )
    .maybe(
        FixKind::PgHba,
        format!("{} (by password, if the role has one in PostgreSQL)", subject.hba_place()),
        subject.hba_line("scram-sha-256"),
        Then::Reload,
    )
    .not("not a missing password: the mechanism on offer takes none")
}

fn no_binding(subject: &Subject, request: &AuthRequest) -> Finding {
    let why = match (subject.encrypted, request) {
        (false, _) => "the connection is not encrypted, and only TLS can be bound to".to_owned(),
        (true, AuthRequest::Sasl(names)) => format!("it offers {} without -PLUS", names.join(", ")),
        (true, request) => format!("it asks for {}", request.method()),
    };
    finding("DBT0809", format!("channel_binding=require cannot be had from {}: {why}", subject.server()))
        .maybe(
            FixKind::Httpd,
            format!(
                "{} (a pooler, or PostgreSQL before 11, has none: then name PostgreSQL itself, or do without)",
                subject.httpd_place()
            ),
            subject.directive(|settings| settings.channel_binding = ChannelBinding::Prefer),
            Then::Reload,
        )
        .not("not the password: this module ended the login before it sent one")
}

fn too_many_iterations(subject: &Subject) -> Finding {
    finding(
        "DBT0810",
        format!(
            "The secret of role {} has more SCRAM iterations (scram_iterations) than this module computes",
            subject.role
        ),
    )
    .maybe(
        FixKind::Sql,
        format!("{} (the password set anew, with fewer)", subject.psql_place()),
        format!("SET scram_iterations = 4096; ALTER ROLE {} PASSWORD '<PASSWORD>';", ident(&subject.role)),
        Then::None,
    )
    .not("not a wrong password: it was not compared yet")
}

/// sslnegotiation=direct, and the server takes a TLS handshake only after PostgreSQL's own question.
pub fn not_direct(subject: &Subject) -> Finding {
    finding(
        "DBT0624",
        format!(
            "{} takes TLS only after PostgreSQL's own SSLRequest; sslnegotiation=direct needs PostgreSQL 17",
            subject.server()
        ),
    )
    .sure(
        FixKind::Httpd,
        subject.httpd_place(),
        subject.directive(|settings| settings.sslnegotiation = SslNegotiation::Postgres),
        Then::Reload,
    )
    .not("not a server without TLS: it answers an SSLRequest with S")
}

/// A password, or the proof of one, went to a machine that nothing proved to be the one that was meant.
pub fn unproved(subject: &Subject, request: Option<&AuthRequest>) -> Option<Finding> {
    let request = request?;
    let settings = &subject.settings;
    let bound = settings.channel_binding == ChannelBinding::Require;
    if subject.local || matches!(subject.place, Place::Socket(_)) || settings.sslmode >= SslMode::VerifyCa || bound {
        return None;
    }
    let found = finding(
        "DBT0812",
        format!(
            "The login at {} proves us to the server, not the server to us: neither is its certificate verified nor the login bound to it",
            subject.server()
        ),
    );
    if subject.encrypted && offers_binding(request) {
        let text = subject.directive(|settings| {
            settings.channel_binding = ChannelBinding::Require;
            settings.sslmode = settings.sslmode.max(SslMode::Require);
        });
        return Some(found.maybe(FixKind::Httpd, subject.httpd_place(), text, Then::Reload));
    }
    let text = subject.directive(|settings| {
        settings.sslmode = SslMode::VerifyFull;
        settings.sslrootcert.get_or_insert(RootCert::System);
    });
    let place = format!(
        "{} (needs TLS at the server, and sslrootcert the authority that issued its certificate)",
        subject.httpd_place()
    );
    Some(found.maybe(FixKind::Httpd, place, text, Then::Reload))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::postgresql::subject::tests::over_tcp;

    fn sasl(names: &[&str]) -> AuthRequest {
        AuthRequest::Sasl(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn a_mechanism_is_named_and_not_taken_for_a_password() {
        let found = ended(&over_tcp(), &sasl(&["OAUTHBEARER"]), "").unwrap();
        assert!(found.id == "DBT0805" && found.cause.contains("OAUTHBEARER"), "{found:?}");
        assert!(ended(&over_tcp(), &sasl(&["SCRAM-SHA-256"]), "").is_none());
    }

    #[test]
    fn channel_binding_that_nobody_offers_is_not_the_passwords_fault() {
        let mut subject = Subject { encrypted: true, ..over_tcp() };
        subject.settings.channel_binding = ChannelBinding::Require;
        let found = ended(&subject, &sasl(&["SCRAM-SHA-256"]), "").unwrap();
        assert_eq!(found.id, "DBT0809");
        assert!(!found.fixes[0].text.contains("channel_binding"), "prefer is the default: {}", found.fixes[0].text);
        assert!(ended(&subject, &sasl(&["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]), "").is_none());
    }

    #[test]
    fn a_remote_login_that_nothing_proves_is_a_warning() {
        let far = Subject { local: false, encrypted: true, ..over_tcp() };
        let scram = sasl(&["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]);
        let found = unproved(&far, Some(&scram)).unwrap();
        assert!(found.fixes[0].text.contains("channel_binding=require"), "{found:?}");
        let mut bound = far.clone();
        bound.settings.channel_binding = ChannelBinding::Require;
        assert!(unproved(&bound, Some(&scram)).is_none());
        assert!(unproved(&over_tcp(), Some(&scram)).is_none(), "this machine");
        assert!(unproved(&far, None).is_none(), "no password was asked for");
    }
}
