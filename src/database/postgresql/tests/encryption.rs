//! TLS in every mode.

use std::path::PathBuf;

use super::super::settings::{ChannelBinding, RootCert, SslNegotiation, TlsVersion};
use super::super::support::{Certificate, Pki};
use super::*;
use crate::database::postgresql::startup::AuthRequest;
use crate::database::{Connection, Stage};

struct Encrypted {
    pki: Pki,
    cluster: Cluster,
}

/// A server with a certificate for `names`, and pg_hba.conf lines.
fn encrypted(hba: &str, certificate: impl FnOnce(&Pki) -> Certificate) -> Encrypted {
    let pki = Pki::new("the tests' authority");
    let cluster = Cluster::with_conf(hba, &pki.conf(&certificate(&pki)));
    prepare(&cluster);
    Encrypted { pki, cluster }
}

fn for_localhost(pki: &Pki) -> Certificate {
    pki.issue("localhost", &["localhost"])
}

impl Encrypted {
    fn settings(&self, sslmode: SslMode) -> PgSettings {
        PgSettings { sslmode, ..with_password(settings(Host::Name("localhost".into()), self.cluster.port)) }
    }

    fn trusting(&self, sslmode: SslMode) -> PgSettings {
        PgSettings { sslrootcert: Some(RootCert::File(self.pki.ca())), ..self.settings(sslmode) }
    }
}

fn transport(settings: PgSettings) -> String {
    let mut connection = connect(settings).unwrap_or_else(|error| panic!("{error}"));
    let id = connection.insert("a", "b").unwrap();
    for _ in 0..3 {
        assert_eq!(connection.page(None, 20).unwrap().rows.get(0).unwrap().id, id);
    }
    connection.about().transport.clone()
}

fn verify_code(error: &Error) -> i32 {
    match &error.cause {
        Cause::Tls { verify, .. } => *verify,
        other => panic!("{other:?} ({error})"),
    }
}

#[test]
fn each_mode_encrypts_as_libpq_does() {
    let server = encrypted("hostnossl all all all trust\nhostssl all all all trust", for_localhost);
    let clear = "TCP, not encrypted";
    use SslMode::*;
    for (mode, expected) in [(Disable, clear), (Allow, clear), (Prefer, "TLSv1.3"), (Require, "TLSv1.3")] {
        assert_eq!(transport(server.settings(mode)), expected, "{mode:?}");
    }
    for mode in [Prefer, Require, VerifyCa, VerifyFull] {
        assert_eq!(transport(server.trusting(mode)), "TLSv1.3", "{mode:?}");
    }
    let old = PgSettings { ssl_max_protocol_version: Some(TlsVersion::V1_2), ..server.trusting(VerifyFull) };
    assert_eq!(transport(old), "TLSv1.2");
    // a Unix socket is never encrypted, whatever the mode
    server.cluster.hba(TRUST);
    server.cluster.reload();
    assert_eq!(transport(PgSettings { sslmode: Require, ..by_socket(&server.cluster) }), "Unix socket");
}

#[test]
fn pg_hba_decides_and_allow_and_prefer_try_the_other_way() {
    let server = encrypted("hostssl all all all trust", for_localhost);
    assert_eq!(transport(server.settings(SslMode::Allow)), "TLSv1.3");
    let error = refused(server.settings(SslMode::Disable));
    assert_eq!((error.stage, answer(&error).code.as_str()), (Stage::Admitted, "28000"));
    server.cluster.hba("hostnossl all all all trust");
    server.cluster.reload();
    assert_eq!(transport(server.settings(SslMode::Prefer)), "TCP, not encrypted");
    let error = refused(server.settings(SslMode::Require));
    assert_eq!((error.stage, answer(&error).code.as_str()), (Stage::Admitted, "28000"));
}

#[test]
fn with_prefer_the_first_refusal_is_not_hidden_by_the_second() {
    let server = encrypted("hostssl all all all scram-sha-256", for_localhost);
    let error = refused(PgSettings { password: Some(Secret::new("falsch")), ..server.settings(SslMode::Prefer) });
    assert_eq!((error.stage, answer(&error).code.as_str()), (Stage::Authenticated, "28P01"));
    assert!(error.doing.contains("also tried"), "{error}");
}

