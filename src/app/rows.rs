//! The rows as HTML: the one hot loop of the page, and so written by hand. The same loop in the template went
//! through askama's formatting for each of its sixty values and cost most of the rendering.

use std::fmt::{self, Write};

use askama::filters::HtmlSafe;
use askama::{FastWritable, Values};

use crate::database::Row;

/// The markup of one row without its texts, roughly: for reserving.
const MARKUP: usize = 96;

/// The `<tr>` elements of a page's rows. The row `new` is marked as just added.
pub struct Rows<'a> {
    pub rows: &'a [Row],
    pub new: Option<i64>,
}

impl Rows<'_> {
    fn html(&self) -> String {
        let texts: usize = self.rows.iter().map(|row| row.stuff.len() + row.things.len()).sum();
        let mut out = String::with_capacity(texts + texts / 16 + self.rows.len() * MARKUP);
        let mut id = String::new();
        for row in self.rows {
            id.clear();
            // writing into memory cannot fail
            let _ = write!(id, "{}", row.id);
            let (class, tag) =
                if self.new == Some(row.id) { ("\" class=\"new", " <span class=\"tag\">new</span>") } else { ("", "") };
            for piece in ["<tr id=\"row-", &id, class, "\"><th scope=\"row\">", &id, tag, "</th><td dir=\"auto\">"] {
                out.push_str(piece);
            }
            escape(&mut out, &row.stuff);
            out.push_str("</td><td dir=\"auto\">");
            escape(&mut out, &row.things);
            out.push_str("</td></tr>\n");
        }
        out
    }
}

/// Appends text as HTML text, with the same references as the templates' own escaping.
fn escape(out: &mut String, mut text: &str) {
    while let Some((at, reference)) = first_special(text.as_bytes()) {
        out.push_str(&text[..at]);
        out.push_str(reference);
        text = &text[at + 1..];
    }
    out.push_str(text);
}

/// The first byte that HTML wants escaped, and the reference for it. Most text has none: eight bytes are looked at at
/// once, as one number.
fn first_special(bytes: &[u8]) -> Option<(usize, &'static str)> {
    let (words, rest) = bytes.as_chunks::<8>();
    let found = words.iter().enumerate().find_map(|(at, word)| {
        let special = specials(u64::from_le_bytes(*word));
        (special != 0).then(|| at * 8 + special.trailing_zeros() as usize / 8)
    });
    let behind = bytes.len() - rest.len();
    let at = found.or_else(|| rest.iter().position(|&byte| reference(byte).is_some()).map(|at| behind + at))?;
    Some((at, reference(bytes[at])?))
}

/// Sets the highest bit of the first byte that is special; bytes above it may be marked wrongly.
fn specials(word: u64) -> u64 {
    const LOWEST: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHEST: u64 = u64::from_ne_bytes([0x80; 8]);
    // the well-known test for a byte that is zero
    let equal = |word: u64, byte: u8| {
        let difference = word ^ u64::from_ne_bytes([byte; 8]);
        difference.wrapping_sub(LOWEST) & !difference & HIGHEST
    };
    // & and ' differ in one bit, and so do < and >
    equal(word, b'"') | equal(word & !LOWEST, b'&') | equal(word & !(LOWEST << 1), b'<')
}

fn reference(byte: u8) -> Option<&'static str> {
    match byte {
        b'"' => Some("&#34;"),
        b'&' => Some("&#38;"),
        b'\'' => Some("&#39;"),
        b'<' => Some("&#60;"),
        b'>' => Some("&#62;"),
        _ => None,
    }
}

impl fmt::Display for Rows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.html())
    }
}

impl FastWritable for Rows<'_> {
    fn write_into(&self, dest: &mut dyn Write, _: &dyn Values) -> askama::Result<()> {
        Ok(dest.write_str(&self.html())?)
    }
}

/// Every text in it is escaped above.
impl HtmlSafe for Rows<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: i64, stuff: &str, things: &str) -> Row {
        Row { id, stuff: stuff.into(), things: things.into() }
    }

    #[test]
    fn a_row_and_a_new_row() {
        let rows = [row(7, "a", "b"), row(-6, "", "c\r\nd")];
        let html = Rows { rows: &rows, new: Some(7) }.to_string();
        assert_eq!(
            html,
            "<tr id=\"row-7\" class=\"new\"><th scope=\"row\">7 <span class=\"tag\">new</span></th>\
             <td dir=\"auto\">a</td><td dir=\"auto\">b</td></tr>\n\
             <tr id=\"row--6\"><th scope=\"row\">-6</th><td dir=\"auto\"></td><td dir=\"auto\">c\r\nd</td></tr>\n"
        );
    }

    /// Held to askama's own escaping, whose tests are many.
    #[test]
    fn every_character_is_escaped_as_the_templates_do() {
        let all: String = (0..0x300u32).chain([0x202e, 0xfffd, 0x1f600]).filter_map(char::from_u32).collect();
        // each special character at each place of a word, and behind several plain ones
        let placed = (0..24).flat_map(|at| "\"&'<>".chars().map(move |special| format!("{:x>at$}{special}é", "é")));
        let texts = [all.as_str(), "", "<<>>", "a&b", "é\"", "'"].map(str::to_owned).into_iter().chain(placed);
        for text in texts {
            let text = text.as_str();
            let mut ours = String::new();
            escape(&mut ours, text);
            let theirs = askama::filters::escape(text, askama::filters::Html).unwrap().to_string();
            assert_eq!(ours, theirs);
        }
    }
}
