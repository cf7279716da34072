//! What a query costs: one send, one receive, and nothing else once a connection is warm. Found to be true by strace as
//! well; here the socket counts its own calls.

use super::super::socket::CALLS;
use super::super::support::Pki;
use super::*;
use crate::database::Connection;

/// Sends, receives and limits set, for so many calls of `act`.
fn calls(times: u32, mut act: impl FnMut()) -> [u32; 3] {
    CALLS.set([0; 3]);
    for _ in 0..times {
        act();
    }
    CALLS.take()
}

#[test]
fn a_page_is_one_send_and_one_receive() {
    let pki = Pki::new("tests");
    let cluster = Cluster::with_conf(TRUST, &pki.conf(&pki.issue("localhost", &[])));
    prepare(&cluster);
    cluster.psql_in(
        "appdb",
        "INSERT INTO stuff (stuff, things) SELECT 's' || n, repeat('x', 100) FROM generate_series(1, 100) n",
    );
    let tls = PgSettings { sslmode: SslMode::Require, ..by_tcp(cluster.port) };
    for settings in [by_socket(&cluster), by_tcp(cluster.port), tls] {
        let mut connection = connect(settings).unwrap();
        // the first, which learns that no pooler is between us, and the second, which prepares
        let [sent, received, _] = calls(2, || drop(connection.page(None, 20).unwrap()));
        assert_eq!(sent, 2);
        assert!(received <= 4, "{received}");
        assert_eq!(calls(500, || drop(connection.page(None, 20).unwrap())), [500, 500, 0]);
        calls(2, || drop(connection.page(Some(50), 20).unwrap()));
        assert_eq!(calls(500, || drop(connection.page(Some(50), 20).unwrap())), [500, 500, 0]);
        calls(2, || assert!(connection.insert("a", "b").unwrap() > 0));
        // one look whether the server has said goodbye
        assert_eq!(calls(100, || assert!(connection.insert("a", "b").unwrap() > 0)), [100, 200, 0]);
    }
}
