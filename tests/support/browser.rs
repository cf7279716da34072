//! Real Chromium, driven through chromedriver by the W3C's WebDriver protocol, as far as the tests need it.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use super::client;

/// The key under which WebDriver hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser window; closes with the value.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

/// Starts chromedriver on a port that it chooses; none where it ended without one.
fn start_driver() -> Option<(Child, u16)> {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("chromedriver");
    // "ChromeDriver was started successfully on port 40123."
    let port = BufReader::new(driver.stdout.take().expect("its output"))
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok());
    if port.is_none() {
        let _ = driver.wait();
    }
    Some((driver, port?))
}

impl Browser {
    pub fn new() -> Self {
        // It takes a free port of IPv4 and gives up where another program has the same one of IPv6.
        let (driver, port) = (0..10).find_map(|_| start_driver()).expect("chromedriver's port");
        let mut browser = Self { driver, port, session: String::new() };
        let arguments = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"];
        let answer = browser.call(
            "POST",
            "/session",
            &json!({"capabilities": {"alwaysMatch": {
                "browserName": "chrome",
                "goog:chromeOptions": {"args": arguments},
                "goog:loggingPrefs": {"browser": "ALL"},
            }}}),
        );
        browser.session = format!("/session/{}", answer["sessionId"].as_str().expect("a session"));
        browser
    }

    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    pub fn reload(&self) {
        self.post("/refresh", &json!({}));
    }

    pub fn url(&self) -> String {
        self.get("/url").as_str().expect("a URL").to_owned()
    }

    /// The text that a visitor sees of the first element that matches, waiting for one to appear.
    pub fn text(&self, css: &str) -> String {
        self.get(&format!("/element/{}/text", self.find(css))).as_str().expect("a text").to_owned()
    }

    /// How many elements match.
    pub fn count(&self, css: &str) -> usize {
        self.elements(css).len()
    }

    /// What a form's field holds.
    pub fn value(&self, css: &str) -> String {
        self.get(&format!("/element/{}/property/value", self.find(css))).as_str().expect("a value").to_owned()
    }

    /// Characters up to U+FFFF: chromedriver before 156 types no others.
    pub fn type_text(&self, css: &str, text: &str) {
        self.post(&format!("/element/{}/value", self.find(css)), &json!({ "text": text }));
    }

    pub fn clear(&self, css: &str) {
        self.post(&format!("/element/{}/clear", self.find(css)), &json!({}));
    }

    pub fn click(&self, css: &str) {
        self.post(&format!("/element/{}/click", self.find(css)), &json!({}));
    }

    /// What a script returns.
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Light or dark, as the visitor's system would say.
    pub fn prefer(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let params = json!({"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}});
        self.post("/goog/cdp/execute", &params);
    }

    /// The window's size in CSS pixels.
    pub fn resize(&self, width: u32, height: u32) {
        self.post("/window/rect", &json!({"width": width, "height": height}));
    }

    /// What the browser wrote to its console since the last call: script errors, what the page's policy forbade,
    /// resources that failed to load.
    pub fn console(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({"type": "browser"}));
        let entries = entries.as_array().expect("a list").iter();
        entries.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    fn find(&self, css: &str) -> String {
        let start = Instant::now();
        loop {
            if let Some(element) = self.elements(css).into_iter().next() {
                return element;
            }
            assert!(
                start.elapsed() < Duration::from_secs(5),
                "no {css} in\n{}",
                self.run("return document.body.outerHTML")
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn elements(&self, css: &str) -> Vec<String> {
        let found = self.post("/elements", &json!({"using": "css selector", "value": css}));
        let found = found.as_array().expect("a list").iter();
        found.map(|element| element[ELEMENT].as_str().expect("an element").to_owned()).collect()
    }

    fn get(&self, path: &str) -> Value {
        self.call("GET", &format!("{}{path}", self.session), &Value::Null)
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &format!("{}{path}", self.session), body)
    }

    #[track_caller]
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let message = client::message(method, path, &[("Content-Type", "application/json")], &body);
        let answer = client::exchange(self.port, &message, Duration::from_secs(60)).expect("chromedriver");
        let reply = client::parse(&answer, false).expect("an answer of chromedriver");
        assert_eq!(reply.status, 200, "{method} {path}: {}", reply.text());
        reply.json()["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let message = client::message("DELETE", &self.session, &[], b"");
            let _ = client::exchange(self.port, &message, Duration::from_secs(10));
        }
        // the browser is in its driver's process group
        if let Some(group) = i32::try_from(self.driver.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.driver.wait();
    }
}

#[test]
fn a_browser_opens_types_and_logs() {
    let browser = Browser::new();
    browser.open("data:text/html,<title>t</title><input id=a value=x><script>console.log('hello')</script>");
    browser.type_text("#a", "yz");
    assert_eq!(browser.value("#a"), "xyz");
    assert!(browser.console().iter().any(|line| line.contains("hello")));
}
