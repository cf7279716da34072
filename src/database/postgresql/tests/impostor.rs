//! Servers that ask for too much, or do not prove who they are.

use std::io::Read;
use std::sync::{Arc, Mutex};

use super::super::settings::{ChannelBinding, RequireAuth};
use super::peer::{self, Talk, greeting, message};
use super::*;
use crate::database::{LoginRefusal, Stage};

fn request(code: u32, rest: &[u8]) -> Vec<u8> {
    message(b'R', &[&code.to_be_bytes(), rest].concat())
}

fn sasl(names: &str) -> Vec<u8> {
    request(10, names.as_bytes())
}

/// A peer that asks, and keeps whatever comes then.
fn asks(bytes: Vec<u8>) -> (u16, Arc<Mutex<Vec<u8>>>) {
    let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
    let ears = Arc::clone(&heard);
    let (port, _) = peer::peer(move |talk| {
        talk.startup()?;
        talk.send(&bytes)?;
        let mut rest = Vec::new();
        let result = talk.stream.read_to_end(&mut rest);
        ears.lock().unwrap().extend(rest);
        result.map(drop)
    });
    (port, heard)
}

fn refusal(settings: PgSettings) -> LoginRefusal {
    let error = refused(settings);
    assert_eq!(error.stage, Stage::Authenticated, "{error}");
    match error.cause {
        Cause::Login(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

fn requiring(port: u16, methods: &str) -> PgSettings {
    PgSettings { require_auth: RequireAuth::parse(methods).unwrap(), ..with_password(by_tcp(port)) }
}

#[test]
fn what_require_auth_forbids_is_refused_before_anything_is_sent() {
    let cases = [
        (request(3, b""), "scram-sha-256", "password"),
        (request(5, b"salt"), "scram-sha-256", "md5"),
        (request(5, b"salt"), "!md5", "md5"),
        (sasl("SCRAM-SHA-256\0\0"), "password,md5", "scram-sha-256"),
        (request(7, b""), "!gss", "gss"),
        (greeting(), "scram-sha-256", "none"),
        (greeting(), "!none", "none"),
    ];
    for (bytes, require_auth, asked) in cases {
        let (port, heard) = asks(bytes);
        let expected = LoginRefusal::Method { asked, require_auth: require_auth.into() };
        assert_eq!(refusal(requiring(port, require_auth)), expected);
        let sent = heard.lock().unwrap().clone();
        assert!(sent.is_empty() || sent.starts_with(b"X"), "{}", sent.escape_ascii());
    }
}

#[test]
fn what_require_auth_allows_is_done() {
    let cluster = Cluster::new("host all all all scram-sha-256");
    prepare(&cluster);
    for methods in ["scram-sha-256", "!password,!md5,!none", "none,scram-sha-256"] {
        connect(requiring(cluster.port, methods)).unwrap();
    }
    cluster.hba("host all all all trust");
    cluster.reload();
    for methods in ["none", "!md5"] {
        connect(requiring(cluster.port, methods)).unwrap();
    }
}

#[test]
fn a_login_that_cannot_be_bound_says_what_is_offered() {
    let bound = |port| PgSettings {
        channel_binding: ChannelBinding::Require,
        sslmode: SslMode::Disable,
        ..with_password(by_tcp(port))
    };
    let cases = [
        (sasl("SCRAM-SHA-256\0\0"), vec!["SCRAM-SHA-256".to_owned()], "scram-sha-256"),
        (request(3, b""), vec![], "password"),
        (greeting(), vec![], "none"),
    ];
    for (bytes, mechanisms, asked) in cases {
        let (port, heard) = asks(bytes);
        let expected = LoginRefusal::NoChannelBinding { mechanisms, asked, encrypted: false };
        assert_eq!(refusal(bound(port)), expected);
        let sent = heard.lock().unwrap().clone();
        assert!(sent.is_empty() || sent.starts_with(b"X"), "{}", sent.escape_ascii());
    }
}

#[test]
fn mechanisms_that_nobody_here_knows_keep_their_names() {
    let (port, _) = asks(sasl("OAUTHBEARER\0\0"));
    for settings in [by_tcp(port), with_password(by_tcp(port))] {
        assert_eq!(refusal(settings), LoginRefusal::Mechanisms(vec!["OAUTHBEARER".into()]));
    }
}

/// SCRAM up to the server's first message, which names so many iterations.
fn scram(talk: &mut Talk, iterations: &str) -> std::io::Result<()> {
    talk.startup()?;
    talk.send(&sasl("SCRAM-SHA-256\0\0"))?;
    let (_, first) = talk.message()?;
    let first = String::from_utf8_lossy(&first).into_owned();
    let nonce = first.split("r=").nth(1).unwrap_or_default();
    talk.send(&request(11, format!("r={nonce}x,s=c2FsdHNhbHRzYWx0c2FsdA==,i={iterations}").as_bytes()))
}

#[test]
fn a_server_that_does_not_know_the_password_is_not_let_pass() {
    let proof = format!("v={}=", "A".repeat(43));
    let (port, _) = peer::peer(move |talk| {
        scram(talk, "4096")?;
        talk.message()?;
        talk.send(&[request(12, proof.as_bytes()), greeting()].concat())
    });
    assert_eq!(refusal(with_password(by_tcp(port))), LoginRefusal::Unproven { skipped: false });
    for early in [true, false] {
        let (port, _) = peer::peer(move |talk| {
            match early {
                true => {
                    talk.startup()?;
                    talk.send(&sasl("SCRAM-SHA-256\0\0"))?;
                }
                false => scram(talk, "4096")?,
            }
            talk.message()?;
            talk.send(&greeting())?;
            talk.request().map(drop)
        });
        assert_eq!(refusal(with_password(by_tcp(port))), LoginRefusal::Unproven { skipped: true });
    }
}

#[test]
fn more_iterations_than_are_computed_are_counted() {
    let cluster = Cluster::new("host all all all scram-sha-256");
    prepare(&cluster);
    let (port, _) = peer::peer(|talk| {
        scram(talk, "100001")?;
        talk.message().map(drop)
    });
    assert_eq!(refusal(with_password(by_tcp(port))), LoginRefusal::Iterations { count: 100_001, most: 100_000 });
}

#[test]
fn an_error_without_a_code_is_not_postgresqls() {
    let (port, ledger) = peer::peer(|talk| {
        talk.admit()?;
        loop {
            talk.request()?;
            talk.store();
            talk.send(&[peer::error(&[(b'M', "Binder Error")]), message(b'Z', b"I")].concat())?;
        }
    });
    let mut connection = connect(by_tcp(port)).unwrap();
    use crate::database::{Connection, WriteError};
    let error = connection.page(None, 20).unwrap_err();
    assert!(matches!(&error.cause, Cause::Malformed(bytes) if bytes.starts_with(b"E")), "{error:?}");
    let error = connect(by_tcp(port)).unwrap().insert("a", "b").unwrap_err();
    assert!(matches!(&error, WriteError::Unknown(error) if matches!(error.cause, Cause::Malformed(_))), "{error}");
    assert_eq!(ledger.rows(), 2);
}

#[test]
fn who_is_given_the_password_unproved_is_named() {
    let read = |text: &str| {
        super::super::settings::parse(
            text,
            &crate::database::Setting { state_dir: std::path::Path::new("/"), password: None },
        )
        .unwrap()
    };
    for (text, warned) in [
        ("host=db user=u password=p", true),
        ("host=10.1.2.3 user=u password=p sslmode=require", true),
        ("host=db user=u password=p require_auth=!password", true),
        ("host=db user=u", false),
        ("host=localhost user=u password=p", false),
        ("host=db hostaddr=127.0.0.1 user=u password=p", false),
        ("host=/run/postgresql user=u password=p", false),
        ("host=db user=u password=p require_auth=scram-sha-256", false),
        ("host=db user=u password=p channel_binding=require", false),
        ("host=db user=u password=p sslmode=verify-full sslrootcert=/ca", false),
    ] {
        assert_eq!(read(text).password_for_anybody().is_some(), warned, "{text}");
    }
}
