//! The page: its rows, its form, and what becomes of what is typed. Every MPM, every kind of database.

use std::collections::HashSet;

use crate::support::{Database, Httpd, Kind, Mpm, Reply};

crate::matrix![
    lists_newest_rows_first,
    adds_a_row_and_marks_it,
    takes_what_the_original_form_posted,
    pages_through_a_thousand_rows,
    keeps_what_was_typed_on_a_mistake,
    escapes_and_keeps_every_text,
    reads_only_where_told,
    answers_in_json,
    exports_everything_in_constant_memory,
];

fn serve(mpm: Mpm, kind: Kind, directives: &str) -> (Httpd, Database) {
    let database = Database::new(kind);
    let httpd = Httpd::builder(mpm).location("/dbtest", &format!("{}\n{directives}", database.directive())).start();
    (httpd, database)
}

fn lists_newest_rows_first(mpm: Mpm, kind: Kind) {
    let (httpd, database) = serve(mpm, kind, "");
    httpd.get("/dbtest/").expect(200).expect_text("<form");
    database.fill(3);
    let page = httpd.get("/dbtest/").expect(200);
    let at = |text: &str| page.text().find(text).unwrap_or_else(|| panic!("no {text} in\n{}", page.text()));
    assert!(at("things 3") < at("things 2") && at("things 2") < at("things 1"));
    // which database answered, as whom
    let (product, name) = match kind {
        Kind::Sqlite => ("SQLite", "site.db".to_owned()),
        Kind::Postgresql => ("PostgreSQL", database.cluster().1.to_owned()),
    };
    page.expect_text(product).expect_text(&name);
}

fn adds_a_row_and_marks_it(mpm: Mpm, kind: Kind) {
    let (httpd, database) = serve(mpm, kind, "");
    database.fill(2);
    let answer = httpd.post("/dbtest/", &[("stuff", "a lamp"), ("things", "green\r\nsecond line")]).expect(303);
    let rows = database.rows();
    assert_eq!(rows.len(), 3);
    let (id, stuff, things) = rows.last().unwrap();
    assert_eq!((stuff.as_str(), things.as_str()), ("a lamp", "green\r\nsecond line"));
    let target = answer.header("location").expect("where to go").to_owned();
    assert!(target.starts_with("/dbtest/") && target.contains(&id.to_string()), "{target}");
    let page = httpd.get(&target).expect(200).expect_text("a lamp");
    let plain = httpd.get("/dbtest/").expect(200).expect_text("a lamp");
    assert_ne!(page.text(), plain.text(), "the new row is marked");
    assert_eq!(database.rows().len(), 3, "looking at the page adds nothing");
}

/// The original is Flask with a form of `stuff`, `things` and `submit`.
fn takes_what_the_original_form_posted(mpm: Mpm, kind: Kind) {
    let (httpd, database) = serve(mpm, kind, "");
    let reply = httpd.post("/dbtest/", &[("stuff", "Flask"), ("things", "was here"), ("submit", "Submit")]).expect(303);
    httpd.get(reply.header("location").unwrap()).expect(200).expect_text("Flask").expect_text("was here");
    assert_eq!(database.rows(), [(1, "Flask".to_owned(), "was here".to_owned())]);
}

fn pages_through_a_thousand_rows(mpm: Mpm, kind: Kind) {
    let (httpd, database) = serve(mpm, kind, "");
    database.fill(1_003);
    let page = httpd.get("/dbtest/").expect(200).expect_text("things 1003").expect_text("things 984");
    page.expect_no_text("things 983<").expect_text("?before=984");
    let mut seen = HashSet::new();
    let mut path = "/dbtest/".to_owned();
    for pages in 1.. {
        let reply = httpd.get_json(&path).expect(200).json();
        let rows = reply["rows"].as_array().expect("rows");
        assert!(rows.len() <= 20);
        seen.extend(rows.iter().map(|row| row["id"].as_i64().expect("an id")));
        match reply["older"].as_i64() {
            Some(before) => path = format!("/dbtest/?before={before}"),
            None => {
                assert_eq!((pages, rows.len()), (51, 3));
                break;
            }
        }
    }
    assert_eq!(seen, (1..=1_003).collect());
    httpd.get("/dbtest/?before=1").expect(200).expect_no_text("things 1<");
    for nonsense in ["x", "-", "1x", "99999999999999999999", "", "1'--"] {
        assert!([200, 400].contains(&httpd.get(&format!("/dbtest/?before={nonsense}")).status), "{nonsense}");
    }
}

fn keeps_what_was_typed_on_a_mistake(mpm: Mpm, kind: Kind) {
    let (httpd, database) = serve(mpm, kind, "");
    let post = |stuff: &str, things: &str| httpd.post("/dbtest/", &[("stuff", stuff), ("things", things)]);
    post("", "kept <b>").expect(422).expect_text("kept &#60;b").expect_text("Please fill in this field.");
    post(" \t ", "kept").expect(422).expect_text("kept");
    post("kept", "\r\n \u{a0}").expect(422).expect_text("value=\"kept\"");
    post(&"x".repeat(256), "kept").expect(422).expect_text("At most 255 characters; this has 256.");
    post("nul\0", "kept").expect(422).expect_text("NUL");
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    httpd.request("POST", "/dbtest/", &[form], b"stuff=%ff%fe&things=kept").expect(422).expect_text("UTF-8");
    httpd.request("POST", "/dbtest/", &[form], b"stuff=%zz&things=x").expect(400);
    httpd.request("POST", "/dbtest/", &[form], b"").expect(422);
    assert_eq!(database.rows(), []);
    // 255 characters are as the database counts them, not bytes
    let longest = "😀".repeat(255);
    post(&longest, "x").expect(303);
    assert_eq!(database.rows()[0].1, longest);
}