#[test]
fn a_server_without_tls_is_named() {
    let cluster = trusting();
    assert_eq!(transport(PgSettings { sslmode: SslMode::Prefer, ..by_tcp(cluster.port) }), "TCP, not encrypted");
    let error = refused(PgSettings { sslmode: SslMode::Require, ..by_tcp(cluster.port) });
    assert_eq!((error.stage, verify_code(&error)), (Stage::Tls, 0));
    assert!(error.to_string().contains("does not offer TLS"), "{error}");
}

/// Makes the server's certificate.
type Issue = fn(&Pki) -> Certificate;

#[test]
fn certificates_are_refused_by_their_code() {
    let other = Pki::new("somebody else's authority");
    let cases: [(&str, Issue, i32); 4] = [
        ("expired", |pki| pki.issue_for_days("localhost", &["localhost"], -10, -1), 10),
        ("not yet valid", |pki| pki.issue_for_days("localhost", &["localhost"], 1, 10), 9),
        ("for another host", |pki| pki.issue("db.example", &["db.example"]), 62),
        ("good", for_localhost, 0),
    ];
    for (what, certificate, code) in cases {
        let server = encrypted(TRUST, certificate);
        let target = PgTarget::new(server.trusting(SslMode::VerifyFull));
        match target.open(&LIMITS) {
            Ok(opened) => {
                assert_eq!(code, 0, "{what}");
                let peer = opened.certificate.unwrap();
                assert_eq!(
                    (peer.subject.as_str(), peer.names.as_slice()),
                    ("CN=localhost", ["localhost".to_owned()].as_slice())
                );
                assert_eq!(peer.issuer, "CN=the tests' authority");
                assert!((360..=366).contains(&peer.days_left), "{peer:?}");
            }
            Err(attempts) => {
                // localhost may be ::1 as well, where nobody listens; 127.0.0.1 comes after it
                let attempt = attempts.0.last().unwrap();
                assert_eq!((attempt.error.stage, verify_code(&attempt.error)), (Stage::Tls, code), "{what}");
                let (peer, depth) = attempt.rejected.clone().unwrap();
                assert_eq!(depth, 0);
                assert_eq!(peer.days_left < 0, what == "expired", "{peer:?}");
            }
        }
        // the name is not compared in the other modes
        if code == 62 {
            assert_eq!(transport(server.trusting(SslMode::VerifyCa)), "TLSv1.3");
        }
        let stranger =
            PgSettings { sslrootcert: Some(RootCert::File(other.ca())), ..server.settings(SslMode::VerifyCa) };
        assert!([19, 20, 21].contains(&verify_code(&refused(stranger))), "{what}");
        // libpq goes on in the clear, and so do we
        let stranger = PgSettings { sslrootcert: Some(RootCert::File(other.ca())), ..server.settings(SslMode::Prefer) };
        assert_eq!(transport(stranger), "TCP, not encrypted");
    }
}

#[test]
fn an_address_may_stand_in_the_alternative_names_or_the_common_name() {
    let by_address = |server: &Encrypted| {
        let host = HostPort { host: Host::Address([127, 0, 0, 1].into()), hostaddr: None, port: server.cluster.port };
        PgSettings { hosts: vec![host], ..server.trusting(SslMode::VerifyFull) }
    };
    for certificate in [|pki: &Pki| pki.issue("x", &["127.0.0.1"]), |pki: &Pki| pki.issue("127.0.0.1", &[])] {
        assert_eq!(transport(by_address(&encrypted(TRUST, certificate))), "TLSv1.3");
    }
    let error = refused(by_address(&encrypted(TRUST, for_localhost)));
    assert_eq!(verify_code(&error), 64);
    // the name that was written counts, not the address that it leads to
    let server = encrypted(TRUST, |pki| pki.issue("db.example", &["*.example"]));
    let host = HostPort {
        host: Host::Name("db.example".into()),
        hostaddr: Some([127, 0, 0, 1].into()),
        port: server.cluster.port,
    };
    assert_eq!(transport(PgSettings { hosts: vec![host], ..server.trusting(SslMode::VerifyFull) }), "TLSv1.3");
}

