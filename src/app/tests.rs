//! The pages as a visitor meets them, without a server.

use super::http::{BodyError, Level};
use super::testing::{Asked, Fake, Site, VERSION, broken, header, text};
use crate::config::Detail;
use crate::database::{Cause, Error, Stage, WriteError};

const JSON: &str = "application/json";

fn json(response: &super::Response) -> serde_json::Value {
    assert!([JSON, "application/problem+json"].contains(&response.content_type));
    serde_json::from_str(&text(response)).unwrap()
}

#[test]
fn the_list_shows_the_newest_rows_the_form_and_what_answered() {
    let site = Site::fake(&Fake::with_rows(45));
    let response = site.answer(&mut Asked::get("/").told());
    let html = text(&response);
    assert_eq!((response.status, response.content_type), (200, "text/html; charset=utf-8"));
    assert!(html.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"), "{html}");
    assert_eq!(html.matches("<tr id=\"row-").count(), 20);
    assert!(html.find("row-45").unwrap() < html.find("row-26").unwrap() && !html.contains("row-25"));
    assert!(html.contains("href=\"?before=26\"") && !html.contains("Newest</a>"));
    assert!(html.contains("name=\"stuff\"") && html.contains("<textarea id=\"things\" name=\"things\""));
    assert!(html.contains("Fake 1.0 &#60;beta&#62;") && !html.contains(VERSION));
    for fact in ["nowhere", "tester", "memory", "1.23 ms"] {
        assert!(html.contains(fact), "{fact}");
    }
    assert_eq!(html.matches("<h1").count(), 1);
    assert!(!html.contains("mistake") && !html.contains("autofocus") && !html.contains("aria-invalid"));
}

/// Whatever a page shows to those who are told, a stranger hears nothing of it.
#[test]
fn a_stranger_learns_nothing_of_what_answers() {
    let fake = Fake::with_rows(3);
    let site = Site::fake(&fake);
    let secrets = ["secrethost", "nowhere", "tester", "memory", "beta", "fake", "Fake"];
    let all =
        ["/", "/?format=json", "/check", "/check?format=text", "/check?format=json", "/health", "/nothing", "/?x"];
    let quiet = |told: bool| {
        for url in all {
            let mut asked = Asked::get(url);
            asked.told = told;
            let text = text(&site.answer(&mut asked));
            let heard = secrets.iter().filter(|secret| text.contains(**secret)).count();
            assert!(told || heard == 0, "{url} tells a stranger:\n{text}");
        }
    };
    assert!(text(&site.answer(&mut Asked::get("/").told())).contains("nowhere"));
    quiet(false);
    *fake.read.lock().unwrap() = Some(|| broken(Stage::Read));
    quiet(false);
    *fake.write.lock().unwrap() = Some(|| WriteError::NotSaved(broken(Stage::Write)));
    let failed = text(&site.answer(&mut Asked::post("/", "stuff=a&things=b")));
    assert!(secrets.iter().all(|secret| !failed.contains(secret)), "{failed}");
}

#[test]
fn a_stranger_gets_an_id_to_hand_on_that_stands_in_the_log() {
    let fake = Fake::with_rows(1);
    let site = Site::fake(&fake);
    *fake.read.lock().unwrap() = Some(|| broken(Stage::Read));
    for first in [true, false] {
        let mut asked = Asked::get("/");
        let html = text(&site.answer(&mut asked));
        let (_, id) = html.split_once("under <strong>").expect("an id");
        let id = &id[..7];
        assert!(html.contains("at request <strong>LOG-ID</strong>"), "{html}");
        let logged = asked.logged.into_inner();
        assert_eq!(logged[0].0 == Level::Error, first, "said once");
        assert!(!first || (logged[0].1.contains("(request LOG-ID)") && logged[0].1.contains(id)), "{logged:?}");
    }
}

/// A check that finds nothing wrong does not stand as green above a page that failed.
#[test]
fn the_pages_own_failure_is_the_verdict() {
    let fake = Fake::with_rows(1);
    *fake.write.lock().unwrap() = Some(|| WriteError::NotSaved(broken(Stage::Write)));
    let mut asked = Asked::post("/", "stuff=a&things=b").told().header("Accept", JSON);
    let answer = json(&Site::fake(&fake).answer(&mut asked));
    let report = &answer["error"]["report"];
    assert_eq!((&report["verdict"], &report["failed_at"]), (&"fail".into(), &"write".into()), "{answer}");
    assert_eq!(report["id"], answer["error"]["id"]);
    assert!(report["cause"].as_str().unwrap().contains("secrethost"));
}

#[test]
fn a_check_tells_what_the_last_sent_row_met() {
    let fake = Fake::with_rows(1);
    let site = Site::fake(&fake);
    let check = || json(&site.answer(&mut Asked::get("/check?format=json").told()));
    assert_eq!(check()["verdict"], "pass");
    *fake.write.lock().unwrap() = Some(|| WriteError::NotSaved(broken(Stage::Write)));
    let failed = json(&site.answer(&mut Asked::post("/", "stuff=a&things=b").header("Accept", JSON)));
    let report = check();
    assert_eq!((&report["verdict"], &report["id"]), (&"warn".into(), &failed["error"]["id"]), "{report}");
    *fake.write.lock().unwrap() = None;
    assert_eq!(site.answer(&mut Asked::post("/", "stuff=a&things=b")).status, 303);
    assert_eq!(check()["verdict"], "pass");
}

#[test]
fn a_row_has_an_address_of_its_own() {
    let site = Site::fake(&Fake::with_rows(30));
    assert!(text(&site.get("/7")).contains("things 7") && !text(&site.get("/7")).contains("things 6"));
    assert_eq!(
        json(&site.get("/7?format=json")),
        serde_json::json!({"id": 7, "stuff": "stuff 7", "things": "things 7"})
    );
    assert_eq!(text(&site.get("/7?format=text")), "7\nstuff 7\nthings 7\n");
    for path in ["/31", "/0", "/-1", "/07", "/9223372036854775807", "/7/"] {
        assert_eq!(site.get(path).status, 404, "{path}");
    }
    assert_eq!(header(&site.answer(&mut Asked::with("DELETE", "/7")), "Allow"), "GET, HEAD, OPTIONS");
}

#[test]
fn no_page_knows_under_which_path_it_is_seen() {
    let fake = Fake::with_rows(3);
    let site = Site::fake(&fake).set(|settings| settings.create_table = true);
    let pages = |site: &Site| -> Vec<super::Response> {
        let get =
            ["/", "/?before=2", "/?saved=3", "/check", "/2", "/nothing", "/a/b", "/?before=x"].map(|url| site.get(url));
        let post = ["", "stuff=a&things=b"].map(|body| site.answer(&mut Asked::post("/", body)));
        get.into_iter().chain(post).collect()
    };
    let mut all = pages(&site);
    *fake.read.lock().unwrap() = Some(|| broken(Stage::Read));
    *fake.write.lock().unwrap() = Some(|| WriteError::NotSaved(broken(Stage::Write)));
    all.extend(pages(&site));
    for response in &all {
        let html = text(response);
        assert!(!html.contains("dbtest/") && !header(response, "Location").contains("dbtest"), "{response:?}");
    }
    assert!(text(&site.get("/a/b")).contains("href=\"../style.css"));
}

#[test]
fn the_habits_of_http() {
    let site = Site::fake(&Fake::with_rows(30));
    assert_eq!(header(&site.get("/"), "Vary"), "Accept");
    assert_eq!(header(&site.get("/style.css"), "Vary"), "");
    assert_eq!(header(&site.get("/"), "Link"), "<?before=11>; rel=\"next\"");
    assert_eq!(header(&site.get("/?before=5"), "Link"), "");
    let unknown = site.get("/?format=pdf");
    assert_eq!(unknown.status, 400);
    assert!(text(&unknown).contains("format=html, format=text or format=json"));
    let read_only = Site::fake(&Fake::with_rows(1)).set(|settings| settings.read_only = true);
    assert_eq!(header(&read_only.answer(&mut Asked::with("OPTIONS", "/")), "Allow"), "GET, HEAD, OPTIONS");
    let problem = site.answer(&mut Asked::get("/nothing").header("Accept", JSON));
    assert_eq!(problem.content_type, "application/problem+json");
    let problem = json(&problem);
    assert_eq!((&problem["status"], &problem["title"]), (&404.into(), &"No such page".into()));
    assert_eq!(problem["detail"], problem["error"]["message"]);
    let fake = Fake::with_rows(1);
    *fake.read.lock().unwrap() = Some(|| broken(Stage::Read));
    let site = Site::fake(&fake);
    for url in ["/", "/health", "/check", "/2"] {
        assert_eq!(header(&site.get(url), "Retry-After"), "5", "{url}");
    }
    let plain = site.get("/2?format=text");
    assert!(plain.content_type.starts_with("text/plain") && !text(&plain).contains('<'), "{}", text(&plain));
}

#[test]
fn paging_goes_by_key_to_the_last_row() {
    let site = Site::fake(&Fake::with_rows(45));
    let html = text(&site.get("/?before=26"));
    assert!(html.contains("row-25") && html.contains("row-6\"") && html.contains("href=\"?before=6\""));
    assert!(html.contains("href=\"./\">← Newest"));
    let html = text(&site.get("/?before=6"));
    assert_eq!(html.matches("<tr id=\"row-").count(), 5);
    assert!(!html.contains("Older"));
    assert!(text(&site.get("/?before=-7")).contains("There are no older rows."));
    assert!(text(&Site::fake(&Fake::with_rows(0)).get("/")).contains("There are no rows yet."));
}

#[test]
fn a_query_that_means_nothing_is_refused() {
    let site = Site::fake(&Fake::with_rows(3));
    for query in [
        "before=",
        "before=x",
        "before=1.5",
        "before=%2B1",
        "before=99999999999999999999",
        "saved=x",
        "before=1&before=2",
        "before=%",
    ] {
        let response = site.get(&format!("/?{query}"));
        assert_eq!(response.status, 400, "{query}");
        assert!(text(&response).contains("cannot be understood"), "{query}");
    }
    assert_eq!(site.get("/?unknown=1").status, 200);
}

#[test]
fn a_row_is_added_and_the_visitor_sent_back_to_see_it_marked() {
    let fake = Fake::with_rows(2);
    let site = Site::fake(&fake);
    let response = site.answer(&mut Asked::post("/", "stuff=a+%3Cb%3E&things=c%0D%0Ad&submit=Submit"));
    assert_eq!((response.status, header(&response, "Location")), (303, "./?saved=3#row-3"));
    let row = fake.rows.lock().unwrap()[2].clone();
    assert_eq!((row.stuff.as_str(), row.things.as_str()), ("a <b>", "c\r\nd"));
    let html = text(&site.get("/?saved=3"));
    assert!(html.contains("<tr id=\"row-3\" class=\"new\">") && html.contains("row 3</a> is in the table"));
    assert!(html.contains("a &#60;b&#62;</td>"));
    assert_eq!(html.matches("class=\"new\"").count(), 1);
}

#[test]
fn a_mark_never_lies() {
    let html = text(&Site::fake(&Fake::with_rows(2)).get("/?saved=77"));
    assert!(!html.contains("class=\"new\"") && !html.contains("</a> is in the table"), "{html}");
    assert!(html.contains("href=\"?before=78&amp;saved=77\""));
    assert_eq!(Site::fake(&Fake::with_rows(2)).get(&format!("/?saved={}", i64::MAX)).status, 200);
}

#[test]
fn mistakes_are_answered_with_the_form_and_what_was_typed() {
    let fake = Fake::with_rows(0);
    let site = Site::fake(&fake);
    let response = site.answer(&mut Asked::post("/", "stuff=+&things=%0Akeep+%3Cthis%3E%22"));
    let html = text(&response);
    assert_eq!(response.status, 422);
    assert!(html.contains("role=\"alert\"") && html.contains("one field needs your attention"));
    assert!(
        html.contains("value=\" \" aria-invalid=\"true\" autofocus aria-describedby=\"stuff-hint stuff-mistake\""),
        "{html}"
    );
    assert!(html.contains("id=\"stuff-mistake\"") && html.contains("Please fill in this field."));
    assert!(
        html.contains("required aria-describedby=\"things-hint\">\n\nkeep &#60;this&#62;&#34;</textarea>"),
        "{html}"
    );
    assert!(fake.rows.lock().unwrap().is_empty());
    let both = text(&site.answer(&mut Asked::post("/", "")));
    assert!(both.contains("2 fields need your attention") && both.matches("autofocus").count() == 1);
}

#[test]
fn json_in_and_out() {
    let site = Site::fake(&Fake::with_rows(22));
    let list = json(&site.answer(&mut Asked::get("/?before=22").header("Accept", JSON).told()));
    assert_eq!(list["rows"][0], serde_json::json!({"id": 21, "stuff": "stuff 21", "things": "things 21"}));
    assert_eq!((&list["older"], &list["database"]["role"]), (&2.into(), &"tester".into()));
    assert_eq!(json(&site.get("/?before=2&format=json"))["older"], serde_json::Value::Null);

    let post = |body: &str| Asked::post("/", body).header("Content-Type", JSON);
    let made = site.answer(&mut post(r#"{"stuff":"é","things":"😀"}"#));
    assert_eq!((made.status, header(&made, "Location")), (201, "./23"));
    assert_eq!(json(&made), serde_json::json!({"id": 23, "stuff": "é", "things": "😀"}));
    let wrong = site.answer(&mut post(r#"{"stuff":"x"}"#));
    assert_eq!(wrong.status, 422);
    assert_eq!(json(&wrong)["errors"], serde_json::json!({"things": "Please fill in this field."}));
    assert_eq!((wrong.content_type, &json(&wrong)["status"]), ("application/problem+json", &422.into()));
    let broken = site.answer(&mut post("{"));
    assert_eq!(broken.status, 400);
    assert!(json(&broken)["error"]["message"].as_str().unwrap().starts_with("Nothing was saved"));
    let form = site.answer(&mut Asked::post("/", "stuff=a&things=b").header("Accept", JSON));
    assert_eq!(form.status, 201);
}

#[test]
fn what_cannot_be_taken_is_refused_with_its_status() {
    let fake = Fake::with_rows(0);
    let site = Site::fake(&fake).set(|settings| settings.max_body = 40);
    let status = |mut asked: Asked| site.answer(&mut asked).status;
    let ok = "stuff=a&things=b";
    assert_eq!(status(Asked::post("/", ok).header("Content-Type", "multipart/form-data; boundary=x")), 415);
    assert_eq!(status(Asked::with("POST", "/")), 415, "no content type");
    assert_eq!(status(Asked::post("/", &format!("{ok}{}", "c".repeat(25)))), 413);
    assert_eq!(status(Asked::post("/", ok).broken_body(BodyError::Broken(408))), 408);
    assert_eq!(status(Asked::post("/", "stuff=%&things=b")), 400);
    assert_eq!(status(Asked::post("/", "stuff=a&stuff=b&things=c")), 400);
    assert_eq!(status(Asked::post("/", ok).header("Sec-Fetch-Site", "cross-site")), 403);
    assert_eq!(status(Asked::post("/", ok).header("Origin", "http://evil.example").header("Host", "here")), 403);
    assert!(fake.rows.lock().unwrap().is_empty(), "none of them wrote");
    assert_eq!(status(Asked::post("/", ok)), 303);
}

#[test]
fn read_only_shows_no_form_and_takes_nothing() {
    let fake = Fake::with_rows(1);
    let site = Site::fake(&fake).set(|settings| settings.read_only = true);
    let html = text(&site.get("/"));
    assert!(!html.contains("<form") && html.contains("Read only"));
    assert_eq!(site.answer(&mut Asked::post("/", "stuff=a&things=b")).status, 403);
    assert_eq!(fake.rows.lock().unwrap().len(), 1);
}

#[test]
fn methods_and_paths() {
    let site = Site::fake(&Fake::with_rows(1));
    let answer = |method, url| site.answer(&mut Asked::with(method, url));
    assert_eq!(text(&answer("HEAD", "/")), text(&answer("GET", "/")), "HEAD has the length of GET");
    assert!(matches!(answer("HEAD", "/?all").body, super::http::Body::Empty));
    let options = answer("OPTIONS", "/");
    assert_eq!((options.status, header(&options, "Allow")), (204, "GET, HEAD, POST, OPTIONS"));
    let delete = answer("DELETE", "/");
    assert_eq!((delete.status, header(&delete, "Allow")), (405, "GET, HEAD, POST, OPTIONS"));
    assert_eq!(header(&answer("POST", "/health"), "Allow"), "GET, HEAD, OPTIONS");
    assert_eq!(answer("GET", "/create").status, 405);
    for path in ["/nothing", "/check/", "//", "/check/x", "/style.css/"] {
        assert_eq!(answer("GET", path).status, 404, "{path}");
    }
    assert_eq!(
        json(&site.answer(&mut Asked::get("/x").header("Accept", JSON)))["error"]["id"],
        serde_json::Value::Null
    );
}

#[test]
fn the_missing_slash_is_added() {
    let site = Site::fake(&Fake::with_rows(1));
    let get = site.answer(&mut Asked::get("?before=3&x=\u{e9}").base("/a b/\u{e9}"));
    assert_eq!((get.status, header(&get, "Location")), (301, "/a%20b/%C3%A9/?before=3&x="));
    let post = site.answer(&mut Asked::post("", "stuff=a&things=b"));
    assert_eq!((post.status, header(&post, "Location")), (308, "/dbtest/"));
}

#[test]
fn every_answer_carries_the_headers() {
    let site = Site::fake(&Fake::with_rows(1));
    for url in ["/", "", "/nothing", "/check", "/health", "/?all", "/style.css"] {
        let response = site.get(url);
        assert!(header(&response, "Content-Security-Policy").starts_with("default-src 'none'"), "{url}");
        assert_eq!(header(&response, "X-Content-Type-Options"), "nosniff", "{url}");
        assert_eq!(header(&response, "X-Frame-Options"), "DENY", "{url}");
        assert_eq!(header(&response, "Referrer-Policy"), "same-origin", "{url}");
        let keep = if url == "/style.css" { "no-cache" } else { "no-store" };
        assert_eq!(header(&response, "Cache-Control"), keep, "{url}");
    }
    let html = text(&site.get("/"));
    let (_, sheet) = html.split_once("href=\"./style.css").unwrap();
    let url = format!("/style.css{}", sheet.split('"').next().unwrap());
    assert_eq!(header(&site.get(&url), "Cache-Control"), "max-age=31536000, immutable");
    assert!(!html.contains("<script") && !html.contains("<style") && !html.contains(" style="));
}

#[test]
fn hostile_rows_stay_text() {
    let fake = Fake::with_rows(1);
    fake.rows.lock().unwrap()[0].stuff = "</td><script>alert('1')</script>\u{202e}\"&amp;".into();
    let html = text(&Site::fake(&fake).get("/"));
    assert!(!html.contains("<script"));
    assert!(
        html.contains("&#60;/td&#62;&#60;script&#62;alert(&#39;1&#39;)&#60;/script&#62;\u{202e}&#34;&#38;amp;</td>")
    );
    assert!(html.contains("<td dir=\"auto\">"));
}

#[test]
fn an_export_streams_every_row() {
    let site = Site::fake(&Fake::with_rows(1000));
    let response = site.get("/?all");
    assert_eq!((response.status, response.content_type), (200, "application/x-ndjson"));
    let all = text(&response);
    let ids: Vec<i64> = all
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_i64().unwrap())
        .collect();
    assert!(ids.iter().copied().eq((1..=1000).rev()));
}

#[test]
fn an_export_that_breaks_off_says_so_and_one_that_is_not_wanted_stops() {
    let fake = Fake::with_rows(2000);
    let response = Site::fake(&fake).get("/?all");
    let super::http::Body::Stream(stream) = &response.body else { panic!("no stream") };
    let mut pieces = Vec::new();
    let broke = stream(&mut |piece| {
        pieces.push(String::from_utf8(piece.to_vec()).unwrap());
        *fake.read.lock().unwrap() = Some(|| broken(Stage::Read));
        true
    });
    assert!(broke.unwrap_err().contains("/dbtest: the export broke off: asking secrethost failed"));
    assert!(pieces.last().unwrap().lines().last().unwrap().starts_with("{\"error\":"));
    *fake.read.lock().unwrap() = None;
    let mut count = 0;
    stream(&mut |_| {
        count += 1;
        false
    })
    .unwrap();
    assert_eq!(count, 1);
    *fake.read.lock().unwrap() = Some(|| broken(Stage::Read));
    assert_eq!(Site::fake(&fake).get("/?all").status, 503, "known before the first byte");
}

#[test]
fn a_failed_read_is_told_calmly_to_strangers_and_wholly_to_those_who_may_know() {
    let fake = Fake::with_rows(1);
    *fake.read.lock().unwrap() = Some(|| broken(Stage::Read));
    let site = Site::fake(&fake);
    let stranger = site.get("/");
    let html = text(&stranger);
    assert_eq!(stranger.status, 503);
    assert!(html.contains("The rows could not be read") && html.contains("<strong>DBT"), "{html}");
    assert!(!html.contains("secrethost"), "{html}");
    assert!(html.contains("<form"), "the form stands below");
    let trusted = text(&site.answer(&mut Asked::get("/").told()));
    assert!(trusted.contains("secrethost") && trusted.contains("at step <strong>read</strong>"), "{trusted}");
    assert!(trusted.find("Copy report").unwrap() < trusted.find("<form").unwrap(), "above the form");
    let full = Site::fake(&fake).set(|settings| settings.detail = Detail::Full);
    assert!(text(&full.get("/")).contains("secrethost"));
    let json = json(&full.answer(&mut Asked::get("/").header("Accept", JSON)));
    assert_eq!(json["error"]["report"]["failed_at"], "read");
    assert!(json["error"]["id"].as_str().unwrap().starts_with("DBT"));
}

#[test]
fn the_error_log_has_a_failure_once_and_its_end() {
    let fake = Fake::with_rows(1);
    let site = Site::fake(&fake);
    let ask = || {
        let mut asked = Asked::get("/").base("/logged-once");
        site.answer(&mut asked);
        asked.logged.into_inner()
    };
    assert_eq!(ask(), []);
    *fake.read.lock().unwrap() = Some(|| broken(Stage::Read));
    let first = ask();
    assert_eq!((first.len(), first[0].0), (1, Level::Error));
    let line = &first[0].1;
    assert!(line.contains("/logged-once") && line.contains("secrethost") && !line.contains('\n'), "{line}");
    assert_eq!(ask()[0].0, Level::Debug, "not again");
    *fake.read.lock().unwrap() = None;
    assert_eq!(ask()[0].0, Level::Notice);
    assert_eq!(ask(), []);
    let check = |stage: fn() -> Error| {
        *fake.read.lock().unwrap() = Some(stage);
        let mut asked = Asked::get("/check").base("/logged-once");
        site.answer(&mut asked);
        asked.logged.into_inner()
    };
    let first = check(|| broken(Stage::Read));
    assert!(first.len() == 1 && first[0].1.contains("/logged-once: step read"), "{first:?}");
    assert_eq!(check(|| broken(Stage::Read)), []);
}

#[test]
fn a_failed_write_says_whether_the_row_was_saved_and_keeps_what_was_typed() {
    let fake = Fake::with_rows(1);
    let site = Site::fake(&fake);
    let post = || Asked::post("/", "stuff=my+%3Ctext%3E&things=more");
    *fake.write.lock().unwrap() = Some(|| WriteError::NotSaved(broken(Stage::Write)));
    let response = site.answer(&mut post());
    let html = text(&response);
    assert_eq!(response.status, 503);
    assert!(html.contains("<h1>Your row was not saved</h1>") && html.contains("value=\"my &#60;text&#62;\""), "{html}");
    *fake.write.lock().unwrap() = Some(|| WriteError::Unknown(broken(Stage::Write)));
    let html = text(&site.answer(&mut post()));
    assert!(
        html.contains("It is not known whether your row was saved")
            && html.contains("What you typed is still")
            && html.contains("more</textarea>")
    );
    let answer = json(&site.answer(&mut post().header("Accept", JSON)));
    assert_eq!(answer["error"]["saved"], "unknown");
    assert!(!answer["error"]["message"].as_str().unwrap().contains("below"), "there is nothing below JSON");
    let full = site.set(|settings| settings.detail = Detail::Full);
    assert!(
        text(&full.answer(&mut post())).contains("asking secrethost failed"),
        "the check passes, so the error itself is shown"
    );
}

#[test]
fn a_missing_table_can_be_created_only_where_it_is_allowed() {
    fn missing() -> Error {
        let message = "no such table: stuff".into();
        Error { stage: Stage::Schema, doing: "reading".into(), cause: Cause::Sqlite { code: 1, message, errno: None } }
    }
    let fake = Fake::with_rows(1);
    *fake.read.lock().unwrap() = Some(missing);
    let site = Site::fake(&fake);
    assert!(!text(&site.get("/")).contains("create"));
    assert_eq!(site.answer(&mut Asked::with("POST", "/create")).status, 403);
    let site = site.set(|settings| settings.create_table = true);
    let html = text(&site.get("/"));
    assert!(
        html.contains("CREATE TABLE &#34;stuff&#34; (id &#60; 5)") && html.contains("action=\"./create\""),
        "{html}"
    );
    assert!(!html.contains("name=\"stuff\""), "no form for a table that is not there");
    assert_eq!(site.answer(&mut Asked::with("POST", "/create").header("Sec-Fetch-Site", "cross-site")).status, 403);
    assert_eq!(fake.created.load(std::sync::atomic::Ordering::SeqCst), 0);
    let created = site.answer(&mut Asked::with("POST", "/create"));
    assert_eq!((created.status, header(&created, "Location")), (303, "./"));
    assert_eq!(site.get("/").status, 200);
}

#[test]
fn health_is_one_line() {
    let fake = Fake::with_rows(1);
    let site = Site::fake(&fake);
    let good = site.get("/health");
    assert_eq!((good.status, text(&good).as_str()), (200, "ok\n"));
    *fake.read.lock().unwrap() = Some(|| broken(Stage::Read));
    let bad = Site::fake(&fake).get("/health");
    let line = text(&bad);
    assert!(bad.status == 503 && line.starts_with("DBT") && !line.contains("secrethost"), "{line}");
    assert_eq!(line.lines().count(), 1);
    let json = json(&Site::fake(&fake).answer(&mut Asked::get("/health").header("Accept", JSON).told()));
    assert!(json["ok"] == false && json["says"].as_str().unwrap().contains("secrethost"));
}

#[test]
fn the_check_answers_in_three_formats_and_hides_names_from_strangers() {
    let fake = Fake::with_rows(1);
    let site = Site::fake(&fake);
    let passing = site.answer(&mut Asked::get("/check").told());
    assert_eq!(passing.status, 200);
    assert!(text(&passing).contains("<h1 class=\"verdict\"><span class=\"state pass\">✓ pass</span>"));
    *fake.read.lock().unwrap() = Some(|| broken(Stage::Read));
    let failing = site.answer(&mut Asked::get("/check").told());
    assert_eq!(failing.status, 503);
    assert!(text(&failing).contains("✗ fail"));
    let plain = site.answer(&mut Asked::get("/check").told().header("Accept", "text/plain"));
    assert!(plain.content_type.starts_with("text/plain") && text(&plain).starts_with("fail at read: DBT"));
    let report = json(&site.answer(&mut Asked::get("/check?format=json").told()));
    assert_eq!(
        (&report["schema"], &report["verdict"], &report["failed_at"]),
        (&1.into(), &"fail".into(), &"read".into())
    );
    for format in ["html", "text", "json"] {
        let body = text(&site.get(&format!("/check?format={format}")));
        assert!(body.contains("read") && body.contains("DBT") && !body.contains("secrethost"), "{body}");
    }
}

#[test]
fn an_id_is_explained() {
    let site = Site::fake(&Fake::with_rows(1));
    let entry = crate::diagnosis::explain("DBT0350").unwrap();
    let html = text(&site.get(&format!("/check?explain={}", entry.id)));
    assert!(html.contains(&format!("<h1>{}: ", entry.id)), "{html}");
    assert_eq!(site.get("/check?explain=DBT9999").status, 404);
}

#[test]
fn the_databases_of_a_server_stand_side_by_side() {
    let fake = Fake::with_rows(1);
    let site = Site::fake(&fake);
    let good = site.status(&mut Asked::get("").told(), &["/a", "www.example.com/b"]);
    assert_eq!(good.status, 200);
    let html = text(&good);
    assert!(html.contains("All 2 databases answer") && html.contains("www.example.com/b") && !html.contains("≠ "));
    *fake.read.lock().unwrap() = Some(|| broken(Stage::Read));
    let bad = site.status(&mut Asked::get("?format=text").told(), &["/a"]);
    assert_eq!(bad.status, 503);
    assert!(text(&bad).contains("read           FAIL"), "{}", text(&bad));
    let value = json(&site.status(&mut Asked::get("?format=json").told(), &["/a"]));
    assert_eq!(value["databases"][0]["report"]["failed_at"], "read");
    assert!(!text(&site.status(&mut Asked::get(""), &["/a"])).contains("secrethost"));
    assert_eq!(site.status(&mut Asked::with("POST", ""), &[]).status, 405);
    let (_, sheet) = html.split_once("rel=\"stylesheet\" href=\"").unwrap();
    let sheet = site.status(&mut Asked::get(sheet.split('"').next().unwrap()), &["/a"]);
    assert_eq!(
        (sheet.content_type, header(&sheet, "Cache-Control")),
        ("text/css; charset=utf-8", "max-age=31536000, immutable")
    );
}

#[test]
fn rows_go_into_a_real_database_and_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("real.db");
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection
        .execute_batch("CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff VARCHAR(255) NOT NULL, things TEXT NOT NULL)")
        .unwrap();
    let site = Site::sqlite(&file);
    let longest = "%F0%9F%98%80".repeat(255);
    let response =
        site.answer(&mut Asked::post("/", &format!("stuff={longest}&things=%D7%A9%D7%9C%D7%95%D7%9D%0D%0A%27%22%3C")));
    assert_eq!((response.status, header(&response, "Location")), (303, "./?saved=1#row-1"), "{}", text(&response));
    let stored: (String, String) =
        connection.query_row("SELECT stuff, things FROM stuff", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(stored, ("😀".repeat(255), "שלום\r\n'\"<".to_owned()));
    let html = text(&site.answer(&mut Asked::get("/?saved=1").told()));
    assert!(
        html.contains("class=\"new\"") && html.contains("שלום\r\n&#39;&#34;&#60;</td>") && html.contains("SQLite 3."),
        "{html}"
    );
    assert_eq!(json(&site.get("/?format=json"))["rows"][0]["stuff"], "😀".repeat(255));
}

#[test]
fn a_check_makes_the_default_database_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("named.db");
    assert_eq!(Site::sqlite(&file).get("/check").status, 503);
    assert!(!file.exists());
    let default = Site::sqlite(&file).set(|settings| settings.is_default_database = true);
    let response = default.answer(&mut Asked::get("/check?format=text").told());
    assert_eq!(response.status, 200, "{}", text(&response));
    assert!(file.exists());
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "asked to panic")]
fn a_debug_build_panics_on_request() {
    Site::fake(&Fake::with_rows(1)).get("/?panic");
}
