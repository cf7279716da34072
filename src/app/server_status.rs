//! The section of mod_status: a line for each database of the server, summed over all children. Like the metrics it tells
//! counts and Locations, and no host, role or path.

use std::fmt::Write;

use crate::tally::{Counter, Entry, Held};

/// The names of `?auto`, which are an interface, and the headings of the table.
const COLUMNS: [(&str, &str); 10] = [
    ("Up", "up"),
    ("Answered", "answered"),
    ("Saved", "saved"),
    ("NotSaved", "not saved"),
    ("Unknown", "unknown"),
    ("Failed", "failed"),
    ("Busy", "turned away"),
    ("Connections", "connections"),
    ("Working", "at work"),
    ("Waiting", "waiting"),
];

fn values(entry: &Entry) -> [String; 10] {
    let (success, failure) = (entry.get(Counter::LastSuccess), entry.get(Counter::LastFailure));
    let up = match success.max(failure) {
        0 => "-".to_owned(),
        _ => u8::from(success >= failure).to_string(),
    };
    let count = |which| entry.get(which).to_string();
    let held = |what| entry.sum(what).to_string();
    [
        up,
        count(Counter::Answered),
        count(Counter::Saved),
        count(Counter::NotSaved),
        count(Counter::Unknown),
        count(Counter::Failed),
        count(Counter::Busy),
        held(Held::Connected),
        held(Held::Working),
        held(Held::Waiting),
    ]
}

/// As HTML for people, or as `Name: value` for programs.
pub fn server_status(entries: &[&Entry], automatic: bool) -> String {
    let mut out = String::new();
    if automatic {
        for (number, entry) in entries.iter().enumerate() {
            line(&mut out, format_args!("DBTest{number}Location: {}", entry.location().replace(char::is_control, "?")));
            for ((name, _), value) in COLUMNS.iter().zip(values(entry)) {
                line(&mut out, format_args!("DBTest{number}{name}: {value}"));
            }
        }
        return out;
    }
    line(&mut out, format_args!("<hr />\n<h2>mod_dbtest</h2>\n<table border=\"1\"><tr><th>Location</th>"));
    for (_, heading) in COLUMNS {
        line(&mut out, format_args!("<th>{heading}</th>"));
    }
    for entry in entries {
        line(&mut out, format_args!("</tr>\n<tr><td>{}</td>", escaped(entry.location())));
        for value in values(entry) {
            line(&mut out, format_args!("<td>{value}</td>"));
        }
    }
    line(&mut out, format_args!("</tr></table>"));
    out
}

fn line(out: &mut String, line: std::fmt::Arguments) {
    // writing into memory cannot fail
    let _ = writeln!(out, "{line}");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally;

    #[test]
    fn people_and_programs_read_the_same_numbers() {
        let entry = tally::private();
        entry.count(Counter::Saved);
        let text = server_status(&[&entry], true);
        assert!(text.contains("DBTest0Saved: 1\n") && text.contains("DBTest0Up: -\n"), "{text}");
        assert_eq!(text.lines().count(), COLUMNS.len() + 1);
        assert!(server_status(&[&entry], false).contains("<td>1</td>"));
        assert_eq!(escaped("^/<a&\"b>"), "^/&lt;a&amp;&quot;b&gt;");
    }
}
