//! When the database refuses what was typed rather than the application: a CHECK or UNIQUE of the table, a character that
//! its encoding lacks, a text too long for an index. That is nobody's fault but the text's, so the visitor hears it
//! beside the field, and the error log not at all.

use super::model::Entry;
use crate::database::{Cause, Error, ServerError};

/// What refused a row, in the visitor's terms.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 409 where the row is in conflict with another, 422 where no row may be so.
    pub status: u16,
    /// The field it is about, where that can be known.
    pub field: Option<&'static str>,
    pub message: String,
    /// The rule's own name, which only those hear who are told.
    pub rule: String,
}

const CONFLICT: u16 = 409;
const UNPROCESSABLE: u16 = 422;

/// SQLite's extended result codes (sqlite.org/rescode.html).
mod sqlite {
    pub const TOOBIG: i32 = 18;
    pub const CONSTRAINT_CHECK: i32 = 275;
    pub const CONSTRAINT_UNIQUE: i32 = 2067;
}

/// Reads an error of an insert; None if it is no refusal of these texts, or nothing says so for sure.
pub fn read(error: &Error, entry: &Entry) -> Option<Refusal> {
    match &error.cause {
        Cause::Server(error) => postgresql(error, entry),
        Cause::Sqlite { code, message, .. } => sqlite(*code, message, entry),
        _ => None,
    }
}

/// By SQLSTATE and the fields that the server fills in; nothing is read out of a message, which servers translate, but
/// the names of columns within the parentheses of DETAIL.
fn postgresql(error: &ServerError, entry: &Entry) -> Option<Refusal> {
    let routine = error.routine.as_deref()?;
    let rule = error.constraint.clone().unwrap_or_default();
    match error.code.as_str() {
        // without a name it is a row that fits no partition
        "23514" if !rule.is_empty() => Some(check(rule, error.table.as_deref().unwrap_or_default(), entry)),
        "23505" => unique(rule, key_of(error.detail.as_deref()?), entry),
        "22P05" => Some(Refusal {
            status: UNPROCESSABLE,
            field: only(entry, |text| !text.is_ascii()),
            message: "A character of this text does not exist in the encoding of the database.".into(),
            rule: error.message.clone(),
        }),
        // program_limit_exceeded has many causes: an entry of an index is one of them
        "54000" if is_of_an_index(routine) => Some(Refusal {
            status: UNPROCESSABLE,
            field: longest(entry),
            message: "This text is too long for an index of the table.".into(),
            rule,
        }),
        _ => None,
    }
}

fn sqlite(code: i32, message: &str, entry: &Entry) -> Option<Refusal> {
    // "CHECK constraint failed: NAME", "UNIQUE constraint failed: stuff.things": SQLite translates nothing
    let rule = message.split_once("failed: ").map_or("", |(_, rule)| rule).to_owned();
    match code {
        sqlite::CONSTRAINT_CHECK => Some(check(rule, "", entry)),
        sqlite::CONSTRAINT_UNIQUE => {
            let columns = rule.clone();
            unique(rule, &columns, entry)
        }
        sqlite::TOOBIG => Some(Refusal {
            status: UNPROCESSABLE,
            field: longest(entry),
            message: "This text is longer than the database can hold.".into(),
            rule,
        }),
        _ => None,
    }
}

fn check(rule: String, table: &str, entry: &Entry) -> Refusal {
    // PostgreSQL calls them TABLE_COLUMN_check, and the table may be called as a column is
    let about = rule.strip_prefix(table).unwrap_or(&rule);
    Refusal {
        status: UNPROCESSABLE,
        field: named(about, entry),
        message: "A rule of the table does not allow this.".into(),
        rule,
    }
}

/// Columns of which none is a field of ours are a key that the database itself gave out: that is no visitor's doing.
fn unique(rule: String, columns: &str, entry: &Entry) -> Option<Refusal> {
    let field = named(columns, entry)?;
    Some(Refusal { status: CONFLICT, field: Some(field), message: "There is a row with this already.".into(), rule })
}

/// "Key (lower(stuff))=(x) already exists." → "lower(stuff)".
fn key_of(detail: &str) -> &str {
    let key = detail.split_once(")=(").map_or("", |(key, _)| key);
    key.split_once('(').map_or("", |(_, columns)| columns)
}

