//! Real browsers: Chromium with its style and its policies, and one that shows text only.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::{Browser, Database, Httpd, Kind, Mpm};

fn serve() -> (Httpd, Database, String) {
    let database = Database::new(Kind::Postgresql);
    let httpd = Httpd::builder(Mpm::Event)
        .location("/dbtest", &database.directive())
        .conf("<Location \"/dbtest-status\">\nSetHandler dbtest-status\nRequire local\n</Location>")
        .start();
    let url = format!("http://127.0.0.1:{}/dbtest/", httpd.port);
    (httpd, database, url)
}

#[test]
fn a_visitor_adds_a_row_in_chromium() {
    let (_httpd, database, url) = serve();
    database.fill(3);
    let browser = Browser::new();
    browser.open(&url);
    let rows = browser.count("tbody tr");
    assert_eq!(rows, 3);
    browser.type_text("[name=stuff]", "from Chromium");
    browser.type_text("[name=things]", "two\nlines ☃");
    browser.click("form button");
    assert!(browser.text("tbody tr:first-child").contains("from Chromium"));
    assert_eq!(database.rows().last().map(|row| row.2.as_str()), Some("two\r\nlines ☃"));
    // marked for the eye: it does not look like its neighbour
    let look = |row: u32| {
        browser.run(&format!(
            "const style = getComputedStyle(document.querySelector('tbody tr:nth-child({row})'));\
             return style.backgroundColor + style.outline + style.boxShadow"
        ))
    };
    assert_ne!(look(1), look(2));
    browser.reload();
    assert_eq!(browser.count("tbody tr"), 4, "a reload posts nothing");
    assert_eq!(database.rows().len(), 4);
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn a_mistake_keeps_what_was_typed_in_chromium() {
    let (_httpd, database, url) = serve();
    let browser = Browser::new();
    browser.open(&url);
    // past the browser's own check of required fields, to ours
    browser.run("document.querySelector('form').noValidate = true");
    browser.type_text("[name=things]", "a long thought\nnot to be lost");
    browser.click("form button");
    assert_eq!(browser.value("[name=things]"), "a long thought\nnot to be lost");
    let focused = browser.run("return document.activeElement.name");
    assert_eq!(focused, "stuff", "the cursor is where the mistake is");
    assert_eq!(browser.run("return document.activeElement.getAttribute('aria-invalid')"), "true");
    browser.type_text("[name=stuff]", "now with a name");
    browser.click("form button");
    assert!(browser.text("tbody tr:first-child").contains("not to be lost"));
    assert_eq!(database.rows().len(), 1);
}

#[test]
fn every_page_is_quiet_and_fits_in_light_and_dark_narrow_and_wide() {
    let (httpd, database, url) = serve();
    httpd.allow_log("/dbtest");
    database.fill(50);
    database.run("INSERT INTO stuff (stuff, things) VALUES (repeat('w', 255), repeat('long', 500))");
    let browser = Browser::new();
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        for width in [360, 1280] {
            browser.resize(width, 800);
            for page in ["", "?before=20", "check", "nothing-here", "../dbtest-status"] {
                browser.open(&format!("{url}{page}"));
                let overflow = browser.run("return document.documentElement.scrollWidth - window.innerWidth");
                assert!(overflow.as_i64().unwrap_or(1) <= 0, "{page} at {width} is {overflow} pixels too wide");
                let console = browser.console();
                let bad: Vec<_> = console.iter().filter(|line| !line.contains("status of 404")).collect();
                assert!(bad.is_empty(), "{page} {scheme}: {bad:?}");
            }
        }
    }
    let background = |scheme: &str| {
        browser.prefer(scheme);
        browser.open(&url);
        browser.run("return getComputedStyle(document.body).backgroundColor + getComputedStyle(document.documentElement).backgroundColor")
    };
    assert_ne!(background("light"), background("dark"));
}

#[test]
fn text_in_the_table_is_never_run() {
    let (_httpd, database, url) = serve();
    database.run(
        "INSERT INTO stuff (stuff, things) VALUES ('<script>document.title=1</script>', '<img src=x onerror=\"document.title=2\">')",
    );
    let browser = Browser::new();
    browser.open(&url);
    assert!(browser.text("tbody tr").contains("<script>"));
    let title = browser.run("return document.title");
    assert!(!["1", "2"].contains(&title.as_str().unwrap_or_default()), "{title}");
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn a_text_browser_reads_and_posts() {
    let (_httpd, database, url) = serve();
    database.fill(2);
    let page = lynx(&["-dump", "-nolist", &url], "");
    assert!(page.contains("things 2") && page.contains("stuff 1"), "{page}");
    // lynx sends what stands on its input as the form, and follows to the page
    let page = lynx(&["-dump", "-nolist", "-post_data", &url], "stuff=lynx&things=caf%C3%A9&submit=Submit\n---\n");
    assert!(page.contains("café"), "{page}");
    assert_eq!(database.rows().last().map(|row| row.1.as_str()), Some("lynx"));
    assert_eq!(database.rows().len(), 3);
}

fn lynx(arguments: &[&str], input: &str) -> String {
    let mut lynx = Command::new("lynx")
        .arg("-display_charset=utf-8")
        .args(arguments)
        .env("TERM", "dumb")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("lynx");
    lynx.stdin.take().expect("its input").write_all(input.as_bytes()).expect("a pipe");
    String::from_utf8_lossy(&lynx.wait_with_output().expect("lynx").stdout).into_owned()
}
