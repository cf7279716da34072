//! The rows as HTML: the one hot loop of the page, and so written by hand. The same loop in the template went
//! through askama's formatting for each of its sixty values and cost most of the rendering.

use std::fmt::{self, Write};

use askama::filters::HtmlSafe;
use askama::{FastWritable, Values};

use crate::database::Rows;

/// The markup of one row without its texts, roughly: for reserving.
const MARKUP: usize = 96;

/// The `<tr>` elements of a page's rows. The row `new` is marked as just added.
pub struct TableRows<'a> {
    pub rows: &'a Rows,
    pub new: Option<i64>,
}

impl TableRows<'_> {
    /// About how many bytes of HTML they are.
    pub fn size_hint(&self) -> usize {
        let texts = self.rows.text_bytes();
        texts + texts / 8 + self.rows.len() * MARKUP
    }

    /// Writes row after row: each is put together in one small buffer, which stays in the processor's cache.
    fn write(&self, dest: &mut dyn Write) -> fmt::Result {
        let (mut out, mut digits) = (String::with_capacity(1024), itoa::Buffer::new());
        for row in self.rows.iter() {
            let id = digits.format(row.id);
            let (class, tag) =
                if self.new == Some(row.id) { ("\" class=\"new", " <span class=\"tag\">new</span>") } else { ("", "") };
            out.clear();
            for piece in ["<tr id=\"row-", id, class, "\"><th scope=\"row\">", id, tag, "</th><td dir=\"auto\">"] {
                out.push_str(piece);
            }
            escape(&mut out, row.stuff);
            out.push_str("</td><td dir=\"auto\">");
            escape(&mut out, row.things);
            out.push_str("</td></tr>\n");
            dest.write_str(&out)?;
        }
        Ok(())
    }
}

/// Appends text as HTML text, with the same references as the templates' own escaping. Most text has nothing to escape:
/// eight bytes are looked at at once, as one number.
fn escape(out: &mut String, text: &str) {
    let bytes = text.as_bytes();
    let mut plain = 0;
    let mut replace = |at: usize| {
        if let Some(reference) = reference(bytes[at]) {
            out.push_str(&text[plain..at]);
            out.push_str(reference);
            plain = at + 1;
        }
    };
    let (words, rest) = bytes.as_chunks::<8>();
    for (word_at, word) in words.iter().enumerate() {
        let mut special = specials(u64::from_le_bytes(*word));
        while special != 0 {
            replace(word_at * 8 + special.trailing_zeros() as usize / 8);
            special &= special - 1;
        }
    }
    (bytes.len() - rest.len()..bytes.len()).for_each(replace);
    out.push_str(&text[plain..]);
}

/// Sets the highest bit of each byte that is special.
fn specials(word: u64) -> u64 {
    const LOWEST: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHEST: u64 = u64::from_ne_bytes([0x80; 8]);
    // a byte that is not zero has its highest bit, or any other, which carries into it
    let equal = |word: u64, byte: u8| {
        let difference = word ^ u64::from_ne_bytes([byte; 8]);
        !(difference | ((difference & !HIGHEST) + !HIGHEST)) & HIGHEST
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

impl fmt::Display for TableRows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

impl FastWritable for TableRows<'_> {
    fn write_into(&self, dest: &mut dyn Write, _: &dyn Values) -> askama::Result<()> {
        Ok(self.write(dest)?)
    }
}

/// Every text in it is escaped above.
impl HtmlSafe for TableRows<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Row;

    #[test]
    fn a_row_and_a_new_row() {
        let rows = [Row { id: 7, stuff: "a", things: "b" }, Row { id: -6, stuff: "", things: "c\r\nd" }];
        let html = TableRows { rows: &rows.into_iter().collect(), new: Some(7) }.to_string();
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
