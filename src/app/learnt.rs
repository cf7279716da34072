//! What each kind of visitor learns, seen on the pages themselves: the table of docs/security.md.

use std::fmt::Write;

use super::testing::{Asked, Fake, Site, broken, text};
use crate::database::Stage;

const DOCUMENT: &str = include_str!("../../docs/security.md");

/// What a page may give away, and the mark by which it is found there (see the fake database of these tests).
const FACTS: [(&str, &str); 7] = [
    ("host", "nowhere"),
    ("role", "tester"),
    ("version", "1.0 "),
    ("address", "secrethost"),
    ("id", "DBT1"),
    ("request", "LOG-ID"),
    ("rows", "things 1"),
];

const PAGES: [&str; 6] = ["/", "/?format=json", "/1", "/check", "/check?format=json", "/health"];

fn learnt(page: &str, told: bool, failing: bool) -> String {
    let fake = Fake::with_rows(1);
    if failing {
        *fake.read.lock().unwrap() = Some(|| broken(Stage::Read));
    }
    let mut asked = Asked::get(page);
    asked.told = told;
    let text = text(&Site::fake(&fake).answer(&mut asked));
    let facts: Vec<&str> = FACTS.iter().filter(|(_, mark)| text.contains(mark)).map(|(fact, _)| *fact).collect();
    if facts.is_empty() { "nothing".into() } else { facts.join(", ") }
}

#[test]
fn the_table_of_the_document_is_what_the_pages_tell() {
    let mut table = String::from(
        "| page | brief, all well | brief, failing | told all, all well | told all, failing |\n|---|---|---|---|---|\n",
    );
    for page in PAGES {
        let cells = [(false, false), (false, true), (true, false), (true, true)]
            .map(|(told, failing)| learnt(page, told, failing));
        let _ = writeln!(table, "| `{page}` | {} |", cells.join(" | "));
    }
    assert!(DOCUMENT.contains(&table), "docs/security.md wants this table:\n{table}");
}
