//! HTTP's corners: methods, framings, versions, limits, and pages of other sites.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::support::client::parse;
use crate::support::{Database, Httpd, Kind, Mpm, client};

crate::on_each_mpm![methods, bodies_of_every_framing, half_a_body_stores_nothing, keeps_connections_alive];

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

fn serve(mpm: Mpm) -> (Httpd, Database) {
    let database = Database::new(Kind::Sqlite);
    let httpd = Httpd::builder(mpm).location("/dbtest", &database.directive()).start();
    (httpd, database)
}

fn methods(mpm: Mpm) {
    let (httpd, database) = serve(mpm);
    let get = httpd.get("/dbtest/").expect(200);
    let head = httpd.request("HEAD", "/dbtest/", &[], b"").expect(200);
    assert!(head.body.is_empty());
    assert_eq!(head.header("content-type"), get.header("content-type"));
    let options = httpd.request("OPTIONS", "/dbtest/", &[], b"");
    assert!([200, 204].contains(&options.status));
    let allowed = options.header("allow").expect("Allow").to_owned();
    for method in ["GET", "HEAD", "POST", "OPTIONS"] {
        assert!(allowed.contains(method), "{allowed}");
    }
    for method in ["PUT", "DELETE", "PATCH", "PROPFIND", "BREW"] {
        let reply = httpd.request(method, "/dbtest/", &[], b"");
        assert!([405, 501].contains(&reply.status), "{method}: {}", reply.status);
        if reply.status == 405 {
            assert_eq!(reply.header("allow"), Some(allowed.as_str()), "{method}");
        }
    }
    httpd.request("POST", "/dbtest/health", &[FORM], b"").expect(405);
    httpd.get("/dbtest/nothing-here").expect(404);
    httpd.get("/dbtest").expect(301);
    assert_eq!(httpd.get("/dbtest?before=7").header("location"), Some("/dbtest/?before=7"));
    httpd.get("/dbtestx").expect(404);
    assert_eq!(database.rows(), []);
}

fn bodies_of_every_framing(mpm: Mpm) {
    let (httpd, database) = serve(mpm);
    httpd
        .raw(
            b"POST /dbtest/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
          Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n\
          9\r\nstuff=chu\r\n1\r\nn\r\nb\r\nked&things=\r\n6;ext=1\r\nin+two\r\n0\r\n\r\n",
        )
        .expect(303);
    let length = "stuff=old&things=http".len();
    httpd
        .raw(
            format!(
                "POST /dbtest/ HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                 Content-Length: {length}\r\n\r\nstuff=old&things=http"
            )
            .as_bytes(),
        )
        .expect(303);
    httpd.raw(b"GET /dbtest/ HTTP/1.0\r\n\r\n").expect(200).expect_text("in two").expect_text("http");
    // Expect: 100-continue, as curl sends it
    let body = "stuff=waited&things=for+100";
    let headers = format!("Content-Length: {}\r\nExpect: 100-continue\r\n", body.len());
    let request = format!(
        "POST /dbtest/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {}\r\n{headers}\r\n{body}",
        FORM.1
    );
    let answer = client::exchange(httpd.port, request.as_bytes(), Duration::from_secs(10)).unwrap();
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains(" 303 "), "{text}");
    let things: Vec<String> = database.rows().into_iter().map(|(_, _, things)| things).collect();
    assert_eq!(things, ["in two", "http", "for 100"]);
}

fn half_a_body_stores_nothing(mpm: Mpm) {
    let (httpd, database) = serve(mpm);
    for framing in ["Content-Length: 500", "Transfer-Encoding: chunked"] {
        let mut stream = TcpStream::connect(("127.0.0.1", httpd.port)).unwrap();
        let head = format!("POST /dbtest/ HTTP/1.1\r\nHost: localhost\r\n{}: {}\r\n{framing}\r\n\r\n", FORM.0, FORM.1);
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(b"15\r\nstuff=half&things=row").unwrap();
        drop(stream);
    }
    let broken = httpd.raw(
        b"POST /dbtest/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n\
          Transfer-Encoding: chunked\r\n\r\nnot-hex\r\nstuff=a&things=b\r\n0\r\n\r\n",
    );
    assert!((400..500).contains(&broken.status), "{}", broken.status);
    httpd.get("/dbtest/").expect(200);
    assert_eq!(database.rows(), []);
}

