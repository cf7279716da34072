//! The JSON that machines get. Names are never changed, only added.

use std::borrow::Cow;

use serde::Serialize;

use super::model::Entry;
use crate::database::{About, Page, Row};

#[derive(Serialize)]
struct RowShape<'a> {
    id: i64,
    stuff: &'a str,
    things: &'a str,
}

impl<'a> From<Row<'a>> for RowShape<'a> {
    fn from(Row { id, stuff, things }: Row<'a>) -> Self {
        Self { id, stuff, things }
    }
}

#[derive(Serialize)]
struct AboutShape<'a> {
    product: &'a str,
    version: &'a str,
    name: &'a str,
    host: &'a str,
    role: &'a str,
    transport: &'a str,
}

#[derive(Serialize)]
struct ListShape<'a> {
    rows: Vec<RowShape<'a>>,
    /// The `before` of the next older page; null on the last.
    older: Option<i64>,
    read_only: bool,
    /// What answered, for whom it is told.
    database: Option<AboutShape<'a>>,
    took_ms: f64,
}

#[derive(Serialize)]
struct ErrorShape<'a> {
    id: Option<&'a str>,
    message: Cow<'a, str>,
    /// Of a write: "no" or "unknown".
    #[serde(skip_serializing_if = "Option::is_none")]
    saved: Option<&'a str>,
    /// The id of the request under which the error log has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    /// The whole report of the check, for who may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<serde_json::Value>,
}

/// A page of rows.
pub fn list(page: &Page, older: Option<i64>, read_only: bool, about: Option<&About>) -> Vec<u8> {
    let database = about.map(|about| AboutShape {
        product: about.product,
        version: &about.version,
        name: &about.database,
        host: &about.host,
        role: &about.role,
        transport: &about.transport,
    });
    let took_ms = (page.took.as_secs_f64() * 1e6).round() / 1e3;
    bytes(&ListShape { rows: page.rows.iter().map(RowShape::from).collect(), older, read_only, database, took_ms })
}

/// One row, as the answer to its creation.
pub fn created(id: i64, entry: &Entry) -> Vec<u8> {
    bytes(&RowShape { id, stuff: entry.text("stuff"), things: entry.text("things") })
}

/// One row that is there.
pub fn row(row: Row<'_>) -> Vec<u8> {
    bytes(&RowShape::from(row))
}

/// One row as a line of an export, at the end of `out`.
pub fn line(out: &mut Vec<u8>, row: Row<'_>) {
    // serialising strings and numbers into memory cannot fail
    let _ = serde_json::to_writer(&mut *out, &RowShape::from(row));
    out.push(b'\n');
}

/// The mistakes of an entry, by field: `{"errors":{…}}` in a problem.
pub fn mistakes(status: u16, entry: &Entry) -> Vec<u8> {
    let mut errors = serde_json::Map::new();
    for input in &entry.inputs {
        if let Some(mistake) = &input.mistake {
            errors.insert(input.field.name.into(), mistake.as_str().into());
        }
    }
    if let Some(mistake) = &entry.mistake {
        // of no field: the empty name, as in RFC 6901 the whole
        errors.insert(String::new(), mistake.as_str().into());
    }
    let detail = "Nothing was saved: a field needs attention.";
    bytes(&Problem { errors: Some(errors), ..Problem::new(status, "Not saved", detail, None) })
}

/// An error in the shape of RFC 9457, with the older `error` beside it.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    error: ErrorShape<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<serde_json::Map<String, serde_json::Value>>,
}

impl<'a> Problem<'a> {
    fn new(status: u16, title: &'a str, detail: &'a str, id: Option<&'a str>) -> Self {
        let error = ErrorShape { id, message: detail.into(), saved: None, reference: None, report: None };
        Self { r#type: "about:blank", title, status, detail, error, errors: None }
    }
}

/// An error that has no id.
pub fn problem(status: u16, title: &str, detail: &str) -> Vec<u8> {
    bytes(&Problem::new(status, title, detail, None))
}

/// The last line of an export that broke off: `{"error":{"id":…,"message":…}}`.
pub fn error(id: Option<&str>, message: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Outer<'a> {
        error: ErrorShape<'a>,
    }
    bytes(&Outer { error: ErrorShape { id, message: message.into(), saved: None, reference: None, report: None } })
}

/// A failure of the database.
pub struct Failure<'a> {
    pub status: u16,
    pub title: &'a str,
    pub message: &'a str,
    pub id: Option<&'a str>,
    /// Of a write: "no" or "unknown".
    pub saved: Option<&'a str>,
}

/// A failure of the database; `report` is JSON already.
pub fn failure(failure: &Failure, reference: Option<&str>, report: Option<&str>) -> Vec<u8> {
    let Failure { status, title, message, id, saved } = *failure;
    let report = report.and_then(|report| serde_json::from_str(report).ok());
    let error = ErrorShape { id, message: format!("{title}. {message}").into(), saved, reference, report };
    bytes(&Problem { error, ..Problem::new(status, title, message, id) })
}

fn bytes(value: &impl Serialize) -> Vec<u8> {
    // serialising strings and numbers into memory cannot fail
    let mut bytes = serde_json::to_vec(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
