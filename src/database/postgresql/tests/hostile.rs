//! A peer that is wrong in every way that we could think of, at each state of a session: no panic, an end in time, memory
//! within bounds, and neither "saved" nor "not saved" without proof.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::peer::{self, Talk, error, greeting, message, row, stored};
use super::*;
use crate::database::{Create, NotStored, Service, Services, Target};

/// What the peer does once it has said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Close,
    /// Says no more, and keeps the connection.
    Hang,
    /// Says it again and again.
    Endless,
    /// Says it a byte at a time, and never comes to the end.
    Drip,
}

/// Where it begins to be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Login,
    Page,
    Insert,
}

const SHORT: Limits =
    Limits { connect: Duration::from_millis(400), query: Duration::from_millis(400), wait: Duration::from_secs(5) };

/// So much longer than all its limits together may a request take on a machine that has other things to do.
const SLACK: Duration = Duration::from_secs(15);

fn raw(tag: u8, length: u32, rest: &[u8]) -> Vec<u8> {
    [&[tag][..], &length.to_be_bytes(), rest].concat()
}

#[rustfmt::skip]
fn ways() -> Vec<(&'static str, Vec<u8>, Then)> {
    use Then::*;
    let begun = [message(b'1', b""), message(b'2', b"")].concat();
    let after_begin = |rest: &[u8]| [&begun[..], rest].concat();
    vec![
        ("closes without a word", vec![], Close),
        ("says nothing", vec![], Hang),
        ("a tag and no more", vec![b'D'], Close),
        ("a header and no more", raw(b'D', 100, b""), Hang),
        ("a header and half a body", raw(b'D', 100, b"\0\x02"), Close),
        ("length 0", raw(b'D', 0, b""), Hang),
        ("length 3", raw(b'D', 3, b"xx"), Hang),
        ("length 2^31 - 1", raw(b'D', i32::MAX as u32, b"xx"), Hang),
        ("length 2^32 - 1", raw(b'D', u32::MAX, b"xx"), Hang),
        ("a message of a gigabyte", raw(b'D', 1 << 30, &[b'x'; 65536]), Endless),
        ("an error of a gigabyte", raw(b'E', 1 << 30, &[b'x'; 65536]), Endless),
        ("a notice of a gigabyte", raw(b'N', 1 << 30, &[b'x'; 65536]), Endless),
        ("garbage", (0..4096u32).map(|n| (n.wrapping_mul(2654435761) >> 24) as u8).collect(), Close),
        ("zeroes", vec![0; 4096], Hang),
        ("0xff", vec![0xff; 4096], Hang),
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Close),
        ("TLS in the clear", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), Hang),
        ("drips", stored("1"), Drip),
        ("endless notices", message(b'N', b"SWARNING\0C01000\0Mx\0\0"), Endless),
        ("endless parameters", message(b'S', b"name\0value\0"), Endless),
        ("endless rows", row(&["1", "a", "b", "42"]), Endless),
        ("endless completions", message(b'C', b"INSERT 0 1\0"), Endless),
        ("endless keys", message(b'K', &[0; 8]), Endless),
        ("a row before all else", row(&["1", "42"]), Close),
        ("a row of no columns", after_begin(&message(b'D', b"\0\0")), Hang),
        ("a row of 65535 columns", after_begin(&message(b'D', b"\xff\xff")), Hang),
        ("a column longer than its row", after_begin(&message(b'D', b"\0\x02\x7f\xff\xff\xffx")), Hang),
        ("a column of length -2", after_begin(&message(b'D', b"\0\x01\xff\xff\xff\xfe")), Hang),
        ("an id that is no number", after_begin(&row(&["one", "a", "b", "42"])), Hang),
        ("an id too great", after_begin(&row(&["99999999999999999999", "a", "b", "42"])), Hang),
        ("text that is not UTF-8", after_begin(&message(b'D', b"\0\x03\0\0\0\x01\xff\0\0\0\x01\xff\0\0\0\x01\xff")), Hang),
        ("cut off in the middle of the answer", stored("1")[..20].to_vec(), Close),
        ("everything but its end", stored("1")[..stored("1").len() - 6].to_vec(), Close),
        ("an error without its end", message(b'E', b"SERROR"), Close),
        ("an empty error", message(b'E', b""), Close),
        ("an error of zeroes", message(b'E', &[0; 64]), Close),
        ("an error without a code", error(&[(b'S', "ERROR"), (b'M', "no")]), Close),
        ("an error with a code of its own length", error(&[(b'S', "ERROR"), (b'C', "1"), (b'M', "no")]), Close),
        ("ready, and no answer", message(b'Z', b"I"), Hang),
        ("ready twice", [message(b'Z', b"I"), message(b'Z', b"I")].concat(), Hang),
        ("ready without a state", message(b'Z', b""), Hang),
        ("an unknown message", message(b'q', b"what"), Hang),
        ("wants a copy", message(b'G', b"\0\0\0"), Hang),
        ("asks for a password again", message(b'R', &[0, 0, 0, 3]), Hang),
        ("an authentication of no code", message(b'R', b""), Hang),
        ("a key of one byte", message(b'K', b"x"), Hang),
        ("another protocol's version", message(b'v', &[0, 0, 0, 0, 0, 0, 0, 0]), Hang),
    ]
}