fn keeps_connections_alive(mpm: Mpm) {
    let (httpd, database) = serve(mpm);
    let body = "stuff=a&things=b";
    let post = format!(
        "POST /dbtest/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n{body}",
        FORM.1,
        body.len()
    );
    // a body that is refused unread must not be taken for the next request
    let refused = "PUT /dbtest/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\n\r\nGET /index.html HTTP/1.1\r\n\r\n\r\n\r\n";
    let last = "GET /dbtest/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let all = format!("{post}{post}{refused}{last}");
    let answer = client::exchange_to_the_end(httpd.port, all.as_bytes(), Duration::from_secs(10)).unwrap();
    let text = String::from_utf8_lossy(&answer);
    let statuses: Vec<&str> = text.match_indices("HTTP/1.1 ").map(|(at, _)| &text[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["303", "303", "405", "200"], "{text}");
    assert_eq!(database.rows().len(), 2);
}

#[test]
fn too_much_is_refused_and_stores_nothing() {
    let (httpd, database) = serve(Mpm::Event);
    let large = format!("stuff=a&things={}", "b".repeat(70_000));
    httpd.request("POST", "/dbtest/", &[FORM], large.as_bytes()).expect(413);
    let chunked = format!(
        "POST /dbtest/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}: {}\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{large}\r\n0\r\n\r\n",
        FORM.0,
        FORM.1,
        large.len()
    );
    httpd.raw(chunked.as_bytes()).expect(413);
    let boundless = format!("stuff=a&things={}", "b".repeat(3_000_000));
    httpd.request("POST", "/dbtest/", &[FORM], boundless.as_bytes()).expect(413);
    assert_eq!(database.rows(), []);
    let fits = format!("stuff=a&things={}", "b".repeat(65_000));
    httpd.request("POST", "/dbtest/", &[FORM], fits.as_bytes()).expect(303);
    assert_eq!(database.rows()[0].2.len(), 65_000);
}

#[test]
fn the_limit_of_a_body_can_be_set() {
    let database = Database::new(Kind::Sqlite);
    let httpd =
        Httpd::builder(Mpm::Event).location("/dbtest", &format!("{}\nDBTestMaxBody 1K", database.directive())).start();
    httpd.request("POST", "/dbtest/", &[FORM], format!("stuff=a&things={}", "b".repeat(1010)).as_bytes()).expect(413);
    httpd.request("POST", "/dbtest/", &[FORM], format!("stuff=a&things={}", "b".repeat(1009)).as_bytes()).expect(303);
}

#[test]
fn other_content_types_are_refused_by_name() {
    let (httpd, database) = serve(Mpm::Event);
    for kind in ["text/plain", "multipart/form-data; boundary=x", "application/xml", "nonsense"] {
        httpd.request("POST", "/dbtest/", &[("Content-Type", kind)], b"stuff=a&things=b").expect(415);
    }
    httpd.request("POST", "/dbtest/", &[], b"stuff=a&things=b").expect(415);
    assert_eq!(database.rows(), []);
}

#[test]
fn posts_from_other_sites_are_refused() {
    let (httpd, database) = serve(Mpm::Event);
    httpd.expect_log("a form from the origin");
    let body = client::form(&[("stuff", "a"), ("things", "b")]);
    let post = |headers: &[(&str, &str)]| {
        let headers: Vec<_> = headers.iter().copied().chain([FORM]).collect();
        httpd.request("POST", "/dbtest/", &headers, body.as_bytes()).status
    };
    let same = format!("http://localhost:{}", httpd.port);
    let host = format!("localhost:{}", httpd.port);
    assert_eq!(post(&[("Sec-Fetch-Site", "cross-site")]), 403);
    assert_eq!(post(&[("Sec-Fetch-Site", "same-site")]), 403);
    assert_eq!(post(&[("Host", &host), ("Origin", "http://evil.example")]), 403);
    assert_eq!(post(&[("Host", &host), ("Origin", "null")]), 403);
    assert_eq!(database.rows(), []);
    assert_eq!(post(&[("Sec-Fetch-Site", "same-origin")]), 303);
    assert_eq!(post(&[("Sec-Fetch-Site", "none")]), 303);
    assert_eq!(post(&[("Host", &host), ("Origin", &same)]), 303);
    assert_eq!(post(&[]), 303, "no browser: curl");
    // reading is anybody's
    httpd.request("GET", "/dbtest/", &[("Sec-Fetch-Site", "cross-site")], b"").expect(200);
}

#[test]
fn every_answer_carries_the_headers_that_keep_browsers_safe() {
    let (httpd, _database) = serve(Mpm::Event);
    for path in ["/dbtest/", "/dbtest/check", "/dbtest/health", "/dbtest/nothing"] {
        let reply = httpd.get(path);
        let policy = reply.header("content-security-policy").unwrap_or_else(|| panic!("{path}: {:?}", reply.headers));
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(reply.header("referrer-policy"), Some("same-origin"), "{path}");
    }
    assert_eq!(httpd.get("/dbtest/").header("content-type"), Some("text/html; charset=utf-8"));
}

/// nghttp's library inside curl speaks HTTP/2 to mod_http2, which serves requests on threads of its own.
#[test]
fn speaks_http_2() {
    let database = Database::new(Kind::Sqlite);
    let httpd = Httpd::builder(Mpm::Event)
        .module("http2")
        .conf("Protocols h2c http/1.1")
        .location("/dbtest", &database.directive())
        .start();
    let curl = |arguments: &[&str]| {
        let output = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--http2-prior-knowledge",
                "--max-time",
                "10",
                "--write-out",
                " %{http_version} %{http_code}",
            ])
            .args(arguments)
            .arg(format!("http://127.0.0.1:{}/dbtest/", httpd.port))
            .output()
            .expect("curl");
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
    };
    assert!(curl(&["--data", "stuff=h2&things=two"]).ends_with(" 2 303"));
    assert_eq!(database.rows(), [(1, "h2".to_owned(), "two".to_owned())]);
    let page = curl(&[]);
    assert!(page.ends_with(" 2 200") && page.contains("two"), "{page}");
    assert!(curl(&["--head"]).ends_with(" 2 200"));
    let large = curl(&["--data-binary", &format!("stuff=a&things={}", "b".repeat(70_000))]);
    assert!(large.ends_with(" 2 413"), "{large}");
}