#[test]
fn we_show_our_own_certificate() {
    let server = encrypted("hostssl all all all cert", for_localhost);
    let own = server.pki.issue("app", &[]);
    let with = |sslcert: &PathBuf, sslkey: &PathBuf| PgSettings {
        sslcert: Some(sslcert.clone()),
        sslkey: Some(sslkey.clone()),
        ..server.trusting(SslMode::VerifyFull)
    };
    assert_eq!(transport(with(&own.cert, &own.key)), "TLSv1.3");
    let locked = server.pki.encrypt_key(&own, "schlüssel");
    let unlocked = PgSettings { sslpassword: Some(Secret::new("schlüssel")), ..with(&own.cert, &locked) };
    assert_eq!(transport(unlocked), "TLSv1.3");
    let error = refused(with(&own.cert, &locked));
    assert_eq!(error.stage, Stage::Tls, "{error}");
    assert!(error.doing.contains("sslkey"), "{error}");

    let error = refused(server.trusting(SslMode::VerifyFull));
    assert_eq!((error.stage, answer(&error).code.as_str()), (Stage::Admitted, "28000"));
    let stranger = server.pki.issue("somebody", &[]);
    let error = refused(with(&stranger.cert, &stranger.key));
    assert_eq!((answer(&error).code.as_str(), answer(&error).routine.as_deref()), ("28000", Some("auth_failed")));
    let error = refused(with(&own.cert, &stranger.key));
    assert!(error.to_string().contains("key values mismatch"), "{error}");

    let foreign = Pki::new("elsewhere").issue("app", &[]);
    let _ = foreign;
    std::fs::set_permissions(&own.key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let error = refused(with(&own.cert, &own.key));
    assert!(error.to_string().contains("0600"), "{error}");
}

#[test]
fn a_client_certificate_of_a_strange_authority_is_a_matter_of_tls() {
    let server = encrypted("hostssl all all all trust clientcert=verify-ca", for_localhost);
    let elsewhere = Pki::new("elsewhere");
    let own = elsewhere.issue("app", &[]);
    let settings = PgSettings { sslcert: Some(own.cert), sslkey: Some(own.key), ..server.settings(SslMode::Require) };
    let error = refused(settings);
    assert_eq!(error.stage, Stage::Tls, "{error}");
    assert!(error.to_string().contains("unknown ca"), "{error}");
}

#[test]
fn files_that_are_missing_or_are_no_certificates_are_named() {
    let server = encrypted(TRUST, for_localhost);
    let root =
        |path: PathBuf| PgSettings { sslrootcert: Some(RootCert::File(path)), ..server.settings(SslMode::VerifyCa) };
    let error = refused(root("/nonexistent.crt".into()));
    assert!(matches!(&error.cause, Cause::Io(io) if io.raw_os_error() == Some(libc::ENOENT)), "{error:?}");
    assert!(error.doing.contains("/nonexistent.crt (sslrootcert)"), "{error}");
    let empty = server.pki.dir().join("empty.crt");
    std::fs::write(&empty, "nothing\n").unwrap();
    let error = refused(root(empty));
    assert_eq!(error.stage, Stage::Tls);
    assert!(error.to_string().contains("no certificate"), "{error}");
}

#[test]
fn a_login_is_tied_to_the_connection_when_it_can_be() {
    let server = encrypted("host all all all scram-sha-256", for_localhost);
    let plus = |channel_binding, sslmode| PgSettings { channel_binding, ..server.settings(sslmode) };
    let opened = PgTarget::new(plus(ChannelBinding::Require, SslMode::Require)).open(&LIMITS);
    let opened = opened.map_err(Attempts::into_error).unwrap();
    let Some(AuthRequest::Sasl(mechanisms)) = &opened.session.startup.auth_request else { panic!() };
    assert_eq!(mechanisms, &["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]);
    for binding in [ChannelBinding::Disable, ChannelBinding::Prefer] {
        assert_eq!(transport(plus(binding, SslMode::Require)), "TLSv1.3");
    }
    let error = refused(plus(ChannelBinding::Require, SslMode::Disable));
    assert_eq!(error.stage, Stage::Authenticated);
    assert!(error.to_string().contains("cannot be bound to the connection"), "{error}");
}

#[test]
fn tls_at_once_is_spoken_by_servers_that_know_it() {
    // PostgreSQL 17 does; a peer that only does TLS stands in for it as far as the handshake
    let server = encrypted(TRUST, for_localhost);
    let direct = PgSettings { sslnegotiation: SslNegotiation::Direct, ..server.settings(SslMode::Require) };
    let error = refused(direct);
    assert_eq!(error.stage, Stage::Tls, "PostgreSQL 15 closes: {error}");
}
