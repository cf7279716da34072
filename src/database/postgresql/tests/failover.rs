//! Several hosts, and what they must be.

use super::super::settings::TargetSessionAttrs;
use super::super::support::free_port;
use super::*;
use crate::database::{Connection, Stage, WriteError};

fn hosts(ports: &[u16]) -> PgSettings {
    let hosts =
        ports.iter().map(|port| HostPort { host: Host::Address([127, 0, 0, 1].into()), hostaddr: None, port: *port });
    PgSettings { hosts: hosts.collect(), ..by_tcp(0) }
}

#[test]
fn the_first_that_is_what_it_must_be_is_taken() {
    let primary = trusting();
    let standby = primary.standby(TRUST, "");
    use TargetSessionAttrs::*;
    let cases = [
        (Any, standby.port),
        (ReadWrite, primary.port),
        (ReadOnly, standby.port),
        (Primary, primary.port),
        (Standby, standby.port),
        (PreferStandby, standby.port),
    ];
    for order in [[standby.port, primary.port], [primary.port, standby.port]] {
        for (attributes, port) in cases {
            let expected = if attributes == Any { order[0] } else { port };
            let settings = PgSettings { target_session_attrs: attributes, ..hosts(&order) };
            let connection = connect(settings).unwrap();
            assert!(
                connection.about().host.ends_with(&expected.to_string()),
                "{attributes:?}: {:?}",
                connection.about()
            );
        }
    }
    let error = connect(hosts(&[standby.port])).unwrap().insert("a", "b").unwrap_err();
    assert_eq!(answer(error.error()).code, "25006");
    assert!(matches!(error, WriteError::NotSaved(_)));
    let only_primary = |attributes| PgSettings { target_session_attrs: attributes, ..hosts(&[primary.port]) };
    connect(only_primary(PreferStandby)).unwrap();
    let error = refused(only_primary(Standby));
    assert_eq!(error.stage, Stage::Session);
    assert!(error.to_string().contains("the server is a primary"), "{error}");
    let error = refused(PgSettings { target_session_attrs: ReadWrite, ..hosts(&[standby.port]) });
    assert!(error.to_string().contains("the server is read-only"), "{error}");
    primary.psql("ALTER DATABASE appdb SET default_transaction_read_only = on");
    let error = refused(only_primary(ReadWrite));
    assert!(error.to_string().contains("the server is read-only"), "{error}");
    connect(only_primary(Primary)).unwrap();
}

#[test]
fn dead_hosts_are_passed_over_and_named() {
    let cluster = trusting();
    let (dead, silent) = (free_port(), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let silent_port = silent.local_addr().unwrap().port();
    let limits = Limits { connect: Duration::from_millis(900), ..LIMITS };
    let target = PgTarget::new(hosts(&[dead, silent_port, cluster.port]));
    connect_to(&target, &limits).unwrap().page(None, 20).unwrap();

    let Err(attempts) = PgTarget::new(hosts(&[dead, silent_port])).open(&limits) else { panic!("connected") };
    assert_eq!(attempts.0.iter().map(|attempt| attempt.error.stage).collect::<Vec<_>>(), [Stage::Reach, Stage::Speaks]);
    let error = attempts.into_error();
    assert_eq!(error.stage, Stage::Speaks, "the one that got furthest");
    assert!(error.doing.contains(&format!("also tried: connecting to 127.0.0.1 port {dead}")), "{error}");
}

#[test]
fn a_refused_login_is_not_tried_elsewhere() {
    let strict = Cluster::new("host all all all scram-sha-256");
    prepare(&strict);
    let open = trusting();
    let settings = PgSettings { password: Some(Secret::new("falsch")), ..hosts(&[strict.port, open.port]) };
    assert_eq!(answer(&refused(settings)).code, "28P01");
}

#[test]
fn hosts_are_shuffled_only_when_asked() {
    let (one, two) = (trusting(), trusting());
    let first = |random| {
        let settings = PgSettings { load_balance_hosts: random, ..hosts(&[one.port, two.port]) };
        connect(settings).unwrap().about().host.ends_with(&one.port.to_string())
    };
    assert!((0..5).all(|_| first(false)));
    let random: Vec<bool> = (0..40).map(|_| first(true)).collect();
    assert!(random.contains(&true) && random.contains(&false));
}