#[test]
fn a_deflating_server_is_no_obstacle() {
    let database = Database::new(Kind::Sqlite);
    database.fill(20);
    let httpd = Httpd::builder(Mpm::Event)
        .module("deflate")
        .module("filter")
        .conf("SetOutputFilter DEFLATE")
        .location("/dbtest", &database.directive())
        .start();
    let reply = httpd.request("GET", "/dbtest/", &[("Accept-Encoding", "gzip")], b"").expect(200);
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
    assert!(reply.body.starts_with(&[0x1f, 0x8b]) && reply.body.len() < httpd.get("/dbtest/").body.len());
}

#[test]
fn bytes_that_are_no_text_in_the_request_do_no_harm() {
    let (httpd, _database) = serve(Mpm::Event);
    for (path, header) in
        [("/dbtest/%ff%fe", "x"), ("/dbtest/", "\u{e9}"), ("/dbtest/?before=%ff", "x"), ("/dbtest/?%", "x")]
    {
        let reply =
            httpd.request("GET", path, &[("Accept", header), ("Origin", header), ("Sec-Fetch-Site", header)], b"");
        assert!(reply.status < 500, "{path}: {}", reply.status);
    }
    let bytes = b"GET /dbtest/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: \xff\xfe\r\n\r\n";
    let answer = client::exchange(httpd.port, bytes, Duration::from_secs(10)).unwrap();
    assert_eq!(parse(&answer, false).unwrap().status, 200);
}

/// A path that is no text is no page of ours, and never the list.
#[test]
fn a_path_that_is_no_text_is_not_found() {
    let database = Database::new(Kind::Sqlite);
    let httpd = Httpd::builder(Mpm::Event).location("/dbtest", &database.directive()).start();
    for path in ["/dbtest/%ff", "/dbtest/check%ff", "/dbtest/%c3%28"] {
        httpd.get(path).expect(404);
    }
    let twice = br#"{"stuff":"a","stuff":"b","things":"c"}"#;
    httpd.request("POST", "/dbtest/", &[("Content-Type", "application/json")], twice).expect(400);
    httpd.post("/dbtest/", &[("stuff", "a"), ("things", "b"), ("colour", "red")]).expect(400).expect_text("colour");
    assert!(database.rows().is_empty());
}
