//! Nothing takes longer than it may, whatever the other side does or leaves undone.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Instant;

use super::*;
use crate::database::{Connection, Stage, WriteError};

const SHORT: Limits =
    Limits { connect: Duration::from_millis(300), query: Duration::from_millis(300), wait: Duration::from_millis(300) };

/// Runs something that must end by its limit and not much sooner.
fn timed<T>(act: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = act();
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(250) && took < Duration::from_millis(900), "{took:?}");
    value
}

#[test]
fn a_silent_listener_costs_no_more_than_the_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for sslmode in [SslMode::Disable, SslMode::Prefer, SslMode::Require] {
        let target = PgTarget::new(PgSettings { sslmode, ..by_tcp(port) });
        let error = timed(|| connect_to(&target, &SHORT).err().unwrap());
        assert_eq!(error.stage, Stage::Speaks, "{error}");
        assert!(matches!(error.cause, Cause::TimedOut(_)), "{error}");
    }
}

#[test]
fn a_host_that_answers_nothing_at_all_costs_no_more_than_the_limit() {
    // a queue of one that is full: the kernel drops what follows, as a firewall does
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let waiting: Vec<_> =
        (0..4).map(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(50))).collect();
    let error = timed(|| connect_to(&PgTarget::new(by_tcp(address.port())), &SHORT).err().unwrap());
    assert_eq!(error.stage, Stage::Reach, "{error}");
    assert!(matches!(error.cause, Cause::TimedOut(_)), "{error}");
    drop(waiting);
}

#[test]
fn a_peer_that_trickles_is_cut_off_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 512]).unwrap() > 0);
        // AuthenticationOk, then ParameterStatus one byte at a time for ever
        stream.write_all(b"R\0\0\0\x08\0\0\0\0").unwrap();
        for byte in b"S\0\0\0\x0aab\0cd\0".iter().cycle() {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let error = timed(|| connect_to(&PgTarget::new(by_tcp(port)), &SHORT).err().unwrap());
    assert_eq!(error.stage, Stage::Session, "{error}");
    assert!(matches!(error.cause, Cause::TimedOut(_)), "{error}");
}

#[test]
fn a_server_that_is_stopped_is_given_up_and_serves_again_when_it_goes_on() {
    let cluster = trusting();
    for settings in [by_socket(&cluster), by_tcp(cluster.port)] {
        let target = PgTarget::new(settings);
        let mut connection = connect_to(&target, &SHORT).unwrap();
        connection.insert("a", "b").unwrap();
        let mut other = connect_to(&target, &SHORT).unwrap();
        other.page(None, 20).unwrap();
        cluster.sigstop();
        let error = timed(|| connection.page(None, 20).unwrap_err());
        assert!(matches!(error.cause, Cause::TimedOut(limit) if limit == SHORT.query), "{error}");
        assert!(!connection.usable());
        let error = timed(|| other.insert("c", "d").unwrap_err());
        assert!(matches!(error, WriteError::Unknown(_)), "{error}");
        let error = timed(|| connect_to(&target, &SHORT).err().unwrap());
        assert!(matches!(error.cause, Cause::TimedOut(_)), "{error}");
        cluster.sigcont();
        connect_to(&target, &LIMITS).unwrap().page(None, 20).unwrap();
    }
}

#[test]
fn a_statement_that_waits_too_long_is_taken_back_on_the_server() {
    let cluster = trusting();
    let mut connection = connect_to(&PgTarget::new(by_socket(&cluster)), &SHORT).unwrap();
    let mut holder = postgres::Client::connect(&cluster.tcp_url("app", "appdb"), postgres::NoTls).unwrap();
    let mut transaction = holder.transaction().unwrap();
    transaction.batch_execute("LOCK TABLE stuff").unwrap();
    let error = timed(|| connection.page(None, 20).unwrap_err());
    assert_eq!(error.stage, Stage::Read);
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let start = Instant::now();
    while cluster.psql(waiting) != "0" {
        assert!(start.elapsed() < Duration::from_secs(5), "the server's process still waits for the lock");
    }
    transaction.rollback().unwrap();
    assert!(cluster.log().contains("canceling statement due to user request"), "{}", cluster.log());
}
