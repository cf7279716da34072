//! Behind a real proxy that shows the pages under another path and another name.

use crate::support::{Database, Httpd, Kind, Mpm, client};

/// A proxy whose `/other/place/` is the `/dbtest/` of a backend.
fn proxy(backend: &Httpd, more: &str) -> Httpd {
    let to = format!("http://127.0.0.1:{}/dbtest/", backend.port);
    Httpd::builder(Mpm::Event)
        .module("proxy")
        .module("proxy_http")
        .conf(&format!(
            "{more}\n<Location \"/other/place/\">\nProxyPass \"{to}\"\nProxyPassReverse \"{to}\"\n</Location>"
        ))
        .start()
}

#[test]
fn every_link_and_redirect_holds_under_another_path() {
    let database = Database::new(Kind::Sqlite);
    database.fill(30);
    let backend = Httpd::builder(Mpm::Event).location("/dbtest", &database.directive()).start();
    let proxy = proxy(&backend, "");
    let saved = proxy.post("/other/place/", &[("stuff", "through"), ("things", "x")]).expect(303);
    let to = saved.header("location").expect("where to go").to_owned();
    assert!(to.contains("?saved=31"), "{to}");
    proxy.get(&to).expect(200).expect_text("class=\"new\"");
    proxy.get("/other/place/?before=11").expect(200).expect_text("stuff 10").expect_no_text("stuff 11<");
    let json = [("Content-Type", "application/json")];
    let made = proxy.request("POST", "/other/place/", &json, br#"{"stuff":"j","things":"k"}"#).expect(201);
    let row = made.header("location").expect("the row").to_owned();
    assert_eq!(proxy.get_json(&row).expect(200).json()["stuff"], "j");
    // what fails, what is not there and what is mistaken finds its style sheet and its form as well
    database.run("ALTER TABLE stuff RENAME TO gone");
    backend.expect_log("DBT");
    let failed = proxy.get("/other/place/").expect(503);
    let pages = [
        ("/other/place/", failed),
        ("/other/place/nothing", proxy.get("/other/place/nothing").expect(404)),
        ("/other/place/", proxy.post("/other/place/", &[("stuff", ""), ("things", "")]).expect(422)),
        ("/other/place/check", proxy.get("/other/place/check")),
    ];
    for (at, page) in pages {
        let text = page.text();
        for attribute in ["href=\"", "action=\""] {
            for part in text.split(attribute).skip(1) {
                let reference = part.split('"').next().unwrap_or_default().replace("&amp;", "&");
                if reference.starts_with("data:") || reference.starts_with('#') {
                    continue;
                }
                let reply = proxy.get(&client::resolved(at, &reference));
                assert_ne!(reply.status, 404, "{reference} on {at}");
            }
        }
    }
}

#[test]
fn a_form_through_a_proxy_that_changes_the_name() {
    let database = Database::new(Kind::Sqlite);
    let body = client::form(&[("stuff", "a"), ("things", "b")]);
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Host", "public.example"),
        ("Origin", "http://public.example"),
    ];
    let send = |directives: &str, proxied: &str, logged: bool| {
        let directives = format!("{}\n{directives}", database.directive());
        let backend = Httpd::builder(Mpm::Event).location("/dbtest", &directives).start();
        if logged {
            backend.expect_log("a form from the origin http://public.example was refused");
        }
        let proxy = proxy(&backend, proxied);
        let status = || proxy.request("POST", "/other/place/", &headers, body.as_bytes()).status;
        let (first, second) = (status(), status());
        assert_eq!(first, second);
        assert_eq!(backend.log().matches("was refused").count(), usize::from(logged), "{}", backend.log());
        first
    };
    assert_eq!(send("", "", true), 403);
    assert_eq!(send("", "ProxyPreserveHost On", false), 303);
    assert_eq!(send("DBTestOrigin https://x.example http://public.example", "", false), 303);
}
