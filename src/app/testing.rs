//! A request without a server, for the tests of this module.

use std::cell::RefCell;

use super::http::{Body, BodyError, Level, Request, Response};

/// What a test asks.
pub struct Asked {
    method: &'static str,
    base: String,
    path: String,
    query: Option<String>,
    headers: Vec<(String, Vec<u8>)>,
    body: Result<Vec<u8>, BodyError>,
    pub trusted: bool,
    /// What went to the error log.
    pub logged: RefCell<Vec<(Level, String)>>,
}

impl Asked {
    /// `url` follows the base: "/?before=3".
    pub fn with(method: &'static str, url: &str) -> Self {
        let (path, query) = match url.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (url, None),
        };
        Self {
            method,
            base: "/dbtest".into(),
            path: path.into(),
            query,
            headers: Vec::new(),
            body: Ok(Vec::new()),
            trusted: false,
            logged: RefCell::default(),
        }
    }

    pub fn get(url: &str) -> Self {
        Self::with("GET", url)
    }

    /// A form, as a browser posts it.
    pub fn post(url: &str, body: &str) -> Self {
        let mut asked = Self::with("POST", url).header("Content-Type", "application/x-www-form-urlencoded");
        asked.body = Ok(body.into());
        asked
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn base(mut self, base: &str) -> Self {
        self.base = base.into();
        self
    }

    pub fn broken_body(mut self, error: BodyError) -> Self {
        self.body = Err(error);
        self
    }

    pub fn trusted(mut self) -> Self {
        self.trusted = true;
        self
    }
}

impl Request for Asked {
    fn method(&self) -> &str {
        self.method
    }
    fn base(&self) -> &str {
        &self.base
    }
    fn path(&self) -> &str {
        &self.path
    }
    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }
    fn body(&mut self, limit: usize) -> Result<Vec<u8>, BodyError> {
        match std::mem::replace(&mut self.body, Err(BodyError::Broken(400))) {
            Ok(body) if body.len() > limit => Err(BodyError::TooLarge),
            body => body,
        }
    }
    fn trusted(&self) -> bool {
        self.trusted
    }
    fn scheme(&self) -> &str {
        "http"
    }
    fn logs(&self, _: Level) -> bool {
        true
    }
    fn log(&self, level: Level, line: &str) {
        self.logged.borrow_mut().push((level, line.to_owned()));
    }
}

/// The body as text, a stream read to its end.
pub fn text(response: &Response) -> String {
    let bytes = match &response.body {
        Body::Empty => Vec::new(),
        Body::Whole(bytes) => bytes.to_vec(),
        Body::Stream(stream) => {
            let mut all = Vec::new();
            stream(&mut |piece| {
                all.extend_from_slice(piece);
                true
            })
            .unwrap();
            all
        }
    };
    String::from_utf8(bytes).unwrap()
}

/// The value of a header of a response; empty if there is none.
pub fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers.iter().find(|(other, _)| *other == name).map_or("", |(_, value)| value)
}
