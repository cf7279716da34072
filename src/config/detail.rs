//! What a visitor is told about the database and its faults: nothing that could help a stranger, everything, or what an
//! expression of httpd's says of the request. It is written down, never guessed from where a request seems to come from:
//! behind a proxy everybody comes from this machine, and a page of another site can send a browser to any address.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// DBTestDetail.
#[derive(Debug, Clone, Default)]
pub enum Detail {
    /// That something failed, and the id to look up.
    #[default]
    Brief,
    /// Host, role, version; step, cause and fix.
    Full,
    /// Full for a request of which this is true.
    Condition(Condition),
}

/// An expression as httpd reads it (ap_expr): kept by whoever parsed it, since only httpd can evaluate it.
#[derive(Clone)]
pub struct Condition {
    text: String,
    parsed: Parsed,
}

/// The parsed form, of a type that only the server's side knows.
pub type Parsed = Arc<dyn Any + Send + Sync>;

/// Parses an expression for the section that is being read; the error is the server's own sentence.
pub type Parser<'a> = &'a dyn Fn(&str) -> Result<Parsed, String>;

impl Detail {
    /// Reads the argument of the directive.
    pub fn parse(name: &str, text: &str, parser: Parser) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("full") {
            return Ok(Self::Full);
        }
        if text.eq_ignore_ascii_case("brief") {
            return Ok(Self::Brief);
        }
        let Some(expression) = text.strip_prefix("expr=") else {
            let text = text.escape_debug();
            return Err(format!("{name} must be brief, full or \"expr=EXPRESSION\", not \"{text}\""));
        };
        let parsed = parser(expression).map_err(|error| format!("{name}: cannot read the expression: {error}"))?;
        Ok(Self::Condition(Condition { text: expression.to_owned(), parsed }))
    }
}

impl Condition {
    pub fn parsed(&self) -> &(dyn Any + Send + Sync) {
        &*self.parsed
    }
}

/// As the directive takes it.
impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Detail::Brief => f.write_str("brief"),
            Detail::Full => f.write_str("full"),
            Detail::Condition(condition) => write!(f, "expr={}", condition.text),
        }
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.text).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_and_what_is_none_of_them() {
        let parser: Parser = &|text| if text == "true" { Ok(Arc::new(7_u8)) } else { Err("syntax error".into()) };
        let read = |text: &str| Detail::parse("DBTestDetail", text, parser);
        assert!(matches!(read("Full"), Ok(Detail::Full)));
        assert!(matches!(read("BRIEF"), Ok(Detail::Brief)));
        let Ok(Detail::Condition(condition)) = read("expr=true") else { panic!() };
        assert_eq!(condition.parsed().downcast_ref::<u8>(), Some(&7));
        assert_eq!(read("expr=true").unwrap().to_string(), "expr=true");
        assert!(read("expr=(").unwrap_err().contains("cannot read the expression: syntax error"));
        assert!(read("verbose").unwrap_err().contains("brief, full or \"expr=EXPRESSION\""));
    }
}