/// The first field whose name stands in a text as a word.
fn named(text: &str, entry: &Entry) -> Option<&'static str> {
    // "stuff.stuff, stuff.things" of SQLite: what stands before the dot is the table
    let words: Vec<&str> = text
        .split([',', ' '])
        .flat_map(|part| part.rsplit('.').next())
        .flat_map(|part| part.split(|c: char| !c.is_alphanumeric()))
        .collect();
    let fields = entry.inputs.iter().map(|input| input.field.name);
    fields.into_iter().find(|name| words.contains(name))
}

/// The one field of which this is true.
fn only(entry: &Entry, is: impl Fn(&str) -> bool) -> Option<&'static str> {
    let mut fields = entry.inputs.iter().filter(|input| is(&input.typed)).map(|input| input.field.name);
    fields.next().filter(|_| fields.next().is_none())
}

fn longest(entry: &Entry) -> Option<&'static str> {
    entry.inputs.iter().max_by_key(|input| input.typed.len()).map(|input| input.field.name)
}

/// The functions of PostgreSQL's access methods that refuse an entry for its length.
fn is_of_an_index(routine: &str) -> bool {
    ["_bt_", "index_form_tuple", "_hash_", "hash", "spg", "Gin", "gin", "gist"]
        .iter()
        .any(|name| routine.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::super::form::Form;
    use super::super::stuff::STUFF;
    use super::*;
    use crate::database::Stage;

    fn entry(stuff: &str, things: &str) -> Entry {
        let mut entry = STUFF.read_form(&mut Form::default());
        (entry.inputs[0].typed, entry.inputs[1].typed) = (stuff.into(), things.into());
        entry
    }

    fn server(
        code: &str,
        routine: &str,
        constraint: Option<&str>,
        detail: Option<&str>,
    ) -> Option<(u16, Option<&'static str>)> {
        let error = ServerError {
            code: code.into(),
            routine: Some(routine.into()),
            constraint: constraint.map(str::to_owned),
            detail: detail.map(str::to_owned),
            table: Some("stuff".into()),
            ..ServerError::default()
        };
        let error = Error { stage: Stage::Write, doing: String::new(), cause: Cause::Server(Box::new(error)) };
        read(&error, &entry("é", &"x".repeat(9000))).map(|refusal| (refusal.status, refusal.field))
    }

    #[test]
    fn what_postgresql_refuses() {
        let check = |name| server("23514", "ExecConstraints", name, None);
        assert_eq!(check(Some("stuff_things_check")), Some((422, Some("things"))));
        assert_eq!(check(Some("stuff_stuff_check")), Some((422, Some("stuff"))));
        assert_eq!(check(Some("stuff_check")), Some((422, None)), "the table is called so, not the column");
        assert_eq!(check(None), None, "a row without a partition");
        let unique = |detail| server("23505", "_bt_check_unique", Some("k"), detail);
        assert_eq!(unique(Some("Key (lower(things))=(a) already exists.")), Some((409, Some("things"))));
        assert_eq!(unique(Some("Schlüssel »(stuff)=(id)« existiert bereits.")), Some((409, Some("stuff"))));
        assert_eq!(unique(Some("Key (id)=(5) already exists.")), None, "the sequence lags behind");
        assert_eq!(unique(None), None);
        assert_eq!(server("22P05", "report_untranslatable_char", None, None), Some((422, Some("stuff"))));
        assert_eq!(server("54000", "_bt_check_third_page", Some("i"), None), Some((422, Some("things"))));
        assert_eq!(server("54000", "check_stack_depth", None, None), None);
        assert_eq!(server("42501", "aclcheck_error", None, None), None);
    }

    #[test]
    fn what_sqlite_refuses() {
        let of = |code, message: &str| {
            let cause = Cause::Sqlite { code, message: message.into(), errno: None };
            let error = Error { stage: Stage::Write, doing: String::new(), cause };
            read(&error, &entry("a", "b")).map(|refusal| (refusal.status, refusal.field))
        };
        assert_eq!(of(2067, "UNIQUE constraint failed: stuff.things"), Some((409, Some("things"))));
        assert_eq!(of(2067, "UNIQUE constraint failed: stuff.id"), None);
        assert_eq!(of(275, "CHECK constraint failed: length(things) > 3"), Some((422, Some("things"))));
        assert_eq!(of(275, "CHECK constraint failed: short"), Some((422, None)));
        assert_eq!(of(8, "attempt to write a readonly database"), None);
    }
}