fn act(talk: &mut Talk, bytes: &[u8], then: Then) -> io::Result<()> {
    match then {
        Then::Close => talk.send(bytes),
        Then::Hang => {
            talk.send(bytes)?;
            // until the client goes
            loop {
                talk.message()?;
            }
        }
        Then::Endless => {
            talk.send(bytes)?;
            loop {
                talk.send(bytes)?;
            }
        }
        Then::Drip => {
            for byte in &bytes[..bytes.len() - 1] {
                talk.send(&[*byte])?;
                std::thread::sleep(Duration::from_millis(40));
            }
            act(talk, b"", Then::Hang)
        }
    }
}

fn play(talk: &mut Talk, at: At, bytes: &[u8], then: Then) -> io::Result<()> {
    talk.startup()?;
    if at == At::Login {
        return act(talk, bytes, then);
    }
    talk.send(&greeting())?;
    loop {
        if talk.request()?.contains("INSERT") {
            talk.store();
        }
        act(talk, bytes, then)?;
        if then == Then::Close {
            return Ok(());
        }
    }
}

fn child(port: u16) -> Arc<Service> {
    let target: Arc<dyn Target> = Arc::new(PgTarget::new(by_tcp(port)));
    Services::new(8, Box::new(|| 0)).get(&target, &Arc::new(Table::default()), SHORT, 1, Create::Never)
}

/// The greatest resident memory of this process, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn a_wrong_peer_costs_neither_more_than_its_time_nor_a_false_answer() {
    let ways = ways();
    assert!(ways.len() >= 30);
    let before = peak();
    std::thread::scope(|scope| {
        for (name, bytes, then) in &ways {
            scope.spawn(move || {
                for at in [At::Login, At::Page, At::Insert] {
                    one(name, bytes, *then, at);
                }
            });
        }
    });
    let grown = peak().saturating_sub(before);
    assert!(grown < 512 << 20, "{} MiB more", grown >> 20);
}

fn one(name: &str, bytes: &[u8], then: Then, at: At) {
    let script = bytes.to_vec();
    let (port, ledger) = peer::peer(move |talk| play(talk, at, &script, then));
    let child = child(port);
    let began = Instant::now();
    if at == At::Page {
        // an answer that is whole is an answer; what counts is that there is an end
        let _answer = child.page(None, 20);
    } else {
        let answer = child.insert("a", "b");
        match (&answer, ledger.rows()) {
            (Err(NotStored::NotSaved(_)), 0) | (Err(NotStored::Unknown(_)), _) => {}
            (answer, rows) => panic!("{name} at {at:?}: {answer:?} with {rows} rows"),
        }
        assert!(ledger.rows() <= 1, "{name} at {at:?}: sent {} times", ledger.rows());
    }
    let took = began.elapsed();
    assert!(took < SLACK, "{name} at {at:?}: {took:?}");
}

#[test]
fn a_page_of_long_texts_is_cut_between_rows_and_nothing_is_left_out() {
    let cluster = trusting();
    cluster.psql_in(
        "appdb",
        "INSERT INTO stuff (stuff, things) SELECT 's', repeat('x', 3 << 20) FROM generate_series(1, 12)",
    );
    let child = super::certainty::service(by_socket(&cluster));
    let page = child.page(None, 20).unwrap();
    assert!(page.more && page.rows.len() < 12 && page.rows.text_bytes() < 16 << 20, "{}", page.rows.len());
    let mut ids = Vec::new();
    child
        .export(&mut |row| {
            assert_eq!(row.things.len(), 3 << 20);
            ids.push(row.id);
            true
        })
        .unwrap();
    assert_eq!(ids, (1..=12).rev().collect::<Vec<i64>>());
}
