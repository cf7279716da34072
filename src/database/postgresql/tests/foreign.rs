//! Peers that are not PostgreSQL.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::*;
use crate::database::Stage;

/// Listens, and treats every connection in the same way.
fn peer(act: impl Fn(&mut std::net::TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            act(&mut stream);
        }
    });
    port
}

/// Takes whatever comes first.
fn listen(stream: &mut std::net::TcpStream) {
    // nothing at all will do as well
    let _count = stream.read(&mut [0; 512]);
}

/// Says something at once.
fn greets(bytes: &'static [u8]) -> u16 {
    peer(|stream| {
        stream.write_all(bytes).ok();
        listen(stream);
    })
}

/// Answers the first bytes it gets.
fn answers(bytes: &'static [u8]) -> u16 {
    peer(|stream| {
        listen(stream);
        stream.write_all(bytes).ok();
    })
}

#[test]
fn what_they_say_is_shown_whatever_sslmode() {
    let http = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    let ssh = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n";
    let mysql = b"J\0\0\0\x0a8.0.36\0\x08\0\0\0";
    let smtp = b"220 mail ESMTP\r\n";
    let peers: [(u16, &[u8]); 4] =
        [(answers(http), http), (greets(ssh), ssh), (greets(mysql), mysql), (greets(smtp), smtp)];
    for (port, said) in peers {
        for sslmode in [SslMode::Disable, SslMode::Prefer, SslMode::Require] {
            let error = refused(PgSettings { sslmode, ..by_tcp(port) });
            assert_eq!(error.stage, Stage::Speaks, "{error}");
            let Cause::Foreign(bytes) = &error.cause else { panic!("{error:?}") };
            assert!(said.starts_with(bytes), "{error}");
        }
    }
}

#[test]
fn a_peer_that_closes_at_once_is_closed() {
    for sslmode in [SslMode::Disable, SslMode::Prefer, SslMode::Require] {
        // it reads what we send first: bytes left unread would make the kernel reset the connection
        let port = peer(|stream| {
            listen(stream);
        });
        let error = refused(PgSettings { sslmode, ..by_tcp(port) });
        assert_eq!(error.stage, Stage::Speaks, "{error}");
        assert!(matches!(error.cause, Cause::Closed), "{error:?}");
    }
    let port = peer(|_| ());
    let error = refused(by_tcp(port));
    assert_eq!(error.stage, Stage::Speaks, "{error}");
}

#[test]
fn a_port_and_a_socket_where_nobody_listens_are_told_with_errno() {
    let port = super::super::support::free_port();
    let error = refused(by_tcp(port));
    assert_eq!(error.stage, Stage::Reach);
    let Cause::Io(io) = &error.cause else { panic!("{error:?}") };
    assert_eq!(io.raw_os_error(), Some(libc::ECONNREFUSED));
    assert!(error.doing.contains(&format!("127.0.0.1 port {port}")), "{error}");

    let error = refused(settings(Host::SocketDir("/nonexistent".into()), 5432));
    let Cause::Io(io) = &error.cause else { panic!("{error:?}") };
    assert_eq!((error.stage, io.raw_os_error()), (Stage::Reach, Some(libc::ENOENT)));
    assert!(error.doing.contains("/nonexistent/.s.PGSQL.5432"), "{error}");
}

#[test]
fn a_name_that_does_not_resolve_is_told_by_the_resolver() {
    let error = refused(settings(Host::Name("db.invalid".into()), 5432));
    assert_eq!(error.stage, Stage::Resolve);
    assert!(matches!(error.cause, Cause::Resolver { .. }), "{error}");
}

#[test]
fn a_server_that_cannot_fork_is_heard_in_the_clear_and_after_an_ssl_request() {
    let port = answers(b"Ecould not fork new process for connection: Cannot allocate memory\n\0");
    for sslmode in [SslMode::Disable, SslMode::Require] {
        let error = refused(PgSettings { sslmode, ..by_tcp(port) });
        assert!(answer(&error).message.starts_with("could not fork"), "{error}");
    }
}

#[test]
fn an_answer_of_yes_with_more_behind_it_is_not_trusted() {
    // what came before the handshake could have been slipped in by anybody (CVE-2021-23222)
    let port = answers(b"SE\0\0\0\x08fake");
    let error = refused(PgSettings { sslmode: SslMode::Require, ..by_tcp(port) });
    assert!(matches!(error.cause, Cause::Foreign(_)), "{error:?}");
}
