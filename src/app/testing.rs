//! A request without a server and a database without a disk, for the tests of this module.

use std::cell::RefCell;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::http::{Body, BodyError, Level, Request, Response};
use super::{Endpoint, Listed};
use crate::config::{Detail, Resolved};
use crate::database::{
    self, About, Cause, Connection, Create, Error, Limits, Page, Row, Rows, Services, Setting, Stage, Table, Target,
    WriteError,
};
use crate::tally::{self, Entry};

/// What a test asks.
pub struct Asked {
    method: &'static str,
    base: String,
    path: String,
    query: Option<String>,
    headers: Vec<(String, Vec<u8>)>,
    body: Result<Vec<u8>, BodyError>,
    pub told: bool,
    /// What the access log may show.
    pub noted: RefCell<Vec<(&'static str, String)>>,
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
            told: false,
            logged: RefCell::default(),
            noted: RefCell::default(),
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

    /// By DBTestDetail.
    pub fn told(mut self) -> Self {
        self.told = true;
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
    fn log_id(&self) -> Option<&str> {
        Some("LOG-ID")
    }
    fn note(&self, name: &'static str, value: &str) {
        self.noted.borrow_mut().push((name, value.to_owned()));
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

/// A row of a [`Fake`].
#[derive(Debug, Clone)]
pub struct FakeRow {
    pub id: i64,
    pub stuff: String,
    pub things: String,
}

/// A database in memory that fails when it is told to.
#[derive(Debug, Default)]
pub struct Fake {
    pub rows: Mutex<Vec<FakeRow>>,
    /// How a read fails.
    pub read: Mutex<Option<fn() -> Error>>,
    /// How a write fails; the row is stored all the same if it is `Unknown`.
    pub write: Mutex<Option<fn() -> WriteError>>,
    pub created: AtomicU32,
}

/// What a fake's connection says of itself: markup, to prove that it is escaped.
pub const VERSION: &str = "1.0 <beta>";

impl Fake {
    pub fn with_rows(count: i64) -> Arc<Self> {
        let row = |id| FakeRow { id, stuff: format!("stuff {id}"), things: format!("things {id}") };
        Arc::new(Self { rows: Mutex::new((1..=count).map(row).collect()), ..Self::default() })
    }
}

#[derive(Debug)]
struct FakeTarget(Arc<Fake>);

struct FakeConnection(Arc<Fake>, About);

/// An error of the stage that a test is about.
pub fn broken(stage: Stage) -> Error {
    Error { stage, doing: "asking secrethost".into(), cause: Cause::Closed }
}

impl Target for FakeTarget {
    fn kind(&self) -> &'static str {
        "fake"
    }
    fn masked(&self) -> String {
        "fake://secrethost/db".into()
    }
    fn has_inline_password(&self) -> bool {
        false
    }
    fn check_offline(&self) -> Vec<String> {
        Vec::new()
    }
    fn file(&self) -> Option<&Path> {
        None
    }
    fn create_statement(&self, table: &Table) -> String {
        format!("CREATE TABLE {} (id < 5)", table.quoted())
    }
    fn connect(&self, _: &Table, _: &Limits, _: Create) -> Result<Box<dyn Connection>, Error> {
        let about = About {
            product: "Fake",
            version: VERSION.into(),
            database: "db".into(),
            host: "nowhere".into(),
            role: "tester".into(),
            transport: "memory".into(),
        };
        Ok(Box::new(FakeConnection(Arc::clone(&self.0), about)))
    }
}

impl Connection for FakeConnection {
    fn about(&self) -> &About {
        &self.1
    }
    fn page(&mut self, before: Option<i64>, size: u32) -> Result<Page, Error> {
        if let Some(error) = *self.0.read.lock().unwrap() {
            return Err(error());
        }
        let all = self.0.rows.lock().unwrap();
        let older = all.iter().rev().filter(|row| before.is_none_or(|before| row.id < before));
        let rows = older.take(size as usize + 1).map(|row| Row { id: row.id, stuff: &row.stuff, things: &row.things });
        let mut rows: Rows = rows.collect();
        let more = rows.len() > size as usize;
        rows.truncate(size as usize);
        Ok(Page { rows, more, took: Duration::from_micros(1234) })
    }
    fn insert(&mut self, stuff: &str, things: &str) -> Result<i64, WriteError> {
        if let Some(error) = *self.0.write.lock().unwrap() {
            return Err(error());
        }
        let mut rows = self.0.rows.lock().unwrap();
        let id = rows.last().map_or(1, |row| row.id + 1);
        rows.push(FakeRow { id, stuff: stuff.into(), things: things.into() });
        Ok(id)
    }
    fn create_table(&mut self) -> Result<(), Error> {
        self.0.created.fetch_add(1, Ordering::SeqCst);
        *self.0.read.lock().unwrap() = None;
        Ok(())
    }
    fn reset_table(&mut self) -> Result<(), Error> {
        Ok(())
    }
    fn ping(&mut self) -> Result<(), Error> {
        self.0.read.lock().unwrap().map_or(Ok(()), |error| Err(error()))
    }
    fn usable(&self) -> bool {
        true
    }
}

/// An endpoint with a database, and the child's services: what the server hands to the application.
pub struct Site {
    pub settings: Resolved,
    services: Services,
    pub entry: Arc<Entry>,
    key: usize,
}

impl Site {
    pub fn fake(fake: &Arc<Fake>) -> Self {
        Self::of(Arc::new(FakeTarget(Arc::clone(fake))))
    }

    /// A real SQLite file.
    pub fn sqlite(file: &Path) -> Self {
        let setting = Setting { state_dir: Path::new("/nonexistent"), password: None };
        Self::of(database::parse(&format!("sqlite:{}", file.display()), &setting).unwrap())
    }

    fn of(target: Arc<dyn Target>) -> Self {
        let limit = Duration::from_secs(5);
        let settings = Resolved {
            target,
            is_default_database: false,
            password_file: None,
            no_password: None,
            table: Arc::new(Table::default()),
            page_size: 20,
            read_only: false,
            create_table: false,
            detail: Detail::Brief,
            limits: Limits { connect: limit, query: limit, wait: limit },
            connections: 1,
            max_body: 65536,
            origins: Vec::new(),
        };
        static KEYS: AtomicUsize = AtomicUsize::new(1);
        Self {
            settings,
            services: Services::new(1, Box::new(|| 0)),
            entry: tally::private(),
            key: KEYS.fetch_add(1, Ordering::SeqCst),
        }
    }

    pub fn set(mut self, change: impl FnOnce(&mut Resolved)) -> Self {
        change(&mut self.settings);
        self
    }

    pub fn with_endpoint<T>(&self, work: impl FnOnce(&Endpoint) -> T) -> T {
        let settings = Arc::new(self.settings.clone());
        let told = matches!(settings.detail, Detail::Full);
        work(&Endpoint {
            key: self.key,
            settings: &settings,
            services: &self.services,
            entry: &self.entry,
            children: 4,
            told,
        })
    }

    pub fn answer(&self, asked: &mut Asked) -> Response {
        self.with_endpoint(|endpoint| {
            let told = endpoint.told || asked.told;
            super::answer(asked, &Endpoint { told, ..*endpoint })
        })
    }

    pub fn get(&self, url: &str) -> Response {
        self.answer(&mut Asked::get(url))
    }

    pub fn status(&self, asked: &mut Asked, locations: &[&str]) -> Response {
        self.with_endpoint(|endpoint| {
            let endpoint = Endpoint { told: endpoint.told || asked.told, ..*endpoint };
            let views: Vec<Listed> = locations.iter().map(|location| Listed { location, endpoint }).collect();
            super::status(asked, &views)
        })
    }
}
