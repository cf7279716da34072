//! Which format to answer in: `?format=` if given, else the Accept header (RFC 9110, 12.5.1).
//!
//! Generous: a client that accepts nothing we have gets the page, which says more than a 406 would.

use std::cmp::Reverse;

use super::form::Form;

/// A format that the application can answer in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Html,
    Text,
    Json,
}

impl Format {
    /// As sent in Content-Type.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Html => "text/html; charset=utf-8",
            Format::Text => "text/plain; charset=utf-8",
            Format::Json => "application/json",
        }
    }

    /// As sent with an error: JSON has a type of its own for those (RFC 9457).
    pub fn problem_type(self) -> &'static str {
        match self {
            Format::Json => "application/problem+json",
            other => other.content_type(),
        }
    }

    fn media_type(self) -> (&'static str, &'static str) {
        match self {
            Format::Html => ("text", "html"),
            Format::Text => ("text", "plain"),
            Format::Json => ("application", "json"),
        }
    }

    fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"html" => Some(Format::Html),
            b"text" => Some(Format::Text),
            b"json" => Some(Format::Json),
            _ => None,
        }
    }
}

/// The value of `?format=`, for a message, if it names nothing that we know.
pub fn unknown(query: Option<&str>) -> Option<String> {
    let form = Form::parse(query?.as_bytes()).ok()?;
    let name = form.get("format").filter(|name| Format::named(name).is_none())?;
    Some(String::from_utf8_lossy(name).chars().filter(|c| !c.is_control()).take(20).collect())
}

/// Chooses among `offers`, the best liked first; of equals the first offer. `named` is the value of `?format=`.
pub fn choose(named: Option<&[u8]>, accept: Option<&[u8]>, offers: &[Format]) -> Format {
    let first = offers.first().copied().unwrap_or(Format::Html);
    if let Some(format) = named.and_then(Format::named).filter(|format| offers.contains(format)) {
        return format;
    }
    let Some(accept) = accept else { return first };
    let ranges: Vec<Range> = accept.split(|&byte| byte == b',').filter_map(Range::parse).collect();
    let mut best = (first, Liking { quality: 0, specificity: 0, earliness: Reverse(0) });
    for &offer in offers {
        if let Some(liking) = liking(&ranges, offer).filter(|liking| liking.quality > 0 && *liking > best.1) {
            best = (offer, liking);
        }
    }
    best.0
}

/// How much the client likes a format: more of the first that differs. The specificity speaks for those (axios)
/// who name what they want and add `*/*` for safety.
#[derive(PartialEq, PartialOrd)]
struct Liking {
    /// In thousandths.
    quality: u16,
    specificity: u8,
    earliness: Reverse<usize>,
}

/// What the most specific range that fits says of a format.
fn liking(ranges: &[Range], offer: Format) -> Option<Liking> {
    let fitting = ranges.iter().enumerate().filter_map(|(endpoint, range)| {
        let specificity = range.specificity(offer)?;
        Some(Liking { quality: range.quality, specificity, earliness: Reverse(endpoint) })
    });
    fitting.max_by_key(|liking| liking.specificity)
}

/// One element of Accept: "text/*;q=0.5".
struct Range<'a> {
    kind: &'a str,
    subkind: &'a str,
    quality: u16,
}

impl<'a> Range<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut parts = text.split(';').map(str::trim);
        let (kind, subkind) = parts.next()?.split_once('/')?;
        let quality = parts
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
            .map_or(1000, |(_, value)| thousandths(value.trim()));
        Some(Self { kind, subkind, quality })
    }

    /// 2 for the very type, 1 for its family, 0 for anything; `None` if the range does not fit.
    fn specificity(&self, offer: Format) -> Option<u8> {
        let (kind, subkind) = offer.media_type();
        let any = self.subkind == "*";
        match (self.kind, any) {
            ("*", true) => Some(0),
            (mine, true) if mine.eq_ignore_ascii_case(kind) => Some(1),
            (mine, _) if mine.eq_ignore_ascii_case(kind) && self.subkind.eq_ignore_ascii_case(subkind) => Some(2),
            _ => None,
        }
    }
}

/// A quality value; what is not one counts as not wanted.
fn thousandths(text: &str) -> u16 {
    match text.parse::<f32>() {
        // between 0 and 1, so it fits
        Ok(value) if (0.0..=1.0).contains(&value) => (value * 1000.0).round() as u16,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::Format::{Html, Json, Text};
    use super::*;

    fn chosen(accept: &str) -> Format {
        choose(None, Some(accept.as_bytes()), &[Html, Text, Json])
    }

    #[test]
    fn browsers_curl_and_scripts_get_what_they_mean() {
        assert_eq!(chosen("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"), Html);
        assert_eq!(chosen("*/*"), Html);
        assert_eq!(chosen("application/json"), Json);
        assert_eq!(chosen("application/json, text/plain, */*"), Json, "what axios sends");
        assert_eq!(chosen("text/*"), Html, "of equals, our order");
        assert_eq!(chosen("text/plain"), Text);
        assert_eq!(choose(None, None, &[Html, Json]), Html);
    }

    #[test]
    fn qualities_decide_and_the_specific_wins_over_the_general() {
        assert_eq!(chosen("text/html;q=0.5, application/json"), Json);
        assert_eq!(chosen("text/*, application/json;q=0.9, text/html;q=0.1, text/plain;q=0.2"), Json);
        assert_eq!(chosen("*/*, text/html;q=0"), Text);
        assert_eq!(chosen("TEXT/Plain ; Q=0.9 , text/html;q=0.8"), Text);
        assert_eq!(chosen("application/json;q=nonsense, text/html;q=0.001"), Html);
    }

    #[test]
    fn nothing_that_fits_gets_the_page() {
        for accept in ["image/png", "", ",,;", "text", "application/json;q=0", "text/html;q=7"] {
            assert_eq!(chosen(accept), Html, "{accept}");
        }
        assert_eq!(choose(None, Some(b"\xff\xfe, application/json"), &[Html, Json]), Json);
        assert_eq!(choose(None, Some(b"text/plain"), &[Html, Json]), Html);
    }

    #[test]
    fn a_format_in_the_query_decides() {
        assert_eq!(choose(Some(b"text"), Some(b"application/json"), &[Html, Text, Json]), Text);
        assert_eq!(choose(Some(b"text"), Some(b"application/json"), &[Html, Json]), Json, "not on offer");
        assert_eq!(choose(Some(b"pdf"), None, &[Html, Json]), Html);
    }
}
