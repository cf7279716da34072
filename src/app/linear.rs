//! What a request costs grows with its length and not with its square, whatever is in it: each reader of a visitor's bytes
//! is given hostile ones, and eight times as many, in one run.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::form::Form;
use super::negotiate::{self, Format};
use super::stuff::STUFF;
use super::testing::{Asked, Fake, Site};

/// Of the smaller input: so short that most runs are not interrupted by what else the machine does.
const BYTES: usize = 1024;
const TIMES: usize = 8;
const RUNS: usize = 20;

fn once(work: &dyn Fn(&[u8]), input: &[u8]) -> Duration {
    let start = Instant::now();
    work(black_box(input));
    start.elapsed()
}

/// A square would take 64 times as long. The shortest of several runs counts, since others only add; a machine that is
/// busy all the while gets another chance.
fn is_linear(name: &str, make: &dyn Fn(usize) -> Vec<u8>, work: &dyn Fn(&[u8])) {
    let (few, many) = (make(BYTES), make(BYTES * TIMES));
    let mut seen = Vec::new();
    for _ in 0..6 {
        let runs = (0..RUNS).map(|_| (once(work, &few), once(work, &many)));
        let (short, long) = runs.reduce(|best, run| (best.0.min(run.0), best.1.min(run.1))).unwrap_or_default();
        if long < short * 3 * TIMES as u32 + Duration::from_micros(200) {
            return;
        }
        seen.push((short, long));
    }
    panic!("{name}: for {BYTES} bytes and {TIMES} times as many {seen:?}");
}

fn repeated(piece: &str, bytes: usize) -> Vec<u8> {
    piece.repeat(bytes / piece.len()).into_bytes()
}

/// "f0=&f1=&…": distinct names.
fn distinct(bytes: usize, pair: &dyn Fn(usize) -> String, between: &str) -> Vec<u8> {
    let pairs: Vec<String> = (0..bytes / 8).map(pair).collect();
    pairs.join(between).into_bytes()
}

#[test]
fn forms_and_queries() {
    let fields = STUFF.names();
    let parse = |bytes: &[u8]| {
        let _ = (black_box(Form::parse(bytes)), black_box(Form::parse_fields(bytes, &fields)));
    };
    is_linear("distinct fields", &|bytes| distinct(bytes, &|number| format!("f{number}="), "&"), &parse);
    for piece in ["&", "=", "%41", "stuff=", "&stuff", "+", "a=b&", "%ff&%00="] {
        is_linear(piece, &|bytes| repeated(piece, bytes), &parse);
        is_linear(piece, &|bytes| [b"stuff=".to_vec(), repeated(piece, bytes)].concat(), &parse);
    }
}

#[test]
fn json() {
    let read = |bytes: &[u8]| {
        let _ = black_box(STUFF.read_json(bytes));
    };
    let object = |inner: Vec<u8>| [b"{".to_vec(), inner, b"}".to_vec()].concat();
    is_linear("names", &|bytes| object(distinct(bytes, &|number| format!("\"f{number}\":0"), ",")), &read);
    let text = |piece: &'static str| {
        move |bytes| [b"{\"stuff\":\"".to_vec(), repeated(piece, bytes), b"\"}".to_vec()].concat()
    };
    for piece in ["a", "\\u00e9", "\\\\", "\u{1f600}"] {
        is_linear(piece, &text(piece), &read);
    }
    for piece in ["[", "{\"a\":", "\"", "1", " ", "[],"] {
        is_linear(piece, &|bytes| repeated(piece, bytes), &read);
        is_linear(piece, &|bytes| [b"{\"x\":[".to_vec(), repeated(piece, bytes)].concat(), &read);
    }
}

#[test]
fn accept() {
    let choose = |bytes: &[u8]| {
        black_box(negotiate::choose(None, Some(bytes), &[Format::Html, Format::Text, Format::Json]));
    };
    for piece in [",", "a/b,", ";", "*/*;q=0.1,", ";q=", "text/html;a=b;", "/"] {
        is_linear(piece, &|bytes| repeated(piece, bytes), &choose);
    }
}

#[test]
fn addresses_and_cookies() {
    let site = Site::fake(&Fake::with_rows(1));
    for piece in ["/", "a", "%", "../", "?", "&before=1"] {
        is_linear(piece, &|bytes| repeated(piece, bytes), &|bytes| {
            let text = String::from_utf8_lossy(bytes);
            black_box(site.get(&format!("/{text}")));
            black_box(site.get(&text));
            black_box(site.answer(&mut Asked::get("/").base(&text)));
            black_box(site.answer(&mut Asked::get("/nothing").header("Cookie", &text).header("Referer", &text)));
        });
    }
}
