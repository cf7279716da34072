//! An HTTP/1 client over a plain socket: sends what it is told to, byte for byte, and shows what came back.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// An answer.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// For assertions that fail: the body as text, not as a list of numbers.
impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        write!(f, "\n{}", String::from_utf8_lossy(&self.body))
    }
}

impl Reply {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body, which must be UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Panics with the whole answer unless the status is this.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}\n{}", self.headers, String::from_utf8_lossy(&self.body));
        self
    }

    /// Panics with the body unless it holds the text.
    #[track_caller]
    pub fn expect_text(self, text: &str) -> Self {
        assert!(self.text().contains(text), "no {text:?} in:\n{}", self.text());
        self
    }

    #[track_caller]
    pub fn expect_no_text(self, text: &str) -> Self {
        assert!(!self.text().contains(text), "{text:?} in:\n{}", self.text());
        self
    }
}

/// What a client makes of a reference that it finds in an answer from `page` (as far as our pages use it).
pub fn resolved(page: &str, reference: &str) -> String {
    let page = page.split(['?', '#']).next().unwrap_or(page);
    let mut directory = &page[..=page.rfind('/').unwrap_or(0)];
    let mut rest = reference.strip_prefix("./").unwrap_or(reference);
    if rest.starts_with('/') || rest.contains("://") {
        return rest.to_owned();
    }
    while let Some(higher) = rest.strip_prefix("../") {
        directory = directory.trim_end_matches('/').rfind('/').map_or("/", |at| &directory[..=at]);
        rest = higher;
    }
    format!("{directory}{rest}")
}

/// Percent-encodes a form as browsers do.
pub fn form(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string().replace("%20", "+")
    };
    fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect::<Vec<_>>().join("&")
}

/// A request in HTTP/1.1 with `Connection: close`, and Content-Length where there is a body.
pub fn message(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    // a fragment is the browser's own affair
    let path = path.split('#').next().unwrap_or(path);
    let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text.push_str("Host: localhost\r\n");
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Sends the bytes and reads until the server closes, or has sent as much as it announced (chromedriver never closes).
pub fn exchange(port: u16, bytes: &[u8], within: Duration) -> std::io::Result<Vec<u8>> {
    converse(port, bytes, within, has_announced_length)
}

/// The same for several requests in one go: reads until the server closes.
pub fn exchange_to_the_end(port: u16, bytes: &[u8], within: Duration) -> std::io::Result<Vec<u8>> {
    converse(port, bytes, within, |_| false)
}

fn converse(port: u16, bytes: &[u8], within: Duration, is_whole: fn(&[u8]) -> bool) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(within))?;
    stream.set_write_timeout(Some(within))?;
    // a server that answers early (413) may close before it has read it all
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = match stream.read(&mut buffer) {
            Ok(count) => count,
            // closed with our bytes unread: what came before that is the answer
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset && !answer.is_empty() => 0,
            Err(error) => return Err(error),
        };
        answer.extend_from_slice(&buffer[..count]);
        if count == 0 || is_whole(&answer) {
            return Ok(answer);
        }
    }
}

fn has_announced_length(answer: &[u8]) -> bool {
    parse(answer, false).is_some_and(|reply| reply.status >= 200 && reply.header("content-length").is_some())
}

/// Reads an answer in HTTP/1; `None` if there is no whole one.
pub fn parse(answer: &[u8], head_only: bool) -> Option<Reply> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let reply = Reply { status, headers, body: Vec::new() };
    let rest = &answer[end + 4..];
    let chunked = reply.header("transfer-encoding").is_some_and(|value| value.contains("chunked"));
    let body = match (chunked && !head_only, reply.header("content-length")) {
        (true, _) => dechunk(rest)?,
        (false, Some(length)) if !head_only => rest.get(..length.parse().ok()?)?.to_vec(),
        _ => rest.to_vec(),
    };
    Some(Reply { body, ..reply })
}

fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = &rest[line + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}