fn escapes_and_keeps_every_text(mpm: Mpm, kind: Kind) {
    let (httpd, database) = serve(mpm, kind, "DBTestPageSize 100");
    let texts = [
        "<script>alert(1)</script>",
        "'; DROP TABLE stuff; --",
        "\"quoted\" 'single' & &amp; ${x} %s %n {{ }}",
        "emoji 😀👩‍👩‍👧‍👦 and 𠜎",
        "עברית ואז english ثم العربية",
        " leading and trailing ",
        "back\\slash \\x41 \u{7f} \u{feff}",
        "</textarea><img src=x onerror=alert(1)>",
        "e\u{301} combining, Ünïcödé, ß",
    ];
    for text in texts {
        httpd.post("/dbtest/", &[("stuff", text), ("things", text)]).expect(303);
    }
    let stored: Vec<String> = database.rows().into_iter().map(|(_, stuff, _)| stuff).collect();
    assert_eq!(stored, texts);
    assert!(database.rows().iter().all(|(_, stuff, things)| stuff == things));
    let page = httpd.get("/dbtest/").expect(200).expect_no_text("<script>alert").expect_no_text("<img");
    page.expect_text("emoji 😀👩‍👩‍👧‍👦 and 𠜎").expect_text("עברית");
    let reply = httpd.get_json("/dbtest/").expect(200).json();
    let shown: Vec<&str> = reply["rows"].as_array().unwrap().iter().map(|row| row["stuff"].as_str().unwrap()).collect();
    assert!(shown.iter().rev().eq(texts.iter()), "{shown:?}");
    // and in the form that comes back
    let back = httpd.post("/dbtest/", &[("stuff", ""), ("things", texts[7])]).expect(422);
    back.expect_no_text("<img");
}

fn reads_only_where_told(mpm: Mpm, kind: Kind) {
    let (httpd, database) = serve(mpm, kind, "DBTestReadOnly On");
    database.fill(1);
    httpd.get("/dbtest/").expect(200).expect_text("things 1").expect_no_text("<form");
    let refused = |reply: Reply| assert!([403, 405].contains(&reply.status), "{}", reply.status);
    refused(httpd.post("/dbtest/", &[("stuff", "a"), ("things", "b")]));
    let json = br#"{"stuff":"a","things":"b"}"#;
    refused(httpd.request("POST", "/dbtest/", &[("Content-Type", "application/json")], json));
    assert_eq!(database.rows().len(), 1);
    assert_eq!(httpd.get_json("/dbtest/").expect(200).json()["read_only"], true);
}

fn answers_in_json(mpm: Mpm, kind: Kind) {
    let (httpd, database) = serve(mpm, kind, "");
    let headers = [("Content-Type", "application/json"), ("Accept", "application/json")];
    let made =
        httpd.request("POST", "/dbtest/", &headers, br#"{"stuff":"caf\u00e9","things":"\ud83d\ude00"}"#).expect(201);
    assert!(made.header("location").is_some_and(|target| target.starts_with("/dbtest/")));
    assert_eq!(made.json(), serde_json::json!({"id": 1, "stuff": "café", "things": "😀"}));
    assert_eq!(database.rows(), [(1, "café".to_owned(), "😀".to_owned())]);
    let list = httpd.get_json("/dbtest/").expect(200);
    assert_eq!(list.header("content-type"), Some("application/json"));
    assert_eq!(list.json()["rows"], serde_json::json!([{"id": 1, "stuff": "café", "things": "😀"}]));
    let wrong = httpd.request("POST", "/dbtest/", &headers, br#"{"stuff":""}"#).expect(422).json();
    assert!(wrong["errors"]["stuff"].is_string() && wrong["errors"]["things"].is_string(), "{wrong}");
    httpd.request("POST", "/dbtest/", &headers, b"[]").expect(400);
    httpd.request("POST", "/dbtest/", &headers, b"{").expect(400);
    assert_eq!(database.rows().len(), 1);
}

fn exports_everything_in_constant_memory(mpm: Mpm, kind: Kind) {
    let (httpd, database) = serve(mpm, kind, "");
    httpd.get("/dbtest/?all").expect(200);
    database.fill(100_000);
    let before = largest_child(&httpd);
    let reply = httpd.get("/dbtest/?all").expect(200);
    let grown = largest_child(&httpd) - before;
    let lines: Vec<&str> = reply.text().lines().collect();
    assert_eq!(lines.len(), 100_000);
    let first: serde_json::Value = serde_json::from_str(lines[0]).expect("a JSON object");
    assert_eq!(first, serde_json::json!({"id": 100_000, "stuff": "stuff 100000", "things": "things 100000"}));
    assert!(lines[99_999].contains("\"things 1\""));
    assert!(
        reply.body.len() > 5_000_000 && grown < 3_000,
        "{} bytes sent, the child grew by {grown} kB",
        reply.body.len()
    );
}

/// Private memory of the child that has most, in kilobytes.
fn largest_child(httpd: &Httpd) -> i64 {
    let of = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    httpd.children().into_iter().filter_map(of).max().expect("a child")
}
