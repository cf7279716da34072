//! HTTP as the application sees it: a request it can ask, a response it gives. The server behind it is
//! somebody else's concern, so everything above is tested without one.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A request for something below a Location.
pub trait Request {
    /// "GET", "HEAD", "POST", …
    fn method(&self) -> &str;

    /// The URL path of the Location, without a slash at the end: "/dbtest".
    fn base(&self) -> &str;

    /// What follows the base: "" (no slash), "/", "/check", … Decoded by the server.
    fn path(&self) -> &str;

    /// After the question mark, as sent.
    fn query(&self) -> Option<&str>;

    /// The first header of that name, in whatever bytes it came.
    fn header(&self, name: &str) -> Option<&[u8]>;

    /// Reads the body, whatever its framing, up to `limit` bytes.
    fn body(&mut self, limit: usize) -> Result<Vec<u8>, BodyError>;

    /// The server's own id of this request, for a visitor to hand on; it stands in the log formats as `%L`.
    fn log_id(&self) -> Option<&str>;

    /// Keeps a fact for the server's access log: `%{NAME}n` of LogFormat. Nothing that must not be told.
    fn note(&self, name: &'static str, value: &str);

    /// Whether a line of this level would be written: ask before formatting one that is costly.
    fn logs(&self, level: Level) -> bool;

    /// Writes one line to the server's error log, under the module's name and LogLevel.
    fn log(&self, level: Level, line: &str);
}

/// httpd's log levels, as far as the application uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Error,
    Warning,
    Notice,
    Debug,
}

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// Longer than the limit.
    TooLarge,
    /// The client went away, was too slow, or broke the framing: the status that httpd wants answered.
    Broken(u16),
}

/// What is sent back.
#[derive(Debug, Clone, Default)]
pub struct Response {
    pub status: u16,
    /// Empty for none.
    pub content_type: &'static str,
    /// Beyond Content-Type and Content-Length. No value holds a control character.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    pub body: Body,
}

/// Takes the next piece of a streamed body; false once the client wants no more.
pub type Sink<'a> = dyn FnMut(&[u8]) -> bool + 'a;

/// Writes a streamed body into the sink. An error is a line for the error log: the body is not complete,
/// and the connection is to be closed without its proper end, so that the client can tell.
pub type Stream = dyn Fn(&mut Sink) -> Result<(), String> + Send + Sync;

/// The bytes of a response.
#[derive(Clone, Default)]
pub enum Body {
    #[default]
    Empty,
    /// One piece; shared by all the requests that it answers.
    Whole(Arc<Vec<u8>>),
    /// Written piece by piece at the pace of the client. Called once; never for HEAD.
    Stream(Arc<Stream>),
}

impl Response {
    /// A response with a body of one piece and no headers yet.
    pub fn whole(status: u16, content_type: &'static str, body: Arc<Vec<u8>>) -> Self {
        Self { status, content_type, headers: Vec::new(), body: Body::Whole(body) }
    }

    /// The same response with one more header.
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Empty => f.write_str("Empty"),
            Body::Whole(bytes) => write!(f, "Whole({:?})", String::from_utf8_lossy(bytes)),
            Body::Stream(_) => f.write_str("Stream"),
        }
    }
}
